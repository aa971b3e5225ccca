//! Which operators TensorFlow 1.15 runs, and what it must not be given.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator, BuiltinOptions, Model, Operator, OperatorCode,
    SubGraph, Tensor, TensorType,
};

/// The builtin operators of TensorFlow 1.15's resolver (`kernels/register.cc`) with the newest
/// version it has of each.
///
/// Left out are `IF` and `WHILE`, which are experimental there, and those whose options `schema`
/// does not verify: TensorFlow 1.15 would read them as they are.
pub(crate) const OPERATORS: [(BuiltinOperator, i32); 96] = [
    (BuiltinOperator::Abs, 1),
    (BuiltinOperator::Add, 2),
    (BuiltinOperator::AddN, 1),
    (BuiltinOperator::ArgMax, 2),
    (BuiltinOperator::ArgMin, 2),
    (BuiltinOperator::AveragePool2d, 2),
    (BuiltinOperator::BatchToSpaceNd, 2),
    (BuiltinOperator::Cast, 1),
    (BuiltinOperator::Ceil, 1),
    (BuiltinOperator::Concatenation, 2),
    (BuiltinOperator::Conv2d, 3),
    (BuiltinOperator::Cos, 1),
    (BuiltinOperator::DepthToSpace, 1),
    (BuiltinOperator::DepthwiseConv2d, 3),
    (BuiltinOperator::Dequantize, 4),
    (BuiltinOperator::Div, 1),
    (BuiltinOperator::Elu, 1),
    (BuiltinOperator::Equal, 2),
    (BuiltinOperator::Exp, 1),
    (BuiltinOperator::ExpandDims, 1),
    (BuiltinOperator::Fill, 1),
    (BuiltinOperator::Floor, 1),
    (BuiltinOperator::FloorDiv, 2),
    (BuiltinOperator::FloorMod, 1),
    (BuiltinOperator::FullyConnected, 6),
    (BuiltinOperator::Gather, 3),
    (BuiltinOperator::GatherNd, 1),
    (BuiltinOperator::Greater, 2),
    (BuiltinOperator::GreaterEqual, 2),
    (BuiltinOperator::HardSwish, 1),
    (BuiltinOperator::L2Normalization, 2),
    (BuiltinOperator::L2Pool2d, 1),
    (BuiltinOperator::LeakyRelu, 1),
    (BuiltinOperator::Less, 2),
    (BuiltinOperator::LessEqual, 2),
    (BuiltinOperator::Log, 1),
    (BuiltinOperator::LogSoftmax, 2),
    (BuiltinOperator::LogicalAnd, 1),
    (BuiltinOperator::LogicalNot, 1),
    (BuiltinOperator::LogicalOr, 1),
    (BuiltinOperator::Logistic, 2),
    (BuiltinOperator::MatrixDiag, 1),
    (BuiltinOperator::MatrixSetDiag, 1),
    (BuiltinOperator::MaxPool2d, 2),
    (BuiltinOperator::Maximum, 2),
    (BuiltinOperator::Mean, 2),
    (BuiltinOperator::Minimum, 2),
    (BuiltinOperator::MirrorPad, 1),
    (BuiltinOperator::Mul, 3),
    (BuiltinOperator::Neg, 1),
    (BuiltinOperator::NotEqual, 2),
    (BuiltinOperator::Pack, 2),
    (BuiltinOperator::Pad, 2),
    (BuiltinOperator::PadV2, 2),
    (BuiltinOperator::Pow, 1),
    (BuiltinOperator::Prelu, 1),
    (BuiltinOperator::Quantize, 2),
    (BuiltinOperator::Range, 1),
    (BuiltinOperator::Rank, 1),
    (BuiltinOperator::ReduceAny, 1),
    (BuiltinOperator::ReduceMax, 2),
    (BuiltinOperator::ReduceMin, 2),
    (BuiltinOperator::ReduceProd, 1),
    (BuiltinOperator::Relu, 1),
    (BuiltinOperator::Relu6, 2),
    (BuiltinOperator::ReluN1To1, 1),
    (BuiltinOperator::Reshape, 1),
    (BuiltinOperator::ResizeBilinear, 2),
    (BuiltinOperator::ResizeNearestNeighbor, 2),
    (BuiltinOperator::ReverseV2, 1),
    (BuiltinOperator::Round, 1),
    (BuiltinOperator::Rsqrt, 1),
    (BuiltinOperator::Select, 2),
    (BuiltinOperator::Shape, 1),
    (BuiltinOperator::Sin, 1),
    (BuiltinOperator::Slice, 3),
    (BuiltinOperator::Softmax, 2),
    (BuiltinOperator::SpaceToBatchNd, 2),
    (BuiltinOperator::SpaceToDepth, 2),
    (BuiltinOperator::Split, 3),
    (BuiltinOperator::SplitV, 1),
    (BuiltinOperator::Sqrt, 1),
    (BuiltinOperator::Square, 1),
    (BuiltinOperator::SquaredDifference, 1),
    (BuiltinOperator::Squeeze, 1),
    (BuiltinOperator::StridedSlice, 2),
    (BuiltinOperator::Sub, 2),
    (BuiltinOperator::Sum, 2),
    (BuiltinOperator::Tanh, 2),
    (BuiltinOperator::Tile, 1),
    (BuiltinOperator::TopKV2, 2),
    (BuiltinOperator::Transpose, 3),
    (BuiltinOperator::TransposeConv, 1),
    (BuiltinOperator::Unpack, 2),
    (BuiltinOperator::Where, 1),
    (BuiltinOperator::ZerosLike, 1),
];

/// The most dimensions that most kernels know; they end the process if there are more.
const MAX_RANK: usize = 4;

/// Everything about a model's operators that TensorFlow 1.15 does not have or cannot survive, each
/// once.
pub(crate) fn unsupported(model: &Model<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |complaint: String| {
        if !found.contains(&complaint) {
            found.push(complaint);
        }
    };
    // It looks up all of them, used or not.
    for code in model.operator_codes().iter() {
        if let Some(complaint) = unknown(&code) {
            add(complaint);
        }
    }
    for graph in model.subgraphs().iter() {
        for operator in graph.operators().iter() {
            let code = usize::try_from(operator.opcode_index())
                .ok()
                .and_then(|index| model.operator_codes().get(index));
            let Some(code) = code else {
                add(format!(
                    "operator code {}, which is not in the model",
                    operator.opcode_index()
                ));
                continue;
            };
            let Some(builtin) = BuiltinOperator::from_raw(code.builtin_number()) else {
                continue;
            };
            let use_ = Use { graph: &graph, operator: &operator, builtin };
            if let Some(complaint) = use_.complaint() {
                add(format!("{} {complaint}", builtin.name()));
            }
        }
    }
    found
}

/// Why an operator code is not known, if it is not.
fn unknown(code: &OperatorCode<'_>) -> Option<String> {
    let number = code.builtin_number();
    let Some(builtin) = BuiltinOperator::from_raw(number) else {
        return Some(format!("builtin operator code {number}"));
    };
    if builtin == BuiltinOperator::Custom {
        return Some(format!("custom operator {}", code.custom_code().unwrap_or("(unnamed)")));
    }
    let newest = OPERATORS.iter().find(|(known, _)| *known == builtin).map(|(_, newest)| *newest);
    match newest {
        None => Some(builtin.name().to_owned()),
        Some(newest) if !(1..=newest).contains(&code.version()) => {
            Some(format!("{} version {}", builtin.name(), code.version()))
        }
        // It knows one of the two fields only.
        Some(_) if i32::from(code.deprecated_builtin_code()) != number => {
            Some(format!("{} by a number that is in the newer field alone", builtin.name()))
        }
        Some(_) => None,
    }
}

/// One operator of a graph.
struct Use<'a, 'b> {
    graph: &'b SubGraph<'a>,
    operator: &'b Operator<'a>,
    builtin: BuiltinOperator,
}

impl<'a> Use<'a, '_> {
    /// What about the operator is not supported, to be read behind its name.
    fn complaint(&self) -> Option<String> {
        if !self.has_its_options() {
            return Some("without its options".to_owned());
        }
        let indices = || self.operator.inputs().iter().chain(self.operator.outputs().iter());
        let is_bias =
            |position: usize| self.builtin == BuiltinOperator::FullyConnected && position == BIAS;
        let mut inputs = self.operator.inputs().iter().enumerate();
        if inputs.any(|(position, index)| index < 0 && !is_bias(position)) {
            return Some("with an input left out".to_owned());
        }
        let rank = indices().filter_map(|index| self.tensor(index)).map(|t| t.shape().len()).max();
        if let Some(rank) = rank
            && rank > MAX_RANK
            && !takes_any_rank(self.builtin)
        {
            return Some(format!("of {rank} dimensions"));
        }
        self.options_complaint()
            .or_else(|| self.weights_complaint())
            .or_else(|| self.scales_complaint())
            .map(str::to_owned)
    }

    fn tensor(&self, index: i32) -> Option<Tensor<'a>> {
        usize::try_from(index).ok().and_then(|index| self.graph.tensors().get(index))
    }

    fn input(&self, position: usize) -> Option<Tensor<'a>> {
        self.operator.inputs().get(position).and_then(|index| self.tensor(index))
    }

    fn output(&self) -> Option<Tensor<'a>> {
        self.operator.outputs().first().and_then(|index| self.tensor(index))
    }

    /// Whether the options are of the operator's own type, where it has one. TensorFlow 1.15 goes
    /// on without, with options from memory that was not written.
    fn has_its_options(&self) -> bool {
        use BuiltinOperator as Op;
        use BuiltinOptions as Options;
        let options = self.operator.builtin_options();
        match self.builtin {
            Op::Add => matches!(options, Options::AddOptions(_)),
            Op::ArgMax => matches!(options, Options::ArgMaxOptions(_)),
            Op::ArgMin => matches!(options, Options::ArgMinOptions(_)),
            Op::AveragePool2d | Op::MaxPool2d | Op::L2Pool2d => {
                matches!(options, Options::Pool2DOptions(_))
            }
            Op::Concatenation => matches!(options, Options::ConcatenationOptions(_)),
            Op::Conv2d => matches!(options, Options::Conv2DOptions(_)),
            Op::DepthToSpace => matches!(options, Options::DepthToSpaceOptions(_)),
            Op::DepthwiseConv2d => matches!(options, Options::DepthwiseConv2DOptions(_)),
            Op::Div => matches!(options, Options::DivOptions(_)),
            Op::FullyConnected => matches!(options, Options::FullyConnectedOptions(_)),
            Op::Gather => matches!(options, Options::GatherOptions(_)),
            Op::L2Normalization => matches!(options, Options::L2NormOptions(_)),
            Op::LeakyRelu => matches!(options, Options::LeakyReluOptions(_)),
            Op::Mean | Op::Sum | Op::ReduceMax | Op::ReduceMin | Op::ReduceProd | Op::ReduceAny => {
                matches!(options, Options::ReducerOptions(_))
            }
            Op::MirrorPad => matches!(options, Options::MirrorPadOptions(_)),
            Op::Mul => matches!(options, Options::MulOptions(_)),
            Op::Pack => matches!(options, Options::PackOptions(_)),
            // It has its shape from its second input, if there is one.
            Op::Reshape => {
                self.operator.inputs().len() == 2 || matches!(options, Options::ReshapeOptions(_))
            }
            Op::ResizeBilinear => matches!(options, Options::ResizeBilinearOptions(_)),
            Op::ResizeNearestNeighbor => {
                matches!(options, Options::ResizeNearestNeighborOptions(_))
            }
            Op::Shape => matches!(options, Options::ShapeOptions(_)),
            Op::Softmax => matches!(options, Options::SoftmaxOptions(_)),
            Op::SpaceToDepth => matches!(options, Options::SpaceToDepthOptions(_)),
            Op::Split => matches!(options, Options::SplitOptions(_)),
            Op::SplitV => matches!(options, Options::SplitVOptions(_)),
            Op::Squeeze => matches!(options, Options::SqueezeOptions(_)),
            Op::StridedSlice => matches!(options, Options::StridedSliceOptions(_)),
            Op::Sub => matches!(options, Options::SubOptions(_)),
            Op::TransposeConv => matches!(options, Options::TransposeConvOptions(_)),
            Op::Unpack => matches!(options, Options::UnpackOptions(_)),
            _ => true,
        }
    }

    /// Options that are not known, and numbers by which kernels divide.
    fn options_complaint(&self) -> Option<&'static str> {
        const STEPS: &str = "with a stride, dilation or window below one";
        let all_above_zero = |sizes: &[i32]| sizes.iter().all(|&size| size > 0);
        match self.operator.builtin_options() {
            BuiltinOptions::Conv2DOptions(options) => {
                let steps = [
                    options.stride_w(),
                    options.stride_h(),
                    options.dilation_w_factor(),
                    options.dilation_h_factor(),
                ];
                (!all_above_zero(&steps)).then_some(STEPS)
            }
            BuiltinOptions::DepthwiseConv2DOptions(options) => {
                let steps = [
                    options.stride_w(),
                    options.stride_h(),
                    options.dilation_w_factor(),
                    options.dilation_h_factor(),
                    options.depth_multiplier(),
                ];
                (!all_above_zero(&steps)).then_some(STEPS)
            }
            BuiltinOptions::Pool2DOptions(options) => {
                let steps = [
                    options.stride_w(),
                    options.stride_h(),
                    options.filter_width(),
                    options.filter_height(),
                ];
                (!all_above_zero(&steps)).then_some(STEPS)
            }
            BuiltinOptions::TransposeConvOptions(options) => {
                if !all_above_zero(&[options.stride_w(), options.stride_h()]) {
                    return Some(STEPS);
                }
                (options.fused_activation_function() != 0).then_some("with an activation function")
            }
            BuiltinOptions::SpaceToDepthOptions(options) => {
                (options.block_size() < 1).then_some("with a block size below one")
            }
            BuiltinOptions::DepthToSpaceOptions(options) => {
                (options.block_size() < 1).then_some("with a block size below one")
            }
            BuiltinOptions::ResizeBilinearOptions(options) => {
                options.half_pixel_centers().then_some("with samples at pixel centres")
            }
            BuiltinOptions::ResizeNearestNeighborOptions(options) => {
                if options.half_pixel_centers() {
                    return Some("with samples at pixel centres");
                }
                options.align_corners().then_some("with aligned corners")
            }
            BuiltinOptions::GatherOptions(options) => {
                (options.batch_dims() != 0).then_some("with batch dimensions")
            }
            BuiltinOptions::StridedSliceOptions(options) => {
                options.offset().then_some("with ends that count from the begin")
            }
            _ => None,
        }
    }

    /// Weights of bytes that kernels take for something else.
    fn weights_complaint(&self) -> Option<&'static str> {
        use BuiltinOperator as Op;
        if !matches!(self.builtin, Op::Conv2d | Op::DepthwiseConv2d | Op::FullyConnected) {
            return None;
        }
        let (image, filter) = (self.input(0)?, self.input(1)?);
        let is_float = image.type_() == TensorType::Float32.raw();
        let is_hybrid = is_float && filter.type_() != TensorType::Float32.raw();
        let scales = filter.quantization().map_or(0, |quantization| quantization.scale().len());
        if scales > 1 && (is_hybrid || self.builtin == Op::FullyConnected) {
            return Some("with 8-bit weights that have a scale for each channel");
        }
        if !is_hybrid {
            return None;
        }
        match self.operator.builtin_options() {
            BuiltinOptions::Conv2DOptions(options) => {
                let is_dilated = options.dilation_w_factor() > 1 || options.dilation_h_factor() > 1;
                is_dilated.then_some("with 8-bit weights and dilation")
            }
            BuiltinOptions::FullyConnectedOptions(options) => {
                let activation =
                    ActivationFunctionType::from_raw(options.fused_activation_function());
                let is_known = matches!(
                    activation,
                    Some(
                        ActivationFunctionType::None
                            | ActivationFunctionType::Relu
                            | ActivationFunctionType::Relu6
                    )
                );
                (!is_known).then_some("with 8-bit weights and that activation function")
            }
            _ => Some("of floats with 8-bit weights"),
        }
    }

    /// Whether the range of the output's type cuts off what the fused activation does: kernels of
    /// signed bytes leave it to that.
    fn activation_is_implied(&self) -> bool {
        let activation = match self.operator.builtin_options() {
            BuiltinOptions::Conv2DOptions(options) => options.fused_activation_function(),
            BuiltinOptions::DepthwiseConv2DOptions(options) => options.fused_activation_function(),
            _ => return false,
        };
        let output = self.output();
        let zero_point = output
            .and_then(|tensor| tensor.quantization())
            .and_then(|quantization| quantization.zero_point().first());
        let starts_at_zero = zero_point == Some(i64::from(i8::MIN));
        match ActivationFunctionType::from_raw(activation) {
            Some(ActivationFunctionType::None) => true,
            Some(ActivationFunctionType::Relu) => starts_at_zero,
            Some(ActivationFunctionType::Relu6) => {
                // A range that ends within half a step above six gives six for what exceeds it.
                let largest = self.output().and_then(|tensor| scale_of(&tensor));
                starts_at_zero && largest.is_some_and(|scale| 254.5 * scale <= 6.0)
            }
            _ => false,
        }
    }

    /// Scales that kernels cannot turn into a multiplier, and of which they have no copy for each
    /// channel.
    fn scales_complaint(&self) -> Option<&'static str> {
        use BuiltinOperator as Op;
        const MULTIPLIER: &str = "with scales that give no multiplier";
        let scale = |tensor: Option<Tensor<'a>>| tensor.and_then(|tensor| scale_of(&tensor));
        let (first, second) = (self.input(0)?, self.input(1));
        let element = TensorType::from_raw(first.type_());
        if !matches!(element, Some(TensorType::UInt8 | TensorType::Int8 | TensorType::Int16)) {
            return None;
        }
        let below_one = |multiplier: f64| multiplier > 0.0 && multiplier < 1.0;
        let (first, output) = (scale_of(&first), scale(self.output()));
        let fits = match self.builtin {
            Op::Conv2d | Op::DepthwiseConv2d if element == Some(TensorType::Int8) => {
                let filter = second?;
                let channels = match self.builtin {
                    Op::Conv2d => filter.shape().first(),
                    _ => filter.shape().get(3),
                };
                let scales =
                    filter.quantization().map_or(0, |quantization| quantization.scale().len());
                let expected = channels.and_then(|channels| usize::try_from(channels).ok());
                if expected != Some(scales) {
                    return Some("of INT8 without a scale for each output channel");
                }
                if !self.activation_is_implied() {
                    return Some("of INT8 with an activation that its output does not imply");
                }
                first.is_some() && output.is_some()
            }
            Op::Add | Op::Sub => match (first, scale(second), output) {
                (Some(first), Some(second), Some(output)) => {
                    below_one(2.0 * first.max(second) / (f64::from(1 << 20) * output))
                }
                _ => false,
            },
            Op::Sum => return Some("of bytes"),
            Op::Prelu if element == Some(TensorType::UInt8) => return Some("of UINT8"),
            Op::Mean if element == Some(TensorType::Int8) => {
                if self.input(0)?.shape().len() != MAX_RANK {
                    return Some("of INT8 in other than 4 dimensions");
                }
                true
            }
            Op::Relu6 | Op::ReluN1To1 => {
                if first != output {
                    return Some("with an output of another scale");
                }
                true
            }
            Op::Equal
            | Op::NotEqual
            | Op::Greater
            | Op::GreaterEqual
            | Op::Less
            | Op::LessEqual => first.is_some_and(below_one) && scale(second).is_some_and(below_one),
            Op::Prelu => match (first, scale(second), output) {
                (Some(first), Some(second), Some(output)) => below_one(first * second / output),
                _ => false,
            },
            Op::LeakyRelu => match (first, output) {
                (Some(first), Some(output)) => below_one(first * first / output),
                _ => false,
            },
            Op::Softmax => match self.operator.builtin_options() {
                BuiltinOptions::SoftmaxOptions(options) => first
                    .is_some_and(|scale| scale * f64::from(options.beta()) * SCALED_INPUT > 1.0),
                _ => false,
            },
            Op::LogSoftmax => first.is_some_and(|scale| scale * SCALED_INPUT > 1.0),
            Op::Logistic | Op::Tanh if element != Some(TensorType::Int16) => {
                first.is_some_and(|scale| scale * SCALED_INPUT > 1.0)
            }
            _ => true,
        };
        (!fits).then_some(MULTIPLIER)
    }
}

/// The position of a bias among an operator's inputs.
const BIAS: usize = 2;

/// What kernels multiply a scale with to have exponents in fixed point, which must exceed one.
const SCALED_INPUT: f64 = (1_u32 << 26) as f64;

/// The scale of a whole tensor, if it has one above zero.
fn scale_of(tensor: &Tensor<'_>) -> Option<f64> {
    let quantization = tensor.quantization()?;
    let scale = quantization.scale().first().filter(|_| quantization.scale().len() == 1)?;
    Some(f64::from(scale)).filter(|scale| scale.is_finite() && *scale > 0.0)
}

/// Whether kernels of the operator go through elements without regard to dimensions, or look at
/// their number themselves.
fn takes_any_rank(operator: BuiltinOperator) -> bool {
    use BuiltinOperator as Op;
    matches!(
        operator,
        Op::Cast
            | Op::Concatenation
            | Op::Dequantize
            | Op::ExpandDims
            | Op::Quantize
            | Op::Rank
            | Op::Relu
            | Op::Relu6
            | Op::ReluN1To1
            | Op::Reshape
            | Op::Shape
            | Op::Squeeze
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use image_embedder_schema::tflite::{
        AddOptionsT, BufferT, BuiltinOptionsT, Conv2DOptionsT, ModelT, OperatorCodeT, OperatorT,
        QuantizationParametersT, ResizeBilinearOptionsT, SubGraphT, TensorT, read_model,
    };
    use tflite::ops::builtin::BuiltinOpResolver;
    use tflite::{FlatBufferModel, InterpreterBuilder};

    use super::*;

    /// The operators of TensorFlow 1.15 that are left out.
    const LEFT_OUT: usize = 20;

    /// A model of one byte that names the operator but does not use it.
    fn naming(operator: BuiltinOperator, version: i32) -> Vec<u8> {
        let mut model = model(operator, BuiltinOptionsT::None, vec![byte(&[1], &[])], &[], 0);
        model.operator_codes.as_mut().unwrap()[0].version = version;
        model.subgraphs.as_mut().unwrap()[0].operators = Some(Vec::new());
        model.to_bytes()
    }

    /// A tensor of unsigned bytes.
    fn byte(shape: &[i32], scales: &[f32]) -> TensorT {
        TensorT {
            shape: Some(shape.to_vec()),
            type_: TensorType::UInt8.raw(),
            quantization: Some(Box::new(QuantizationParametersT {
                scale: Some(scales.to_vec()),
                zero_point: Some(vec![0; scales.len()]),
                ..QuantizationParametersT::default()
            })),
            ..TensorT::default()
        }
    }

    /// A model of one operator.
    fn model(
        operator: BuiltinOperator,
        builtin_options: BuiltinOptionsT,
        tensors: Vec<TensorT>,
        inputs: &[i32],
        output: i32,
    ) -> ModelT {
        let code = OperatorCodeT {
            deprecated_builtin_code: operator.raw().min(127) as i8,
            builtin_code: operator.raw(),
            ..OperatorCodeT::default()
        };
        let operator = OperatorT {
            inputs: Some(inputs.to_vec()),
            outputs: Some(vec![output]),
            builtin_options,
            ..OperatorT::default()
        };
        let graph = SubGraphT {
            tensors: Some(tensors),
            inputs: Some(vec![0]),
            outputs: Some(vec![output]),
            operators: Some(vec![operator]),
            ..SubGraphT::default()
        };
        ModelT {
            version: 3,
            operator_codes: Some(vec![code]),
            subgraphs: Some(vec![graph]),
            buffers: Some(vec![BufferT::default()]),
            ..ModelT::default()
        }
    }

    /// Whether TensorFlow Lite itself has the operator.
    fn is_registered(operator: BuiltinOperator, version: i32) -> bool {
        let model = FlatBufferModel::build_from_buffer(naming(operator, version)).unwrap();
        InterpreterBuilder::new(model, BuiltinOpResolver::default()).unwrap().build().is_ok()
    }

    #[test]
    fn the_list_is_that_of_the_resolver() {
        let mut compared = 0;
        for (operator, newest) in OPERATORS {
            assert!(is_registered(operator, newest), "{operator:?} version {newest}");
            assert!(!is_registered(operator, newest + 1), "{operator:?} version {}", newest + 1);
            compared += 1;
        }
        assert_eq!(compared, OPERATORS.len());
        let mut others = 0;
        for number in 0..127 {
            let operator = BuiltinOperator::from_raw(number).unwrap();
            let is_listed = OPERATORS.iter().any(|(listed, _)| *listed == operator);
            if !is_listed && is_registered(operator, 1) {
                others += 1;
            }
        }
        assert_eq!(others, LEFT_OUT);
    }

    fn complaints(model: &ModelT) -> Vec<String> {
        unsupported(&read_model(&model.to_bytes()).unwrap())
    }

    fn add(tensors: Vec<TensorT>) -> ModelT {
        let options = BuiltinOptionsT::AddOptions(AddOptionsT::default());
        model(BuiltinOperator::Add, options, tensors, &[0, 1], 2)
    }

    fn convolution(stride: i32, filter: TensorT, inputs: &[i32]) -> ModelT {
        let options = Conv2DOptionsT {
            stride_w: stride,
            stride_h: 1,
            dilation_w_factor: 1,
            dilation_h_factor: 1,
            ..Conv2DOptionsT::default()
        };
        let image = TensorT { type_: filter.type_, ..byte(&[1, 2, 2, 1], &[1.0]) };
        let bias = TensorT { type_: TensorType::Int32.raw(), ..byte(&[2], &[1.0]) };
        let output = TensorT { type_: filter.type_, ..byte(&[1, 2, 2, 2], &[1.0]) };
        let tensors = vec![image, filter, bias, output];
        let options = BuiltinOptionsT::Conv2DOptions(options);
        model(BuiltinOperator::Conv2d, options, tensors, inputs, 3)
    }

    #[test]
    fn what_is_not_survived_is_named() {
        let alike = || vec![byte(&[2], &[1.0]), byte(&[2], &[1.0]), byte(&[2], &[1.0])];
        let signed = |scales: &[f32]| TensorT {
            type_: TensorType::Int8.raw(),
            ..byte(&[2, 1, 1, 1], scales)
        };
        let filter = || byte(&[2, 1, 1, 1], &[1.0]);
        let fine = [
            add(alike()),
            convolution(1, filter(), &[0, 1, 2]),
            convolution(1, signed(&[1.0, 0.5]), &[0, 1, 2]),
        ];
        for model in &fine {
            assert_eq!(complaints(model), Vec::<String>::new());
        }

        let scaled =
            |output: f32| add(vec![alike()[0].clone(), alike()[1].clone(), byte(&[2], &[output])]);
        let mut without_options = add(alike());
        let graph = &mut without_options.subgraphs.as_mut().unwrap()[0];
        graph.operators.as_mut().unwrap()[0].builtin_options = BuiltinOptionsT::None;
        let mut newer_field = convolution(1, filter(), &[0, 1, 2]);
        newer_field.operator_codes.as_mut().unwrap()[0].deprecated_builtin_code = 0;
        let mut later = convolution(1, filter(), &[0, 1, 2]);
        later.operator_codes.as_mut().unwrap()[0].version = 5;
        let mut custom = add(alike());
        let code = &mut custom.operator_codes.as_mut().unwrap()[0];
        code.builtin_code = BuiltinOperator::Custom.raw();
        code.deprecated_builtin_code = BuiltinOperator::Custom.raw() as i8;
        code.custom_code = Some("edgetpu-custom-op".to_owned());
        let centres = ResizeBilinearOptionsT { half_pixel_centers: true, ..Default::default() };
        let centres = BuiltinOptionsT::ResizeBilinearOptions(centres);
        let large = || byte(&[1, 1, 1, 1, 2], &[1.0]);

        let cases = [
            (scaled(1e-7), "ADD with scales that give no multiplier"),
            (scaled(0.0), "ADD with scales that give no multiplier"),
            (add(vec![large(), large(), large()]), "ADD of 5 dimensions"),
            (without_options, "ADD without its options"),
            (
                convolution(0, filter(), &[0, 1, 2]),
                "CONV_2D with a stride, dilation or window below one",
            ),
            (convolution(1, filter(), &[0, 1, -1]), "CONV_2D with an input left out"),
            (
                convolution(1, signed(&[1.0]), &[0, 1, 2]),
                "CONV_2D of INT8 without a scale for each output channel",
            ),
            (newer_field, "CONV_2D by a number that is in the newer field alone"),
            (later, "CONV_2D version 5"),
            (custom, "custom operator edgetpu-custom-op"),
            (
                model(BuiltinOperator::ResizeBilinear, centres, alike(), &[0, 1], 2),
                "RESIZE_BILINEAR with samples at pixel centres",
            ),
            (
                model(BuiltinOperator::BatchMatmul, BuiltinOptionsT::None, alike(), &[0, 1], 2),
                "BATCH_MATMUL",
            ),
        ];
        let mut refused = 0;
        for (model, expected) in &cases {
            assert_eq!(complaints(model), [*expected]);
            refused += 1;
        }
        assert_eq!(refused, 12);
    }
}
