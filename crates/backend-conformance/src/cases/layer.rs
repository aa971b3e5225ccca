//! Single operators in the sizes that image models have, for measuring them.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator, BuiltinOptionsT, SoftmaxOptionsT,
};

use crate::Case;
use crate::graph::{Graph, Numbers, Value, ZeroPoint};
use crate::layers::{Convolution, Variant};

/// An operator by itself, with what it does.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Layer {
    /// The operator as a model, with an input.
    pub case: Case,
    /// How many products an inference adds up; for operators without weights, how many elements it
    /// reads.
    pub operations: u64,
}

/// Convolutions of MobileNet and EfficientNet-Lite0 at 224 x 224 pixels: a name, height and width
/// of the input, its channels, and the convolution.
fn convolutions() -> [(&'static str, usize, usize, Convolution); 6] {
    let new = Convolution::new;
    [
        ("first", 224, 3, new(32).window(3, 3).strides(2, 2).activation(RELU6)),
        ("early_expansion", 56, 24, new(144).activation(RELU6)),
        ("early_projection", 56, 144, new(24)),
        ("middle_projection", 14, 480, new(112)),
        ("late_expansion", 7, 192, new(1152).activation(RELU6)),
        ("head", 7, 320, new(1280).activation(RELU6)),
    ]
}

/// As [`convolutions`].
fn depthwise_convolutions() -> [(&'static str, usize, usize, Convolution); 5] {
    let new = |channels: usize, window: usize, stride: usize| {
        let convolution = Convolution::new(channels).window(window, window);
        convolution.strides(stride, stride).activation(RELU6)
    };
    [
        ("3x3_large", 112, 32, new(32, 3, 1)),
        ("3x3_stride2", 112, 96, new(96, 3, 2)),
        ("3x3_small", 14, 240, new(240, 3, 1)),
        ("5x5", 14, 480, new(480, 5, 1)),
        ("5x5_stride2", 56, 144, new(144, 5, 2)),
    ]
}

const RELU6: ActivationFunctionType = ActivationFunctionType::Relu6;
const NO_ACTIVATION: ActivationFunctionType = ActivationFunctionType::None;

/// Numbers whose convolutions have kernels of their own.
const WEIGHTED: [Numbers; 4] =
    [Numbers::Float32, Numbers::UInt8, Numbers::Int8PerChannel, Numbers::DynamicRangePerChannel];

/// The operators that take nearly all the time of image models, in the sizes that they have there,
/// with random data of the seed.
///
/// They are not part of [`all`](super::all), for which they are too large.
#[must_use]
pub fn layers(seed: u64) -> Vec<Layer> {
    let mut layers = Vec::new();
    for numbers in WEIGHTED {
        let suite = Suite { numbers, seed };
        for (what, size, channels, options) in convolutions() {
            let products = options.window.iter().product::<usize>() * channels;
            layers.push(suite.layer(
                "conv_2d",
                what,
                &[1, size, size, channels],
                |graph, input| {
                    let output = graph.convolution(numbers, input, &as_in_models(options));
                    let operations = output.shape.iter().product::<usize>() * products;
                    (output, operations)
                },
            ));
        }
        for (what, size, channels, options) in depthwise_convolutions() {
            let products = options.window.iter().product::<usize>();
            let shape = [1, size, size, channels];
            layers.push(suite.layer("depthwise_conv_2d", what, &shape, |graph, input| {
                let output = graph.depthwise_convolution(numbers, input, &as_in_models(options));
                let operations = output.shape.iter().product::<usize>() * products;
                (output, operations)
            }));
        }
        layers.push(suite.layer("fully_connected", "classifier", &[1, 1280], |graph, input| {
            let plain = Variant::default();
            let output = graph.fully_connected(numbers, input, 1001, NO_ACTIVATION, false, plain);
            (output, 1280 * 1001)
        }));
    }
    for numbers in Numbers::PLAIN {
        let suite = Suite { numbers, seed };
        let image = [1, 28, 28, 40];
        layers.push(suite.layer("add", "residual", &image, |graph, input| {
            let other = graph.input(input.format.clone(), &image);
            let output = graph.add(numbers, input, &other, NO_ACTIVATION);
            (output, 2 * 28 * 28 * 40)
        }));
        layers.push(suite.layer("mean", "head", &[1, 7, 7, 1280], |graph, input| {
            (graph.global_mean(numbers, input, false), 7 * 7 * 1280)
        }));
        layers.push(suite.layer("softmax", "classifier", &[1, 1001], |graph, input| {
            let options = BuiltinOptionsT::SoftmaxOptions(SoftmaxOptionsT { beta: 1.0 });
            let format = numbers.format(1.0 / 256.0, 0);
            let output =
                graph.unary(BuiltinOperator::Softmax, options, input, format, 1.0 / 1001.0);
            (output, 1001)
        }));
    }
    layers
}

/// Outputs of a ReLU6 begin at zero.
fn as_in_models(options: Convolution) -> Convolution {
    match options.activation {
        NO_ACTIVATION => options,
        _ => options.variant(Variant { output_zero_point: ZeroPoint::Low, ..Variant::default() }),
    }
}

struct Suite {
    numbers: Numbers,
    seed: u64,
}

impl Suite {
    /// A layer whose operator `build` adds, telling how many operations it has.
    fn layer(
        &self,
        group: &'static str,
        what: &str,
        shape: &[usize],
        build: impl FnOnce(&mut Graph, &Value) -> (Value, usize),
    ) -> Layer {
        let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let numbers = self.numbers.name();
        let name = format!("{group}_{numbers}_{what}_{}", sizes.join("x"));
        let mut graph = Graph::new(&name, self.seed);
        let format = graph.input_format(self.numbers, ZeroPoint::Middle);
        let input = graph.input(format, shape);
        let (output, operations) = build(&mut graph, &input);
        Layer { case: graph.finish(group, &[&output]), operations: operations as u64 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_of_numbers_has_its_layers() {
        let layers = layers(1);
        assert_eq!(layers.len(), 4 * (6 + 5 + 1) + 3 * 3);
        let names: BTreeSet<&str> = layers.iter().map(|layer| layer.case.name.as_str()).collect();
        assert_eq!(names.len(), layers.len());
    }

    #[test]
    fn operations_are_products() {
        let layers = layers(1);
        let operations = |name: &str| {
            layers.iter().find(|layer| layer.case.name == name).map(|layer| layer.operations)
        };
        // 112 x 112 windows of 3 x 3 x 3, 32 times.
        assert_eq!(operations("conv_2d_u8_first_1x224x224x3"), Some(112 * 112 * 32 * 27));
        assert_eq!(operations("depthwise_conv_2d_f32_5x5_1x14x14x480"), Some(14 * 14 * 480 * 25));
        assert_eq!(operations("mean_i8_head_1x7x7x1280"), Some(62_720));
    }
}
