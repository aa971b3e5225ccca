//! The backend and its compiled models.

use std::fmt;
use std::sync::Arc;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};
use tract_tflite::internal::{Framework, Graph, IntoRunnable, TfliteProtoModel, TypedSimplePlan};
use tract_tflite::prelude::TypedModel;

use crate::description::{Description, check_fact};
use crate::failure::guarded;
use crate::session::TractSession;
use crate::{NAME, failure, mean, operators};

/// The backend that runs models in tract.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to choose")]
pub struct TractBackend;

impl Backend for TractBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn compile(
        &self,
        model: ModelData,
        _options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        if model.get(4..8) != Some(b"TFL3") {
            return Err(BackendError::InvalidModel {
                reason: String::from("expected the file identifier TFL3 at byte 4"),
            });
        }
        let framework = tract_tflite::tflite();
        let file: TfliteProtoModel = framework
            .proto_model_for_read(&mut &model[..])
            .map_err(|error| BackendError::InvalidModel { reason: failure::text(&error) })?;
        let Description { inputs, outputs } = Description::new(&file.root())?;
        operators::check(&file.root())?;
        let mut graph =
            guarded("translating the model", || framework.model_for_proto_model(&file))?;
        mean::correct(&mut graph)?;
        check_facts(&graph, &inputs, &outputs)?;
        drop(file);
        let graph = guarded("optimizing the model", || graph.into_optimized())?;
        check_facts(&graph, &inputs, &outputs)?;
        let plan = guarded("planning the model", || graph.into_runnable())?;
        Ok(Arc::new(TractModel { inputs: inputs.into(), outputs: outputs.into(), plan }))
    }
}

/// Checks that the graph reads and writes what the model says.
fn check_facts(
    graph: &TypedModel,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<(), BackendError> {
    type Outlets<'a> = (&'static str, &'a [TensorSpec], usize);
    let sides: [Outlets<'_>; 2] =
        [("inputs", inputs, graph.inputs.len()), ("outputs", outputs, graph.outputs.len())];
    for (side, specs, found) in sides {
        if specs.len() != found {
            return Err(BackendError::TensorCount { side, expected: specs.len(), found });
        }
    }
    for (index, spec) in inputs.iter().enumerate() {
        let fact = guarded("looking up an input", || Graph::input_fact(graph, index).cloned())?;
        check_fact(spec, &fact)?;
    }
    for (index, spec) in outputs.iter().enumerate() {
        let fact = guarded("looking up an output", || Graph::output_fact(graph, index).cloned())?;
        check_fact(spec, &fact)?;
    }
    Ok(())
}

/// An optimised plan.
struct TractModel {
    inputs: Arc<[TensorSpec]>,
    outputs: Arc<[TensorSpec]>,
    plan: Arc<TypedSimplePlan>,
}

impl fmt::Debug for TractModel {
    /// Without the plan, whose own output holds the weights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractModel")
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Model for TractModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(TractSession::new(
            Arc::clone(&self.inputs),
            Arc::clone(&self.outputs),
            Arc::clone(&self.plan),
        )?))
    }
}
