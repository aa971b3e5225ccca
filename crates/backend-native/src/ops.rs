//! From operators to steps: shape inference, checks and kernel construction, a file per family.

mod add;
mod concatenation;
mod convolution;
mod depthwise_convolution;
mod layout;
mod mean;
mod pool;
mod quantize;
mod resize;
mod softmax;
mod space_batch;
pub(crate) mod window;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use image_embedder_backend::BackendError;

use crate::fold;
use crate::graph::{Data, Element, Graph, Node, Tensor, invalid};
use crate::operator::Operator;
use crate::simd::Isa;
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

/// Code with its packed constants that computes one tensor from others.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// The working memory that `run` uses.
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes::default()
    }

    /// Computes the output; the shapes are those the kernel was made for.
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError>;
}

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
    Step {
        kernel: Arc<dyn Kernel>,
        operands: Vec<usize>,
    },
}

impl Lowered {
    pub(crate) fn constant(shape: Vec<usize>, data: Data) -> Self {
        Self {
            shape,
            work: Work::Constant(data),
        }
    }

    pub(crate) fn alias(shape: Vec<usize>, tensor: usize) -> Self {
        Self {
            shape,
            work: Work::Alias(tensor),
        }
    }

    pub(crate) fn step(
        shape: Vec<usize>,
        kernel: impl Kernel + 'static,
        operands: Vec<usize>,
    ) -> Self {
        Self {
            shape,
            work: Work::Step {
                kernel: Arc::new(kernel),
                operands,
            },
        }
    }
}

/// A node with the tensors as they are known so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    pub(crate) node: &'a Node,
    pub(crate) tensors: &'a [Tensor],
    pub(crate) isa: Isa,
}

impl<'a> Operands<'a> {
    /// The index of required input `index`.
    pub(crate) fn input_index(&self, index: usize) -> Result<usize, BackendError> {
        self.node
            .inputs
            .get(index)
            .copied()
            .flatten()
            .ok_or_else(|| {
                invalid(format!(
                    "{}: expected an input {index}, found none",
                    self.node.name
                ))
            })
    }

    /// Required input `index`.
    pub(crate) fn input(&self, index: usize) -> Result<&'a Tensor, BackendError> {
        Ok(&self.tensors[self.input_index(index)?])
    }

    /// Optional input `index`.
    pub(crate) fn optional_input(&self, index: usize) -> Option<&'a Tensor> {
        self.node
            .inputs
            .get(index)
            .copied()
            .flatten()
            .map(|index| &self.tensors[index])
    }

    /// The one output.
    pub(crate) fn output(&self) -> Result<&'a Tensor, BackendError> {
        match self.node.outputs[..] {
            [index] => Ok(&self.tensors[index]),
            _ => Err(invalid(format!(
                "{}: expected one output, found {}",
                self.node.name,
                self.node.outputs.len()
            ))),
        }
    }

    /// Required input `index` as known whole numbers.
    pub(crate) fn integers(&self, index: usize) -> Result<Vec<i64>, BackendError> {
        self.input(index)?
            .integers()
            .ok_or_else(|| self.unsupported(format!("input {index} that is not constant")))
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
        let inputs: Vec<&str> = self
            .node
            .inputs
            .iter()
            .flatten()
            .map(|&index| name(&self.tensors[index]))
            .collect();
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

/// Turns an operator into work.
pub(crate) fn lower(operator: Operator, operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    if let Some(folded) = fold::fold(operator, operands)? {
        return Ok(folded);
    }
    match operator {
        Operator::Add(activation) => add::lower(operands, activation),
        Operator::AveragePool2d(pool) => pool::lower_average(operands, &pool),
        Operator::BatchToSpaceNd => space_batch::lower_batch_to_space(operands),
        Operator::Concatenation { axis, activation } => {
            concatenation::lower(operands, axis, activation)
        }
        Operator::Conv2d(options) => convolution::lower(operands, &options),
        Operator::DepthwiseConv2d(options) => depthwise_convolution::lower(operands, &options),
        Operator::Dequantize => quantize::lower_dequantize(operands),
        Operator::Mean { keep_dims } => mean::lower(operands, keep_dims),
        Operator::Quantize => quantize::lower_quantize(operands),
        Operator::Reshape => layout::lower_reshape(operands),
        Operator::ResizeBilinear {
            align_corners,
            half_pixel_centers,
        } => resize::lower_bilinear(operands, align_corners, half_pixel_centers),
        Operator::Softmax { beta } => softmax::lower(operands, beta),
        Operator::SpaceToBatchNd => space_batch::lower_space_to_batch(operands),
        Operator::Squeeze => layout::lower_squeeze(operands),
        Operator::FloorMod
        | Operator::Pack { .. }
        | Operator::Shape
        | Operator::StridedSlice(_)
        | Operator::Sub(_) => Err(operands.unsupported("inputs that are not known in advance")),
    }
}

/// Whether both are floats.
pub(crate) fn both_float32(a: &Tensor, b: &Tensor) -> bool {
    a.element == Element::Float32 && b.element == Element::Float32
}

/// Whether both are bytes of the same type.
pub(crate) fn both_bytes(a: &Tensor, b: &Tensor) -> bool {
    a.element.is_byte() && a.element == b.element
}
