//! A model in a session of a backend in this process.

use std::fmt;
use std::sync::Arc;

use image_embedder_backend::{Backend, CompileOptions, Model, ModelData, Session};
use image_embedder_backend_conformance::{Case, Elements, Tensor};

use crate::Result;
use crate::interleave::{Contender, Timed};
use crate::peers::Entrant;

/// Compiles a model for a number of threads inside one inference.
///
/// # Errors
///
/// As [`Backend::compile`].
pub fn compile(backend: &dyn Backend, model: Vec<u8>, threads: usize) -> Result<Arc<dyn Model>> {
    Ok(backend.compile(ModelData::from(model), &CompileOptions::with_num_threads(threads))?)
}

/// A session with its inputs and outputs.
pub struct Running {
    session: Box<dyn Session>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// Opens a session, which has no inputs yet.
    ///
    /// # Errors
    ///
    /// As [`Model::session`].
    pub fn new(model: &dyn Model) -> Result<Self> {
        Ok(Self { session: model.session()?, inputs: Vec::new(), outputs: Vec::new() })
    }

    /// Runs one inference.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn run(&mut self) -> Result<()> {
        let inputs: Vec<_> = self.inputs.iter().map(|input| input.elements.view()).collect();
        let mut outputs: Vec<_> =
            self.outputs.iter_mut().map(|output| output.elements.view_mut()).collect();
        Ok(self.session.run(&inputs, &mut outputs)?)
    }
}

impl Entrant for Running {
    fn give(&mut self, case: &Case) -> Result<()> {
        for (index, input) in case.inputs.iter().enumerate() {
            let present = self.session.inputs().get(index).map(|spec| spec.shape());
            if present.as_ref() != Some(&input.shape) {
                self.session.resize_input(index, &input.shape)?;
            }
        }
        self.inputs.clone_from(&case.inputs);
        self.outputs.clear();
        for spec in self.session.outputs() {
            let elements = spec
                .element_count()
                .and_then(|count| Elements::zeros(spec.dtype, count))
                .ok_or_else(|| format!("output {spec} cannot be read"))?;
            self.outputs.push(Tensor { shape: spec.shape(), elements });
        }
        Ok(())
    }

    fn results(&mut self) -> Result<Vec<Tensor>> {
        self.run()?;
        Ok(self.outputs.clone())
    }
}

impl Contender for Running {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        Timed(|| self.run()).time(untimed, timed)
    }
}
