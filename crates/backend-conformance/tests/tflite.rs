//! TensorFlow Lite itself against the frozen results, which are its own, and the native engine
//! against TensorFlow Lite on data that is not frozen.
//!
//! Frozen results, and the native engine's own, are those of x86-64; XNNPACK's rounding of 8-bit
//! results is another on other processors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    Exception, Expectation, FROZEN_SEED, Golden, Tolerance, cases, run,
};
use image_embedder_backend_native::NativeBackend;
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{fixture, tflite_library};

fn tflite() -> TfliteBackend {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    let backend = TfliteBackend::new(options);
    assert!(backend.uses_xnnpack().unwrap());
    backend
}

/// What TensorFlow Lite computes otherwise on aarch64, a step of an 8-bit result apart, and after
/// several layers two.
const ON_AARCH64: &[Exception] = &[
    one_step("conv_2d_u8_*_ties", FIXED_POINT),
    one_step("depthwise_conv_2d_u8_*_weight_zero_high_input_zero_low", FIXED_POINT),
    one_step("transpose_conv_u8_*_ties", FIXED_POINT),
    one_step("mul_?8_ties", FIXED_POINT),
    one_step("mean_?8_width*", FIXED_POINT),
    one_step("mean_i8_image_of_batch", FIXED_POINT),
    one_step(
        "softmax_i8_*",
        "exponentials and their sums round otherwise in the last bit of a float",
    ),
    one_step("network_*_squeeze_excitation_*", CONTAINS),
    one_step("converted_mobilevit_*int8", CONTAINS),
    within("converted_vision_transformer_int8", 2, CONTAINS),
];

const CONTAINS: &str = "contains averages and products as above";

/// XNNPACK's ARM kernels requantise these with a fixed-point multiplier and round halves up, its
/// x86-64 kernels in float32 and halves to even.
const FIXED_POINT: &str = "requantised in fixed point";

const fn one_step(pattern: &'static str, reason: &'static str) -> Exception {
    within(pattern, 1, reason)
}

const fn within(pattern: &'static str, steps: u32, reason: &'static str) -> Exception {
    Exception::new(pattern, Expectation::Within(Tolerance::new(steps, 1e-5)), reason)
}

/// The frozen cases that fall to another step on aarch64.
const OTHER_STEPS: usize = 18;

#[test]
#[cfg_attr(target_arch = "arm", ignore = "TensorFlow Lite's library is not to be had for it")]
fn live_results_are_the_frozen_ones() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    assert_eq!(golden.names().count(), cases.len());
    let (exceptions, others) =
        if cfg!(target_arch = "aarch64") { (ON_AARCH64, OTHER_STEPS) } else { (&[][..], 0) };
    let report = run(&tflite(), &cases, &golden, Tolerance::EXACT, exceptions);
    report.assert(2685, 2685 - others);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn native_computes_what_tflite_does_on_fresh_data() {
    let mut ran = 0;
    for seed in (FROZEN_SEED + 1)..(FROZEN_SEED + 4) {
        let cases = cases::all(seed);
        let golden = Golden::compute(&tflite(), &cases).unwrap();
        let report = run(&NativeBackend::new(), &cases, &golden, Tolerance::EXACT, &[]);
        assert!(report.failures.is_empty(), "seed {seed}: {report}");
        ran += report.passed;
    }
    assert_eq!(ran, 3 * 2685);
}
