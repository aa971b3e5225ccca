//! Where the TensorFlow Lite C library for tests is.

use std::env;
use std::env::consts::{ARCH, OS};
use std::path::PathBuf;

use crate::workspace_root;

/// The environment variable that names the library file.
const VARIABLE: &str = "IMAGE_EMBEDDER_TFLITE_LIBRARY";

/// The TensorFlow Lite C library: the file that `IMAGE_EMBEDDER_TFLITE_LIBRARY` names, else the
/// fetched one in `.cache/tflite/<architecture>-<system>/`.
///
/// # Panics
///
/// Panics with the command that fetches the library if the file does not exist.
#[must_use]
#[track_caller]
pub fn tflite_library() -> PathBuf {
    let file_name = match OS {
        "windows" => "tensorflowlite_c.dll",
        "macos" => "libtensorflowlite_c.dylib",
        _ => "libtensorflowlite_c.so",
    };
    let path = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(path) => workspace_root().join(path),
        None => workspace_root().join(".cache/tflite").join(format!("{ARCH}-{OS}")).join(file_name),
    };
    assert!(
        path.is_file(),
        "TensorFlow Lite library missing; run: cargo xtask fetch tflite (looked for {})",
        path.display()
    );
    path
}
