//! tract against the frozen results, with what it does otherwise.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{Exception, FROZEN_SEED, Golden, Tolerance, cases, run};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::fixture;

/// What tract does otherwise than TensorFlow Lite.
const EXCEPTIONS: &[Exception] = &[
    Exception::refused(
        "batch_matmul_i8_*",
        "image models multiply 8-bit activations by weights only",
    ),
    Exception::refused("div_u8_same", "image models divide floats only"),
    Exception::refused("rsqrt_i8_sweep", "image models take roots of floats only"),
];

#[test]
fn tract_computes_what_is_frozen() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let report = run(&TractBackend, &cases, &golden, Tolerance::EXACT, EXCEPTIONS);
    report.assert(2313, 2279);
}
