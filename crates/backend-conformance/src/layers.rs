//! Operators with weights and the common ones of image models, with formats that fit their values.

use image_embedder_schema::tflite::{
    ActivationFunctionType, AddOptionsT, BuiltinOperator, BuiltinOptionsT, Conv2DOptionsT,
    DepthwiseConv2DOptionsT, FullyConnectedOptionsT, MulOptionsT, Padding, Pool2DOptionsT,
    ReducerOptionsT, TensorType, TransposeConvOptionsT,
};

use crate::graph::{Format, Graph, Numbers, Value, ZeroPoint, le_bytes};

/// How many steps of an output's scale the root mean square of its real values is.
const STEPS_OF_SPREAD: f32 = 40.0;

/// The root mean square of the real values that weights are made to give.
const SPREAD: f32 = 3.0;

/// What is special about an operator's numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Variant {
    pub(crate) output_zero_point: ZeroPoint,
    /// Of unsigned weights; signed ones are symmetric.
    pub(crate) weight_zero_point: ZeroPoint,
    /// Whether most results are beyond the output's range.
    pub(crate) saturating: bool,
    /// Whether scales are powers of two, so that results often lie between two steps.
    pub(crate) powers_of_two: bool,
    pub(crate) without_bias: bool,
}

/// What a filter looks like.
struct Filter<'a> {
    shape: &'a [usize],
    /// The dimension of the output channels.
    dimension: usize,
    /// How many products make a result.
    depth: usize,
}

/// Filter and bias with the output that fits them.
struct Weights {
    filter: Value,
    bias: Value,
    output: Value,
}

/// The largest power of two that is not above the value.
pub(crate) fn power_of_two_below(value: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0x7f80_0000)
}

/// The output's size along a dimension.
pub(crate) fn output_size(
    padding: Padding,
    input: usize,
    window: usize,
    stride: usize,
    dilation: usize,
) -> usize {
    match padding {
        Padding::Same => input.div_ceil(stride),
        _ => (input - (window - 1) * dilation - 1) / stride + 1,
    }
}

/// A convolution, depthwise or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) output_channels: usize,
    pub(crate) window: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    pub(crate) padding: Padding,
    pub(crate) activation: ActivationFunctionType,
    pub(crate) variant: Variant,
}

impl Convolution {
    /// One by one, without an activation.
    pub(crate) fn new(output_channels: usize) -> Self {
        Self {
            output_channels,
            window: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            padding: Padding::Same,
            activation: ActivationFunctionType::None,
            variant: Variant::default(),
        }
    }

    pub(crate) fn window(self, height: usize, width: usize) -> Self {
        Self { window: [height, width], ..self }
    }

    pub(crate) fn strides(self, height: usize, width: usize) -> Self {
        Self { strides: [height, width], ..self }
    }

    pub(crate) fn dilations(self, height: usize, width: usize) -> Self {
        Self { dilations: [height, width], ..self }
    }

    pub(crate) fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    pub(crate) fn activation(self, activation: ActivationFunctionType) -> Self {
        Self { activation, ..self }
    }

    pub(crate) fn variant(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// The parts that are not the default, for the name of a case.
    pub(crate) fn name(&self) -> String {
        let mut name = format!("k{}x{}", self.window[0], self.window[1]);
        if self.strides != [1, 1] {
            name += &format!("_s{}x{}", self.strides[0], self.strides[1]);
        }
        if self.dilations != [1, 1] {
            name += &format!("_d{}x{}", self.dilations[0], self.dilations[1]);
        }
        if self.padding == Padding::Valid {
            name += "_valid";
        }
        name + activation_name(self.activation)
    }

    fn output_shape(&self, input: &[usize]) -> Vec<usize> {
        let size = |dimension: usize| {
            output_size(
                self.padding,
                input[dimension + 1],
                self.window[dimension],
                self.strides[dimension],
                self.dilations[dimension],
            )
        };
        vec![input[0], size(0), size(1), self.output_channels]
    }
}

/// The operands without those that are left out at the end.
fn present<'a>(operands: &[&'a Value]) -> Vec<&'a Value> {
    operands.iter().copied().filter(|operand| operand.index >= 0).collect()
}

/// The activation for the name of a case.
pub(crate) fn activation_name(activation: ActivationFunctionType) -> &'static str {
    match activation {
        ActivationFunctionType::Relu => "_relu",
        ActivationFunctionType::Relu6 => "_relu6",
        ActivationFunctionType::ReluN1To1 => "_relu_n1_to_1",
        _ => "",
    }
}

impl Graph {
    /// Random weights for an input, and an output of the given shape.
    fn weights(
        &mut self,
        numbers: Numbers,
        input: &Value,
        Filter { shape, dimension, depth }: Filter<'_>,
        output_shape: &[usize],
        variant: Variant,
    ) -> Weights {
        let channels = shape[dimension];
        let count: usize = shape.iter().product();
        let spread = SPREAD / (input.spread * (depth as f32).sqrt());
        let bias: Vec<f32> = self.random.floats(channels, 2.0);
        let amplitude = spread * 3f32.sqrt();
        if matches!(numbers, Numbers::Float32 | Numbers::Float16Weights) {
            let values = self.random.floats(count, amplitude);
            let constant = |graph: &mut Self, shape: &[usize], values: &[f32]| {
                if numbers == Numbers::Float32 {
                    graph.constant(Format::float32(), shape, le_bytes(values))
                } else {
                    graph.widened(shape, values)
                }
            };
            let filter = constant(self, shape, &values);
            let bias = match variant.without_bias {
                true => Value::none(),
                false => constant(self, &[channels], &bias),
            };
            let output = self.tensor(Format::float32(), output_shape, SPREAD);
            return Weights { filter, bias, output };
        }
        let unsigned = numbers == Numbers::UInt8;
        let per_channel =
            matches!(numbers, Numbers::Int8PerChannel | Numbers::DynamicRangePerChannel);
        let zero_point = match unsigned {
            true => variant.weight_zero_point.pick(&mut self.random),
            false => 128,
        };
        let mut scale = spread / Format::uint8(1.0, zero_point).spread();
        if variant.powers_of_two {
            scale = power_of_two_below(scale);
        }
        let format = if unsigned {
            Format::uint8(scale, zero_point)
        } else {
            let scales = match per_channel {
                true if variant.powers_of_two => {
                    (0..channels).map(|channel| scale * [1.0, 0.5, 2.0][channel % 3]).collect()
                }
                true => (0..channels).map(|_| scale * self.random.float(0.2, 1.8)).collect(),
                false => vec![scale],
            };
            Format::symmetric(TensorType::Int8, scales, dimension)
        };
        let bytes: Vec<u8> = (0..count)
            .map(|_| match unsigned {
                true => self.random.integer(0, 255) as u8,
                // Converters leave -128 out.
                false => (self.random.integer(-127, 127) as i8).cast_unsigned(),
            })
            .collect();
        let scales = format.scales.clone();
        let filter = self.constant(format, shape, bytes);
        if !numbers.is_quantized() {
            let bias = match variant.without_bias {
                true => Value::none(),
                false => self.constant(Format::float32(), &[channels], le_bytes(&bias)),
            };
            let output = self.tensor(Format::float32(), output_shape, SPREAD);
            return Weights { filter, bias, output };
        }
        let bias_scales: Vec<f32> = scales.iter().map(|s| input.format.scale() * s).collect();
        let bias = if variant.without_bias {
            Value::none()
        } else {
            let bytes = bias
                .iter()
                .enumerate()
                .flat_map(|(channel, value)| {
                    let scale = bias_scales[if per_channel { channel } else { 0 }];
                    ((value / scale) as i32).to_le_bytes()
                })
                .collect();
            let format = Format::symmetric(TensorType::Int32, bias_scales, 0);
            self.constant(format, &[channels], bytes)
        };
        let format = self.output_format(numbers, SPREAD, variant);
        let output = self.tensor(format, output_shape, SPREAD);
        Weights { filter, bias, output }
    }

    /// A format for results whose root mean square is `spread`.
    pub(crate) fn output_format(
        &mut self,
        numbers: Numbers,
        spread: f32,
        variant: Variant,
    ) -> Format {
        let middle = variant.output_zero_point == ZeroPoint::Middle;
        let mut scale = spread / if middle { STEPS_OF_SPREAD } else { 2.0 * STEPS_OF_SPREAD };
        if variant.saturating {
            scale /= 16.0;
        }
        if variant.powers_of_two {
            scale = power_of_two_below(scale);
        }
        let zero_point = variant.output_zero_point.pick(&mut self.random);
        numbers.format(scale, zero_point)
    }

    pub(crate) fn convolution(
        &mut self,
        numbers: Numbers,
        input: &Value,
        options: &Convolution,
    ) -> Value {
        let [height, width] = options.window;
        let channels = input.shape[3];
        let Weights { filter, bias, output } = self.weights(
            numbers,
            input,
            Filter {
                shape: &[options.output_channels, height, width, channels],
                dimension: 0,
                depth: height * width * channels,
            },
            &options.output_shape(&input.shape),
            options.variant,
        );
        self.operator(
            BuiltinOperator::Conv2d,
            BuiltinOptionsT::Conv2DOptions(Conv2DOptionsT {
                padding: options.padding.raw(),
                stride_h: options.strides[0] as i32,
                stride_w: options.strides[1] as i32,
                dilation_h_factor: options.dilations[0] as i32,
                dilation_w_factor: options.dilations[1] as i32,
                fused_activation_function: options.activation.raw(),
            }),
            &present(&[input, &filter, &bias]),
            &[&output],
        );
        output
    }

    /// The depth multiplier is the quotient of output and input channels.
    pub(crate) fn depthwise_convolution(
        &mut self,
        numbers: Numbers,
        input: &Value,
        options: &Convolution,
    ) -> Value {
        let [height, width] = options.window;
        let Weights { filter, bias, output } = self.weights(
            numbers,
            input,
            Filter {
                shape: &[1, height, width, options.output_channels],
                dimension: 3,
                depth: height * width,
            },
            &options.output_shape(&input.shape),
            options.variant,
        );
        self.operator(
            BuiltinOperator::DepthwiseConv2d,
            BuiltinOptionsT::DepthwiseConv2DOptions(DepthwiseConv2DOptionsT {
                padding: options.padding.raw(),
                stride_h: options.strides[0] as i32,
                stride_w: options.strides[1] as i32,
                dilation_h_factor: options.dilations[0] as i32,
                dilation_w_factor: options.dilations[1] as i32,
                fused_activation_function: options.activation.raw(),
                depth_multiplier: (options.output_channels / input.shape[3]) as i32,
            }),
            &present(&[input, &filter, &bias]),
            &[&output],
        );
        output
    }

    /// Strides say how much larger the output is.
    pub(crate) fn transposed_convolution(
        &mut self,
        numbers: Numbers,
        input: &Value,
        options: &Convolution,
    ) -> Value {
        let [height, width] = options.window;
        let channels = input.shape[3];
        let size = |dimension: usize| {
            let grown = input.shape[dimension + 1] * options.strides[dimension];
            match options.padding {
                Padding::Same => grown,
                _ => grown + options.window[dimension].saturating_sub(options.strides[dimension]),
            }
        };
        let shape = [input.shape[0], size(0), size(1), options.output_channels];
        let sizes = self.integers(&shape.map(|size| size as i32));
        let Weights { filter, bias, output } = self.weights(
            numbers,
            input,
            Filter {
                shape: &[options.output_channels, height, width, channels],
                dimension: 0,
                depth: (height * width * channels)
                    .div_ceil(options.strides[0] * options.strides[1]),
            },
            &shape,
            options.variant,
        );
        self.operator(
            BuiltinOperator::TransposeConv,
            BuiltinOptionsT::TransposeConvOptions(TransposeConvOptionsT {
                padding: options.padding.raw(),
                stride_h: options.strides[0] as i32,
                stride_w: options.strides[1] as i32,
                fused_activation_function: options.activation.raw(),
            }),
            &present(&[&sizes, &filter, input, &bias]),
            &[&output],
        );
        output
    }

    /// The input's elements in rows of `depth`, each times a matrix; `keep_dims` keeps the input's
    /// outer dimensions.
    pub(crate) fn fully_connected(
        &mut self,
        numbers: Numbers,
        input: &Value,
        units: usize,
        activation: ActivationFunctionType,
        keep_dims: bool,
        variant: Variant,
    ) -> Value {
        let depth = input.shape.last().copied().unwrap_or(1);
        let shape = if keep_dims {
            let mut shape = input.shape.clone();
            if let Some(last) = shape.last_mut() {
                *last = units;
            }
            shape
        } else {
            vec![input.shape.iter().product::<usize>() / depth, units]
        };
        let filter = Filter { shape: &[units, depth], dimension: 0, depth };
        let Weights { filter, bias, output } =
            self.weights(numbers, input, filter, &shape, variant);
        self.operator(
            BuiltinOperator::FullyConnected,
            BuiltinOptionsT::FullyConnectedOptions(FullyConnectedOptionsT {
                fused_activation_function: activation.raw(),
                keep_num_dims: keep_dims,
                ..FullyConnectedOptionsT::default()
            }),
            &present(&[input, &filter, &bias]),
            &[&output],
        );
        output
    }

    pub(crate) fn pool(
        &mut self,
        operator: BuiltinOperator,
        input: &Value,
        options: &Convolution,
    ) -> Value {
        let shape =
            Convolution { output_channels: input.shape[3], ..*options }.output_shape(&input.shape);
        let output = self.tensor(input.format.clone(), &shape, input.spread);
        self.operator(
            operator,
            BuiltinOptionsT::Pool2DOptions(Pool2DOptionsT {
                padding: options.padding.raw(),
                stride_h: options.strides[0] as i32,
                stride_w: options.strides[1] as i32,
                filter_height: options.window[0] as i32,
                filter_width: options.window[1] as i32,
                fused_activation_function: options.activation.raw(),
            }),
            &[input],
            &[&output],
        );
        output
    }

    /// The sum, of the first operand's shape.
    pub(crate) fn add(
        &mut self,
        numbers: Numbers,
        a: &Value,
        b: &Value,
        activation: ActivationFunctionType,
    ) -> Value {
        let spread = a.spread.hypot(b.spread);
        let format = self.output_format(numbers, spread, Variant::default());
        let output = self.tensor(format, &a.shape, spread);
        let options = AddOptionsT { fused_activation_function: activation.raw() };
        let options = BuiltinOptionsT::AddOptions(options);
        self.operator(BuiltinOperator::Add, options, &[a, b], &[&output]);
        output
    }

    /// The product, of the first operand's shape.
    pub(crate) fn multiply(&mut self, numbers: Numbers, a: &Value, b: &Value) -> Value {
        let spread = a.spread * b.spread;
        let format = self.output_format(numbers, spread, Variant::default());
        let output = self.tensor(format, &a.shape, spread);
        let options = BuiltinOptionsT::MulOptions(MulOptionsT { fused_activation_function: 0 });
        self.operator(BuiltinOperator::Mul, options, &[a, b], &[&output]);
        output
    }

    /// The mean over height and width.
    pub(crate) fn global_mean(
        &mut self,
        numbers: Numbers,
        input: &Value,
        keep_dims: bool,
    ) -> Value {
        let [batch, height, width, channels] = input.shape[..] else {
            unreachable!("images have four dimensions");
        };
        let spread = input.spread / ((height * width) as f32).sqrt();
        let format = self.output_format(numbers, spread, Variant::default());
        let shape = if keep_dims { vec![batch, 1, 1, channels] } else { vec![batch, channels] };
        let output = self.tensor(format, &shape, spread);
        let axes = self.integers(&[1, 2]);
        let options = BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims });
        self.operator(BuiltinOperator::Mean, options, &[input, &axes], &[&output]);
        output
    }

    /// An operator of one operand whose output has the operand's shape.
    pub(crate) fn unary(
        &mut self,
        operator: BuiltinOperator,
        options: BuiltinOptionsT,
        input: &Value,
        format: Format,
        spread: f32,
    ) -> Value {
        let output = self.tensor(format, &input.shape, spread);
        self.operator(operator, options, &[input], &[&output]);
        output
    }

    /// A sigmoid; quantised ones always have a scale of 1/256.
    pub(crate) fn logistic(&mut self, numbers: Numbers, input: &Value) -> Value {
        let format = numbers.format(1.0 / 256.0, 0);
        self.unary(BuiltinOperator::Logistic, BuiltinOptionsT::None, input, format, 0.6)
    }
}
