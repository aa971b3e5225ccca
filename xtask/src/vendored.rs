//! The backend that compiles TensorFlow Lite from source: a workspace of its own, built and tested
//! apart from everything else.

use std::env;
use std::process::Command;

use crate::cross::apt;
use crate::failure::Failure;
use crate::process;

/// The manifest of the package.
const MANIFEST: &str = "crates/backend-tflite-vendored/Cargo.toml";

/// Where it is built. TensorFlow Lite is compiled anew if that is removed.
const TARGET_FOLDER: &str = "target/vendored";

/// The environment variable by which libclang is found where no system package has it.
const LIBCLANG_VARIABLE: &str = "LIBCLANG_PATH";

/// Builds the package and runs its lints, documentation and tests.
pub(crate) fn run() -> Result<(), Failure> {
    apt::install(&missing(
        env::var_os(LIBCLANG_VARIABLE).is_some(),
        apt::is_there,
        apt::is_installed,
    ))?;
    check_format()?;
    process::run(cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]))?;
    process::run(cargo("doc").arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    process::run(&mut cargo("test"))
}

/// Checks the formatting of its sources, which needs no build.
pub(crate) fn check_format() -> Result<(), Failure> {
    process::run(&mut process::cargo(&["fmt", "--manifest-path", MANIFEST, "--check"]))
}

/// A call of cargo for the package.
fn cargo(command: &str) -> Command {
    let arguments = [command, "--manifest-path", MANIFEST, "--target-dir", TARGET_FOLDER];
    process::cargo(&arguments)
}

/// The Debian packages that are missing of what the build needs. Without dpkg, whether libclang is
/// there is left to the build.
fn missing(
    is_libclang_named: bool,
    is_there: impl Fn(&str) -> bool,
    is_installed: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut packages = Vec::new();
    for program in ["make", "g++"] {
        if !is_there(program) {
            packages.push(program.to_owned());
        }
    }
    if !is_libclang_named && is_there("dpkg-query") && !is_installed("libclang-dev") {
        packages.push("libclang-dev".to_owned());
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        let nothing = |_: &str| false;
        let everything = |_: &str| true;
        assert_eq!(missing(false, nothing, nothing), ["make", "g++"]);
        assert_eq!(missing(false, everything, nothing), ["libclang-dev"]);
        assert!(missing(false, everything, everything).is_empty());
        assert!(missing(true, everything, nothing).is_empty());
    }
}
