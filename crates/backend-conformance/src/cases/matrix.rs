//! `FULLY_CONNECTED` and `BATCH_MATMUL`.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BatchMatMulOptionsT, BuiltinOperator, BuiltinOptionsT,
};

use crate::Case;
use crate::graph::{Graph, Numbers, ZeroPoint};
use crate::layers::{Variant, activation_name};

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for numbers in Numbers::ALL {
        fully_connected(&mut cases, numbers, seed);
    }
    for numbers in [Numbers::Float32, Numbers::Int8] {
        batch_matmul(&mut cases, numbers, seed);
        batch_matmul_edges(&mut cases, numbers, seed);
    }
    cases
}

/// Batches that repeat, and zero points at the ends.
fn batch_matmul_edges(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    use ZeroPoint::{High, Low, Middle};
    type Edge<'a> = (&'a str, [&'a [usize]; 3], ZeroPoint);
    let square: [&[usize]; 3] = [&[2, 5, 33], &[2, 33, 9], &[2, 5, 9]];
    let edges: [Edge<'_>; 5] = [
        ("repeated_batch", [&[2, 1, 3, 5], &[1, 2, 5, 4], &[2, 2, 3, 4]], Middle),
        ("one_matrix", [&[2, 3, 5], &[5, 4], &[2, 3, 4]], Middle),
        ("single_row", [&[3, 1, 64], &[3, 64, 17], &[3, 1, 17]], Middle),
        ("zero_low", square, Low),
        ("zero_high", square, High),
    ];
    for (what, [a, b, output], zero_point) in edges {
        let name = format!("batch_matmul_{}_{what}", numbers.name());
        let mut graph = Graph::new(&name, seed);
        let format = graph.input_format(numbers, zero_point);
        let left = graph.input(format, a);
        let format = graph.input_format(numbers, zero_point);
        let right = graph.input(format, b);
        let spread = left.spread * right.spread * (a[a.len() - 1] as f32).sqrt();
        let format = graph.output_format(numbers, spread, Variant::default());
        let result = graph.tensor(format, output, spread);
        let options = BuiltinOptionsT::BatchMatMulOptions(BatchMatMulOptionsT::default());
        graph.operator(BuiltinOperator::BatchMatmul, options, &[&left, &right], &[&result]);
        cases.push(graph.finish("batch_matmul", &[&result]));
    }
}

fn fully_connected(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    let mut case = |what: &str,
                    shape: &[usize],
                    units: usize,
                    activation: ActivationFunctionType,
                    keep_dims: bool,
                    zero_point: ZeroPoint,
                    variant: Variant| {
        let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let name = format!(
            "fully_connected_{}_{}to{units}{}{}{what}",
            numbers.name(),
            sizes.join("x"),
            activation_name(activation),
            if keep_dims { "_keep_dims" } else { "" },
        );
        let mut graph = Graph::new(&name, seed);
        let format = graph.input_format(numbers, zero_point);
        let input = graph.input(format, shape);
        let output = graph.fully_connected(numbers, &input, units, activation, keep_dims, variant);
        cases.push(graph.finish("fully_connected", &[&output]));
    };
    use ActivationFunctionType as Activation;
    use ZeroPoint::{High, Low, Middle};
    let plain = Variant::default();
    if !numbers.is_dynamic() {
        // XNNPACK refuses a single weight for activations that are quantised at run time.
        case("", &[1, 1], 1, Activation::None, false, Middle, plain);
    }
    for (depth, units) in [(3, 7), (8, 16), (17, 65), (100, 24), (64, 100), (256, 10)] {
        case("", &[1, depth], units, Activation::None, false, Middle, plain);
    }
    case("", &[5, 24], 17, Activation::None, false, Middle, plain);
    case("", &[2, 3, 16], 8, Activation::None, false, Middle, plain);
    case("", &[2, 3, 16], 8, Activation::None, true, Middle, plain);
    case("", &[1, 2, 3, 8], 5, Activation::None, true, Middle, plain);
    for activation in [Activation::Relu, Activation::Relu6, Activation::ReluN1To1] {
        case("", &[2, 24], 9, activation, false, Middle, plain);
    }
    let without_bias = Variant { without_bias: true, ..plain };
    case("_without_bias", &[2, 24], 9, Activation::None, false, Middle, without_bias);
    if numbers.is_quantized() {
        case("_input_zero_low", &[2, 24], 9, Activation::None, false, Low, plain);
        case("_input_zero_high", &[2, 24], 9, Activation::None, false, High, plain);
        let saturating = Variant { saturating: true, ..plain };
        case("_saturating", &[2, 24], 9, Activation::None, false, Middle, saturating);
        let low = Variant { output_zero_point: Low, ..plain };
        case("_output_zero_low", &[2, 24], 9, Activation::None, false, Middle, low);
    }
    if numbers == Numbers::UInt8 {
        for (what, weight_zero_point) in [("_weight_zero_low", Low), ("_weight_zero_high", High)] {
            let variant = Variant { weight_zero_point, ..plain };
            case(what, &[2, 24], 9, Activation::None, false, Middle, variant);
        }
    }
}

fn batch_matmul(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    type Shapes<'a> = (&'a [usize], &'a [usize], &'a [usize]);
    let shapes: [Shapes<'_>; 4] = [
        (&[3, 5], &[5, 4], &[3, 4]),
        (&[2, 3, 8], &[2, 8, 7], &[2, 3, 7]),
        (&[1, 4, 16], &[1, 16, 17], &[1, 4, 17]),
        (&[2, 2, 3, 4], &[2, 2, 4, 3], &[2, 2, 3, 3]),
    ];
    for (a, b, output) in shapes {
        for (adj_x, adj_y) in [(false, false), (true, false), (false, true), (true, true)] {
            for constant in [false, true] {
                let transposed = |shape: &[usize], swap: bool| {
                    let mut shape = shape.to_vec();
                    let rank = shape.len();
                    if swap {
                        shape.swap(rank - 1, rank - 2);
                    }
                    shape
                };
                let sizes: Vec<String> = a.iter().map(ToString::to_string).collect();
                let name = format!(
                    "batch_matmul_{}_{}by{}{}{}{}",
                    numbers.name(),
                    sizes.join("x"),
                    b[b.len() - 1],
                    if adj_x { "_adj_x" } else { "" },
                    if adj_y { "_adj_y" } else { "" },
                    if constant { "_constant" } else { "" },
                );
                let mut graph = Graph::new(&name, seed);
                let format = graph.input_format(numbers, ZeroPoint::Middle);
                let left = graph.input(format, &transposed(a, adj_x));
                let format = graph.input_format(numbers, ZeroPoint::Middle);
                let right = match constant {
                    true => graph.random_constant(format, &transposed(b, adj_y)),
                    false => graph.input(format, &transposed(b, adj_y)),
                };
                let depth = a[a.len() - 1] as f32;
                let spread = left.spread * right.spread * depth.sqrt();
                let format = graph.output_format(numbers, spread, Variant::default());
                let result = graph.tensor(format, output, spread);
                graph.operator(
                    BuiltinOperator::BatchMatmul,
                    BuiltinOptionsT::BatchMatMulOptions(BatchMatMulOptionsT {
                        adj_x,
                        adj_y,
                        ..BatchMatMulOptionsT::default()
                    }),
                    &[&left, &right],
                    &[&result],
                );
                cases.push(graph.finish("batch_matmul", &[&result]));
            }
        }
    }
}
