//! `test`: every test, with what the tests need fetched first.

use std::env;

use crate::failure::Failure;
use crate::{fetch, golden, process};

/// The environment variable that names the folder with the reference implementation's results.
pub(crate) const REFERENCE_VARIABLE: &str = "IMAGE_EMBEDDER_REFERENCE";

/// The environment variable that names the folder with the Python environments of the reference
/// packages, and the test that runs them.
const PYTHON_VARIABLE: &str = "IMAGE_EMBEDDER_PYTHON_REFERENCE";
const PYTHON_TEST: &str = "both_packages_read_what_is_written";

/// Unit and integration tests, without the examples in documentation: those that are not to run
/// are marked `ignore` too.
const REFERENCE_TESTS: [&str; 6] =
    ["test", "--workspace", "--all-features", "--lib", "--bins", "--tests"];

/// Runs `cargo xtask test`.
pub(crate) fn run() -> Result<(), Failure> {
    fetch_libraries()?;
    process::run(&mut process::cargo(&["test", "--workspace", "--all-features"]))?;

    if env::var_os(REFERENCE_VARIABLE).is_some_and(|folder| !folder.is_empty()) {
        process::run(process::cargo(&REFERENCE_TESTS).args([
            "--",
            "--ignored",
            "--skip",
            PYTHON_TEST,
        ]))?;
    } else {
        let listed = process::output(process::cargo(&REFERENCE_TESTS).arg("--quiet").args([
            "--",
            "--ignored",
            "--list",
            "--skip",
            PYTHON_TEST,
        ]))?;
        println!("{}", not_run(&listed));
    }

    if golden::is_prepared() {
        with_packages()
    } else {
        println!(
            "\nNOT RUN: {PYTHON_TEST}, which needs the packages tflite-support and mediapipe\nTo run \
             it: cargo xtask ci reference"
        );
        Ok(())
    }
}

/// Runs the test that needs the Python packages, which must be there.
pub(crate) fn with_packages() -> Result<(), Failure> {
    process::run(
        // With the features of the whole workspace, so that nothing is built a second time.
        process::cargo(&["test", "--workspace", "--all-features", "--test", "python_reference"])
            .args(["--", "--ignored", PYTHON_TEST])
            .env(PYTHON_VARIABLE, golden::environments()),
    )
}

/// Fetches the foreign libraries for this machine that are not there yet.
pub(crate) fn fetch_libraries() -> Result<(), Failure> {
    let libraries = fetch::libraries_for_host()?;
    for library in &libraries {
        if fetch::cached_library(library).is_none() {
            fetch::fetch_library(library)?;
        }
    }
    if libraries.is_empty() {
        println!(
            "note: no TensorFlow Lite or LiteRT library is pinned for {} on {}; its tests say what \
             they need",
            env::consts::ARCH,
            env::consts::OS
        );
    }
    Ok(())
}

/// Says which tests of libtest's `--list` output were not run, and how to run them.
fn not_run(listed: &str) -> String {
    let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let mut message = format!(
        "\nNOT RUN: {} tests that need the reference implementation's data or its models\n",
        names.len()
    );
    for name in names {
        message.push_str("  ");
        message.push_str(name);
        message.push('\n');
    }
    message.push_str("To run them: ");
    message.push_str(REFERENCE_VARIABLE);
    message.push_str("=<folder with the reference data> cargo xtask test");
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_were_not_run_are_counted_and_named() {
        let listed = "golden::pixels: test\ngolden::embeddings: test\n\n2 tests, 0 benchmarks\n";
        let message = not_run(listed);
        assert!(message.contains("NOT RUN: 2 tests"), "{message}");
        assert!(message.contains("\n  golden::pixels\n  golden::embeddings\n"), "{message}");
        assert!(message.contains("IMAGE_EMBEDDER_REFERENCE="), "{message}");
    }
}
