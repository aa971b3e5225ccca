//! `MEAN`, `SUM`, `REDUCE_MAX` and `REDUCE_MIN`.

use image_embedder_schema::tflite::{BuiltinOperator, BuiltinOptionsT, ReducerOptionsT};

use crate::Case;
use crate::graph::{Graph, Numbers, ZeroPoint};
use crate::layers::Variant;

/// Names of reductions with the input's shape and the axes.
const REDUCTIONS: [(&str, &[usize], &[i32]); 12] = [
    ("image", &[1, 5, 7, 8], &[1, 2]),
    ("image_of_one", &[1, 1, 1, 8], &[1, 2]),
    ("image_of_batch", &[2, 4, 3, 17], &[2, 1]),
    ("image_negative", &[1, 7, 7, 24], &[-3, -2]),
    ("height", &[1, 5, 4, 3], &[1]),
    ("width", &[1, 5, 4, 3], &[2]),
    ("width_negative", &[2, 3, 9, 8], &[-2]),
    ("channels", &[1, 5, 4, 7], &[3]),
    ("batch", &[3, 2, 2, 4], &[0]),
    ("all_but_batch", &[2, 3, 4, 5], &[1, 2, 3]),
    ("matrix", &[4, 9], &[1]),
    ("outer", &[3, 4, 5], &[0, 2]),
];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let operators = [
        ("mean", BuiltinOperator::Mean),
        ("sum", BuiltinOperator::Sum),
        ("reduce_max", BuiltinOperator::ReduceMax),
        ("reduce_min", BuiltinOperator::ReduceMin),
    ];
    let mut cases = Vec::new();
    for (operator_name, operator) in operators {
        for numbers in Numbers::PLAIN {
            for (what, shape, axes) in REDUCTIONS {
                for keep_dims in [false, true] {
                    // Sums soon leave the range of their operands.
                    let rescaling =
                        operator == BuiltinOperator::Sum && numbers.is_quantized() && keep_dims;
                    let operator = (operator_name, operator);
                    let reduction = (what, shape, axes);
                    cases.push(case(operator, numbers, reduction, keep_dims, rescaling, seed));
                }
            }
            if numbers.is_quantized() && operator == BuiltinOperator::Mean {
                for reduction in [REDUCTIONS[0], REDUCTIONS[7]] {
                    let operator = (operator_name, operator);
                    cases.push(case(operator, numbers, reduction, true, true, seed));
                }
            }
        }
    }
    cases
}

/// The output has the input's format, or one of its own if `rescaling`.
fn case(
    (operator_name, operator): (&str, BuiltinOperator),
    numbers: Numbers,
    (what, shape, axes): (&str, &[usize], &[i32]),
    keep_dims: bool,
    rescaling: bool,
    seed: u64,
) -> Case {
    let name = format!(
        "{operator_name}_{}_{what}{}{}",
        numbers.name(),
        if keep_dims { "_keep_dims" } else { "" },
        if rescaling { "_rescaling" } else { "" },
    );
    let mut graph = Graph::new(&name, seed);
    let format = graph.input_format(numbers, ZeroPoint::Middle);
    let input = graph.input(format.clone(), shape);
    let rank = shape.len() as i32;
    let reduced: Vec<usize> = axes.iter().map(|axis| ((axis + rank) % rank) as usize).collect();
    let count: usize = reduced.iter().map(|&dimension| shape[dimension]).product();
    let output: Vec<usize> = shape
        .iter()
        .enumerate()
        .filter_map(|(dimension, &size)| match (reduced.contains(&dimension), keep_dims) {
            (false, _) => Some(size),
            (true, keep_dims) => keep_dims.then_some(1),
        })
        .collect();
    let root = (count as f32).sqrt();
    let spread = match operator {
        BuiltinOperator::Mean => input.spread / root,
        BuiltinOperator::Sum => input.spread * root,
        _ => input.spread,
    };
    let format = match rescaling {
        true => graph.output_format(numbers, spread, Variant::default()),
        false => format,
    };
    let axes = graph.integers(axes);
    let output = graph.tensor(format, &output, spread);
    let options = BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims });
    graph.operator(operator, options, &[&input, &axes], &[&output]);
    graph.finish("reduction", &[&output])
}
