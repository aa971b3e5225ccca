//! Operators of one operand that work element by element, and those along the last dimension.

use image_embedder_schema::tflite::{
    BuiltinOperator, BuiltinOptionsT, GeluOptionsT, L2NormOptionsT, LeakyReluOptionsT,
    SoftmaxOptionsT,
};

use crate::graph::{Format, Graph, Numbers, ZeroPoint, held_bytes, le_bytes};
use crate::{Case, Elements};

/// The format of an output.
#[derive(Clone, Copy)]
enum Out {
    /// That of the input.
    Same,
    /// A scale and a zero point counted from the least value.
    Fixed(f32, u8),
}

/// One of the operators.
struct Unary {
    name: &'static str,
    operator: BuiltinOperator,
    numbers: &'static [Numbers],
    options: fn() -> BuiltinOptionsT,
    outs: &'static [Out],
    /// Whether the operand must be above zero.
    is_positive: bool,
}

const fn unary(
    name: &'static str,
    operator: BuiltinOperator,
    numbers: &'static [Numbers],
    outs: &'static [Out],
) -> Unary {
    Unary { name, operator, numbers, options: || BuiltinOptionsT::None, outs, is_positive: false }
}

const PLAIN: &[Numbers] = &Numbers::PLAIN;
const FLOATS: &[Numbers] = &[Numbers::Float32];
const SIGNED: &[Numbers] = &[Numbers::Float32, Numbers::Int8];
/// Formats that hold the operand's values and less.
const OUTS: &[Out] = &[Out::Same, Out::Fixed(0.0123, 90), Out::Fixed(0.0078125, 0)];

fn gelu(approximate: bool) -> BuiltinOptionsT {
    BuiltinOptionsT::GeluOptions(GeluOptionsT { approximate })
}

fn leaky_relu(alpha: f32) -> BuiltinOptionsT {
    BuiltinOptionsT::LeakyReluOptions(LeakyReluOptionsT { alpha })
}

fn operators() -> Vec<Unary> {
    use BuiltinOperator as Code;
    vec![
        unary("logistic", Code::Logistic, PLAIN, &[Out::Fixed(1.0 / 256.0, 0)]),
        unary("tanh", Code::Tanh, PLAIN, &[Out::Fixed(1.0 / 128.0, 128)]),
        unary("hard_swish", Code::HardSwish, PLAIN, OUTS),
        unary("relu", Code::Relu, PLAIN, OUTS),
        unary("relu6", Code::Relu6, PLAIN, OUTS),
        unary("relu_n1_to_1", Code::ReluN1To1, PLAIN, OUTS),
        Unary { options: || leaky_relu(0.1), ..unary("leaky_relu", Code::LeakyRelu, PLAIN, OUTS) },
        Unary {
            options: || leaky_relu(-0.7),
            ..unary("leaky_relu_falling", Code::LeakyRelu, PLAIN, OUTS)
        },
        Unary { options: || gelu(false), ..unary("gelu", Code::Gelu, PLAIN, OUTS) },
        Unary { options: || gelu(true), ..unary("gelu_approximate", Code::Gelu, PLAIN, OUTS) },
        unary("abs", Code::Abs, SIGNED, &[Out::Same]),
        unary("exp", Code::Exp, SIGNED, &[Out::Fixed(0.05, 0)]),
        unary("square", Code::Square, FLOATS, &[Out::Same]),
        unary("neg", Code::Neg, FLOATS, &[Out::Same]),
        unary("floor", Code::Floor, FLOATS, &[Out::Same]),
        unary("ceil", Code::Ceil, FLOATS, &[Out::Same]),
        unary("round", Code::Round, FLOATS, &[Out::Same]),
        unary("sin", Code::Sin, FLOATS, &[Out::Same]),
        unary("cos", Code::Cos, FLOATS, &[Out::Same]),
        unary("log_softmax", Code::LogSoftmax, FLOATS, &[Out::Same]),
        unary("elu", Code::Elu, SIGNED, &[Out::Same]),
        Unary { is_positive: true, ..unary("sqrt", Code::Sqrt, FLOATS, &[Out::Same]) },
        Unary { is_positive: true, ..unary("rsqrt", Code::Rsqrt, SIGNED, &[Out::Fixed(0.04, 0)]) },
        Unary { is_positive: true, ..unary("log", Code::Log, FLOATS, &[Out::Same]) },
    ]
}

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for operator in operators() {
        for &numbers in operator.numbers {
            let outs = if numbers.is_quantized() { operator.outs } else { &[Out::Same] };
            for (variant, &out) in outs.iter().enumerate() {
                cases.push(sweep(&operator, numbers, variant, out, seed));
            }
        }
    }
    for numbers in Numbers::PLAIN {
        for (what, shape) in [("channel", &[8][..]), ("image", &[1, 1, 8]), ("whole", &[4, 5, 8])] {
            prelu(&mut cases, numbers, what, shape, seed);
        }
        for shape in [&[1, 7][..], &[3, 17], &[1, 1, 1, 100], &[2, 3, 3, 5], &[1, 1], &[64]] {
            for beta in [1.0, 0.5] {
                softmax(&mut cases, numbers, shape, beta, seed);
            }
        }
        for shape in [&[1, 7][..], &[1, 64], &[3, 17], &[1, 2, 3, 16]] {
            l2_normalization(&mut cases, numbers, shape, seed);
        }
    }
    cases
}

/// Every byte once, or floats from -10 to 10 with the points where operators have corners.
fn sweep(operator: &Unary, numbers: Numbers, variant: usize, out: Out, seed: u64) -> Case {
    let name = match operator.outs.len() {
        1 => format!("{}_{}_sweep", operator.name, numbers.name()),
        _ => format!("{}_{}_sweep_{variant}", operator.name, numbers.name()),
    };
    let mut graph = Graph::new(&name, seed);
    let shape = [1, 4, 8, 8];
    let zero_point = if operator.is_positive { ZeroPoint::Low } else { ZeroPoint::Middle };
    let mut format = graph.input_format(numbers, zero_point);
    if variant == 0 && numbers.is_quantized() {
        // Wide enough for every corner.
        format.scales = vec![graph.random.float(0.05, 0.08)];
    }
    let elements = if numbers.is_quantized() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        if operator.is_positive {
            bytes[0] = 1;
        }
        held_bytes(format.element, &bytes)
    } else {
        let mut values: Vec<f32> = (0..256).map(|_| graph.random.float(-10.0, 10.0)).collect();
        let corners = [-6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 1e-4, -1e-4];
        values[..corners.len()].copy_from_slice(&corners);
        if operator.is_positive {
            for value in &mut values {
                *value = value.abs() + 0.001;
            }
        }
        Elements::Float32(values)
    };
    let spread = if numbers.is_quantized() { format.spread() } else { 5.0 };
    let input = graph.input_of(format.clone(), &shape, elements, spread);
    let format = match out {
        Out::Fixed(scale, zero_point) => numbers.format(scale, zero_point),
        Out::Same => format,
    };
    let output = graph.unary(operator.operator, (operator.options)(), &input, format, spread);
    graph.finish("activation", &[&output])
}

fn prelu(cases: &mut Vec<Case>, numbers: Numbers, what: &str, slopes: &[usize], seed: u64) {
    let name = format!("prelu_{}_{what}", numbers.name());
    let mut graph = Graph::new(&name, seed);
    let format = graph.input_format(numbers, ZeroPoint::Middle);
    let input = graph.input(format, &[1, 4, 5, 8]);
    let count: usize = slopes.iter().product();
    let alpha = if numbers.is_quantized() {
        let format = numbers.format(0.004, if numbers == Numbers::UInt8 { 70 } else { 128 });
        graph.random_constant(format, slopes)
    } else {
        let values = graph.random.floats(count, 0.5);
        graph.constant(Format::float32(), slopes, le_bytes(&values))
    };
    let format = graph.input_format(numbers, ZeroPoint::Middle);
    let output = graph.tensor(format, &[1, 4, 5, 8], input.spread);
    let options = BuiltinOptionsT::None;
    graph.operator(BuiltinOperator::Prelu, options, &[&input, &alpha], &[&output]);
    cases.push(graph.finish("activation", &[&output]));
}

fn dimensions(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    sizes.join("x")
}

fn softmax(cases: &mut Vec<Case>, numbers: Numbers, shape: &[usize], beta: f32, seed: u64) {
    let half = if beta == 1.0 { "" } else { "_half_beta" };
    let name = format!("softmax_{}_{}{half}", numbers.name(), dimensions(shape));
    let mut graph = Graph::new(&name, seed);
    let format = graph.input_format(numbers, ZeroPoint::Middle);
    let input = graph.input(format, shape);
    let format = numbers.format(1.0 / 256.0, 0);
    let options = BuiltinOptionsT::SoftmaxOptions(SoftmaxOptionsT { beta });
    let output = graph.unary(BuiltinOperator::Softmax, options, &input, format, 0.1);
    cases.push(graph.finish("activation", &[&output]));
}

fn l2_normalization(cases: &mut Vec<Case>, numbers: Numbers, shape: &[usize], seed: u64) {
    let name = format!("l2_normalization_{}_{}", numbers.name(), dimensions(shape));
    let mut graph = Graph::new(&name, seed);
    let format = graph.input_format(numbers, ZeroPoint::Middle);
    let input = graph.input(format, shape);
    let format = numbers.format(1.0 / 128.0, 128);
    let options = BuiltinOptionsT::L2NormOptions(L2NormOptionsT { fused_activation_function: 0 });
    let output = graph.unary(BuiltinOperator::L2Normalization, options, &input, format, 0.1);
    cases.push(graph.finish("activation", &[&output]));
}
