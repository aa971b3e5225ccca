//! The native engine against the frozen results, at every instruction-set level.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::exceptions::NATIVE;
use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{FROZEN_SEED, Golden, Tolerance, cases, run};
use image_embedder_backend_native::{NativeBackend, SimdLevel};
use image_embedder_test_support::fixture;

#[test]
fn native_computes_what_is_frozen_at_every_level() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let levels = SimdLevel::available();
    assert!(levels.contains(&SimdLevel::Scalar));
    let mut failures = String::new();
    let mut passed = Vec::new();
    for &level in &levels {
        let backend = NativeBackend::with_simd_level(level);
        let report = run(&backend, &cases, &golden, Tolerance::EXACT, NATIVE);
        assert_eq!(report.ran, 2313);
        if !report.failures.is_empty() {
            failures += &format!("level {level}: {report}\n");
        }
        passed.push(report.passed);
    }
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(passed, vec![2313 - 40; levels.len()]);
}
