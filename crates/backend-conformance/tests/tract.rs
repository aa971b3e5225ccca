//! tract against the frozen results.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{FROZEN_SEED, Golden, Tolerance, cases, run};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::fixture;

#[test]
fn tract_computes_what_is_frozen() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let report = run(&TractBackend, &cases, &golden, Tolerance::EXACT, &[]);
    report.assert(2683, 2683);
}
