//! The crates that read pixels and model files, tested with every access to memory watched.

use std::env::consts;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::{process, workspace};

/// What is tested: all that reads frames and model files at computed places.
const PACKAGES: [&str; 3] =
    ["image-embedder-frame", "image-embedder-preprocess", "image-embedder-schema"];

/// The sanitizer is a flag of unstable compilers, which stable ones take too if told so. The
/// standard library is the one that was installed, not instrumented itself.
const FLAGS: &str = "-Zsanitizer=address";

/// A program that reads a byte past the end of an allocation.
const MISTAKE: &str = "//! Reads past the end.\n\
    fn main() {\n    \
        let bytes = std::hint::black_box(vec![1u8; 100]);\n    \
        let end = bytes.len();\n    \
        std::process::exit(i32::from(unsafe { bytes.as_ptr().add(end).read() }));\n\
    }\n";

/// Runs the tests with AddressSanitizer, once it is seen to find a mistake.
pub(crate) fn run() -> Result<(), Failure> {
    let target = match (consts::ARCH, consts::OS) {
        (arch @ ("x86_64" | "aarch64"), "linux") => format!("{arch}-unknown-linux-gnu"),
        (arch, system) => {
            println!(
                "NOT RUN: AddressSanitizer is set up for Linux alone, this is {arch} {system}"
            );
            return Ok(());
        }
    };
    let folder = workspace::root().join("target/sanitizer");
    find_a_mistake(&folder, &target)?;

    let mut tests = process::cargo(&["test", "--lib", "--tests", "--target", &target]);
    for package in PACKAGES {
        tests.args(["--package", package]);
    }
    // A target is named so that build scripts and procedural macros go without.
    tests.arg("--target-dir").arg(&folder).env("RUSTFLAGS", FLAGS).env("RUSTC_BOOTSTRAP", "1");
    process::run(&mut tests)
}

/// Compiles and runs a program that must be stopped.
fn find_a_mistake(folder: &Path, target: &str) -> Result<(), Failure> {
    fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
    let (source, program) = (folder.join("mistake.rs"), folder.join("mistake"));
    fs::write(&source, MISTAKE).context(|| format!("cannot write {}", source.display()))?;
    process::run(
        Command::new("rustc")
            .args(["--edition", "2024", "--target", target, FLAGS, "-o"])
            .args([&program, &source])
            .env("RUSTC_BOOTSTRAP", "1"),
    )?;
    let output = Command::new(&program)
        .stdin(Stdio::null())
        .output()
        .context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("AddressSanitizer: heap-buffer-overflow") {
        println!("AddressSanitizer finds a read past the end of an allocation");
        Ok(())
    } else {
        Err(Failure::new(format!(
            "expected AddressSanitizer to stop a read past the end, found {}: {said}",
            output.status
        )))
    }
}
