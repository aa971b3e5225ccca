//! One interpreter behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Session, TensorSpec, TensorView, TensorViewMut, check_count, check_inputs,
    resized_shapes,
};

use crate::interpreter::{Interpreter, Side};
use crate::loaded_model::LoadedModel;

/// A session with an interpreter of its own.
#[derive(Debug)]
pub(crate) struct VendoredSession {
    loaded: Arc<LoadedModel>,
    num_threads: usize,
    /// `None` after a run that failed: TensorFlow Lite does not say in which state that leaves
    /// an interpreter, so the next run gets another.
    interpreter: Option<Interpreter>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl VendoredSession {
    pub(crate) fn new(
        loaded: Arc<LoadedModel>,
        num_threads: usize,
        interpreter: Interpreter,
    ) -> Result<Self, BackendError> {
        let inputs = interpreter.specs(Side::Inputs)?;
        let outputs = interpreter.specs(Side::Outputs)?;
        Ok(Self { loaded, num_threads, interpreter: Some(interpreter), inputs, outputs })
    }

    fn infer(
        &mut self,
        mut interpreter: Interpreter,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        for (index, view) in inputs.iter().enumerate().filter(|(_, view)| view.byte_size() > 0) {
            interpreter.write_input(index, view)?;
        }
        interpreter.invoke()?;
        if self.outputs.iter().any(is_open) {
            self.outputs = interpreter.specs(Side::Outputs)?;
        }
        let interpreter = self.interpreter.insert(interpreter);
        let mut pairs = outputs.iter_mut().enumerate();
        pairs.try_for_each(|(index, view)| interpreter.read_output(index, view))
    }
}

impl Session for VendoredSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        let Some(shapes) = resized_shapes(&self.inputs, index, shape)? else { return Ok(()) };
        let loaded = Arc::new(self.loaded.resized(&shapes)?);
        let interpreter = Interpreter::new(&loaded, self.num_threads)?;
        *self = Self::new(loaded, self.num_threads, interpreter)?;
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
            let bytes = if is_open(spec) { spec.byte_size() } else { Some(view.byte_size()) };
            spec.check_view(view.dtype(), bytes.unwrap_or(usize::MAX))?;
        }
        let interpreter = match self.interpreter.take() {
            Some(interpreter) => interpreter,
            None => Interpreter::new(&self.loaded, self.num_threads)?,
        };
        self.infer(interpreter, inputs, outputs)
    }
}

/// Whether the model leaves a dimension of the tensor open.
fn is_open(spec: &TensorSpec) -> bool {
    spec.dimensions.iter().any(|dimension| dimension.is_dynamic())
}
