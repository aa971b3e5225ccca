//! Operators of two operands, with broadcasting.

use image_embedder_schema::tflite::{
    ActivationFunctionType, AddOptionsT, BuiltinOperator, BuiltinOptionsT, DivOptionsT,
    MulOptionsT, SubOptionsT,
};

use crate::graph::{Format, Graph, Numbers, ZeroPoint, held_bytes};
use crate::layers::{Variant, activation_name};
use crate::{Case, Elements};

/// Names of broadcasts with the operands' shapes.
const BROADCASTS: [(&str, &[usize], &[usize]); 15] = [
    ("same", &[1, 4, 5, 8], &[1, 4, 5, 8]),
    ("channel", &[1, 4, 5, 7], &[7]),
    ("channel_of_image", &[1, 4, 5, 8], &[1, 1, 1, 8]),
    ("scalar", &[1, 4, 5, 3], &[]),
    ("single", &[1, 4, 5, 3], &[1]),
    ("pixel", &[1, 4, 5, 8], &[1, 4, 5, 1]),
    ("row", &[1, 4, 5, 8], &[1, 1, 5, 8]),
    ("column", &[1, 4, 5, 8], &[1, 4, 1, 1]),
    ("outer", &[1, 4, 1, 8], &[1, 1, 5, 1]),
    ("batch", &[2, 3, 3, 4], &[1, 3, 3, 4]),
    ("excitation", &[2, 3, 3, 17], &[2, 1, 1, 17]),
    ("channel_first", &[8], &[1, 4, 5, 8]),
    ("pixel_first", &[1, 4, 5, 1], &[1, 4, 5, 8]),
    ("vectors", &[17], &[17]),
    ("matrix", &[3, 7], &[7]),
];

/// One of the operators.
struct Binary {
    name: &'static str,
    operator: BuiltinOperator,
    numbers: &'static [Numbers],
    options: fn(ActivationFunctionType) -> BuiltinOptionsT,
    /// Whether the operator has a fused activation.
    is_fused: bool,
    /// The spread of results for operands of these spreads; `None` if the output has the format of
    /// the operands.
    spread: Option<fn(f32, f32) -> f32>,
}

fn none(_: ActivationFunctionType) -> BuiltinOptionsT {
    BuiltinOptionsT::None
}

const FLOATS: &[Numbers] = &[Numbers::Float32];

const OPERATORS: [Binary; 7] = [
    Binary {
        name: "add",
        operator: BuiltinOperator::Add,
        numbers: &Numbers::PLAIN,
        options: |activation| {
            BuiltinOptionsT::AddOptions(AddOptionsT { fused_activation_function: activation.raw() })
        },
        is_fused: true,
        spread: Some(f32::hypot),
    },
    Binary {
        name: "sub",
        operator: BuiltinOperator::Sub,
        numbers: &Numbers::PLAIN,
        options: |activation| {
            BuiltinOptionsT::SubOptions(SubOptionsT { fused_activation_function: activation.raw() })
        },
        is_fused: true,
        spread: Some(f32::hypot),
    },
    Binary {
        name: "mul",
        operator: BuiltinOperator::Mul,
        numbers: &Numbers::PLAIN,
        options: |activation| {
            BuiltinOptionsT::MulOptions(MulOptionsT { fused_activation_function: activation.raw() })
        },
        is_fused: true,
        spread: Some(|a, b| a * b),
    },
    Binary {
        name: "div",
        operator: BuiltinOperator::Div,
        numbers: FLOATS,
        options: |activation| {
            BuiltinOptionsT::DivOptions(DivOptionsT { fused_activation_function: activation.raw() })
        },
        is_fused: true,
        spread: Some(|a, b| a / b),
    },
    Binary {
        name: "maximum",
        operator: BuiltinOperator::Maximum,
        numbers: &Numbers::PLAIN,
        options: none,
        is_fused: false,
        spread: None,
    },
    Binary {
        name: "minimum",
        operator: BuiltinOperator::Minimum,
        numbers: &Numbers::PLAIN,
        options: none,
        is_fused: false,
        spread: None,
    },
    Binary {
        name: "squared_difference",
        operator: BuiltinOperator::SquaredDifference,
        numbers: &[Numbers::Float32, Numbers::Int8],
        options: none,
        is_fused: false,
        spread: Some(|a, b| a * a + b * b),
    },
];

/// What is special about a case.
#[derive(Clone, Copy, Default)]
struct Edge {
    activation: Option<ActivationFunctionType>,
    /// Which operand is a constant.
    constant: Option<usize>,
    /// The quotient of the second operand's scale and the first's.
    scale_ratio: Option<f32>,
    variant: Variant,
    zero_point: ZeroPoint,
}

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for binary in &OPERATORS {
        for &numbers in binary.numbers {
            let mut push = |what: &str, a: &[usize], b: &[usize], edge: Edge| {
                cases.push(case(binary, numbers, what, a, b, edge, seed));
            };
            for (what, a, b) in BROADCASTS {
                push(what, a, b, Edge::default());
            }
            let plain = Edge::default();
            for (what, a, b) in [BROADCASTS[0], BROADCASTS[1], BROADCASTS[3]] {
                let constant = Edge { constant: Some(1), ..plain };
                push(&format!("{what}_constant"), a, b, constant);
            }
            let (_, whole, same) = BROADCASTS[0];
            let (_, _, channel) = BROADCASTS[2];
            push("constant_first", channel, whole, Edge { constant: Some(0), ..plain });
            if binary.is_fused {
                for activation in [
                    ActivationFunctionType::Relu,
                    ActivationFunctionType::Relu6,
                    ActivationFunctionType::ReluN1To1,
                ] {
                    let edge = Edge { activation: Some(activation), ..plain };
                    push(&activation_name(activation)[1..], whole, same, edge);
                }
            }
            if numbers.is_quantized() {
                for (what, zero_point) in [("low", ZeroPoint::Low), ("high", ZeroPoint::High)] {
                    let edge = Edge { zero_point, ..plain };
                    push(&format!("zero_{what}"), whole, same, edge);
                }
            }
            if numbers.is_quantized() && binary.spread.is_some() {
                let saturating = Variant { saturating: true, ..Variant::default() };
                push("saturating", whole, same, Edge { variant: saturating, ..plain });
                let ties = Variant { powers_of_two: true, ..Variant::default() };
                let edge = Edge { variant: ties, scale_ratio: Some(0.5), ..plain };
                push("ties", whole, same, edge);
                for ratio in [30.0, 1.0 / 30.0] {
                    let what = if ratio > 1.0 { "first_scale_small" } else { "second_scale_small" };
                    push(what, whole, same, Edge { scale_ratio: Some(ratio), ..plain });
                }
            }
        }
    }
    use ActivationFunctionType::{None, Relu, Relu6, ReluN1To1};
    let whole = &[1, 4, 5, 8][..];
    for (what, shape, zero_point, activation) in [
        ("same", whole, 10, None),
        ("of_both_signs", whole, 128, None),
        ("below_zero", whole, 255, None),
        ("channel", &[8], 128, None),
        ("scalar", &[], 10, None),
        ("pixel", &[1, 4, 5, 1], 128, None),
        ("of_a_step", whole, 10, None),
        ("of_a_coarse_step", whole, 128, None),
        ("relu", whole, 128, Relu),
        ("relu6", whole, 10, Relu6),
        ("relu_n1_to_1", whole, 128, ReluN1To1),
    ] {
        cases.push(quantized_division(what, shape, zero_point, activation, seed));
    }
    cases
}

fn case(
    binary: &Binary,
    numbers: Numbers,
    what: &str,
    a: &[usize],
    b: &[usize],
    edge: Edge,
    seed: u64,
) -> Case {
    let name = format!("{}_{}_{what}", binary.name, numbers.name());
    let mut graph = Graph::new(&name, seed);
    let mut first = graph.input_format(numbers, edge.zero_point);
    if edge.variant.powers_of_two && numbers.is_quantized() {
        first.scales = vec![1.0 / 64.0];
    }
    let mut second = graph.input_format(numbers, edge.zero_point);
    if let Some(ratio) = edge.scale_ratio {
        second.scales = first.scales.iter().map(|scale| scale * ratio).collect();
    }
    if binary.spread.is_none() {
        second = first.clone();
    }
    let mut operand = |format: Format, shape: &[usize], index: usize| {
        if edge.constant == Some(index) {
            return graph.random_constant(format, shape);
        }
        if binary.operator == BuiltinOperator::Div && index == 1 {
            let count = shape.iter().product();
            let values = (0..count).map(|_| graph.random.float(0.3, 3.0)).collect();
            return graph.input_of(format, shape, Elements::Float32(values), 1.0);
        }
        graph.input(format, shape)
    };
    let left = operand(first.clone(), a, 0);
    let right = operand(second, b, 1);
    let spread = binary.spread.map_or(left.spread, |spread| spread(left.spread, right.spread));
    let format = match binary.spread {
        Some(_) => graph.output_format(numbers, spread, edge.variant),
        None => first,
    };
    let output = graph.tensor(format, &broadcast(a, b), spread);
    let options = (binary.options)(edge.activation.unwrap_or(ActivationFunctionType::None));
    graph.operator(binary.operator, options, &[&left, &right], &[&output]);
    graph.finish("elementwise", &[&output])
}

/// The shape of the result.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], dimension: usize| {
        (dimension + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    (0..rank).map(|dimension| size(a, dimension).max(size(b, dimension))).collect()
}

/// `DIV` of unsigned bytes; the divisor must not be zero.
fn quantized_division(
    what: &str,
    divisor_shape: &[usize],
    zero_point: u8,
    activation: ActivationFunctionType,
    seed: u64,
) -> Case {
    let mut graph = Graph::new(&format!("div_u8_{what}"), seed);
    let shape = [1, 4, 5, 8];
    let bytes: Vec<u8> = (0..160).map(|_| graph.random.integer(0, 255) as u8).collect();
    // Dividends of a step or less take the original to shifts that C++ does not define.
    let bytes: Vec<u8> = match what {
        "of_a_step" | "of_a_coarse_step" => bytes.into_iter().map(|byte| 8 + byte % 5).collect(),
        _ => bytes.into_iter().map(|byte| if byte.abs_diff(10) < 2 { 200 } else { byte }).collect(),
    };
    let format = Format::uint8(0.02, 10);
    let elements = held_bytes(format.element, &bytes);
    let dividend = graph.input_of(format, &shape, elements, 1.0);
    let count = divisor_shape.iter().product();
    let bytes: Vec<u8> = (0..count)
        .map(|_| {
            let far = graph.random.integer(20, 230) as u8;
            if far.abs_diff(zero_point) < 10 { far.wrapping_add(20) } else { far }
        })
        .collect();
    let format = Format::uint8(0.02, zero_point);
    let elements = held_bytes(format.element, &bytes);
    let divisor = graph.input_of(format, divisor_shape, elements, 1.0);
    let scale = if what == "of_a_coarse_step" { 3.0 } else { 0.03 };
    let output = graph.tensor(Format::uint8(scale, 60), &shape, 1.0);
    let options = DivOptionsT { fused_activation_function: activation.raw() };
    let options = BuiltinOptionsT::DivOptions(options);
    graph.operator(BuiltinOperator::Div, options, &[&dividend, &divisor], &[&output]);
    graph.finish("elementwise", &[&output])
}
