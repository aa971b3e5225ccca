//! TensorFlow Lite 1.15 against the frozen results, which are those of TensorFlow Lite with
//! XNNPACK, with what it is known to do otherwise in `exceptions.txt`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    Exception, Expectation, FROZEN_SEED, Golden, Tolerance, cases, run,
};
use image_embedder_backend_tflite_vendored::VendoredTfliteBackend;
use image_embedder_test_support::fixture;

/// The cases that TensorFlow 1.15 does not pass, grouped by reason.
///
/// A line that starts with `#` is the reason of those that follow it: an expectation and a pattern
/// of names each. `within` has the steps and the fraction of a tolerance before the pattern.
const EXCEPTIONS: &str = include_str!("exceptions.txt");

/// How many patterns it has, and how many of the cases pass nevertheless.
const LISTED: usize = 318;
const PASSED: usize = 1764;

/// What `EXCEPTIONS` says. The first pattern that fits a case counts.
fn exceptions() -> Vec<Exception> {
    let mut reason = "";
    let mut exceptions = Vec::new();
    for line in EXCEPTIONS.lines().filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("# ") {
            reason = text;
            continue;
        }
        let words: Vec<&'static str> = line.split(' ').collect();
        let (expectation, pattern) = match words[..] {
            ["refused", pattern] => (Expectation::Refused, pattern),
            ["fails", pattern] => (Expectation::Fails, pattern),
            ["differs", pattern] => (Expectation::Differs, pattern),
            ["varies", pattern] => (Expectation::Varies, pattern),
            ["within", steps, fraction, pattern] => {
                let tolerance = Tolerance::new(steps.parse().unwrap(), fraction.parse().unwrap());
                (Expectation::Within(tolerance), pattern)
            }
            _ => panic!("exceptions.txt: {line}"),
        };
        assert!(!reason.is_empty(), "exceptions.txt: {line} has no reason");
        exceptions.push(Exception::new(pattern, expectation, reason));
    }
    exceptions
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn differences_are_those_that_are_listed() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let exceptions = exceptions();
    assert_eq!(exceptions.len(), LISTED);
    let report = run(&VendoredTfliteBackend::new(), &cases, &golden, Tolerance::EXACT, &exceptions);
    report.assert(2685, PASSED);
}
