//! The model flatbuffer (`schema.fbs` of TensorFlow Lite, version 3, identifier `TFL3`).
//!
//! Field numbers and defaults are those of TensorFlow 2.18's schema. Options of operators that
//! this workspace does not run are not read; their presence is reported by
//! [`BuiltinOptions::Other`].

use flatbuffers::FlatBufferBuilder;

pub use crate::builtin_operator::BuiltinOperator;
use crate::{SchemaError, table};

/// The file identifier of a TensorFlow Lite model.
pub const MODEL_IDENTIFIER: &str = "TFL3";

/// Verifies a whole model file and returns its root.
///
/// Bytes behind the flatbuffer, such as a ZIP archive of associated files, are allowed.
///
/// # Errors
///
/// - [`SchemaError::TooShort`] below 8 bytes.
/// - [`SchemaError::WrongIdentifier`] if bytes 4 to 8 are not `TFL3`.
/// - [`SchemaError::Malformed`] if any table, vector, string or union is out of bounds or not
///   well-formed.
pub fn read_model(bytes: &[u8]) -> Result<Model<'_>, SchemaError> {
    table::read_root::<Model<'_>>(bytes, "TensorFlow Lite model", MODEL_IDENTIFIER)
}

impl Model<'_> {
    /// The paths of all values that this crate does not read and that
    /// [`unpack`](Self::unpack) therefore drops; empty if unpacking keeps everything.
    ///
    /// A path names fields and, where a field has no name here, its number in the schema, such as
    /// `subgraphs[0].operators[3].builtin_options of type 40`.
    pub fn unread(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_unread(&mut String::new(), &mut found);
        found
    }
}

impl ModelT {
    /// Writes a model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let root = self.pack(&mut builder);
        table::finish(builder, root, MODEL_IDENTIFIER)
    }
}

tables! {
    /// A model: operators and tensors by subgraph, and the buffers with their constant data.
    table Model, ModelT {
        /// The schema's version, 3.
        version: scalar(u32 = 0) @ 0;
        /// The operators that the subgraphs refer to by index.
        operator_codes: tables(OperatorCode, OperatorCodeT) @ 1;
        /// The subgraphs; the first is the model's main one.
        subgraphs: tables(SubGraph, SubGraphT) @ 2;
        /// What made the model.
        description: string() @ 3;
        /// Constant data; buffer 0 is empty by convention.
        buffers: tables(Buffer, BufferT) @ 4;
        /// Indices of metadata buffers (superseded by `metadata`).
        metadata_buffer: scalars(i32) @ 5;
        /// Named metadata, each in a buffer.
        metadata: tables(Metadata, MetadataT) @ 6;
        /// Named entry points.
        signature_defs: tables(SignatureDef, SignatureDefT) @ 7;
    }

    /// Which operator an [`Operator`] is.
    table OperatorCode, OperatorCodeT {
        /// The number of a builtin operator below 127.
        deprecated_builtin_code: scalar(i8 = 0) @ 0;
        /// The name of a custom operator.
        custom_code: string() @ 1;
        /// The operator's version.
        version: scalar(i32 = 1) @ 2;
        /// The number of a builtin operator.
        builtin_code: scalar(i32 = 0) @ 3;
    }

    /// A graph of operators over its own tensors.
    table SubGraph, SubGraphT {
        /// All tensors.
        tensors: tables(Tensor, TensorT) @ 0;
        /// Indices of the input tensors.
        inputs: scalars(i32) @ 1;
        /// Indices of the output tensors.
        outputs: scalars(i32) @ 2;
        /// The operators in the order in which they run.
        operators: tables(Operator, OperatorT) @ 3;
        /// The graph's name.
        name: string() @ 4;
    }

    /// A tensor: type, shape, quantisation, and the buffer with its data if it is constant.
    table Tensor, TensorT {
        /// The sizes of the dimensions, outermost first.
        shape: scalars(i32) @ 0;
        /// The element type, see [`TensorType`].
        type_: scalar(i8 = 0) @ 1;
        /// The index of the buffer with constant data; an empty one means none.
        buffer: scalar(u32 = 0) @ 2;
        /// The tensor's name.
        name: string() @ 3;
        /// The quantisation.
        quantization: table(QuantizationParameters, QuantizationParametersT) @ 4;
        /// Whether the tensor keeps its value between inferences.
        is_variable: scalar(bool = false) @ 5;
        /// The encoding of a sparse tensor's indices.
        sparsity: table(SparsityParameters, SparsityParametersT) @ 6;
        /// The shape with -1 where a dimension may change.
        shape_signature: scalars(i32) @ 7;
        /// Whether the number of dimensions is known.
        has_rank: scalar(bool = false) @ 8;
    }

    /// Affine quantisation, per tensor or along one dimension.
    table QuantizationParameters, QuantizationParametersT {
        /// The least real values seen in calibration.
        min: scalars(f32) @ 0;
        /// The largest real values seen in calibration.
        max: scalars(f32) @ 1;
        /// One scale, or one for each slice along `quantized_dimension`.
        scale: scalars(f32) @ 2;
        /// One zero point for each scale.
        zero_point: scalars(i64) @ 3;
        /// The type of a custom quantisation's details, zero for the affine kind.
        details_type: scalar(u8 = 0) @ 4;
        /// The dimension along which scales differ.
        quantized_dimension: scalar(i32 = 0) @ 6;
    }

    /// The encoding of a sparse tensor. Its parts are not read: no backend here runs one.
    table SparsityParameters, SparsityParametersT {
        /// The order in which dimensions are stored.
        traversal_order: scalars(i32) @ 0;
    }

    /// Bytes of constant data.
    table Buffer, BufferT {
        /// The bytes, 16-byte aligned in the file.
        data: aligned_bytes() @ 0;
        /// Where data of a model above 2 GiB lies, counted from the start of the file.
        offset: scalar(u64 = 0) @ 1;
        /// The size of the data at `offset`, in bytes.
        size: scalar(u64 = 0) @ 2;
    }

    /// A named piece of metadata.
    table Metadata, MetadataT {
        /// The name, such as `TFLITE_METADATA`.
        name: string() @ 0;
        /// The index of the buffer that holds it.
        buffer: scalar(u32 = 0) @ 1;
    }

    /// A named entry point.
    table SignatureDef, SignatureDefT {
        /// The names of the inputs.
        inputs: tables(TensorMap, TensorMapT) @ 0;
        /// The names of the outputs.
        outputs: tables(TensorMap, TensorMapT) @ 1;
        /// The entry point's name.
        signature_key: string() @ 2;
        /// The subgraph that it enters.
        subgraph_index: scalar(u32 = 0) @ 4;
    }

    /// A name for a tensor.
    table TensorMap, TensorMapT {
        /// The name.
        name: string() @ 0;
        /// The tensor's index in its subgraph.
        tensor_index: scalar(u32 = 0) @ 1;
    }

    /// One operator of a subgraph.
    table Operator, OperatorT {
        /// Which operator: an index into the model's operator codes.
        opcode_index: scalar(u32 = 0) @ 0;
        /// Indices of the input tensors; -1 for an optional one that is left out.
        inputs: scalars(i32) @ 1;
        /// Indices of the output tensors.
        outputs: scalars(i32) @ 2;
        /// The options of a builtin operator.
        builtin_options: union(BuiltinOptions, BuiltinOptionsT) @ 3;
        /// The options of a custom operator.
        custom_options: scalars(u8) @ 5;
        /// How `custom_options` are written.
        custom_options_format: scalar(i8 = 0) @ 6;
        /// Whether each input is a variable that the operator changes.
        mutating_variable_inputs: scalars(bool) @ 7;
        /// Indices of tensors that the operator uses for itself.
        intermediates: scalars(i32) @ 8;
        /// Where options of a model above 2 GiB lie, counted from the start of the file.
        large_custom_options_offset: scalar(u64 = 0) @ 9;
        /// The size of the options at `large_custom_options_offset`, in bytes.
        large_custom_options_size: scalar(u64 = 0) @ 10;
    }

    /// Options of `CONV_2D`.
    table Conv2DOptions, Conv2DOptionsT {
        /// See [`Padding`].
        padding: scalar(i8 = 0) @ 0;
        /// Step between windows along the width.
        stride_w: scalar(i32 = 0) @ 1;
        /// Step between windows along the height.
        stride_h: scalar(i32 = 0) @ 2;
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 3;
        /// Step between filter taps along the width.
        dilation_w_factor: scalar(i32 = 1) @ 4;
        /// Step between filter taps along the height.
        dilation_h_factor: scalar(i32 = 1) @ 5;
    }

    /// Options of `DEPTHWISE_CONV_2D`.
    table DepthwiseConv2DOptions, DepthwiseConv2DOptionsT {
        /// See [`Padding`].
        padding: scalar(i8 = 0) @ 0;
        /// Step between windows along the width.
        stride_w: scalar(i32 = 0) @ 1;
        /// Step between windows along the height.
        stride_h: scalar(i32 = 0) @ 2;
        /// Output channels for each input channel.
        depth_multiplier: scalar(i32 = 0) @ 3;
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 4;
        /// Step between filter taps along the width.
        dilation_w_factor: scalar(i32 = 1) @ 5;
        /// Step between filter taps along the height.
        dilation_h_factor: scalar(i32 = 1) @ 6;
    }

    /// Options of `AVERAGE_POOL_2D`, `MAX_POOL_2D` and `L2_POOL_2D`.
    table Pool2DOptions, Pool2DOptionsT {
        /// See [`Padding`].
        padding: scalar(i8 = 0) @ 0;
        /// Step between windows along the width.
        stride_w: scalar(i32 = 0) @ 1;
        /// Step between windows along the height.
        stride_h: scalar(i32 = 0) @ 2;
        /// The window's width.
        filter_width: scalar(i32 = 0) @ 3;
        /// The window's height.
        filter_height: scalar(i32 = 0) @ 4;
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 5;
    }

    /// Options of `FULLY_CONNECTED`.
    table FullyConnectedOptions, FullyConnectedOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
        /// The layout of the weights; zero for the plain one.
        weights_format: scalar(i8 = 0) @ 1;
        /// Whether the output keeps the input's outer dimensions.
        keep_num_dims: scalar(bool = false) @ 2;
        /// Whether a hybrid kernel quantises its inputs asymmetrically.
        asymmetric_quantize_inputs: scalar(bool = false) @ 3;
    }

    /// Options of `SOFTMAX`.
    table SoftmaxOptions, SoftmaxOptionsT {
        /// Factor on the exponent.
        beta: scalar(f32 = 0.0) @ 0;
    }

    /// Options of `CONCATENATION`.
    table ConcatenationOptions, ConcatenationOptionsT {
        /// The dimension along which tensors are joined; negative counts from the last.
        axis: scalar(i32 = 0) @ 0;
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 1;
    }

    /// Options of `ADD`.
    table AddOptions, AddOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
    }

    /// Options of `SUB`.
    table SubOptions, SubOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
    }

    /// Options of `MUL`.
    table MulOptions, MulOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
    }

    /// Options of `DIV`.
    table DivOptions, DivOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
    }

    /// Options of `L2_NORMALIZATION`.
    table L2NormOptions, L2NormOptionsT {
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 0;
    }

    /// Options of `RESIZE_BILINEAR`.
    table ResizeBilinearOptions, ResizeBilinearOptionsT {
        /// Whether corner pixels keep their places.
        align_corners: scalar(bool = false) @ 2;
        /// Whether samples are taken at pixel centres.
        half_pixel_centers: scalar(bool = false) @ 3;
    }

    /// Options of `RESIZE_NEAREST_NEIGHBOR`.
    table ResizeNearestNeighborOptions, ResizeNearestNeighborOptionsT {
        /// Whether corner pixels keep their places.
        align_corners: scalar(bool = false) @ 0;
        /// Whether samples are taken at pixel centres.
        half_pixel_centers: scalar(bool = false) @ 1;
    }

    /// Options of `RESHAPE`.
    table ReshapeOptions, ReshapeOptionsT {
        /// The new shape, with at most one -1 for what remains.
        new_shape: scalars(i32) @ 0;
    }

    /// Options of `SPACE_TO_DEPTH`.
    table SpaceToDepthOptions, SpaceToDepthOptionsT {
        /// The block's width and height.
        block_size: scalar(i32 = 0) @ 0;
    }

    /// Options of `DEPTH_TO_SPACE`.
    table DepthToSpaceOptions, DepthToSpaceOptionsT {
        /// The block's width and height.
        block_size: scalar(i32 = 0) @ 0;
    }

    /// Options of `GATHER`.
    table GatherOptions, GatherOptionsT {
        /// The dimension that is picked from.
        axis: scalar(i32 = 0) @ 0;
        /// The number of leading batch dimensions.
        batch_dims: scalar(i32 = 0) @ 1;
    }

    /// Options of `MEAN`, `SUM` and the other reductions.
    table ReducerOptions, ReducerOptionsT {
        /// Whether reduced dimensions stay, with size one.
        keep_dims: scalar(bool = false) @ 0;
    }

    /// Options of `SQUEEZE`.
    table SqueezeOptions, SqueezeOptionsT {
        /// The dimensions to remove; empty for all of size one.
        squeeze_dims: scalars(i32) @ 0;
    }

    /// Options of `STRIDED_SLICE`: bit masks over the dimensions.
    table StridedSliceOptions, StridedSliceOptionsT {
        /// Where the begin is ignored.
        begin_mask: scalar(i32 = 0) @ 0;
        /// Where the end is ignored.
        end_mask: scalar(i32 = 0) @ 1;
        /// Where an ellipsis stands.
        ellipsis_mask: scalar(i32 = 0) @ 2;
        /// Where a dimension of size one is inserted.
        new_axis_mask: scalar(i32 = 0) @ 3;
        /// Where a dimension of size one is removed.
        shrink_axis_mask: scalar(i32 = 0) @ 4;
        /// Whether the end is counted from the begin.
        offset: scalar(bool = false) @ 5;
    }

    /// Options of `SPLIT`.
    table SplitOptions, SplitOptionsT {
        /// The number of parts.
        num_splits: scalar(i32 = 0) @ 0;
    }

    /// Options of `SPLIT_V`.
    table SplitVOptions, SplitVOptionsT {
        /// The number of parts.
        num_splits: scalar(i32 = 0) @ 0;
    }

    /// Options of `CAST`.
    table CastOptions, CastOptionsT {
        /// The input's element type, see [`TensorType`].
        in_data_type: scalar(i8 = 0) @ 0;
        /// The output's element type, see [`TensorType`].
        out_data_type: scalar(i8 = 0) @ 1;
    }

    /// Options of `ARG_MAX`.
    table ArgMaxOptions, ArgMaxOptionsT {
        /// The output's element type, see [`TensorType`].
        output_type: scalar(i8 = 0) @ 0;
    }

    /// Options of `ARG_MIN`.
    table ArgMinOptions, ArgMinOptionsT {
        /// The output's element type, see [`TensorType`].
        output_type: scalar(i8 = 0) @ 0;
    }

    /// Options of `TRANSPOSE_CONV`.
    table TransposeConvOptions, TransposeConvOptionsT {
        /// See [`Padding`].
        padding: scalar(i8 = 0) @ 0;
        /// Step between windows along the width.
        stride_w: scalar(i32 = 0) @ 1;
        /// Step between windows along the height.
        stride_h: scalar(i32 = 0) @ 2;
        /// See [`ActivationFunctionType`].
        fused_activation_function: scalar(i8 = 0) @ 3;
    }

    /// Options of `SHAPE`.
    table ShapeOptions, ShapeOptionsT {
        /// The output's element type, see [`TensorType`].
        out_type: scalar(i8 = 0) @ 0;
    }

    /// Options of `PACK`.
    table PackOptions, PackOptionsT {
        /// The number of inputs.
        values_count: scalar(i32 = 0) @ 0;
        /// The new dimension along which inputs are stacked.
        axis: scalar(i32 = 0) @ 1;
    }

    /// Options of `UNPACK`.
    table UnpackOptions, UnpackOptionsT {
        /// The number of outputs.
        num: scalar(i32 = 0) @ 0;
        /// The dimension that is taken apart.
        axis: scalar(i32 = 0) @ 1;
    }

    /// Options of `LEAKY_RELU`.
    table LeakyReluOptions, LeakyReluOptionsT {
        /// The slope below zero.
        alpha: scalar(f32 = 0.0) @ 0;
    }

    /// Options of `MIRROR_PAD`.
    table MirrorPadOptions, MirrorPadOptionsT {
        /// Zero to mirror without the edge, one with it.
        mode: scalar(i8 = 0) @ 0;
    }

    /// Options of `BATCH_MATMUL`.
    table BatchMatMulOptions, BatchMatMulOptionsT {
        /// Whether the left matrix is transposed.
        adj_x: scalar(bool = false) @ 0;
        /// Whether the right matrix is transposed.
        adj_y: scalar(bool = false) @ 1;
        /// Whether a hybrid kernel quantises its inputs asymmetrically.
        asymmetric_quantize_inputs: scalar(bool = false) @ 2;
    }

    /// Options of `GELU`.
    table GeluOptions, GeluOptionsT {
        /// Whether the tanh approximation is meant.
        approximate: scalar(bool = false) @ 0;
    }
}

unions! {
    /// The options of a builtin operator.
    union BuiltinOptions, BuiltinOptionsT {
        Conv2DOptions, Conv2DOptionsT = 1;
        DepthwiseConv2DOptions, DepthwiseConv2DOptionsT = 2;
        Pool2DOptions, Pool2DOptionsT = 5;
        FullyConnectedOptions, FullyConnectedOptionsT = 8;
        SoftmaxOptions, SoftmaxOptionsT = 9;
        ConcatenationOptions, ConcatenationOptionsT = 10;
        AddOptions, AddOptionsT = 11;
        L2NormOptions, L2NormOptionsT = 12;
        ResizeBilinearOptions, ResizeBilinearOptionsT = 15;
        ReshapeOptions, ReshapeOptionsT = 17;
        SpaceToDepthOptions, SpaceToDepthOptionsT = 19;
        MulOptions, MulOptionsT = 21;
        GatherOptions, GatherOptionsT = 23;
        ReducerOptions, ReducerOptionsT = 27;
        SubOptions, SubOptionsT = 28;
        DivOptions, DivOptionsT = 29;
        SqueezeOptions, SqueezeOptionsT = 30;
        StridedSliceOptions, StridedSliceOptionsT = 32;
        SplitOptions, SplitOptionsT = 35;
        CastOptions, CastOptionsT = 37;
        ArgMaxOptions, ArgMaxOptionsT = 40;
        TransposeConvOptions, TransposeConvOptionsT = 49;
        ShapeOptions, ShapeOptionsT = 55;
        ArgMinOptions, ArgMinOptionsT = 57;
        PackOptions, PackOptionsT = 59;
        UnpackOptions, UnpackOptionsT = 64;
        ResizeNearestNeighborOptions, ResizeNearestNeighborOptionsT = 74;
        LeakyReluOptions, LeakyReluOptionsT = 75;
        MirrorPadOptions, MirrorPadOptionsT = 77;
        SplitVOptions, SplitVOptionsT = 79;
        DepthToSpaceOptions, DepthToSpaceOptionsT = 94;
        BatchMatMulOptions, BatchMatMulOptionsT = 101;
        GeluOptions, GeluOptionsT = 116;
    }
}

enumeration! {
    /// The element type of a tensor.
    enum TensorType: i8 {
        /// IEEE 754 binary32.
        Float32 = 0,
        /// IEEE 754 binary16.
        Float16 = 1,
        /// Signed 32-bit integer.
        Int32 = 2,
        /// Unsigned 8-bit integer.
        UInt8 = 3,
        /// Signed 64-bit integer.
        Int64 = 4,
        /// Byte strings.
        String = 5,
        /// Truth values, a byte each.
        Bool = 6,
        /// Signed 16-bit integer.
        Int16 = 7,
        /// Two binary32.
        Complex64 = 8,
        /// Signed 8-bit integer.
        Int8 = 9,
        /// IEEE 754 binary64.
        Float64 = 10,
        /// Two binary64.
        Complex128 = 11,
        /// Unsigned 64-bit integer.
        UInt64 = 12,
        /// A handle.
        Resource = 13,
        /// Anything.
        Variant = 14,
        /// Unsigned 32-bit integer.
        UInt32 = 15,
        /// Unsigned 16-bit integer.
        UInt16 = 16,
        /// Signed 4-bit integers, two in a byte.
        Int4 = 17,
        /// Brain floating point.
        BFloat16 = 18,
    }
}

enumeration! {
    /// How the edges of an image are treated by windows.
    enum Padding: i8 {
        /// The output has the input's size divided by the stride, rounded up.
        Same = 0,
        /// Windows stay inside the input.
        Valid = 1,
    }
}

enumeration! {
    /// A function applied to an operator's result.
    enum ActivationFunctionType: i8 {
        /// None.
        None = 0,
        /// `max(x, 0)`.
        Relu = 1,
        /// `min(max(x, -1), 1)`.
        ReluN1To1 = 2,
        /// `min(max(x, 0), 6)`.
        Relu6 = 3,
        /// Hyperbolic tangent.
        Tanh = 4,
        /// The sign bit.
        SignBit = 5,
    }
}

impl OperatorCode<'_> {
    /// The operator's number, from whichever of the two fields carries it.
    pub fn builtin_number(&self) -> i32 {
        i32::from(self.deprecated_builtin_code()).max(self.builtin_code())
    }

    /// The operator's name for people: `CONV_2D`, `CUSTOM name` or `BUILTIN number`.
    pub fn name(&self) -> String {
        match BuiltinOperator::from_raw(self.builtin_number()) {
            Some(BuiltinOperator::Custom) => {
                format!("CUSTOM {}", self.custom_code().unwrap_or("(unnamed)"))
            }
            Some(operator) => operator.name().to_owned(),
            None => format!("BUILTIN {}", self.builtin_number()),
        }
    }
}
