//! The operators that the engine knows, with their options as plain data.

use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator, BuiltinOptions, Padding,
};

/// A supported operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Add(Activation),
    AveragePool2d(Pool),
    BatchToSpaceNd,
    Concatenation {
        axis: i32,
        activation: Activation,
    },
    Conv2d(Convolution),
    DepthwiseConv2d(Convolution),
    Dequantize,
    FloorMod,
    Mean {
        keep_dims: bool,
    },
    Pack {
        axis: i32,
    },
    Quantize,
    Reshape,
    ResizeBilinear {
        align_corners: bool,
        half_pixel_centers: bool,
    },
    Shape,
    Softmax {
        beta: f32,
    },
    SpaceToBatchNd,
    Squeeze,
    StridedSlice(Masks),
    Sub(Activation),
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

impl Operator {
    /// The operator, if the engine knows it and its options.
    pub(crate) fn read(number: i32, options: &BuiltinOptions<'_>) -> Option<Self> {
        use BuiltinOperator as Code;
        use BuiltinOptions as Options;
        Some(match (BuiltinOperator::from_raw(number)?, options) {
            (Code::Add, Options::AddOptions(o)) => {
                Self::Add(Activation::read(o.fused_activation_function())?)
            }
            (Code::Add, Options::None) => Self::Add(Activation::None),
            (Code::Sub, Options::SubOptions(o)) => {
                Self::Sub(Activation::read(o.fused_activation_function())?)
            }
            (Code::Sub, Options::None) => Self::Sub(Activation::None),
            (Code::AveragePool2d, Options::Pool2DOptions(o)) => Self::AveragePool2d(Pool {
                padding: Padding::from_raw(o.padding())?,
                strides: positive(o.stride_h(), o.stride_w())?,
                window: positive(o.filter_height(), o.filter_width())?,
                activation: Activation::read(o.fused_activation_function())?,
            }),
            (Code::BatchToSpaceNd, _) => Self::BatchToSpaceNd,
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
            (Code::DepthwiseConv2d, Options::DepthwiseConv2DOptions(o)) => {
                Self::DepthwiseConv2d(Convolution {
                    padding: Padding::from_raw(o.padding())?,
                    strides: positive(o.stride_h(), o.stride_w())?,
                    dilations: positive(o.dilation_h_factor(), o.dilation_w_factor())?,
                    activation: Activation::read(o.fused_activation_function())?,
                })
            }
            (Code::Dequantize, _) => Self::Dequantize,
            (Code::FloorMod, _) => Self::FloorMod,
            (Code::Mean, Options::ReducerOptions(o)) => Self::Mean {
                keep_dims: o.keep_dims(),
            },
            (Code::Mean, Options::None) => Self::Mean { keep_dims: false },
            (Code::Pack, Options::PackOptions(o)) => Self::Pack { axis: o.axis() },
            (Code::Quantize, _) => Self::Quantize,
            (Code::Reshape, _) => Self::Reshape,
            (Code::ResizeBilinear, Options::ResizeBilinearOptions(o)) => Self::ResizeBilinear {
                align_corners: o.align_corners(),
                half_pixel_centers: o.half_pixel_centers(),
            },
            (Code::Shape, _) => Self::Shape,
            (Code::Softmax, Options::SoftmaxOptions(o)) => Self::Softmax { beta: o.beta() },
            (Code::SpaceToBatchNd, _) => Self::SpaceToBatchNd,
            (Code::Squeeze, _) => Self::Squeeze,
            (Code::StridedSlice, Options::StridedSliceOptions(o))
                if o.ellipsis_mask() == 0 && o.new_axis_mask() == 0 && !o.offset() =>
            {
                Self::StridedSlice(Masks {
                    begin: o.begin_mask(),
                    end: o.end_mask(),
                    shrink_axis: o.shrink_axis_mask(),
                })
            }
            _ => return None,
        })
    }
}
