//! Where the libraries of other projects that tests load are.

use std::env;
use std::env::consts::{ARCH, DLL_PREFIX, DLL_SUFFIX, OS};
use std::path::PathBuf;

use crate::workspace_root;

/// The TensorFlow Lite C library: the file that `IMAGE_EMBEDDER_TFLITE_LIBRARY` names, else the
/// fetched one in `.cache/tflite/<architecture>-<system>/`.
///
/// # Panics
///
/// Panics with the command that fetches the library if the file does not exist.
#[must_use]
#[track_caller]
pub fn tflite_library() -> PathBuf {
    let file_name = format!("{DLL_PREFIX}tensorflowlite_c{DLL_SUFFIX}");
    library("TensorFlow Lite", "IMAGE_EMBEDDER_TFLITE_LIBRARY", "tflite", &file_name)
}

/// LiteRT's library: the file that `IMAGE_EMBEDDER_LITERT_LIBRARY` names, else the fetched one in
/// `.cache/litert/<architecture>-<system>/`.
///
/// # Panics
///
/// Panics with the command that fetches the library if the file does not exist.
#[must_use]
#[track_caller]
pub fn litert_library() -> PathBuf {
    let file_name = format!("libLiteRt{DLL_SUFFIX}");
    library("LiteRT", "IMAGE_EMBEDDER_LITERT_LIBRARY", "litert", &file_name)
}

#[track_caller]
fn library(title: &str, variable: &str, folder: &str, file_name: &str) -> PathBuf {
    let path = match env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(path) => workspace_root().join(path),
        None => {
            let cache = workspace_root().join(".cache").join(folder);
            cache.join(format!("{ARCH}-{OS}")).join(file_name)
        }
    };
    assert!(
        path.is_file(),
        "{title} library missing; run: cargo xtask fetch {folder} (looked for {})",
        path.display()
    );
    path
}
