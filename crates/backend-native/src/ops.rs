//! From operators to steps: shape inference, checks and kernel construction, a file per family.

mod arg_extreme;
mod binary;
mod broadcast;
pub(crate) mod chain;
mod comparison;
mod concatenation;
mod convolution;
mod depthwise_convolution;
mod dynamic_range;
mod elements;
mod gather;
mod layout;
mod matrix;
mod normalize;
mod pad;
mod pool;
mod quantize;
mod reduce;
mod resize;
mod select;
mod selection;
mod shape;
mod slice;
mod softmax;
mod space_batch;
mod transpose;
mod transpose_convolution;
mod unary;
pub(crate) mod window;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use image_embedder_backend::BackendError;

use crate::fold;
use crate::graph::{Data, Element, Graph, Node, Tensor, invalid};
use crate::operator::Operator;
use crate::ops::chain::ByRows;
use crate::simd::Isa;
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

/// Code with its packed constants that computes one tensor from others.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// The working memory that `run` uses; every thread has its own.
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes::default()
    }

    /// How many neighbouring output elements are computed together, if the output can be computed
    /// in parts: a part then begins at a multiple of the grain and ends at one or at the end.
    ///
    /// What an element comes to must not depend on the part that it is computed in.
    fn grain(&self) -> Option<usize> {
        None
    }

    /// Products that are added up for the whole output, where they are what takes the time.
    fn multiply_adds(&self) -> u64 {
        0
    }

    /// The kernel as one that computes rows of floats from rows of its only input, if it is one.
    fn float_rows(&self) -> Option<&dyn ByRows<f32>> {
        None
    }

    /// The kernel as one that computes rows of bytes from rows of its only input, if it is one.
    fn byte_rows(&self) -> Option<&dyn ByRows<u8>> {
        None
    }

    /// Computes the output, or the part of it that it is handed if it has a [`grain`](Self::grain).
    /// The shapes are those the kernel was made for.
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError>;
}

/// The grain of kernels that compute every element by itself.
pub(crate) const ELEMENTS: usize = 256;

/// What an operator comes to for given input shapes.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// The output's shape.
    pub(crate) shape: Vec<usize>,
    pub(crate) work: Work,
}

/// How the output comes about.
#[derive(Debug)]
pub(crate) enum Work {
    /// It is known now.
    Constant(Data),
    /// It has the elements of that tensor in the same order.
    Alias(usize),
    /// It is computed from those tensors.
    Step { kernel: Arc<dyn Kernel>, operands: Vec<usize> },
    /// It is computed from `len` bytes, which another kernel computes from that tensor first.
    ThroughBytes { first: Arc<dyn Kernel>, len: usize, then: Arc<dyn Kernel>, operand: usize },
}

impl Lowered {
    pub(crate) fn constant(shape: Vec<usize>, data: Data) -> Self {
        Self { shape, work: Work::Constant(data) }
    }

    pub(crate) fn alias(shape: Vec<usize>, tensor: usize) -> Self {
        Self { shape, work: Work::Alias(tensor) }
    }

    pub(crate) fn step(
        shape: Vec<usize>,
        kernel: impl Kernel + 'static,
        operands: Vec<usize>,
    ) -> Self {
        Self { shape, work: Work::Step { kernel: Arc::new(kernel), operands } }
    }
}

/// A node with the tensors as they are known so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    pub(crate) node: &'a Node,
    pub(crate) tensors: &'a [Tensor],
    /// Which of the node's outputs is in question.
    pub(crate) position: usize,
    pub(crate) isa: Isa,
}

impl<'a> Operands<'a> {
    /// The index of required input `index`.
    pub(crate) fn input_index(&self, index: usize) -> Result<usize, BackendError> {
        self.node.inputs.get(index).copied().flatten().ok_or_else(|| {
            invalid(format!("{}: expected an input {index}, found none", self.node.name))
        })
    }

    /// Required input `index`.
    pub(crate) fn input(&self, index: usize) -> Result<&'a Tensor, BackendError> {
        Ok(&self.tensors[self.input_index(index)?])
    }

    /// Optional input `index`.
    pub(crate) fn optional_input(&self, index: usize) -> Option<&'a Tensor> {
        self.node.inputs.get(index).copied().flatten().map(|index| &self.tensors[index])
    }

    /// The output in question.
    pub(crate) fn output(&self) -> Result<&'a Tensor, BackendError> {
        self.node
            .outputs
            .get(self.position)
            .map(|&index| &self.tensors[index])
            .ok_or_else(|| self.invalid("expected an output, found none"))
    }

    /// Required input `index` as known whole numbers.
    pub(crate) fn integers(&self, index: usize) -> Result<Vec<i64>, BackendError> {
        self.input(index)?
            .integers()
            .map(<[i64]>::to_vec)
            .ok_or_else(|| self.unsupported(format!("input {index} that is not constant")))
    }

    /// The dimension that an axis names; negative ones count from behind.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, BackendError> {
        dimension(axis, rank)
            .ok_or_else(|| self.invalid(format!("expected an axis below {rank}, found {axis}")))
    }

    /// Checks that elements of an input mean the same in the output.
    pub(crate) fn check_moves(&self, input: &Tensor) -> Result<(), BackendError> {
        let output = self.output()?;
        if input.element != output.element || input.element.holder().is_none() {
            return Err(self.unsupported_elements());
        }
        if input.element.is_byte() && input.quantization != output.quantization {
            return Err(self.unsupported("an output quantised otherwise than the input"));
        }
        Ok(())
    }

    /// The height, width and channels, with the batch in front, of required input `index`.
    pub(crate) fn image(&self, index: usize) -> Result<[usize; 4], BackendError> {
        let shape = &self.input(index)?.shape;
        <[usize; 4]>::try_from(&shape[..]).map_err(|_| {
            invalid(format!(
                "{}: expected a batch x height x width x channels input, found shape {shape:?}",
                self.node.name
            ))
        })
    }

    /// An error naming this operator and what about it the engine does not do.
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display) -> BackendError {
        crate::graph::unsupported(&self.node.name, what)
    }

    /// An error naming this operator and what is wrong with it.
    pub(crate) fn invalid(&self, what: impl std::fmt::Display) -> BackendError {
        invalid(format!("{}: {what}", self.node.name))
    }

    /// An error for a combination of element types that the operator does not take.
    pub(crate) fn unsupported_elements(&self) -> BackendError {
        let name = |tensor: &Tensor| tensor.element.dtype().map_or("?", |dtype| dtype.name());
        let inputs: Vec<&str> =
            self.node.inputs.iter().flatten().map(|&index| name(&self.tensors[index])).collect();
        let output = self.output().map_or("?", name);
        self.unsupported(format!("{} to {output}", inputs.join(", ")))
    }
}

/// Every operator of the graph that the engine does not know, once, in order of name.
pub(crate) fn unsupported(graph: &Graph) -> Vec<String> {
    let names: BTreeSet<&str> = graph
        .nodes
        .iter()
        .filter(|node| node.operator.is_none())
        .map(|node| &node.name[..])
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Turns one output of an operator into work.
pub(crate) fn lower(operator: Operator, operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let outputs = operands.node.outputs.len();
    if outputs != 1 && !operator.has_many_outputs() {
        return Err(operands.invalid(format!("expected one output, found {outputs}")));
    }
    let lowered = lower_at_run_time(operator, operands)?;
    fold::run_on_constants(lowered, operands)
}

fn lower_at_run_time(operator: Operator, operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    match operator {
        Operator::AddN => binary::lower_sum(operands),
        Operator::ArgExtreme { is_maximum } => arg_extreme::lower(operands, is_maximum),
        Operator::AveragePool2d(pool) => pool::lower_average(operands, &pool),
        Operator::BatchMatMul { adjoint } => matrix::lower_batch(operands, adjoint),
        Operator::BatchToSpaceNd => space_batch::lower_batch_to_space(operands),
        Operator::Binary(function, activation) => binary::lower(operands, function, activation),
        Operator::BroadcastTo => slice::lower_broadcast_to(operands),
        Operator::Cast => quantize::lower_cast(operands),
        Operator::Compare(comparison) => comparison::lower(operands, comparison),
        Operator::Concatenation { axis, activation } => {
            concatenation::lower(operands, axis, activation)
        }
        Operator::Conv2d(options) => convolution::lower(operands, &options),
        Operator::DepthToSpace { block } => transpose::lower_depth_to_space(operands, block),
        Operator::DepthwiseConv2d(options) => depthwise_convolution::lower(operands, &options),
        Operator::Dequantize => quantize::lower_dequantize(operands),
        Operator::ExpandDims => layout::lower_expand_dims(operands),
        Operator::Fill => shape::lower_fill(operands),
        Operator::FullyConnected { activation, keep_dims } => {
            matrix::lower_fully_connected(operands, activation, keep_dims)
        }
        Operator::Gather { axis, batch_dims } => gather::lower(operands, axis, batch_dims),
        Operator::L2Normalization(activation) => normalize::lower_l2(operands, activation),
        Operator::L2Pool2d(pool) => pool::lower_root_mean_square(operands, &pool),
        Operator::LogSoftmax => softmax::lower_log(operands),
        Operator::LogicalAnd => comparison::lower_logical(operands, |a, b| a & b),
        Operator::LogicalNot => comparison::lower_not(operands),
        Operator::LogicalOr => comparison::lower_logical(operands, |a, b| a | b),
        Operator::MaxPool2d(pool) => pool::lower_max(operands, &pool),
        Operator::MirrorPad { symmetric } => pad::lower_mirror(operands, symmetric),
        Operator::Pack { axis } => concatenation::lower_pack(operands, axis),
        Operator::Pad => pad::lower(operands),
        Operator::Prelu => binary::lower_prelu(operands),
        Operator::Quantize => quantize::lower_quantize(operands),
        Operator::Range => shape::lower_range(operands),
        Operator::Rank => shape::lower_rank(operands),
        Operator::Reduce { function, keep_dims } => reduce::lower(operands, function, keep_dims),
        Operator::Reshape => layout::lower_reshape(operands),
        Operator::ResizeBilinear(alignment) => resize::lower_bilinear(operands, alignment),
        Operator::ResizeNearestNeighbor(alignment) => {
            resize::lower_nearest_neighbor(operands, alignment)
        }
        Operator::ReverseV2 => slice::lower_reverse(operands),
        Operator::Select { broadcasts } => select::lower(operands, broadcasts),
        Operator::Shape => shape::lower_shape(operands),
        Operator::Slice => slice::lower_slice(operands),
        Operator::Softmax { beta } => softmax::lower(operands, beta),
        Operator::SpaceToBatchNd => space_batch::lower_space_to_batch(operands),
        Operator::SpaceToDepth { block } => transpose::lower_space_to_depth(operands, block),
        Operator::Split => slice::lower_split(operands),
        Operator::SplitV => slice::lower_split_v(operands),
        Operator::Squeeze => layout::lower_squeeze(operands),
        Operator::StridedSlice(masks) => slice::lower_strided_slice(operands, masks),
        Operator::Tile => slice::lower_tile(operands),
        Operator::Transpose => transpose::lower(operands),
        Operator::TransposeConv(options) => transpose_convolution::lower(operands, &options),
        Operator::Unary(function) => unary::lower(operands, function),
        Operator::Unpack { axis } => slice::lower_unpack(operands, axis),
        Operator::ZerosLike => shape::lower_zeros_like(operands),
    }
}

/// The dimension that an axis names, if there is one; negative axes count from behind.
pub(crate) fn dimension(axis: i64, rank: usize) -> Option<usize> {
    let from_front = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(from_front).ok().filter(|&axis| axis < rank)
}

/// Whether both are floats.
pub(crate) fn both_float32(a: &Tensor, b: &Tensor) -> bool {
    a.element == Element::Float32 && b.element == Element::Float32
}

/// Whether both are whole numbers of the same type.
pub(crate) fn both_integers(a: &Tensor, b: &Tensor) -> bool {
    a.element.is_integer() && a.element == b.element
}

/// Whether both are bytes of the same type.
pub(crate) fn both_bytes(a: &Tensor, b: &Tensor) -> bool {
    a.element.is_byte() && a.element == b.element
}
