//! The native engine against the frozen results, at every instruction-set level.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use image_embedder_backend::{Backend, BackendError, CompileOptions, Model, ModelData};
use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{FROZEN_SEED, Golden, Tolerance, cases, execute, run};
use image_embedder_backend_native::{NativeBackend, NumericMode, SimdLevel};
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
        let report = run(&backend, &cases, &golden, Tolerance::EXACT, &[]);
        assert_eq!(report.ran, 2685);
        if !report.failures.is_empty() {
            failures += &format!("level {level}: {report}\n");
        }
        passed.push(report.passed);
    }
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(passed, vec![2685; levels.len()]);
}

/// A backend that compiles for so many threads, whatever the options say.
#[derive(Debug)]
struct OnThreads(usize, NativeBackend);

impl Backend for OnThreads {
    fn name(&self) -> &str {
        self.1.name()
    }

    fn check(&self) -> Result<(), BackendError> {
        self.1.check()
    }

    fn compile(
        &self,
        model: ModelData,
        _options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        self.1.compile(model, &CompileOptions::with_num_threads(self.0))
    }
}

/// The bytes of every output, or the error's text.
fn bytes(
    backend: &dyn Backend,
    case: &image_embedder_backend_conformance::Case,
) -> Result<Vec<Vec<u8>>, String> {
    let outputs = execute(backend, case).map_err(|error| error.to_string())?;
    Ok(outputs.iter().map(|output| output.elements.to_le_bytes()).collect())
}

/// Numbers of threads; one where an emulator, which the tests for other processors mostly run in,
/// would take minutes more.
const THREADS: &[usize] = if cfg!(target_arch = "x86_64") { &[2, 4] } else { &[3] };

#[test]
fn levels_and_threads_give_the_same_bytes() {
    let cases = cases::all(FROZEN_SEED);
    let scalar = NativeBackend::with_simd_level(SimdLevel::Scalar);
    let mut compared = 0;
    for case in &cases {
        let expected = bytes(&scalar, case);
        for &level in &SimdLevel::available() {
            for &threads in THREADS {
                let native = NativeBackend::with_simd_level(level).share_everything();
                let found = bytes(&OnThreads(threads, native), case);
                assert!(found == expected, "{}: {level}, {threads} threads", case.name);
                compared += 1;
            }
        }
        // The fast mode may round otherwise, but alike on every number of threads.
        let fast = scalar.clone().numeric_mode(NumericMode::Fast);
        let shared = OnThreads(3, fast.clone().share_everything());
        assert!(bytes(&shared, case) == bytes(&fast, case), "{}: fast", case.name);
    }
    assert_eq!(compared, cases.len() * SimdLevel::available().len() * THREADS.len());
}
