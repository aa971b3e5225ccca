//! What must be known of a model file before TensorFlow Lite sees it.

use std::error::Error;

use image_embedder_backend::{BackendError, DType, Quantization};
use image_embedder_schema::tflite::{Model, SubGraph, Tensor, TensorType, read_model};
use tflite::TensorIndex;

use crate::{NAME, operators};

/// The schema version of every model file.
const SCHEMA_VERSION: u32 = 3;

/// The inputs and outputs of a model file.
#[derive(Debug)]
pub(crate) struct ModelFile {
    pub(crate) inputs: Vec<TensorFacts>,
    pub(crate) outputs: Vec<TensorFacts>,
}

/// What the file says of one input or output.
#[derive(Clone, Debug)]
pub(crate) struct TensorFacts {
    /// The tensor's index in the model's main graph.
    pub(crate) index: TensorIndex,
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) quantization: Option<Quantization>,
    /// Which dimensions are open; empty if the model does not say.
    pub(crate) open: Vec<bool>,
}

impl ModelFile {
    /// Verifies a model file and refuses what TensorFlow 1.15 does not have or cannot survive.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackendError> {
        let model = read_model(bytes).map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}"));
            invalid(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        if model.version() != SCHEMA_VERSION {
            let found = model.version();
            return Err(invalid(format!(
                "expected schema version {SCHEMA_VERSION}, found {found}"
            )));
        }
        if !model.buffers().is_present() {
            return Err(invalid("expected buffers, found none"));
        }
        let main = model.subgraphs().first();
        let main = main.ok_or_else(|| invalid("expected a subgraph, found none"))?;
        let operators = operators::unsupported(&model);
        if !operators.is_empty() {
            return Err(BackendError::UnsupportedOperators { backend: NAME.to_owned(), operators });
        }
        for graph in model.subgraphs().iter() {
            check_indices(&graph)?;
            graph.tensors().iter().try_for_each(|tensor| check_tensor(&tensor))?;
        }
        let facts = |index: i32| TensorFacts::read(&main, index);
        let file = Self {
            inputs: main.inputs().iter().map(facts).collect::<Result<_, _>>()?,
            outputs: main.outputs().iter().map(facts).collect::<Result<_, _>>()?,
        };
        file.check_inputs(&model, &main)?;
        file.check_outputs(&model, &main)?;
        Ok(file)
    }

    /// Inputs are written to, so none may lie in the file.
    fn check_inputs(&self, model: &Model<'_>, main: &SubGraph<'_>) -> Result<(), BackendError> {
        for input in &self.inputs {
            if has_data(model, main, input.index) {
                let name = &input.name;
                return Err(invalid(format!("input {name}: expected no data, found a constant")));
            }
        }
        Ok(())
    }

    /// Outputs are read, so something must have written them.
    fn check_outputs(&self, model: &Model<'_>, main: &SubGraph<'_>) -> Result<(), BackendError> {
        for output in &self.outputs {
            let index = output.index;
            let is_written = has_data(model, main, index)
                || main.inputs().iter().any(|input| input == index)
                || main
                    .operators()
                    .iter()
                    .any(|operator| operator.outputs().iter().any(|written| written == index));
            if !is_written {
                let name = &output.name;
                return Err(invalid(format!("output {name}: expected an operator that writes it")));
            }
        }
        Ok(())
    }

    /// The file with its inputs in other shapes of as many dimensions.
    pub(crate) fn resized(
        &self,
        bytes: &[u8],
        shapes: &[Vec<usize>],
    ) -> Result<Vec<u8>, BackendError> {
        let mut changed = bytes.to_vec();
        let model = read_model(bytes).map_err(|error| invalid(error.to_string()))?;
        let main = model.subgraphs().first();
        let main = main.ok_or_else(|| invalid("expected a subgraph, found none"))?;
        for (input, shape) in self.inputs.iter().zip(shapes) {
            let sizes: Result<Vec<i32>, _> = shape.iter().map(|&size| size.try_into()).collect();
            let sizes = sizes.map_err(|_| failed(&input.name, "a size is too large"))?;
            let tensor = tensor(&main, input.index)?;
            let place = tensor.shape();
            let place = place.bytes();
            let others = main.tensors();
            let is_shared = others.iter().enumerate().any(|(index, other)| {
                usize::try_from(input.index) != Ok(index)
                    && !place.is_empty()
                    && other.shape().bytes().as_ptr() == place.as_ptr()
            });
            if is_shared {
                return Err(failed(
                    &input.name,
                    "the model file has its shape from another tensor",
                ));
            }
            let start = place.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
            let end = start.saturating_add(place.len());
            let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
            match changed.get_mut(start..end) {
                Some(target) if target.len() == sizes.len() => target.copy_from_slice(&sizes),
                _ => return Err(failed(&input.name, "the model file has no shape for it")),
            }
        }
        Ok(changed)
    }
}

impl TensorFacts {
    fn read(graph: &SubGraph<'_>, index: i32) -> Result<Self, BackendError> {
        let tensor = tensor(graph, index)?;
        let name = tensor.name().unwrap_or_default().to_owned();
        let dtype = dtype(&tensor).ok_or_else(|| BackendError::Runtime {
            backend: NAME.to_owned(),
            message: format!(
                "tensor {name}: expected numbers of at most 64 bits or booleans, found elements \
                 of TensorFlow Lite's type {}",
                tensor.type_()
            ),
        })?;
        let quantization = tensor.quantization().and_then(|quantization| {
            let (scales, zero_points) = (quantization.scale(), quantization.zero_point());
            let (scale, zero_point) = (scales.first()?, zero_points.first()?);
            let zero_point = i32::try_from(zero_point).ok()?;
            (scales.len() == 1 && scale != 0.0).then(|| Quantization::new(scale, zero_point))
        });
        let signature: Vec<bool> = tensor.shape_signature().iter().map(|size| size < 0).collect();
        let open = if signature.len() == tensor.shape().len() { signature } else { Vec::new() };
        Ok(Self { index, name, dtype, quantization, open })
    }
}

fn tensor<'a>(graph: &SubGraph<'a>, index: i32) -> Result<Tensor<'a>, BackendError> {
    let found = usize::try_from(index).ok().and_then(|index| graph.tensors().get(index));
    found.ok_or_else(|| {
        let count = graph.tensors().len();
        invalid(format!("expected a tensor index below {count}, found {index}"))
    })
}

/// Whether the tensor is a constant.
fn has_data(model: &Model<'_>, graph: &SubGraph<'_>, index: i32) -> bool {
    let tensor = usize::try_from(index).ok().and_then(|index| graph.tensors().get(index));
    tensor
        .and_then(|tensor| usize::try_from(tensor.buffer()).ok())
        .and_then(|buffer| model.buffers().get(buffer))
        .is_some_and(|buffer| !buffer.data().is_empty())
}

/// Checks that operators refer to tensors that there are; an input may be left out.
fn check_indices(graph: &SubGraph<'_>) -> Result<(), BackendError> {
    for operator in graph.operators().iter() {
        for index in operator.inputs().iter().filter(|&index| index != -1) {
            tensor(graph, index)?;
        }
        for index in operator.outputs().iter() {
            tensor(graph, index)?;
        }
    }
    Ok(())
}

/// Checks that TensorFlow 1.15 has the elements, that sizes do not overflow its integers, and that
/// scales are numbers.
fn check_tensor(tensor: &Tensor<'_>) -> Result<(), BackendError> {
    let name = tensor.name().unwrap_or_default();
    if !is_known(tensor.type_()) {
        return Err(BackendError::Runtime {
            backend: NAME.to_owned(),
            message: format!(
                "tensor {name}: TensorFlow 1.15 has no elements of type {}",
                tensor.type_()
            ),
        });
    }
    let count = tensor
        .shape()
        .iter()
        .try_fold(1_i32, |count, size| if size < 0 { None } else { count.checked_mul(size) });
    if count.is_none() {
        return Err(failed(name, "expected at most 2147483647 elements, found another shape"));
    }
    let Some(quantization) = tensor.quantization() else {
        return Ok(());
    };
    let (scales, zero_points) = (quantization.scale(), quantization.zero_point());
    if !scales.is_empty() && scales.len() != zero_points.len() {
        let (scales, zero_points) = (scales.len(), zero_points.len());
        let reason = format!("expected {scales} zero points as of scales, found {zero_points}");
        return Err(failed(name, &reason));
    }
    if scales.iter().any(|scale| !scale.is_finite() || scale < 0.0) {
        return Err(failed(name, "expected scales that are finite and not negative"));
    }
    Ok(())
}

/// Whether TensorFlow 1.15 has elements of the type.
fn is_known(raw: i8) -> bool {
    (TensorType::Float32.raw()..=TensorType::Int8.raw()).contains(&raw)
}

fn dtype(tensor: &Tensor<'_>) -> Option<DType> {
    Some(match TensorType::from_raw(tensor.type_())? {
        TensorType::Float32 => DType::Float32,
        TensorType::Float16 => DType::Float16,
        TensorType::Int8 => DType::Int8,
        TensorType::UInt8 => DType::UInt8,
        TensorType::Int16 => DType::Int16,
        TensorType::Int32 => DType::Int32,
        TensorType::Int64 => DType::Int64,
        TensorType::Bool => DType::Bool,
        _ => return None,
    })
}

fn invalid(reason: impl Into<String>) -> BackendError {
    BackendError::InvalidModel { reason: reason.into() }
}

fn failed(name: &str, reason: &str) -> BackendError {
    BackendError::Runtime { backend: NAME.to_owned(), message: format!("tensor {name}: {reason}") }
}
