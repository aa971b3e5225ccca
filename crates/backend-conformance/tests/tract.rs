//! tract against the frozen results, with what it does otherwise.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{
    Exception, Expectation, FROZEN_SEED, Golden, Tolerance, cases, run,
};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::fixture;

/// Operators that tract-tflite 0.23.9 does not translate.
const UNKNOWN: [&str; 24] = [
    "batch_to_space_nd_*",
    "cast_*",
    "depth_to_space_*",
    "dequantize_*",
    "elu_*",
    "gather_*",
    "gelu_*",
    "l2_normalization_*",
    "mirror_pad_*",
    "neg_*",
    "pack_*",
    "prelu_*",
    "quantize_*",
    "relu_n1_to_1_*",
    "space_to_batch_nd_*",
    "space_to_depth_*",
    "split_*",
    "squared_difference_*",
    "transpose_conv_*",
    "unpack_*",
    "network_*_dilated",
    "conv_2d_f16w_*",
    "depthwise_conv_2d_f16w_*",
    "fully_connected_f16w_*",
];

/// Depth multipliers above one, and more than one of 8-bit numbers.
const DEPTH_MULTIPLIERS: [&str; 9] = [
    "depthwise_conv_2d_*x1to2_*",
    "depthwise_conv_2d_*x1to8_*",
    "depthwise_conv_2d_*x3to6_*",
    "depthwise_conv_2d_*x3to24_*",
    "depthwise_conv_2d_*x8to16_*",
    "depthwise_conv_2d_*x8to64_*",
    "depthwise_conv_2d_*x17to34_*",
    "depthwise_conv_2d_*x4to8_*",
    "depthwise_conv_2d_dynamic_pc_*",
];

/// 8-bit operators that tract computes without heed to the scales.
const WRONG: [&str; 12] = [
    "abs_i8_*",
    "div_u8_*",
    "exp_i8_*",
    "logistic_?8_*",
    "tanh_?8_*",
    "relu_?8_sweep_1",
    "relu_?8_sweep_2",
    "relu6_?8_sweep_1",
    "relu6_?8_sweep_2",
    "rsqrt_i8_*",
    "sum_?8_*_rescaling",
    "softmax_?8_*",
];

fn exceptions() -> Vec<Exception> {
    use Expectation::{Differs, Fails, Refused, Varies, Within};
    let step = Within(Tolerance::new(1, 1e-5));
    let mut list = vec![Exception::refused("network_f16w_*", "tract has no DEQUANTIZE")];
    let mut add = |patterns: &[&'static str], expectation, reason| {
        list.extend(patterns.iter().map(|&pattern| Exception::new(pattern, expectation, reason)));
    };
    add(&UNKNOWN, Refused, "tract does not translate the operator");
    add(&["*_relu_n1_to_1"], Fails, "tract has no fused RELU_N1_TO_1");
    add(
        &["add_?8_*", "sub_?8_*", "mul_?8_*"],
        Fails,
        "tract does not translate 8-bit arithmetic of two operands",
    );
    add(&["batch_matmul_i8_*"], Fails, "tract does not translate 8-bit BATCH_MATMUL");
    add(&DEPTH_MULTIPLIERS, Fails, "tract takes depth multipliers of one");
    add(&["conv_2d_dynamic_*"], Fails, "tract does not translate hybrid convolutions");
    add(
        &[
            "fully_connected_dynamic_*",
            "fully_connected_*_2x3x16to8*",
            "fully_connected_*_1x2x3x8to5_keep_dims",
            "fully_connected_*_without_bias",
        ],
        Fails,
        "tract takes two matrices of one type and a bias",
    );
    add(
        &["fully_connected_i8_pc_1x1to1", "fully_connected_u8_*"],
        Differs,
        "tract leaves the scales of FULLY_CONNECTED out",
    );
    add(
        &["fully_connected_i8_pc_*", "network_i8_pc_classifier"],
        Fails,
        "tract takes one scale of weights in FULLY_CONNECTED",
    );
    add(&["fully_connected_i8_*"], Differs, "tract leaves the scales of FULLY_CONNECTED out");
    add(
        &["network_*_open_size_larger", "network_*_open_size_smaller"],
        Varies,
        "tract keeps the size in the file, and refuses 8-bit MEAN",
    );
    add(
        &["network_?8_two_outputs", "network_i8_pc_two_outputs", "network_*8_*open_size_as_is"],
        Refused,
        "tract computes MEAN of floats only",
    );
    add(
        &["network_?8_classifier", "model_mobilenet_v1_0.25_224_quant"],
        Differs,
        "tract computes 8-bit SOFTMAX without the scales",
    );
    add(&["model_efficientnet_*"], Refused, "tract has no QUANTIZE");
    add(&["network_*8_*inception"], step, "tract rounds AVERAGE_POOL_2D otherwise");
    add(
        &["depthwise_conv_2d_u8_*_weight_zero_high_input_zero_low"],
        step,
        "tract rounds ties of large sums otherwise",
    );
    add(
        &[
            "network_*8_*inverted_residual_*_s1",
            "network_*8_*padded_residual",
            "network_*8_*reshaped_in_place",
            "network_*8_*shared_operand",
            "network_*8_*squeeze_excitation_*",
        ],
        Fails,
        "tract does not translate 8-bit arithmetic of two operands",
    );
    add(
        &["*_image_negative*", "*_width_negative*"],
        Fails,
        "tract does not count axes from the last",
    );
    add(&["mean_u8_*", "mean_i8_*"], Refused, "tract computes MEAN of floats only");
    add(&["expand_dims_*_last"], Fails, "tract does not count the axis from the last");
    add(&["squeeze_*_all", "squeeze_*_image"], Fails, "tract infers other shapes");
    add(&["slice_*_rest"], Fails, "tract takes no size of -1");
    add(&["strided_slice_*_one_row"], Fails, "tract drops no middle dimension");
    add(&["hard_swish_?8_*", "leaky_relu_*?8_*"], Fails, "tract computes it of floats only");
    add(&["concatenation_u8_requantizing"], Fails, "tract takes parts of one scale");
    add(&["softmax_*_half_beta"], Fails, "tract takes a beta of one");
    add(&WRONG, Differs, "tract computes as if input and output had one scale");
    add(&["average_pool_2d_?8_*", "resize_bilinear_?8_*"], step, "tract rounds otherwise");
    list
}

#[test]
fn tract_computes_what_is_frozen() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    let report = run(&TractBackend, &cases, &golden, Tolerance::EXACT, &exceptions());
    report.assert(2313, 1122);
}
