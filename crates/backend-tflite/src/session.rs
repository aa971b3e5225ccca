//! One interpreter behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Cancellation, Session, TensorSpec, TensorView, TensorViewMut, check_count,
    check_inputs, resized_shapes,
};

use crate::cancel::Canceller;
use crate::interpreter::{Interpreter, InterpreterSettings, Side};
use crate::loaded_model::LoadedModel;

/// A session with an interpreter of its own.
#[derive(Debug)]
pub(crate) struct TfliteSession {
    loaded: Arc<LoadedModel>,
    settings: InterpreterSettings,
    canceller: Arc<Canceller>,
    interpreter: Interpreter,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl TfliteSession {
    pub(crate) fn new(
        loaded: Arc<LoadedModel>,
        settings: InterpreterSettings,
        interpreter: Interpreter,
    ) -> Result<Self, BackendError> {
        let inputs = interpreter.specs(Side::Inputs)?;
        let outputs = interpreter.specs(Side::Outputs)?;
        Ok(Self { loaded, settings, canceller: Arc::default(), interpreter, inputs, outputs })
    }

    /// Goes on with an interpreter whose tensors may have other shapes.
    fn replace(&mut self, interpreter: Interpreter) -> Result<(), BackendError> {
        let inputs = interpreter.specs(Side::Inputs)?;
        let outputs = interpreter.specs(Side::Outputs)?;
        (self.interpreter, self.inputs, self.outputs) = (interpreter, inputs, outputs);
        Ok(())
    }

    fn infer(&mut self, inputs: &[TensorView<'_>]) -> Result<(), BackendError> {
        for (index, view) in inputs.iter().enumerate() {
            self.interpreter.write_input(index, view)?;
        }
        self.interpreter.invoke(&self.canceller)
    }

    /// Whether a run that failed so is repeated without delegates.
    fn falls_back(&self, error: &BackendError) -> bool {
        !self.settings.delegates.is_empty()
            && self.settings.fallback.on_execution_error
            && !matches!(error, BackendError::Cancelled { .. })
    }
}

impl Session for TfliteSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        let Some(shapes) = resized_shapes(&self.inputs, index, shape)? else { return Ok(()) };
        // The library cannot go back after a failed layout, so the new shape gets a new
        // interpreter and this session keeps its own until that one works.
        let mut interpreter = Interpreter::new(&self.loaded, &mut self.settings, &shapes)?;
        interpreter.settle_outputs()?;
        self.replace(interpreter)
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.inputs, inputs)?;
        check_count("outputs", self.outputs.len(), outputs.len())?;
        for (spec, view) in self.outputs.iter().zip(outputs.iter()) {
            // The size of an open output may follow from values, so it is checked after the run.
            let open = spec.dimensions.iter().any(|dimension| dimension.is_dynamic());
            let bytes = if open { spec.byte_size() } else { Some(view.byte_size()) };
            spec.check_view(view.dtype(), bytes.unwrap_or(usize::MAX))?;
        }
        match self.infer(inputs) {
            Err(error) if self.falls_back(&error) => {
                let shapes: Vec<_> = self.inputs.iter().map(TensorSpec::shape).collect();
                let interpreter =
                    Interpreter::fall_back(&self.loaded, &mut self.settings, &shapes, error)?;
                self.replace(interpreter)?;
                self.infer(inputs)?;
            }
            other => other?,
        }
        if self.outputs.iter().any(|spec| spec.dimensions.iter().any(|d| d.is_dynamic())) {
            self.outputs = self.interpreter.specs(Side::Outputs)?;
        }
        for (index, view) in outputs.iter_mut().enumerate() {
            self.interpreter.read_output(index, view)?;
        }
        Ok(())
    }

    fn cancellation(&self) -> Option<Cancellation> {
        let canceller = Arc::clone(&self.canceller);
        Some(Cancellation::new(move || canceller.cancel()))
    }
}
