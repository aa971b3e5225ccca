//! One compiled model behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Cancellation, CancellationFlag, Session, TensorSpec, TensorView, TensorViewMut,
    check_inputs, check_outputs, resized_shapes,
};

use crate::compiled::{CompiledModel, Settings, reshaped};
use crate::loaded_model::LoadedModel;

/// A session with a compiled model of its own.
#[derive(Debug)]
pub(crate) struct LitertSession {
    loaded: Arc<LoadedModel>,
    settings: Settings,
    cancellation: Arc<CancellationFlag>,
    compiled: CompiledModel,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl LitertSession {
    pub(crate) fn new(loaded: Arc<LoadedModel>, settings: Settings) -> Result<Self, BackendError> {
        let inputs = loaded.graph.inputs.clone();
        let cancellation = Arc::new(CancellationFlag::default());
        let (compiled, outputs) =
            CompiledModel::new(&loaded, settings, &inputs, Arc::clone(&cancellation))?;
        Ok(Self { loaded, settings, cancellation, compiled, inputs, outputs })
    }
}

impl Session for LitertSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        let Some(shapes) = resized_shapes(&self.inputs, index, shape)? else { return Ok(()) };
        let inputs: Vec<TensorSpec> =
            self.inputs.iter().zip(&shapes).map(|(input, shape)| reshaped(input, shape)).collect();
        // The library cannot go back after a failed layout, so the new shape gets a compiled model
        // of its own, and this session keeps its own until that one works.
        let cancellation = Arc::clone(&self.cancellation);
        let (compiled, outputs) =
            CompiledModel::new(&self.loaded, self.settings, &inputs, cancellation)?;
        (self.compiled, self.inputs, self.outputs) = (compiled, inputs, outputs);
        Ok(())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.inputs, inputs)?;
        check_outputs(&self.outputs, outputs)?;
        for (index, view) in inputs.iter().enumerate() {
            self.compiled.write_input(index, view)?;
        }
        self.compiled.run()?;
        for (index, view) in outputs.iter_mut().enumerate() {
            self.compiled.read_output(index, view)?;
        }
        Ok(())
    }

    fn cancellation(&self) -> Option<Cancellation> {
        Some(self.cancellation.cancellation())
    }
}
