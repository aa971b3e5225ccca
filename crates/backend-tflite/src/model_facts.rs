//! What must be known of a model before the library sees it.

use std::error::Error;

use image_embedder_backend::BackendError;
use image_embedder_schema::tflite::{
    BuiltinOperator, Model, Operator, SubGraph, TensorType, read_model,
};

use crate::NAME;

/// What the model file says that the library does not tell, or does not check.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ModelFacts {
    /// For each input, which dimensions are open.
    open_inputs: Vec<Vec<bool>>,
    /// For each output, the same.
    open_outputs: Vec<Vec<bool>>,
}

impl ModelFacts {
    /// Verifies the structure of the model file, reads it, and refuses what the library takes but
    /// cannot survive.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackendError> {
        let model = read_model(bytes).map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}"));
            invalid(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        let graphs = model.subgraphs();
        let main = graphs.first().ok_or_else(|| invalid("expected a subgraph, found none"))?;
        let crashes = graphs.iter().any(|graph| {
            graph.operators().iter().any(|operator| crashes(&model, &graph, &operator))
        });
        if crashes {
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: vec![String::from("DEPTHWISE_CONV_2D without a bias")],
            });
        }
        Ok(Self {
            open_inputs: main.inputs().iter().map(|index| open(&main, index)).collect(),
            open_outputs: main.outputs().iter().map(|index| open(&main, index)).collect(),
        })
    }

    /// Which dimensions of an input are open; empty if the model does not say.
    pub(crate) fn open_input(&self, index: usize) -> &[bool] {
        self.open_inputs.get(index).map_or(&[], Vec::as_slice)
    }

    /// Which dimensions of an output are open; empty if the model does not say.
    pub(crate) fn open_output(&self, index: usize) -> &[bool] {
        self.open_outputs.get(index).map_or(&[], Vec::as_slice)
    }
}

fn invalid(reason: impl Into<String>) -> BackendError {
    BackendError::InvalidModel { reason: reason.into() }
}

/// Which dimensions of a tensor the model leaves open; empty if it does not say.
fn open(graph: &SubGraph<'_>, index: i32) -> Vec<bool> {
    let tensor = usize::try_from(index).ok().and_then(|index| graph.tensors().get(index));
    let Some(tensor) = tensor else { return Vec::new() };
    let signature: Vec<bool> = tensor.shape_signature().iter().map(|size| size < 0).collect();
    if signature.len() == tensor.shape().len() { signature } else { Vec::new() }
}

/// Whether the operator ends the process when it runs.
///
/// Seen in 2.17.1, with and without XNNPACK: a `DEPTHWISE_CONV_2D` of two operands is taken, and
/// its kernels then copy a bias that is not there. Those of 16-bit integers do not.
fn crashes(model: &Model<'_>, graph: &SubGraph<'_>, operator: &Operator<'_>) -> bool {
    let code = usize::try_from(operator.opcode_index()).ok();
    let code = code.and_then(|index| model.operator_codes().get(index));
    let depthwise = BuiltinOperator::DepthwiseConv2d.raw();
    if code.is_none_or(|code| code.builtin_number() != depthwise) || operator.inputs().len() > 2 {
        return false;
    }
    let image = operator.inputs().first().and_then(|image| usize::try_from(image).ok());
    let element = image.and_then(|image| graph.tensors().get(image)).map(|tensor| tensor.type_());
    element != Some(TensorType::Int16.raw())
}
