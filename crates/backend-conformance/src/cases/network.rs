//! Small graphs of the kinds that image embedders are made of.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator, BuiltinOptionsT, ConcatenationOptionsT, Padding,
    ReshapeOptionsT, SoftmaxOptionsT,
};

use crate::Case;
use crate::graph::{Graph, Numbers, Value, ZeroPoint};
use crate::layers::{Convolution, Variant};

const RELU6: ActivationFunctionType = ActivationFunctionType::Relu6;
const RELU: ActivationFunctionType = ActivationFunctionType::Relu;
const NO_ACTIVATION: ActivationFunctionType = ActivationFunctionType::None;

/// The numbers of whole networks; those whose activations are quantised at run time are left out,
/// because the noise of floats moves their steps.
const NUMBERS: [Numbers; 5] = [
    Numbers::Float32,
    Numbers::Float16Weights,
    Numbers::UInt8,
    Numbers::Int8,
    Numbers::Int8PerChannel,
];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for numbers in NUMBERS {
        let suite = Suite { numbers, seed };
        for (channels, expanded, stride) in
            [(8, 24, 1), (16, 96, 1), (24, 65, 1), (7, 17, 1), (8, 48, 2), (16, 64, 2)]
        {
            cases.push(suite.inverted_residual(channels, expanded, stride));
        }
        cases.push(suite.squeeze_excitation(BuiltinOperator::HardSwish));
        cases.push(suite.squeeze_excitation(BuiltinOperator::Relu6));
        cases.push(suite.padded_residual());
        cases.push(suite.inception());
        cases.push(suite.classifier());
        cases.push(suite.dilated());
        cases.push(suite.two_outputs());
        cases.push(suite.open_size("open_size_as_is", [1, 8, 8, 3]));
        cases.push(suite.open_size("open_size_larger", [1, 13, 9, 3]));
        cases.push(suite.open_size("open_size_smaller", [1, 4, 5, 3]));
        cases.push(suite.shared_operand());
        cases.push(suite.mixed_sizes());
        cases.push(suite.reshaped_in_place());
        cases.push(suite.input_as_output());
        cases.push(suite.output_twice());
    }
    cases
}

struct Suite {
    numbers: Numbers,
    seed: u64,
}

/// As after an activation that ends at zero.
fn low(activation: ActivationFunctionType) -> Variant {
    Variant {
        output_zero_point: match activation {
            ActivationFunctionType::None => ZeroPoint::Middle,
            _ => ZeroPoint::Low,
        },
        ..Variant::default()
    }
}

impl Suite {
    fn start(&self, what: &str) -> Graph {
        Graph::new(&format!("network_{}_{what}", self.numbers.name()), self.seed)
    }

    fn input(&self, graph: &mut Graph, shape: &[usize]) -> Value {
        let format = graph.input_format(self.numbers, ZeroPoint::Middle);
        graph.input(format, shape)
    }

    fn convolution(
        &self,
        graph: &mut Graph,
        input: &Value,
        options: Convolution,
        activation: ActivationFunctionType,
    ) -> Value {
        let options = options.activation(activation).variant(low(activation));
        graph.convolution(self.numbers, input, &options)
    }

    fn depthwise(
        &self,
        graph: &mut Graph,
        input: &Value,
        stride: usize,
        activation: ActivationFunctionType,
    ) -> Value {
        let options = Convolution::new(input.shape[3])
            .window(3, 3)
            .strides(stride, stride)
            .activation(activation)
            .variant(low(activation));
        graph.depthwise_convolution(self.numbers, input, &options)
    }

    /// Expand, filter each channel, project, and add if the shapes agree.
    fn inverted_residual(&self, channels: usize, expanded: usize, stride: usize) -> Case {
        let mut graph = self.start(&format!("inverted_residual_{channels}to{expanded}_s{stride}"));
        let input = self.input(&mut graph, &[1, 7, 7, channels]);
        let wide = self.convolution(&mut graph, &input, Convolution::new(expanded), RELU6);
        let filtered = self.depthwise(&mut graph, &wide, stride, RELU6);
        let projected =
            self.convolution(&mut graph, &filtered, Convolution::new(channels), NO_ACTIVATION);
        let output = match stride {
            1 => graph.add(self.numbers, &input, &projected, NO_ACTIVATION),
            _ => projected,
        };
        graph.finish("network", &[&output])
    }

    /// MobileNetV3's block: the activation, then channels weighted by their means.
    fn squeeze_excitation(&self, activation: BuiltinOperator) -> Case {
        let what = if activation == BuiltinOperator::HardSwish { "hard_swish" } else { "relu6" };
        let mut graph = self.start(&format!("squeeze_excitation_{what}"));
        let input = self.input(&mut graph, &[1, 6, 6, 8]);
        let wide = self.convolution(&mut graph, &input, Convolution::new(24), NO_ACTIVATION);
        let format = graph.output_format(self.numbers, 2.5, Variant::default());
        let active = graph.unary(activation, BuiltinOptionsT::None, &wide, format, 2.5);
        let mean = graph.global_mean(self.numbers, &active, true);
        let squeezed = self.convolution(&mut graph, &mean, Convolution::new(8), RELU);
        let excited = self.convolution(&mut graph, &squeezed, Convolution::new(24), NO_ACTIVATION);
        let gate = graph.logistic(self.numbers, &excited);
        let gated = graph.multiply(self.numbers, &active, &gate);
        let output = self.convolution(&mut graph, &gated, Convolution::new(8), NO_ACTIVATION);
        graph.finish("network", &[&output])
    }

    /// ResNet's block with a stride: padding of its own, and a projected shortcut.
    fn padded_residual(&self) -> Case {
        let mut graph = self.start("padded_residual");
        let input = self.input(&mut graph, &[1, 8, 8, 8]);
        let margins = graph.integers_of(&[4, 2], &[0, 0, 1, 1, 1, 1, 0, 0]);
        let padded = graph.tensor(input.format.clone(), &[1, 10, 10, 8], input.spread);
        let options = BuiltinOptionsT::None;
        graph.operator(BuiltinOperator::Pad, options, &[&input, &margins], &[&padded]);
        let window = Convolution::new(16).window(3, 3);
        let valid = window.strides(2, 2).padding(Padding::Valid);
        let first = self.convolution(&mut graph, &padded, valid, RELU);
        let second = self.convolution(&mut graph, &first, window, NO_ACTIVATION);
        let shortcut =
            self.convolution(&mut graph, &input, Convolution::new(16).strides(2, 2), NO_ACTIVATION);
        let output = graph.add(self.numbers, &second, &shortcut, RELU);
        graph.finish("network", &[&output])
    }

    /// Four branches side by side.
    fn inception(&self) -> Case {
        let mut graph = self.start("inception");
        let input = self.input(&mut graph, &[1, 5, 5, 16]);
        let one = self.convolution(&mut graph, &input, Convolution::new(8), RELU);
        let reduced = self.convolution(&mut graph, &input, Convolution::new(6), RELU);
        let three = self.convolution(&mut graph, &reduced, Convolution::new(12).window(3, 3), RELU);
        let window = Convolution::new(0).window(3, 3);
        let pooled = graph.pool(BuiltinOperator::MaxPool2d, &input, &window);
        let pooled = self.convolution(&mut graph, &pooled, Convolution::new(4), RELU);
        let average = graph.pool(BuiltinOperator::AveragePool2d, &input, &window);
        let average = self.convolution(&mut graph, &average, Convolution::new(5), RELU);
        // The scales of all branches are alike, because their spreads are.
        let output = graph.tensor(one.format.clone(), &[1, 5, 5, 29], one.spread);
        let options = ConcatenationOptionsT { axis: 3, fused_activation_function: 0 };
        let options = BuiltinOptionsT::ConcatenationOptions(options);
        let branches = [&one, &three, &pooled, &average];
        graph.operator(BuiltinOperator::Concatenation, options, &branches, &[&output]);
        graph.finish("network", &[&output])
    }

    /// The end of a classifier: pooling, a fully connected layer, probabilities.
    fn classifier(&self) -> Case {
        let mut graph = self.start("classifier");
        let input = self.input(&mut graph, &[1, 9, 9, 3]);
        let options = Convolution::new(16).window(3, 3).strides(2, 2);
        let features = self.convolution(&mut graph, &input, options, RELU6);
        let pool = Convolution::new(0).window(5, 5).padding(Padding::Valid);
        let pooled = graph.pool(BuiltinOperator::AveragePool2d, &features, &pool);
        let flat = graph.tensor(pooled.format.clone(), &[1, 16], pooled.spread);
        let sizes = graph.integers(&[1, 16]);
        let options = ReshapeOptionsT { new_shape: Some(vec![1, 16]) };
        let options = BuiltinOptionsT::ReshapeOptions(options);
        graph.operator(BuiltinOperator::Reshape, options, &[&pooled, &sizes], &[&flat]);
        let plain = Variant::default();
        let logits = graph.fully_connected(self.numbers, &flat, 21, NO_ACTIVATION, false, plain);
        let options = BuiltinOptionsT::SoftmaxOptions(SoftmaxOptionsT { beta: 1.0 });
        let format = self.numbers.format(1.0 / 256.0, 0);
        let output = graph.unary(BuiltinOperator::Softmax, options, &logits, format, 0.1);
        graph.finish("network", &[&output])
    }

    /// A dilated depthwise convolution as older models write it.
    fn dilated(&self) -> Case {
        let mut graph = self.start("dilated");
        let input = self.input(&mut graph, &[1, 8, 8, 9]);
        let block = graph.integers(&[2, 2]);
        let margins = graph.integers_of(&[2, 2], &[2, 2, 2, 2]);
        let blocks = graph.tensor(input.format.clone(), &[4, 6, 6, 9], input.spread);
        let options = BuiltinOptionsT::None;
        let code = BuiltinOperator::SpaceToBatchNd;
        graph.operator(code, options.clone(), &[&input, &block, &margins], &[&blocks]);
        let window = Convolution::new(9).window(3, 3).padding(Padding::Valid).activation(RELU6);
        let filtered = graph.depthwise_convolution(self.numbers, &blocks, &window);
        let crops = graph.integers_of(&[2, 2], &[0, 0, 0, 0]);
        let output = graph.tensor(filtered.format.clone(), &[1, 8, 8, 9], filtered.spread);
        let code = BuiltinOperator::BatchToSpaceNd;
        graph.operator(code, options, &[&filtered, &block, &crops], &[&output]);
        graph.finish("network", &[&output])
    }

    /// Two outputs, one of which is read on.
    fn two_outputs(&self) -> Case {
        let mut graph = self.start("two_outputs");
        let input = self.input(&mut graph, &[1, 6, 6, 3]);
        let options = Convolution::new(8).window(3, 3);
        let first = self.convolution(&mut graph, &input, options, RELU6);
        let second = graph.global_mean(self.numbers, &first, false);
        graph.finish("network", &[&second, &first])
    }

    /// A model whose height and width are open, run at a size.
    fn open_size(&self, what: &str, shape: [usize; 4]) -> Case {
        let mut graph = self.start(what);
        let input = self.input(&mut graph, &shape);
        let options = Convolution::new(8).window(3, 3).strides(2, 2);
        let features = self.convolution(&mut graph, &input, options, RELU6);
        let filtered = self.depthwise(&mut graph, &features, 1, RELU6);
        let output = graph.global_mean(self.numbers, &filtered, false);
        graph.open(&input, &[1, 8, 8, 3], &[1, -1, -1, 3]);
        graph.open(&features, &[1, 4, 4, 8], &[1, -1, -1, 8]);
        graph.open(&filtered, &[1, 4, 4, 8], &[1, -1, -1, 8]);
        graph.finish("network", &[&output])
    }

    /// A tensor that is added to itself and read again later.
    fn shared_operand(&self) -> Case {
        let mut graph = self.start("shared_operand");
        let input = self.input(&mut graph, &[1, 5, 5, 8]);
        let doubled = graph.add(self.numbers, &input, &input, NO_ACTIVATION);
        let filtered =
            self.convolution(&mut graph, &doubled, Convolution::new(8).window(3, 3), RELU);
        let sum = graph.add(self.numbers, &filtered, &doubled, NO_ACTIVATION);
        let output = graph.add(self.numbers, &sum, &input, RELU6);
        graph.finish("network", &[&output])
    }

    /// Layers that grow and shrink, so that memory is used again by tensors of other sizes.
    fn mixed_sizes(&self) -> Case {
        let mut graph = self.start("mixed_sizes");
        let mut value = self.input(&mut graph, &[1, 6, 6, 4]);
        for (channels, stride) in [(40, 1), (3, 1), (17, 2), (33, 1), (2, 1), (24, 1)] {
            let window = if channels % 2 == 0 { 1 } else { 3 };
            let options = Convolution::new(channels).window(window, window).strides(stride, stride);
            value = self.convolution(&mut graph, &value, options, RELU);
        }
        graph.finish("network", &[&value])
    }

    fn reshape(&self, graph: &mut Graph, input: &Value, shape: &[usize]) -> Value {
        let output = graph.tensor(input.format.clone(), shape, input.spread);
        let sizes: Vec<i32> = shape.iter().map(|&size| size as i32).collect();
        let list = graph.integers(&sizes);
        let options = ReshapeOptionsT { new_shape: Some(sizes) };
        let options = BuiltinOptionsT::ReshapeOptions(options);
        graph.operator(BuiltinOperator::Reshape, options, &[input, &list], &[&output]);
        output
    }

    /// Tensors under two shapes at once: of the input, and of a result that is read further.
    fn reshaped_in_place(&self) -> Case {
        let mut graph = self.start("reshaped_in_place");
        let input = self.input(&mut graph, &[1, 4, 4, 8]);
        let flat_input = self.reshape(&mut graph, &input, &[1, 128]);
        let wide = self.convolution(&mut graph, &input, Convolution::new(8), NO_ACTIVATION);
        let flat = self.reshape(&mut graph, &wide, &[1, 128]);
        let other = self.convolution(&mut graph, &wide, Convolution::new(8), RELU6);
        let flat_other = self.reshape(&mut graph, &other, &[1, 128]);
        let sum = graph.add(self.numbers, &flat, &flat_other, NO_ACTIVATION);
        let total = graph.add(self.numbers, &sum, &flat_input, NO_ACTIVATION);
        graph.finish("network", &[&total, &flat_input, &flat])
    }

    fn input_as_output(&self) -> Case {
        let mut graph = self.start("input_as_output");
        let input = self.input(&mut graph, &[1, 3, 3, 8]);
        let output = self.convolution(&mut graph, &input, Convolution::new(8), NO_ACTIVATION);
        graph.finish("network", &[&input, &output])
    }

    fn output_twice(&self) -> Case {
        let mut graph = self.start("output_twice");
        let input = self.input(&mut graph, &[1, 3, 3, 8]);
        let output = self.convolution(&mut graph, &input, Convolution::new(8), NO_ACTIVATION);
        graph.finish("network", &[&output, &output])
    }
}
