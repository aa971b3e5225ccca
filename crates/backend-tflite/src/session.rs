//! One interpreter behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Session, TensorSpec, TensorView, TensorViewMut, check_count, check_inputs,
    resized_shapes,
};

use crate::interpreter::{Interpreter, InterpreterSettings, LoadedModel, Side};

/// A session with an interpreter of its own.
#[derive(Debug)]
pub(crate) struct TfliteSession {
    loaded: Arc<LoadedModel>,
    settings: InterpreterSettings,
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
        Ok(Self { loaded, settings, interpreter, inputs, outputs })
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
        let interpreter = Interpreter::new(Arc::clone(&self.loaded), self.settings, &shapes)?;
        *self = Self::new(Arc::clone(&self.loaded), self.settings, interpreter)?;
        Ok(())
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
        for (index, view) in inputs.iter().enumerate() {
            self.interpreter.write_input(index, view)?;
        }
        self.interpreter.invoke()?;
        if self.outputs.iter().any(|spec| spec.dimensions.iter().any(|d| d.is_dynamic())) {
            self.outputs = self.interpreter.specs(Side::Outputs)?;
        }
        for (index, view) in outputs.iter_mut().enumerate() {
            self.interpreter.read_output(index, view)?;
        }
        Ok(())
    }
}
