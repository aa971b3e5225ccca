//! LiteRT, whose XNNPACK is newer than TensorFlow Lite's, against the frozen results.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    Exception, Expectation, FROZEN_SEED, Golden, Tolerance, cases, run,
};
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_test_support::{fixture, litert_library};

/// What LiteRT computes otherwise than TensorFlow Lite.
const LITERT: &[Exception] = &[
    within("conv_2d_dynamic_*_k1x1*", 0, 6e-2, "quantises what 1x1 filters see in other steps"),
    within("converted_*_dynamic", 0, 5e-3, "contains such filters"),
    one_step("mean_?8_*", REQUANTISED),
    one_step("transpose_conv_i8_pc_*", REQUANTISED),
    one_step("batch_matmul_i8_*", REQUANTISED),
    one_step("network_i8_squeeze_excitation_relu6", CONTAINS),
    one_step("network_i8_open_size_as_is", CONTAINS),
    one_step("converted_convnext_int8", CONTAINS),
    one_step("converted_mobilevit_*int8", CONTAINS),
    within("converted_vision_transformer_int8", 3, 0.0, CONTAINS),
];

const REQUANTISED: &str = "sums are rounded to 8 bits otherwise where they lie half way";

const CONTAINS: &str = "contains averages or products as above";

const fn one_step(pattern: &'static str, reason: &'static str) -> Exception {
    within(pattern, 1, 0.0, reason)
}

const fn within(pattern: &'static str, steps: u32, share: f32, reason: &'static str) -> Exception {
    Exception::new(pattern, Expectation::Within(Tolerance::new(steps, share)), reason)
}

/// The cases that need those exceptions.
const OTHERS: usize = 64;

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn litert_computes_what_is_frozen() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let mut options = LitertOptions::default();
    options.library_path = Some(litert_library());
    let report = run(&LitertBackend::new(options), &cases, &golden, Tolerance::EXACT, LITERT);
    report.assert(2685, 2685 - OTHERS);
}
