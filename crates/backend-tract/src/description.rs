//! Descriptions of a model's inputs and outputs.

use image_embedder_backend::{BackendError, DType, Dimension, Quantization, TensorSpec};
use tract_tflite::prelude::{DatumType, TypedFact};
use tract_tflite::tflite::{Model, Tensor, TensorType};

use crate::failure::runtime_error;

/// What a model reads and writes, in model order.
pub(crate) struct Description {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
}

impl Description {
    /// Reads the descriptions of the main graph.
    pub(crate) fn new(model: &Model<'_>) -> Result<Self, BackendError> {
        let graph = model
            .subgraphs()
            .filter(|graphs| !graphs.is_empty())
            .map(|graphs| graphs.get(0))
            .ok_or_else(|| invalid("expected a graph, found none"))?;
        let tensors = graph.tensors();
        let count = tensors.map_or(0, |tensors| tensors.len());
        let spec = |index: i32| {
            let place = usize::try_from(index).ok().filter(|&place| place < count);
            match place.zip(tensors) {
                Some((place, tensors)) => tensor_spec(&tensors.get(place)),
                None => {
                    Err(invalid(&format!("expected a tensor index below {count}, found {index}")))
                }
            }
        };
        let inputs: Result<_, _> = graph.inputs().iter().flatten().map(spec).collect();
        let outputs: Result<_, _> = graph.outputs().iter().flatten().map(spec).collect();
        Ok(Self { inputs: inputs?, outputs: outputs? })
    }
}

fn invalid(reason: &str) -> BackendError {
    BackendError::InvalidModel { reason: reason.to_owned() }
}

fn tensor_spec(tensor: &Tensor<'_>) -> Result<TensorSpec, BackendError> {
    let name = tensor.name().unwrap_or_default();
    let dtype = match tensor.type_() {
        TensorType::FLOAT32 => DType::Float32,
        TensorType::FLOAT16 => DType::Float16,
        TensorType::INT8 => DType::Int8,
        TensorType::UINT8 => DType::UInt8,
        TensorType::INT16 => DType::Int16,
        TensorType::INT32 => DType::Int32,
        TensorType::INT64 => DType::Int64,
        TensorType::BOOL => DType::Bool,
        other => {
            return Err(runtime_error(&format!(
                "tensor {name}: expected numbers of at most 64 bits or booleans, found {other:?}"
            )));
        }
    };
    let dimensions: Result<Vec<Dimension>, _> = tensor
        .shape()
        .iter()
        .flatten()
        .map(|size| usize::try_from(size).map(Dimension::Fixed))
        .collect();
    let dimensions =
        dimensions.map_err(|_| invalid(&format!("tensor {name} has a negative dimension")))?;
    let quantization = tensor.quantization().and_then(|quantization| {
        let scales = quantization.scale()?;
        let zero_points = quantization.zero_point()?;
        if scales.len() != 1 || zero_points.len() != 1 {
            return None;
        }
        Some(Quantization::new(scales.get(0), i32::try_from(zero_points.get(0)).ok()?))
    });
    Ok(TensorSpec::new(name, dtype, dimensions, quantization))
}

/// Checks that tract's idea of a tensor is the model's.
pub(crate) fn check_fact(spec: &TensorSpec, fact: &TypedFact) -> Result<(), BackendError> {
    let dtype = match fact.datum_type.unquantized() {
        DatumType::F32 => Some(DType::Float32),
        DatumType::F16 => Some(DType::Float16),
        DatumType::I8 => Some(DType::Int8),
        DatumType::U8 => Some(DType::UInt8),
        DatumType::I16 => Some(DType::Int16),
        DatumType::I32 => Some(DType::Int32),
        DatumType::I64 => Some(DType::Int64),
        DatumType::Bool => Some(DType::Bool),
        _ => None,
    };
    if dtype == Some(spec.dtype) && fact.shape.as_concrete() == Some(&spec.shape()[..]) {
        return Ok(());
    }
    Err(runtime_error(&format!("expected the model's tensor {spec}, found tract's {fact:?}")))
}
