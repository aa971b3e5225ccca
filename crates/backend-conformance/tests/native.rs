//! The native engine against the frozen results, at every instruction-set level.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use image_embedder_backend::{Backend, BackendError, CompileOptions, Model, ModelData};
use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    FROZEN_SEED, Golden, Tolerance, cases, execute, fnv1a, run,
};
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

/// The hash of all results of each group of cases, floats included: in the strict mode they are the
/// same bytes on every machine. After a change of the cases the test prints what belongs here.
const STRICT: [(&str, u64); 16] = [
    ("activation", 0x3186_527b_cbbc_99c5),
    ("batch_matmul", 0xf1fc_4d5b_9228_42de),
    ("bundled_models", 0xb5ee_a2b1_17c0_6023),
    ("conv_2d", 0x0616_68d6_2395_3186),
    ("conversion", 0x3087_59e8_b1f7_5701),
    ("converted", 0xba22_6d7a_5a0b_8700),
    ("depthwise_conv_2d", 0xc084_f5c2_e995_fd8c),
    ("elementwise", 0xbb77_a878_c711_7170),
    ("fully_connected", 0x5916_f93a_905d_a16d),
    ("integer", 0x25dd_6756_1ce8_bf37),
    ("layout", 0xc2f4_f7f6_1b3a_e02a),
    ("network", 0x6e74_4570_14bc_9534),
    ("pool_2d", 0xc763_5cde_9611_8902),
    ("reduction", 0x1594_3fe7_31cb_591a),
    ("resize", 0x7fa8_d567_6687_dd87),
    ("transpose_conv", 0xedb7_03d7_cbf6_547e),
];

#[test]
fn levels_threads_and_machines_give_the_same_bytes() {
    let cases = cases::all(FROZEN_SEED);
    let scalar = NativeBackend::with_simd_level(SimdLevel::Scalar);
    let mut groups = BTreeMap::<&str, Vec<u8>>::new();
    let mut compared = 0;
    for case in &cases {
        let expected = bytes(&scalar, case);
        groups.entry(case.group).or_default().extend(expected.iter().flatten().flatten());
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
    let found: Vec<_> = groups.iter().map(|(&group, bytes)| (group, fnv1a(bytes))).collect();
    assert_eq!(found, STRICT, "in hexadecimal: {found:#x?}");
}
