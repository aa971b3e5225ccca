//! How each operator of TensorFlow Lite is computed with those of tract, a file per family.

mod binary;
mod conversion;
mod convolution;
mod layout;
mod matrix;
mod normalization;
mod pooling;
mod reduction;
mod resize;
mod selection;
mod unary;
mod window;

use image_embedder_backend::BackendError;
use image_embedder_schema::tflite::{
    ActivationFunctionType, BuiltinOperator as Code, BuiltinOptions as Options, Padding,
    Pool2DOptions,
};
use tract_core::prelude::OutletId;

use crate::graph_builder::Operation;
use crate::steps::Activation;
use binary::{Binary, Comparison};
use convolution::ConvolutionOptions;
use pooling::PoolingOptions;
use reduction::Reduction;
use resize::Alignment;
use selection::Masks;
use unary::Unary;

/// Adds an operation to the graph and returns its outputs.
pub(crate) type Translation =
    Box<dyn Fn(&mut Operation<'_, '_>) -> Result<Vec<OutletId>, BackendError>>;

/// The translation of an operation with one output.
fn one(
    work: impl Fn(&mut Operation<'_, '_>) -> Result<OutletId, BackendError> + 'static,
) -> Option<Translation> {
    Some(Box::new(move |operation| Ok(vec![work(operation)?])))
}

/// The translation of an operation with any number of outputs.
fn many(
    work: impl Fn(&mut Operation<'_, '_>) -> Result<Vec<OutletId>, BackendError> + 'static,
) -> Option<Translation> {
    Some(Box::new(work))
}

fn activation(raw: i8) -> Option<Activation> {
    Some(match ActivationFunctionType::from_raw(raw)? {
        ActivationFunctionType::None => Activation::None,
        ActivationFunctionType::Relu => Activation::Relu,
        ActivationFunctionType::ReluN1To1 => Activation::ReluN1To1,
        ActivationFunctionType::Relu6 => Activation::Relu6,
        _ => return None,
    })
}

/// Both sizes if both are at least one.
fn positive(height: i32, width: i32) -> Option<[usize; 2]> {
    let size = |value: i32| usize::try_from(value).ok().filter(|&value| value > 0);
    Some([size(height)?, size(width)?])
}

fn pooling_options(options: &Pool2DOptions<'_>) -> Option<PoolingOptions> {
    Some(PoolingOptions {
        padding: Padding::from_raw(options.padding())?,
        strides: positive(options.stride_h(), options.stride_w())?,
        window: positive(options.filter_height(), options.filter_width())?,
        activation: activation(options.fused_activation_function())?,
    })
}

/// How an operator with these options is computed, if that is known.
pub(crate) fn translation(number: i32, options: &Options<'_>) -> Option<Translation> {
    let unary = |function: Unary| one(move |operation| unary::translate(operation, function));
    let binary = |function: Binary, activation: Activation| {
        one(move |operation| binary::translate(operation, function, activation))
    };
    let comparison = |comparison: Comparison| {
        one(move |operation| binary::translate_comparison(operation, comparison))
    };
    let reduction = |function: Reduction| {
        let keep_dims = match options {
            Options::ReducerOptions(o) => o.keep_dims(),
            Options::None => false,
            _ => return None,
        };
        one(move |operation| reduction::translate(operation, function, keep_dims))
    };
    match (Code::from_raw(number)?, options) {
        (Code::Abs, _) => unary(Unary::Abs),
        (Code::Add, Options::AddOptions(o)) => {
            binary(Binary::Add, activation(o.fused_activation_function())?)
        }
        (Code::Add, Options::None) => binary(Binary::Add, Activation::None),
        (Code::AddN, _) => one(binary::translate_sum),
        (Code::ArgMax, _) => one(|operation| reduction::translate_arg_extreme(operation, true)),
        (Code::ArgMin, _) => one(|operation| reduction::translate_arg_extreme(operation, false)),
        (Code::AveragePool2d, Options::Pool2DOptions(o)) => {
            let options = pooling_options(o)?;
            one(move |operation| pooling::translate_average(operation, &options))
        }
        (Code::BatchMatmul, Options::BatchMatMulOptions(o)) => {
            let adjoint = [o.adj_x(), o.adj_y()];
            one(move |operation| matrix::translate_batch(operation, adjoint))
        }
        (Code::BatchMatmul, Options::None) => {
            one(|operation| matrix::translate_batch(operation, [false; 2]))
        }
        (Code::BatchToSpaceNd, _) => one(layout::translate_batch_to_space),
        (Code::BroadcastTo, _) => one(layout::translate_broadcast_to),
        (Code::Cast, _) => one(conversion::translate_cast),
        (Code::Ceil, _) => unary(Unary::Ceil),
        (Code::Concatenation, Options::ConcatenationOptions(o)) => {
            let axis = o.axis();
            let activation = activation(o.fused_activation_function())?;
            one(move |operation| layout::translate_concatenation(operation, axis, activation))
        }
        (Code::Conv2d, Options::Conv2DOptions(o)) => {
            let options = ConvolutionOptions {
                padding: Padding::from_raw(o.padding())?,
                strides: positive(o.stride_h(), o.stride_w())?,
                dilations: positive(o.dilation_h_factor(), o.dilation_w_factor())?,
                activation: activation(o.fused_activation_function())?,
            };
            one(move |operation| convolution::translate(operation, &options))
        }
        (Code::Cos, _) => unary(Unary::Cos),
        (Code::DepthToSpace, Options::DepthToSpaceOptions(o)) => {
            let block = o.block_size();
            one(move |operation| layout::translate_depth_to_space(operation, block))
        }
        (Code::DepthwiseConv2d, Options::DepthwiseConv2DOptions(o)) => {
            let options = ConvolutionOptions {
                padding: Padding::from_raw(o.padding())?,
                strides: positive(o.stride_h(), o.stride_w())?,
                dilations: positive(o.dilation_h_factor(), o.dilation_w_factor())?,
                activation: activation(o.fused_activation_function())?,
            };
            one(move |operation| convolution::translate_depthwise(operation, &options))
        }
        (Code::Dequantize, _) => one(conversion::translate_dequantize),
        (Code::Div, Options::DivOptions(o)) => {
            binary(Binary::Div, activation(o.fused_activation_function())?)
        }
        (Code::Div, Options::None) => binary(Binary::Div, Activation::None),
        (Code::Elu, _) => unary(Unary::Elu),
        (Code::Equal, _) => comparison(Comparison::Equal),
        (Code::Exp, _) => unary(Unary::Exp),
        (Code::ExpandDims, _) => one(layout::translate_expand_dims),
        (Code::Fill, _) => one(layout::translate_fill),
        (Code::Floor, _) => unary(Unary::Floor),
        (Code::FloorDiv, _) => binary(Binary::FloorDiv, Activation::None),
        (Code::FloorMod, _) => binary(Binary::FloorMod, Activation::None),
        (Code::FullyConnected, Options::FullyConnectedOptions(o)) if o.weights_format() == 0 => {
            let activation = activation(o.fused_activation_function())?;
            let keep_dims = o.keep_num_dims();
            one(move |operation| {
                matrix::translate_fully_connected(operation, activation, keep_dims)
            })
        }
        (Code::Gather, Options::GatherOptions(o)) => {
            let (axis, batch_dims) = (o.axis(), o.batch_dims());
            one(move |operation| selection::translate_gather(operation, axis, batch_dims))
        }
        (Code::Gather, Options::None) => {
            one(|operation| selection::translate_gather(operation, 0, 0))
        }
        (Code::Gelu, Options::GeluOptions(o)) => {
            unary(Unary::Gelu { approximate: o.approximate() })
        }
        (Code::Gelu, Options::None) => unary(Unary::Gelu { approximate: false }),
        (Code::Greater, _) => comparison(Comparison::Greater),
        (Code::GreaterEqual, _) => comparison(Comparison::GreaterEqual),
        (Code::HardSwish, _) => unary(Unary::HardSwish),
        (Code::L2Normalization, Options::L2NormOptions(o)) => {
            let activation = activation(o.fused_activation_function())?;
            one(move |operation| normalization::translate_l2(operation, activation))
        }
        (Code::L2Normalization, Options::None) => {
            one(|operation| normalization::translate_l2(operation, Activation::None))
        }
        (Code::L2Pool2d, Options::Pool2DOptions(o)) => {
            let options = pooling_options(o)?;
            one(move |operation| pooling::translate_l2(operation, &options))
        }
        (Code::LeakyRelu, Options::LeakyReluOptions(o)) => {
            unary(Unary::LeakyRelu { alpha: o.alpha() })
        }
        (Code::Less, _) => comparison(Comparison::Less),
        (Code::LessEqual, _) => comparison(Comparison::LessEqual),
        (Code::Log, _) => unary(Unary::Log),
        (Code::LogicalAnd, _) => {
            one(|operation| binary::translate_logical(operation, |a, b| a && b))
        }
        (Code::LogicalNot, _) => one(binary::translate_not),
        (Code::LogicalOr, _) => {
            one(|operation| binary::translate_logical(operation, |a, b| a || b))
        }
        (Code::LogSoftmax, _) => one(normalization::translate_log_softmax),
        (Code::Logistic, _) => unary(Unary::Logistic),
        (Code::Maximum, _) => binary(Binary::Maximum, Activation::None),
        (Code::MaxPool2d, Options::Pool2DOptions(o)) => {
            let options = pooling_options(o)?;
            one(move |operation| pooling::translate_max(operation, &options))
        }
        (Code::Mean, _) => reduction(Reduction::Mean),
        (Code::Minimum, _) => binary(Binary::Minimum, Activation::None),
        (Code::MirrorPad, Options::MirrorPadOptions(o)) => {
            // The schema's `MirrorPadMode`: 0 is REFLECT, 1 is SYMMETRIC.
            let symmetric = match o.mode() {
                0 => false,
                1 => true,
                _ => return None,
            };
            one(move |operation| selection::translate_mirror_pad(operation, symmetric))
        }
        (Code::Mul, Options::MulOptions(o)) => {
            binary(Binary::Mul, activation(o.fused_activation_function())?)
        }
        (Code::Mul, Options::None) => binary(Binary::Mul, Activation::None),
        (Code::Neg, _) => unary(Unary::Neg),
        (Code::NotEqual, _) => comparison(Comparison::NotEqual),
        (Code::Pack, Options::PackOptions(o)) => {
            let axis = o.axis();
            one(move |operation| layout::translate_pack(operation, axis))
        }
        (Code::Pad | Code::PadV2, _) => one(layout::translate_pad),
        (Code::Pow, _) => binary(Binary::Pow, Activation::None),
        (Code::Prelu, _) => one(binary::translate_prelu),
        (Code::Quantize, _) => one(conversion::translate_quantize),
        (Code::Range, _) => one(layout::translate_range),
        (Code::Rank, _) => one(layout::translate_rank),
        (Code::ReduceMax, _) => reduction(Reduction::Max),
        (Code::ReduceMin, _) => reduction(Reduction::Min),
        (Code::ReduceProd, _) => reduction(Reduction::Prod),
        (Code::Relu, _) => unary(Unary::Clamp(Activation::Relu)),
        (Code::Relu6, _) => unary(Unary::Clamp(Activation::Relu6)),
        (Code::ReluN1To1, _) => unary(Unary::Clamp(Activation::ReluN1To1)),
        (Code::Reshape, _) => one(layout::translate_reshape),
        (Code::ResizeBilinear, Options::ResizeBilinearOptions(o)) => {
            let alignment = Alignment {
                corners: o.align_corners(),
                half_pixel_centers: o.half_pixel_centers(),
            };
            one(move |operation| resize::translate_bilinear(operation, alignment))
        }
        (Code::ResizeNearestNeighbor, Options::ResizeNearestNeighborOptions(o)) => {
            let alignment = Alignment {
                corners: o.align_corners(),
                half_pixel_centers: o.half_pixel_centers(),
            };
            one(move |operation| resize::translate_nearest_neighbor(operation, alignment))
        }
        (Code::ReverseV2, _) => one(selection::translate_reverse),
        (Code::Round, _) => unary(Unary::Round),
        (Code::Rsqrt, _) => unary(Unary::Rsqrt),
        (Code::Select, _) => one(|operation| selection::translate_select(operation, false)),
        (Code::SelectV2, _) => one(|operation| selection::translate_select(operation, true)),
        (Code::Shape, _) => one(layout::translate_shape),
        (Code::Sin, _) => unary(Unary::Sin),
        (Code::Slice, _) => one(selection::translate_slice),
        (Code::Softmax, Options::SoftmaxOptions(o)) => {
            let beta = o.beta();
            one(move |operation| normalization::translate_softmax(operation, beta))
        }
        (Code::SpaceToBatchNd, _) => one(layout::translate_space_to_batch),
        (Code::SpaceToDepth, Options::SpaceToDepthOptions(o)) => {
            let block = o.block_size();
            one(move |operation| layout::translate_space_to_depth(operation, block))
        }
        (Code::Split, _) => many(selection::translate_split),
        (Code::SplitV, _) => many(selection::translate_split_v),
        (Code::Sqrt, _) => unary(Unary::Sqrt),
        (Code::Square, _) => unary(Unary::Square),
        (Code::SquaredDifference, _) => binary(Binary::SquaredDifference, Activation::None),
        (Code::Squeeze, Options::SqueezeOptions(o)) => {
            let dims: Vec<i32> = o.squeeze_dims().iter().collect();
            one(move |operation| layout::translate_squeeze(operation, &dims))
        }
        (Code::Squeeze, Options::None) => {
            one(|operation| layout::translate_squeeze(operation, &[]))
        }
        (Code::StridedSlice, Options::StridedSliceOptions(o)) if !o.offset() => {
            let masks = Masks {
                begin: o.begin_mask(),
                end: o.end_mask(),
                ellipsis: o.ellipsis_mask(),
                new_axis: o.new_axis_mask(),
                shrink_axis: o.shrink_axis_mask(),
            };
            one(move |operation| selection::translate_strided_slice(operation, masks))
        }
        (Code::Sub, Options::SubOptions(o)) => {
            binary(Binary::Sub, activation(o.fused_activation_function())?)
        }
        (Code::Sub, Options::None) => binary(Binary::Sub, Activation::None),
        (Code::Sum, _) => reduction(Reduction::Sum),
        (Code::Tanh, _) => unary(Unary::Tanh),
        (Code::Tile, _) => one(selection::translate_tile),
        (Code::Transpose, _) => one(layout::translate_transpose),
        (Code::TransposeConv, Options::TransposeConvOptions(o)) => {
            let options = ConvolutionOptions {
                padding: Padding::from_raw(o.padding())?,
                strides: positive(o.stride_h(), o.stride_w())?,
                dilations: [1, 1],
                activation: activation(o.fused_activation_function())?,
            };
            one(move |operation| convolution::translate_transposed(operation, &options))
        }
        (Code::Unpack, Options::UnpackOptions(o)) => {
            let axis = o.axis();
            many(move |operation| selection::translate_unpack(operation, axis))
        }
        (Code::ZerosLike, _) => one(layout::translate_zeros_like),
        _ => None,
    }
}
