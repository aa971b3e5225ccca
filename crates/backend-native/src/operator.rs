//! The operators that the engine knows, with their options as plain data.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator, BuiltinOptions, Padding, Pool2DOptions,
};

/// A supported operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    AddN,
    /// The place of the largest or the least element.
    ArgExtreme {
        is_maximum: bool,
    },
    AveragePool2d(Pool),
    BatchMatMul {
        /// Whether the rows and columns of the operand are exchanged.
        adjoint: [bool; 2],
    },
    BatchToSpaceNd,
    Binary(Binary, Activation),
    BroadcastTo,
    Cast,
    Compare(Comparison),
    Concatenation {
        axis: i32,
        activation: Activation,
    },
    Conv2d(Convolution),
    DepthToSpace {
        block: i32,
    },
    DepthwiseConv2d(Convolution),
    Dequantize,
    ExpandDims,
    Fill,
    FullyConnected {
        activation: Activation,
        keep_dims: bool,
    },
    Gather {
        axis: i32,
        batch_dims: i32,
    },
    L2Normalization(Activation),
    L2Pool2d(Pool),
    LogSoftmax,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    MaxPool2d(Pool),
    MirrorPad {
        /// Whether the edge itself is repeated.
        symmetric: bool,
    },
    Pack {
        axis: i32,
    },
    /// With zeros, or with the third input.
    Pad,
    Prelu,
    Quantize,
    Range,
    Rank,
    Reduce {
        function: Reduction,
        keep_dims: bool,
    },
    Reshape,
    ResizeBilinear(Alignment),
    ResizeNearestNeighbor(Alignment),
    ReverseV2,
    /// By a condition, with broadcasting or as the first version has it.
    Select {
        broadcasts: bool,
    },
    Shape,
    Slice,
    Softmax {
        beta: f32,
    },
    SpaceToBatchNd,
    SpaceToDepth {
        block: i32,
    },
    Split,
    SplitV,
    Squeeze,
    StridedSlice(Masks),
    Tile,
    Transpose,
    TransposeConv(Convolution),
    Unary(Unary),
    Unpack {
        axis: i32,
    },
    ZerosLike,
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Binary {
    Add,
    Div,
    FloorDiv,
    FloorMod,
    Maximum,
    Minimum,
    Mul,
    Pow,
    SquaredDifference,
    Sub,
}

/// A relation of two elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    NotEqual,
}

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Abs,
    Ceil,
    Cos,
    Elu,
    Exp,
    Floor,
    Gelu { approximate: bool },
    HardSwish,
    LeakyRelu { alpha: f32 },
    Log,
    Logistic,
    Neg,
    Clamp(Activation),
    Round,
    Rsqrt,
    Sin,
    Sqrt,
    Square,
    Tanh,
}

/// A function of all elements along some dimensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reduction {
    Max,
    Mean,
    Min,
    Prod,
    Sum,
}

/// How the pixels of a resized image lie over those of the original.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Alignment {
    pub(crate) corners: bool,
    pub(crate) half_pixel_centers: bool,
}

/// The function applied to an operator's result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Activation {
    None,
    Relu,
    ReluN1To1,
    Relu6,
}

/// Windows over an image: of a convolution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Convolution {
    pub(crate) padding: Padding,
    /// Height, width.
    pub(crate) strides: [usize; 2],
    /// Height, width.
    pub(crate) dilations: [usize; 2],
    pub(crate) activation: Activation,
}

/// Windows over an image: of a pooling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pool {
    pub(crate) padding: Padding,
    /// Height, width.
    pub(crate) strides: [usize; 2],
    /// Height, width.
    pub(crate) window: [usize; 2],
    pub(crate) activation: Activation,
}

/// Bit masks of a strided slice, see the schema's `StridedSliceOptions`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Masks {
    pub(crate) begin: i32,
    pub(crate) end: i32,
    pub(crate) ellipsis: i32,
    pub(crate) new_axis: i32,
    pub(crate) shrink_axis: i32,
}

impl Activation {
    fn read(raw: i8) -> Option<Self> {
        Some(match ActivationFunctionType::from_raw(raw)? {
            ActivationFunctionType::None => Self::None,
            ActivationFunctionType::Relu => Self::Relu,
            ActivationFunctionType::ReluN1To1 => Self::ReluN1To1,
            ActivationFunctionType::Relu6 => Self::Relu6,
            _ => return None,
        })
    }

    /// The least and the largest real result.
    pub(crate) fn range(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::ReluN1To1 => (-1.0, 1.0),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// Both sizes if both are at least one.
fn positive(height: i32, width: i32) -> Option<[usize; 2]> {
    let size = |value: i32| usize::try_from(value).ok().filter(|&value| value > 0);
    Some([size(height)?, size(width)?])
}

fn read_pool(options: &Pool2DOptions<'_>) -> Option<Pool> {
    Some(Pool {
        padding: Padding::from_raw(options.padding())?,
        strides: positive(options.stride_h(), options.stride_w())?,
        window: positive(options.filter_height(), options.filter_width())?,
        activation: Activation::read(options.fused_activation_function())?,
    })
}

impl Operator {
    /// The operator, if the engine knows it and its options.
    pub(crate) fn read(number: i32, options: &BuiltinOptions<'_>) -> Option<Self> {
        use BuiltinOperator as Code;
        use BuiltinOptions as Options;
        let unary = |function| Some(Self::Unary(function));
        let code = BuiltinOperator::from_raw(number)?;
        Some(match (code, options) {
            (Code::Abs, _) => return unary(Unary::Abs),
            (Code::Add, Options::AddOptions(o)) => {
                Self::Binary(Binary::Add, Activation::read(o.fused_activation_function())?)
            }
            (Code::Add, Options::None) => Self::Binary(Binary::Add, Activation::None),
            (Code::AddN, _) => Self::AddN,
            (Code::ArgMax, _) => Self::ArgExtreme { is_maximum: true },
            (Code::ArgMin, _) => Self::ArgExtreme { is_maximum: false },
            (Code::AveragePool2d, Options::Pool2DOptions(o)) => Self::AveragePool2d(read_pool(o)?),
            (Code::BatchMatmul, Options::BatchMatMulOptions(o)) => {
                Self::BatchMatMul { adjoint: [o.adj_x(), o.adj_y()] }
            }
            (Code::BatchMatmul, Options::None) => Self::BatchMatMul { adjoint: [false; 2] },
            (Code::BatchToSpaceNd, _) => Self::BatchToSpaceNd,
            (Code::BroadcastTo, _) => Self::BroadcastTo,
            (Code::Cast, _) => Self::Cast,
            (Code::Ceil, _) => return unary(Unary::Ceil),
            (Code::Concatenation, Options::ConcatenationOptions(o)) => Self::Concatenation {
                axis: o.axis(),
                activation: Activation::read(o.fused_activation_function())?,
            },
            (Code::Conv2d, Options::Conv2DOptions(o)) => Self::Conv2d(Convolution {
                padding: Padding::from_raw(o.padding())?,
                strides: positive(o.stride_h(), o.stride_w())?,
                dilations: positive(o.dilation_h_factor(), o.dilation_w_factor())?,
                activation: Activation::read(o.fused_activation_function())?,
            }),
            (Code::Cos, _) => return unary(Unary::Cos),
            (Code::DepthToSpace, Options::DepthToSpaceOptions(o)) => {
                Self::DepthToSpace { block: o.block_size() }
            }
            (Code::DepthwiseConv2d, Options::DepthwiseConv2DOptions(o)) => {
                Self::DepthwiseConv2d(Convolution {
                    padding: Padding::from_raw(o.padding())?,
                    strides: positive(o.stride_h(), o.stride_w())?,
                    dilations: positive(o.dilation_h_factor(), o.dilation_w_factor())?,
                    activation: Activation::read(o.fused_activation_function())?,
                })
            }
            (Code::Dequantize, _) => Self::Dequantize,
            (Code::Div, Options::DivOptions(o)) => {
                Self::Binary(Binary::Div, Activation::read(o.fused_activation_function())?)
            }
            (Code::Div, Options::None) => Self::Binary(Binary::Div, Activation::None),
            (Code::Elu, _) => return unary(Unary::Elu),
            (Code::Equal, _) => Self::Compare(Comparison::Equal),
            (Code::Exp, _) => return unary(Unary::Exp),
            (Code::ExpandDims, _) => Self::ExpandDims,
            (Code::Fill, _) => Self::Fill,
            (Code::Floor, _) => return unary(Unary::Floor),
            (Code::FloorDiv, _) => Self::Binary(Binary::FloorDiv, Activation::None),
            (Code::FloorMod, _) => Self::Binary(Binary::FloorMod, Activation::None),
            (Code::FullyConnected, Options::FullyConnectedOptions(o))
                if o.weights_format() == 0 =>
            {
                Self::FullyConnected {
                    activation: Activation::read(o.fused_activation_function())?,
                    keep_dims: o.keep_num_dims(),
                }
            }
            (Code::Gather, Options::GatherOptions(o)) => {
                Self::Gather { axis: o.axis(), batch_dims: o.batch_dims() }
            }
            (Code::Gather, Options::None) => Self::Gather { axis: 0, batch_dims: 0 },
            (Code::Gelu, Options::GeluOptions(o)) => {
                return unary(Unary::Gelu { approximate: o.approximate() });
            }
            (Code::Gelu, Options::None) => return unary(Unary::Gelu { approximate: false }),
            (Code::Greater, _) => Self::Compare(Comparison::Greater),
            (Code::GreaterEqual, _) => Self::Compare(Comparison::GreaterEqual),
            (Code::HardSwish, _) => return unary(Unary::HardSwish),
            (Code::L2Normalization, Options::L2NormOptions(o)) => {
                Self::L2Normalization(Activation::read(o.fused_activation_function())?)
            }
            (Code::L2Normalization, Options::None) => Self::L2Normalization(Activation::None),
            (Code::L2Pool2d, Options::Pool2DOptions(o)) => Self::L2Pool2d(read_pool(o)?),
            (Code::LeakyRelu, Options::LeakyReluOptions(o)) => {
                return unary(Unary::LeakyRelu { alpha: o.alpha() });
            }
            (Code::Less, _) => Self::Compare(Comparison::Less),
            (Code::LessEqual, _) => Self::Compare(Comparison::LessEqual),
            (Code::Log, _) => return unary(Unary::Log),
            (Code::LogSoftmax, _) => Self::LogSoftmax,
            (Code::LogicalAnd, _) => Self::LogicalAnd,
            (Code::LogicalNot, _) => Self::LogicalNot,
            (Code::LogicalOr, _) => Self::LogicalOr,
            (Code::Logistic, _) => return unary(Unary::Logistic),
            (Code::Maximum, _) => Self::Binary(Binary::Maximum, Activation::None),
            (Code::MaxPool2d, Options::Pool2DOptions(o)) => Self::MaxPool2d(read_pool(o)?),
            (
                Code::Mean | Code::ReduceMax | Code::ReduceMin | Code::ReduceProd | Code::Sum,
                Options::ReducerOptions(_) | Options::None,
            ) => Self::Reduce {
                function: match code {
                    Code::ReduceMax => Reduction::Max,
                    Code::ReduceMin => Reduction::Min,
                    Code::ReduceProd => Reduction::Prod,
                    Code::Sum => Reduction::Sum,
                    _ => Reduction::Mean,
                },
                keep_dims: match options {
                    Options::ReducerOptions(o) => o.keep_dims(),
                    _ => false,
                },
            },
            (Code::Minimum, _) => Self::Binary(Binary::Minimum, Activation::None),
            (Code::MirrorPad, Options::MirrorPadOptions(o)) => Self::MirrorPad {
                // The schema's `MirrorPadMode`: 0 is REFLECT, 1 is SYMMETRIC.
                symmetric: match o.mode() {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            (Code::Mul, Options::MulOptions(o)) => {
                Self::Binary(Binary::Mul, Activation::read(o.fused_activation_function())?)
            }
            (Code::Mul, Options::None) => Self::Binary(Binary::Mul, Activation::None),
            (Code::Neg, _) => return unary(Unary::Neg),
            (Code::NotEqual, _) => Self::Compare(Comparison::NotEqual),
            (Code::Pack, Options::PackOptions(o)) => Self::Pack { axis: o.axis() },
            (Code::Pad | Code::PadV2, _) => Self::Pad,
            (Code::Pow, _) => Self::Binary(Binary::Pow, Activation::None),
            (Code::Prelu, _) => Self::Prelu,
            (Code::Quantize, _) => Self::Quantize,
            (Code::Range, _) => Self::Range,
            (Code::Rank, _) => Self::Rank,
            (Code::Relu, _) => return unary(Unary::Clamp(Activation::Relu)),
            (Code::Relu6, _) => return unary(Unary::Clamp(Activation::Relu6)),
            (Code::ReluN1To1, _) => return unary(Unary::Clamp(Activation::ReluN1To1)),
            (Code::Reshape, _) => Self::Reshape,
            (Code::ResizeBilinear, Options::ResizeBilinearOptions(o)) => {
                Self::ResizeBilinear(Alignment {
                    corners: o.align_corners(),
                    half_pixel_centers: o.half_pixel_centers(),
                })
            }
            (Code::ResizeNearestNeighbor, Options::ResizeNearestNeighborOptions(o)) => {
                Self::ResizeNearestNeighbor(Alignment {
                    corners: o.align_corners(),
                    half_pixel_centers: o.half_pixel_centers(),
                })
            }
            (Code::ReverseV2, _) => Self::ReverseV2,
            (Code::Round, _) => return unary(Unary::Round),
            (Code::Rsqrt, _) => return unary(Unary::Rsqrt),
            (Code::Select, _) => Self::Select { broadcasts: false },
            (Code::SelectV2, _) => Self::Select { broadcasts: true },
            (Code::Shape, _) => Self::Shape,
            (Code::Sin, _) => return unary(Unary::Sin),
            (Code::Slice, _) => Self::Slice,
            (Code::Softmax, Options::SoftmaxOptions(o)) => Self::Softmax { beta: o.beta() },
            (Code::SpaceToBatchNd, _) => Self::SpaceToBatchNd,
            (Code::SpaceToDepth, Options::SpaceToDepthOptions(o)) => {
                Self::SpaceToDepth { block: o.block_size() }
            }
            (Code::Split, _) => Self::Split,
            (Code::SplitV, _) => Self::SplitV,
            (Code::Sqrt, _) => return unary(Unary::Sqrt),
            (Code::Square, _) => return unary(Unary::Square),
            (Code::SquaredDifference, _) => {
                Self::Binary(Binary::SquaredDifference, Activation::None)
            }
            (Code::Squeeze, _) => Self::Squeeze,
            (Code::StridedSlice, Options::StridedSliceOptions(o)) if !o.offset() => {
                Self::StridedSlice(Masks {
                    begin: o.begin_mask(),
                    end: o.end_mask(),
                    ellipsis: o.ellipsis_mask(),
                    new_axis: o.new_axis_mask(),
                    shrink_axis: o.shrink_axis_mask(),
                })
            }
            (Code::Sub, Options::SubOptions(o)) => {
                Self::Binary(Binary::Sub, Activation::read(o.fused_activation_function())?)
            }
            (Code::Sub, Options::None) => Self::Binary(Binary::Sub, Activation::None),
            (Code::Tanh, _) => return unary(Unary::Tanh),
            (Code::Tile, _) => Self::Tile,
            (Code::Transpose, _) => Self::Transpose,
            (Code::TransposeConv, Options::TransposeConvOptions(o)) => {
                Self::TransposeConv(Convolution {
                    padding: Padding::from_raw(o.padding())?,
                    strides: positive(o.stride_h(), o.stride_w())?,
                    dilations: [1, 1],
                    activation: Activation::read(o.fused_activation_function())?,
                })
            }
            (Code::Unpack, Options::UnpackOptions(o)) => Self::Unpack { axis: o.axis() },
            (Code::ZerosLike, _) => Self::ZerosLike,
            _ => return None,
        })
    }

    /// Whether a node of it may have several outputs.
    pub(crate) fn has_many_outputs(&self) -> bool {
        matches!(self, Self::Split | Self::SplitV | Self::Unpack { .. })
    }
}
