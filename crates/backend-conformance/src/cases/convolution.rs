//! `CONV_2D`, `DEPTHWISE_CONV_2D` and `TRANSPOSE_CONV`.

use image_embedder_schema::tflite::{ActivationFunctionType, Padding};

use crate::Case;
use crate::graph::{Graph, Numbers, Value, ZeroPoint};
use crate::layers::{Convolution, Variant};

/// Adds the operator to a graph.
type Build = fn(&mut Graph, Numbers, &Value, &Convolution) -> Value;

const ACTIVATIONS: [ActivationFunctionType; 3] = [
    ActivationFunctionType::Relu,
    ActivationFunctionType::Relu6,
    ActivationFunctionType::ReluN1To1,
];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for numbers in Numbers::ALL {
        dense(&mut cases, numbers, seed);
        // TensorFlow Lite takes depthwise weights of floats with one scale only for one channel.
        if numbers != Numbers::DynamicRange {
            depthwise(&mut cases, numbers, seed);
        }
    }
    for numbers in [Numbers::Float32, Numbers::UInt8, Numbers::Int8, Numbers::Int8PerChannel] {
        transposed(&mut cases, numbers, seed);
    }
    cases
}

/// One case of an operator on an input of a shape.
struct Recipe {
    operator: &'static str,
    build: Build,
    numbers: Numbers,
    seed: u64,
}

impl Recipe {
    fn case(&self, shape: [usize; 4], options: Convolution) -> Case {
        self.named("", shape, options, ZeroPoint::Middle)
    }

    fn named(
        &self,
        what: &str,
        shape: [usize; 4],
        options: Convolution,
        input_zero_point: ZeroPoint,
    ) -> Case {
        let name = format!(
            "{}_{}_{}to{}_{}{what}",
            self.operator,
            self.numbers.name(),
            shape.map(|size| size.to_string()).join("x"),
            options.output_channels,
            options.name()
        );
        let mut graph = Graph::new(&name, self.seed);
        let mut format = graph.input_format(self.numbers, input_zero_point);
        if options.variant.powers_of_two {
            for scale in &mut format.scales {
                *scale = 1.0 / 64.0;
            }
        }
        let input = graph.input(format, &shape);
        let output = (self.build)(&mut graph, self.numbers, &input, &options);
        graph.finish(self.operator, &[&output])
    }

    /// Zero points at the ends, results beyond the range, and ties.
    fn numeric_edges(&self, shape: [usize; 4], options: Convolution) -> Vec<Case> {
        use ZeroPoint::{High, Low, Middle};
        let case =
            |what: &str, input, variant| self.named(what, shape, options.variant(variant), input);
        let plain = Variant::default();
        let mut cases = Vec::new();
        // TensorFlow Lite requires the bias of the other two.
        if self.operator == "transpose_conv" {
            let variant = Variant { without_bias: true, ..plain };
            cases.push(case("_without_bias", Middle, variant));
        }
        if !self.numbers.is_quantized() {
            return cases;
        }
        let low = Variant { output_zero_point: Low, ..plain };
        let high = Variant { output_zero_point: High, ..plain };
        cases.extend([
            case("_input_zero_low", Low, plain),
            case("_input_zero_high", High, plain),
            case("_output_zero_low", Middle, low),
            case("_output_zero_high", Middle, high),
            case("_saturating", Middle, Variant { saturating: true, ..plain }),
            case("_ties", Middle, Variant { powers_of_two: true, ..plain }),
        ]);
        if self.numbers == Numbers::UInt8 {
            for (what, weight_zero_point) in [("low", Low), ("high", High)] {
                let variant = Variant { weight_zero_point, ..plain };
                cases.push(case(&format!("_weight_zero_{what}"), Middle, variant));
                cases.push(case(&format!("_weight_zero_{what}_input_zero_low"), Low, variant));
            }
        }
        cases
    }
}

fn dense(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    let recipe = Recipe { operator: "conv_2d", build: Graph::convolution, numbers, seed };
    for (input, output) in [
        (1, 1),
        (3, 16),
        (7, 8),
        (8, 7),
        (16, 17),
        (17, 3),
        (24, 64),
        (65, 24),
        (100, 65),
        (64, 100),
    ] {
        cases.push(recipe.case([1, 3, 3, input], Convolution::new(output)));
    }
    cases.push(recipe.case([1, 1, 1, 64], Convolution::new(65)));
    cases.push(recipe.case([2, 1, 7, 24], Convolution::new(17)));
    let valid = |convolution: Convolution| convolution.padding(Padding::Valid);
    let eight = Convolution::new(8);
    for (shape, options) in [
        ([1, 5, 7, 3], eight.window(3, 3)),
        ([1, 7, 6, 3], Convolution::new(16).window(3, 3).strides(2, 2)),
        ([1, 8, 8, 3], Convolution::new(24).window(3, 3).strides(2, 2)),
        ([1, 7, 7, 8], valid(eight.window(3, 3).strides(2, 2))),
        ([1, 10, 8, 3], eight.window(3, 3).strides(3, 3)),
        ([1, 9, 9, 3], valid(eight.window(5, 5).strides(2, 2))),
        ([1, 5, 5, 16], Convolution::new(17).strides(2, 2)),
        ([1, 6, 7, 7], valid(eight.strides(3, 2))),
        ([1, 4, 4, 8], Convolution::new(7).window(2, 2)),
        ([1, 5, 5, 3], eight.window(1, 3)),
        ([1, 5, 5, 3], valid(eight.window(3, 1))),
        ([1, 7, 7, 4], eight.window(3, 3).dilations(2, 2)),
        ([1, 9, 8, 4], valid(eight.window(3, 3).dilations(2, 2))),
        ([1, 9, 6, 4], eight.window(3, 2).dilations(3, 1)),
        ([1, 1, 1, 8], eight.window(3, 3)),
        ([1, 2, 3, 3], eight.window(5, 5)),
        ([1, 5, 4, 3], Convolution::new(3).window(3, 3).strides(1, 2)),
        ([3, 4, 5, 5], Convolution::new(6).window(3, 3)),
        ([1, 4, 4, 17], Convolution::new(65).window(3, 3).strides(2, 2)),
        ([1, 7, 7, 1], Convolution::new(100).window(7, 7).strides(4, 4)),
    ] {
        cases.push(recipe.case(shape, options));
    }
    for activation in ACTIVATIONS {
        cases.push(recipe.case([1, 4, 5, 8], Convolution::new(16).activation(activation)));
        let window = Convolution::new(9).window(3, 3).activation(activation);
        cases.push(recipe.case([1, 4, 5, 5], window));
    }
    cases.extend(recipe.numeric_edges([1, 4, 5, 24], Convolution::new(17)));
    cases.extend(recipe.numeric_edges([1, 5, 5, 7], Convolution::new(16).window(3, 3)));
}

fn depthwise(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    let recipe = Recipe {
        operator: "depthwise_conv_2d",
        build: Graph::depthwise_convolution,
        numbers,
        seed,
    };
    for channels in [1, 3, 7, 8, 16, 17, 24, 64, 65, 100] {
        cases.push(recipe.case([1, 4, 3, channels], Convolution::new(channels).window(3, 3)));
    }
    for (channels, multiplier) in [(1, 2), (1, 8), (3, 2), (3, 8), (8, 2), (17, 2), (8, 8)] {
        let options = Convolution::new(channels * multiplier).window(3, 3);
        cases.push(recipe.case([1, 4, 3, channels], options));
    }
    let valid = |convolution: Convolution| convolution.padding(Padding::Valid);
    let eight = Convolution::new(8);
    for (shape, options) in [
        ([1, 7, 6, 8], eight.window(3, 3).strides(2, 2)),
        ([1, 8, 8, 8], eight.window(3, 3).strides(2, 2)),
        ([1, 8, 7, 8], valid(eight.window(3, 3).strides(2, 2))),
        ([1, 10, 8, 8], eight.window(3, 3).strides(3, 3)),
        ([1, 7, 7, 24], Convolution::new(24).window(5, 5)),
        ([1, 7, 7, 17], Convolution::new(17).window(5, 5).strides(2, 2)),
        ([1, 9, 9, 8], eight.window(7, 7).strides(2, 2)),
        ([1, 5, 5, 8], eight.window(1, 1)),
        ([1, 5, 5, 8], eight.window(2, 2)),
        ([1, 5, 5, 8], valid(eight.window(1, 3))),
        ([1, 5, 5, 8], eight.window(3, 1)),
        ([1, 7, 7, 8], eight.window(3, 3).dilations(2, 2)),
        ([1, 9, 8, 17], valid(Convolution::new(17).window(3, 3).dilations(2, 2))),
        ([1, 1, 1, 16], Convolution::new(16).window(3, 3)),
        ([1, 2, 2, 7], Convolution::new(7).window(5, 5)),
        ([3, 4, 5, 5], Convolution::new(5).window(3, 3)),
        ([1, 7, 7, 64], valid(Convolution::new(64).window(7, 7))),
        ([1, 6, 6, 3], valid(Convolution::new(24).window(3, 3).strides(2, 2))),
    ] {
        cases.push(recipe.case(shape, options));
    }
    for activation in ACTIVATIONS {
        let options = Convolution::new(9).window(3, 3).activation(activation);
        cases.push(recipe.case([1, 4, 5, 9], options));
    }
    cases.extend(recipe.numeric_edges([1, 5, 5, 17], Convolution::new(17).window(3, 3)));
    cases.extend(recipe.numeric_edges([1, 3, 3, 4], Convolution::new(8).window(3, 3)));
}

fn transposed(cases: &mut Vec<Case>, numbers: Numbers, seed: u64) {
    let recipe =
        Recipe { operator: "transpose_conv", build: Graph::transposed_convolution, numbers, seed };
    let valid = |convolution: Convolution| convolution.padding(Padding::Valid);
    for (shape, options) in [
        ([1, 3, 4, 8], Convolution::new(7).window(2, 2).strides(2, 2)),
        ([1, 3, 4, 7], Convolution::new(8).window(3, 3).strides(2, 2)),
        ([1, 3, 3, 5], valid(Convolution::new(6).window(3, 3).strides(2, 2))),
        ([1, 3, 3, 5], Convolution::new(6).window(3, 3)),
        ([2, 2, 3, 16], Convolution::new(3).window(4, 4).strides(2, 2)),
        ([1, 1, 1, 24], valid(Convolution::new(17).window(3, 2).strides(3, 2))),
    ] {
        cases.push(recipe.case(shape, options));
    }
    cases
        .extend(recipe.numeric_edges([1, 3, 3, 9], Convolution::new(5).window(3, 3).strides(2, 2)));
}
