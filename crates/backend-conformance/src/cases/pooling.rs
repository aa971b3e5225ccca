//! `AVERAGE_POOL_2D`, `MAX_POOL_2D` and `L2_POOL_2D`.

use image_embedder_schema::tflite::{ActivationFunctionType, BuiltinOperator, Padding};

use crate::Case;
use crate::graph::{Graph, Numbers, ZeroPoint};
use crate::layers::Convolution;

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    let operators = [
        ("average_pool_2d", BuiltinOperator::AveragePool2d),
        ("max_pool_2d", BuiltinOperator::MaxPool2d),
        ("l2_pool_2d", BuiltinOperator::L2Pool2d),
    ];
    for (operator_name, operator) in operators {
        let is_float_only = operator == BuiltinOperator::L2Pool2d;
        let numbers = if is_float_only { &Numbers::PLAIN[..1] } else { &Numbers::PLAIN[..] };
        for &numbers in numbers {
            for (shape, options) in windows() {
                let name = format!(
                    "{operator_name}_{}_{}_{}",
                    numbers.name(),
                    shape.map(|size| size.to_string()).join("x"),
                    options.name()
                );
                let mut graph = Graph::new(&name, seed);
                let format = graph.input_format(numbers, ZeroPoint::Middle);
                let input = graph.input(format, &shape);
                let output = graph.pool(operator, &input, &options);
                cases.push(graph.finish("pool_2d", &[&output]));
            }
        }
    }
    cases
}

fn windows() -> Vec<([usize; 4], Convolution)> {
    let pool = Convolution::new(0);
    let valid = pool.padding(Padding::Valid);
    let mut windows = vec![
        ([1, 4, 4, 8], pool.window(2, 2).strides(2, 2)),
        ([1, 5, 7, 3], pool.window(2, 2).strides(2, 2)),
        ([1, 5, 7, 3], valid.window(2, 2).strides(2, 2)),
        ([1, 6, 5, 16], pool.window(3, 3)),
        ([1, 6, 5, 17], pool.window(3, 3).strides(2, 2)),
        ([1, 7, 8, 7], valid.window(3, 3).strides(2, 2)),
        ([1, 7, 7, 24], valid.window(7, 7)),
        ([1, 7, 5, 65], valid.window(7, 5).strides(7, 5)),
        ([1, 5, 5, 8], pool.window(1, 3)),
        ([1, 9, 9, 4], pool.window(5, 4).strides(3, 2)),
        ([1, 1, 1, 8], pool.window(3, 3)),
        ([1, 5, 5, 8], pool.window(1, 1).strides(2, 2)),
        ([3, 4, 4, 5], pool.window(2, 2).strides(2, 2)),
        ([1, 20, 20, 1], valid.window(20, 20)),
    ];
    for activation in [
        ActivationFunctionType::Relu,
        ActivationFunctionType::Relu6,
        ActivationFunctionType::ReluN1To1,
    ] {
        windows.push(([1, 4, 5, 8], pool.window(2, 2).activation(activation)));
    }
    windows
}
