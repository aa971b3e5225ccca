//! Building tract's graph for a model and the shapes of its inputs.

use std::sync::Arc;

use image_embedder_backend::{BackendError, DType, TensorSpec};
use tract_core::internal::{DatumTypeExt, IntoArcTensor, SpecialOps, TVec, TypedOp, tvec};
use tract_core::ops::cast::cast;
use tract_core::ops::change_axes::AxisOp;
use tract_core::prelude::{DatumType, OutletId, TValue, Tensor, TypedFact, TypedModel};

use crate::NAME;
use crate::failure::{guarded, invalid, tract_error};
use crate::model_file::{FileTensor, Kind, ModelFile, Node, checked_volume};
use crate::operation::Map;

/// A graph with the descriptions of what it reads and writes.
pub(crate) struct BuiltGraph {
    pub(crate) graph: TypedModel,
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
}

/// Builds the graph of a model for the given shapes of its inputs.
///
/// # Errors
///
/// - [`BackendError::InvalidModel`] if the model contradicts itself.
/// - [`BackendError::UnsupportedOperators`] with all operators that are not known, or with the
///   first whose operands are not taken.
/// - [`BackendError::Runtime`] if tract refuses an operator.
pub(crate) fn build(
    file: &ModelFile<'_>,
    shapes: &[Vec<usize>],
) -> Result<BuiltGraph, BackendError> {
    let unsupported = file.unsupported();
    if !unsupported.is_empty() {
        return Err(BackendError::UnsupportedOperators {
            backend: NAME.to_owned(),
            operators: unsupported,
        });
    }
    guarded("translating the model", || {
        let mut builder = GraphBuilder::new(file);
        let inputs = builder.add_inputs(shapes)?;
        for node in &file.nodes {
            builder.add_node(node)?;
        }
        let outputs = builder.add_outputs()?;
        Ok(BuiltGraph { graph: builder.graph, inputs, outputs })
    })
}

/// A graph that is being built.
struct GraphBuilder<'a> {
    file: &'a ModelFile<'a>,
    graph: TypedModel,
    /// Where each tensor of the file is in the graph, once it is there.
    outlets: Vec<Option<OutletId>>,
    nodes: usize,
}

impl<'a> GraphBuilder<'a> {
    fn new(file: &'a ModelFile<'a>) -> Self {
        let outlets = vec![None; file.tensors.len()];
        Self { file, graph: TypedModel::default(), outlets, nodes: 0 }
    }

    fn add_inputs(&mut self, shapes: &[Vec<usize>]) -> Result<Vec<TensorSpec>, BackendError> {
        let mut specs = Vec::new();
        for (&index, shape) in self.file.inputs.iter().zip(shapes) {
            let tensor = &self.file.tensors[index];
            checked_volume(&tensor.name, shape)?;
            let spec = tensor.spec(shape)?;
            let fact = datum_type(spec.dtype)
                .ok_or_else(|| {
                    invalid(format!(
                        "tensor {}: expected an input of numbers, found {}",
                        tensor.name, spec.dtype
                    ))
                })?
                .fact(shape);
            let name = format!("input {}", specs.len());
            let source = self
                .graph
                .add_source(name, fact)
                .map_err(|error| tract_error("adding an input", &error))?;
            let held = self.held(tensor, source)?;
            self.set(index, held)?;
            specs.push(spec);
        }
        Ok(specs)
    }

    /// What is computed with in place of a tensor's own elements.
    fn held(&mut self, tensor: &FileTensor<'_>, own: OutletId) -> Result<OutletId, BackendError> {
        match tensor.kind() {
            Some(Kind::Float) if tensor.dtype == Some(DType::Float32) => Ok(own),
            Some(Kind::Float) => self.wire("widen", cast(DatumType::F32), &[own]),
            Some(Kind::Bytes) => {
                let floats = self.wire("widen", cast(DatumType::F32), &[own])?;
                match tensor.zero_point() {
                    0 => Ok(floats),
                    zero_point => {
                        let zero_point = zero_point as f32;
                        self.wire(
                            "hold",
                            Map::each("Hold", move |byte| byte - zero_point),
                            &[floats],
                        )
                    }
                }
            }
            _ => Ok(own),
        }
    }

    fn add_outputs(&mut self) -> Result<Vec<TensorSpec>, BackendError> {
        let mut specs = Vec::new();
        let mut outlets = Vec::new();
        for &index in &self.file.outputs {
            let tensor = &self.file.tensors[index];
            let held = self.outlet(index)?;
            let shape = self.shape(held)?;
            let spec = tensor.spec(&shape)?;
            let Some(own) = datum_type(spec.dtype) else {
                return Err(invalid(format!(
                    "tensor {}: expected an output of numbers, found {}",
                    tensor.name, spec.dtype
                )));
            };
            let bytes = match tensor.zero_point() {
                zero_point if zero_point != 0 && tensor.kind() == Some(Kind::Bytes) => {
                    let zero_point = zero_point as f32;
                    let release = Map::each("Release", move |held| held + zero_point);
                    self.wire("release", release, &[held])?
                }
                _ => held,
            };
            // A cast even to the same type makes outputs that share a node different.
            outlets.push(self.wire("output", cast(own), &[bytes])?);
            specs.push(spec);
        }
        self.graph
            .select_output_outlets(&outlets)
            .map_err(|error| tract_error("choosing the outputs", &error))?;
        Ok(specs)
    }

    fn add_node(&mut self, node: &Node) -> Result<(), BackendError> {
        let file = self.file;
        let mut operation = Operation { builder: self, node };
        let Some(translation) = &node.translation else {
            return Err(operation.unsupported("unknown options"));
        };
        let outlets = translation(&mut operation)?;
        if outlets.len() != node.outputs.len() {
            return Err(operation.invalid(format!(
                "expected {} outputs, found {}",
                outlets.len(),
                node.outputs.len()
            )));
        }
        for (&index, outlet) in node.outputs.iter().zip(outlets) {
            let found = self.fact(outlet)?.datum_type;
            let tensor = &file.tensors[index];
            if held_type(tensor) != Some(found) {
                return Err(Operation { builder: self, node }
                    .unsupported(format!("an output of {}", tensor.dtype_name())));
            }
            self.set(index, outlet)?;
        }
        Ok(())
    }

    fn set(&mut self, index: usize, outlet: OutletId) -> Result<(), BackendError> {
        match self.outlets[index].replace(outlet) {
            None => Ok(()),
            Some(_) => Err(invalid(format!(
                "tensor {}: expected to be computed once",
                self.file.tensors[index].name
            ))),
        }
    }

    fn outlet(&mut self, index: usize) -> Result<OutletId, BackendError> {
        if let Some(outlet) = self.outlets[index] {
            return Ok(outlet);
        }
        let tensor = &self.file.tensors[index];
        let constant = tensor.constant()?.ok_or_else(|| {
            invalid(format!("tensor {}: expected to be computed before it is read", tensor.name))
        })?;
        let outlet = self.constant(constant)?;
        self.outlets[index] = Some(outlet);
        Ok(outlet)
    }

    fn unique(&mut self, what: &str) -> String {
        self.nodes += 1;
        format!("{what} {}", self.nodes)
    }

    fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> Result<OutletId, BackendError> {
        let name = self.unique("constant");
        self.graph
            .add_const(name, tensor.into())
            .map_err(|error| tract_error("adding a constant", &error))
    }

    fn fact(&self, outlet: OutletId) -> Result<&TypedFact, BackendError> {
        self.graph.outlet_fact(outlet).map_err(|error| tract_error("looking up a shape", &error))
    }

    fn shape(&self, outlet: OutletId) -> Result<Vec<usize>, BackendError> {
        let fact = self.fact(outlet)?;
        let shape = fact.shape.as_concrete().map(<[usize]>::to_vec);
        shape.ok_or_else(|| invalid(format!("expected a known shape, found {:?}", fact.shape)))
    }

    /// Adds an operator with one output.
    fn wire(
        &mut self,
        what: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, BackendError> {
        let outlets = self.wire_all(what, op, inputs)?;
        outlets.first().copied().ok_or_else(|| invalid(format!("{what}: expected an output")))
    }

    /// Adds an operator; one that has only constants to work on is replaced by its results.
    fn wire_all(
        &mut self,
        what: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<TVec<OutletId>, BackendError> {
        let op = op.into();
        let name = self.unique(what);
        let failed = |error| tract_error(what, &error);
        let outlets = self.graph.wire_node(name, op.clone(), inputs).map_err(failed)?;
        for &outlet in &outlets {
            checked_volume(what, &self.shape(outlet)?)?;
        }
        let mut constants = tvec!();
        for &input in inputs {
            match &self.fact(input)?.konst {
                Some(tensor) => constants.push(TValue::from_const(Arc::clone(tensor))),
                None => return Ok(outlets),
            }
        }
        match op.eval_out_of_plan(constants).map_err(failed)? {
            Some(results) if !inputs.is_empty() => {
                results.into_iter().map(|result| self.constant(result.into_arc_tensor())).collect()
            }
            _ => Ok(outlets),
        }
    }
}

/// The type in which tract reads and writes a tensor that is an input or output.
fn datum_type(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::Float32 => DatumType::F32,
        DType::Float16 => DatumType::F16,
        DType::Int8 => DatumType::I8,
        DType::UInt8 => DatumType::U8,
        DType::Int32 => DatumType::I32,
        DType::Int64 => DatumType::I64,
        DType::Bool => DatumType::Bool,
        _ => return None,
    })
}

/// The type in which a tensor is computed with.
pub(crate) fn held_type(tensor: &FileTensor<'_>) -> Option<DatumType> {
    match tensor.kind()? {
        Kind::Float | Kind::Bytes => Some(DatumType::F32),
        Kind::Whole | Kind::Bool => tensor.dtype.and_then(datum_type),
    }
}

/// One operation of the model on its way into the graph.
pub(crate) struct Operation<'b, 'a> {
    builder: &'b mut GraphBuilder<'a>,
    node: &'b Node,
}

/// An input of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) outlet: OutletId,
    /// As it is now, which the file may not know.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// The tensor in the file.
    pub(crate) tensor: &'a FileTensor<'a>,
}

impl Operand<'_> {
    pub(crate) fn volume(&self) -> usize {
        self.shape.iter().product()
    }
}

impl<'a> Operation<'_, 'a> {
    pub(crate) fn input_count(&self) -> usize {
        self.node.inputs.len()
    }

    pub(crate) fn output_count(&self) -> usize {
        self.node.outputs.len()
    }

    /// Required input `index`.
    pub(crate) fn input(&mut self, index: usize) -> Result<Operand<'a>, BackendError> {
        match self.optional_input(index)? {
            Some(operand) => Ok(operand),
            None => Err(self.invalid(format!("expected an input {index}, found none"))),
        }
    }

    /// Input `index`, if it is there.
    pub(crate) fn optional_input(
        &mut self,
        index: usize,
    ) -> Result<Option<Operand<'a>>, BackendError> {
        let Some(place) = self.node.inputs.get(index).copied().flatten() else {
            return Ok(None);
        };
        let file = self.builder.file;
        let tensor = &file.tensors[place];
        let kind = tensor
            .kind()
            .ok_or_else(|| self.unsupported(format!("an input of {}", tensor.dtype_name())))?;
        let outlet = self.builder.outlet(place)?;
        let shape = self.builder.shape(outlet)?;
        Ok(Some(Operand { outlet, shape, kind, tensor }))
    }

    /// What the file says of output `index`.
    pub(crate) fn output(&self, index: usize) -> Result<&'a FileTensor<'a>, BackendError> {
        let file = self.builder.file;
        match self.node.outputs.get(index) {
            Some(&place) => Ok(&file.tensors[place]),
            None => Err(self.invalid(format!("expected an output {index}, found none"))),
        }
    }

    /// The value of required input `index`, if it is known now.
    pub(crate) fn constant(&mut self, index: usize) -> Result<Option<Arc<Tensor>>, BackendError> {
        let outlet = self.input(index)?.outlet;
        Ok(self.builder.fact(outlet)?.konst.clone())
    }

    /// Required input `index` as floats or held bytes that are known now.
    pub(crate) fn floats(&mut self, index: usize) -> Result<Vec<f32>, BackendError> {
        let constant = self.constant(index)?;
        match constant.as_deref().map(elements::<f32>) {
            Some(Some(values)) => Ok(values),
            _ => Err(self.unsupported(format!("input {index} that is not constant"))),
        }
    }

    /// Required input `index` as whole numbers that are known now.
    pub(crate) fn integers(&mut self, index: usize) -> Result<Vec<i64>, BackendError> {
        let constant = self.constant(index)?;
        let values = constant.as_deref().and_then(|tensor| match tensor.datum_type() {
            DatumType::I32 => {
                Some(elements::<i32>(tensor)?.into_iter().map(i64::from).collect::<Vec<i64>>())
            }
            _ => elements::<i64>(tensor),
        });
        values.ok_or_else(|| self.unsupported(format!("input {index} that is not constant")))
    }

    /// Required input `index` as sizes or counts, which are not negative.
    pub(crate) fn sizes(&mut self, index: usize) -> Result<Vec<usize>, BackendError> {
        let integers = self.integers(index)?;
        let sizes: Option<Vec<usize>> =
            integers.iter().map(|&size| usize::try_from(size).ok()).collect();
        sizes.ok_or_else(|| {
            self.invalid(format!("expected sizes of at least 0, found {integers:?}"))
        })
    }

    /// The dimension that an axis names; negative ones count from behind.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, BackendError> {
        let from_front = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        usize::try_from(from_front)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| self.invalid(format!("expected an axis below {rank}, found {axis}")))
    }

    /// The batch, height, width and channels of required input `index`.
    pub(crate) fn image(&mut self, index: usize) -> Result<[usize; 4], BackendError> {
        let shape = self.input(index)?.shape;
        match shape[..] {
            [batch, height, width, channels] => Ok([batch, height, width, channels]),
            _ => Err(self.invalid(format!(
                "expected a batch x height x width x channels input, found shape {shape:?}"
            ))),
        }
    }

    /// Checks that elements of an input mean the same in output `index`.
    pub(crate) fn check_moves(
        &self,
        input: &Operand<'_>,
        index: usize,
    ) -> Result<(), BackendError> {
        let output = self.output(index)?;
        if input.tensor.dtype != output.dtype {
            return Err(self.unsupported_elements());
        }
        if input.kind == Kind::Bytes && input.tensor.quantization != output.quantization {
            return Err(self.unsupported("an output quantised otherwise than the input"));
        }
        Ok(())
    }

    /// Adds an operator with one output.
    pub(crate) fn wire(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, BackendError> {
        self.builder.wire(&self.node.name, op, inputs)
    }

    /// Adds an operator.
    pub(crate) fn wire_all(
        &mut self,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<TVec<OutletId>, BackendError> {
        self.builder.wire_all(&self.node.name, op, inputs)
    }

    /// What is computed with in place of a tensor's own elements.
    pub(crate) fn hold(
        &mut self,
        tensor: &FileTensor<'_>,
        own: OutletId,
    ) -> Result<OutletId, BackendError> {
        self.builder.held(tensor, own)
    }

    /// Adds a constant.
    pub(crate) fn add_constant(
        &mut self,
        tensor: impl Into<Arc<Tensor>>,
    ) -> Result<OutletId, BackendError> {
        self.builder.constant(tensor)
    }

    /// Adds a constant of the given shape.
    pub(crate) fn add_floats(
        &mut self,
        shape: &[usize],
        values: &[f32],
    ) -> Result<OutletId, BackendError> {
        let tensor = Tensor::from_shape(shape, values)
            .map_err(|error| tract_error("making a constant", &error))?;
        self.add_constant(tensor)
    }

    pub(crate) fn shape(&self, outlet: OutletId) -> Result<Vec<usize>, BackendError> {
        self.builder.shape(outlet)
    }

    /// The same elements in the same order under another shape.
    pub(crate) fn reshape(
        &mut self,
        outlet: OutletId,
        shape: &[usize],
    ) -> Result<OutletId, BackendError> {
        let from = self.shape(outlet)?;
        if from == shape {
            return Ok(outlet);
        }
        if from.iter().product::<usize>() != checked_volume(&self.node.name, shape)? {
            return Err(self.invalid(format!("expected a shape like {from:?}, found {shape:?}")));
        }
        let dims = |shape: &[usize]| shape.iter().map(|&size| size.into()).collect();
        self.wire(AxisOp::Reshape(0, dims(&from), dims(shape)), &[outlet])
    }

    /// An error naming this operator and what about it is not supported.
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display) -> BackendError {
        BackendError::UnsupportedOperators {
            backend: NAME.to_owned(),
            operators: vec![format!("{} ({what})", self.node.name)],
        }
    }

    /// An error naming this operator and what is wrong with it.
    pub(crate) fn invalid(&self, what: impl std::fmt::Display) -> BackendError {
        invalid(format!("{}: {what}", self.node.name))
    }

    /// An error for a combination of element types that the operator does not take.
    pub(crate) fn unsupported_elements(&self) -> BackendError {
        let name = |&place: &usize| self.builder.file.tensors[place].dtype_name();
        let inputs: Vec<&str> = self.node.inputs.iter().flatten().map(name).collect();
        let output = self.node.outputs.first().map_or("nothing", name);
        self.unsupported(format!("{} to {output}", inputs.join(", ")))
    }
}

/// The elements of a tensor of that type.
fn elements<T: tract_core::prelude::Datum + Copy>(tensor: &Tensor) -> Option<Vec<T>> {
    Some(tensor.as_plain_ram()?.as_slice::<T>().ok()?.to_vec())
}
