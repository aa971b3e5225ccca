//! Other software that runs the same models, each with what it must have in common with ours.

mod backend;
mod python;

pub use backend::BackendPeer;
pub use python::{PythonPeer, Worker};

use image_embedder_backend_conformance::{Case, Tensor};

use crate::Result;
use crate::agreement::Rule;
use crate::interleave::Contender;
use crate::model::{ModelFile, Numbers};

/// A model that is ready to run.
pub trait Entrant: Contender {
    /// Takes the inputs of the case for the runs that follow.
    ///
    /// # Errors
    ///
    /// If they do not fit the model.
    fn give(&mut self, case: &Case) -> Result<()>;

    /// Runs once and returns the results.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from running.
    fn results(&mut self) -> Result<Vec<Tensor>>;
}

/// What a peer takes and gives, and so what of ours it is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "every comparison tells them apart")]
pub enum Side {
    /// The model's tensors: an inference is compared with an inference.
    Tensors,
    /// Frames and feature vectors: a call of its embedder is compared with a call of ours.
    #[cfg(feature = "embedder")]
    Frames,
}

/// Software to compare with.
pub trait Peer {
    /// The name by which users choose it.
    fn name(&self) -> &'static str;

    /// The version, as it tells it.
    fn version(&self) -> &str;

    /// What it takes and gives.
    fn side(&self) -> Side;

    /// What its results must have in common with ours.
    fn rule(&self, numbers: Numbers) -> Rule;

    /// Makes a model ready.
    ///
    /// # Errors
    ///
    /// If it does not run the model.
    fn enter(&mut self, model: &ModelFile, threads: usize) -> Result<Box<dyn Entrant + '_>>;
}
