//! The backend and its compiled models.

use std::fmt;
use std::sync::Arc;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};
use tract_core::prelude::TypedSimplePlan;

use crate::NAME;
use crate::failure::{guarded, tract_error};
use crate::graph_builder::{self, BuiltGraph};
use crate::model_file::ModelFile;
use crate::session::TractSession;

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
        let plan = {
            let file = ModelFile::read(&model)?;
            let shapes: Vec<Vec<usize>> =
                file.inputs.iter().map(|&index| file.tensors[index].shape.clone()).collect();
            Plan::new(&file, &shapes)?
        };
        // Only a model with open sizes is read again.
        let is_open = plan
            .inputs
            .iter()
            .any(|spec| spec.dimensions.iter().any(|dimension| dimension.is_dynamic()));
        Ok(Arc::new(TractModel { plan: Arc::new(plan), data: is_open.then_some(model) }))
    }
}

/// What a session runs: an optimised graph for one set of input shapes.
pub(crate) struct Plan {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    pub(crate) runnable: Arc<TypedSimplePlan>,
}

impl Plan {
    fn new(file: &ModelFile<'_>, shapes: &[Vec<usize>]) -> Result<Self, BackendError> {
        let BuiltGraph { graph, inputs, outputs } = graph_builder::build(file, shapes)?;
        let runnable = guarded("optimizing the model", || {
            let failed = |error| tract_error("optimizing the model", &error);
            let graph = graph.into_optimized().map_err(failed)?;
            TypedSimplePlan::new(graph).map_err(failed)
        })?;
        Ok(Self { inputs, outputs, runnable })
    }

    /// The plan of a model for other input shapes.
    pub(crate) fn resized(data: &[u8], shapes: &[Vec<usize>]) -> Result<Self, BackendError> {
        Self::new(&ModelFile::read(data)?, shapes)
    }
}

/// A model with the plan for the shapes in its file.
struct TractModel {
    plan: Arc<Plan>,
    data: Option<ModelData>,
}

impl fmt::Debug for TractModel {
    /// Without the graph, whose own output holds the weights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractModel")
            .field("inputs", &self.plan.inputs)
            .field("outputs", &self.plan.outputs)
            .finish_non_exhaustive()
    }
}

impl Model for TractModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.plan.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.plan.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(TractSession::new(Arc::clone(&self.plan), self.data.clone())?))
    }
}
