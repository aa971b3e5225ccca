//! tract against the frozen results.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    Exception, Expectation, FROZEN_SEED, Golden, Tolerance, cases, run,
};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::fixture;

/// What tract does otherwise than TensorFlow Lite.
const TRACT: &[Exception] = &[Exception::new(
    "network_f16_output",
    Expectation::Within(Tolerance::new(0, 5e-5)),
    "sums of floats in another order round to the neighbouring 16-bit float",
)];

#[test]
fn tract_computes_what_is_frozen() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let report = run(&TractBackend, &cases, &golden, Tolerance::EXACT, TRACT);
    report.assert(2685, 2684);
}
