//! Our embedder, for peers that take frames and give feature vectors.

use std::sync::Arc;

use image_embedder::frame::FrameBuffer;
use image_embedder::{EmbeddingResult, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_backend::{DType, Dimension, TensorSpec};
use image_embedder_backend_conformance::{Case, Elements, Tensor};
use image_embedder_backend_native::{NativeBackend, SimdLevel};

use crate::Result;
use crate::interleave::{Contender, Timed};
use crate::model::ModelFile;
use crate::peers::Entrant;

/// An embedder with a frame.
#[derive(Debug)]
pub struct Embedding {
    embedder: ImageEmbedder,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Embedding {
    /// An embedder that runs the model at an instruction-set level.
    ///
    /// # Errors
    ///
    /// If the model is not an image embedder with a fixed input size.
    pub fn new(model: &ModelFile, level: SimdLevel, threads: usize) -> Result<Self> {
        let backend = Arc::new(NativeBackend::with_simd_level(level));
        let mut options = ImageEmbedderOptions::with_backend(backend);
        options.num_threads = threads;
        let embedder = ImageEmbedder::from_bytes(model.bytes.clone(), options)?;
        let spec = embedder.input_spec();
        let (Some(width), Some(height)) = (spec.width, spec.height) else {
            return Err("the size of the input is open".into());
        };
        let (width, height) = (usize::try_from(width)?, usize::try_from(height)?);
        Ok(Self { embedder, width, height, pixels: Vec::new() })
    }

    /// The frames that the embedder takes as they are: RGB of the model's own size.
    #[must_use]
    pub fn input(&self) -> TensorSpec {
        let dimensions = [1, self.height, self.width, 3].map(Dimension::Fixed).to_vec();
        TensorSpec::new("frame", DType::UInt8, dimensions, None)
    }

    fn embed(&self) -> Result<EmbeddingResult> {
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        Ok(self.embedder.embed(&FrameBuffer::from_rgb(&self.pixels, width, height)?)?)
    }
}

impl Contender for Embedding {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        Timed(|| self.embed().map(drop)).time(untimed, timed)
    }
}

impl Entrant for Embedding {
    /// Takes one frame of any size.
    fn give(&mut self, case: &Case) -> Result<()> {
        let [Tensor { shape, elements: Elements::UInt8(pixels) }] = &case.inputs[..] else {
            return Err("expected one frame".into());
        };
        let [1, height, width, 3] = shape[..] else {
            return Err(format!("expected one RGB frame, found {shape:?}").into());
        };
        (self.width, self.height) = (width, height);
        self.pixels.clone_from(pixels);
        Ok(())
    }

    fn results(&mut self) -> Result<Vec<Tensor>> {
        let result = self.embed()?;
        let vectors = result.embeddings.iter().map(|one| one.feature_vector.to_floats());
        Ok(vectors
            .map(|vector| Tensor { shape: vec![vector.len()], elements: Elements::Float32(vector) })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::select;

    #[test]
    fn a_frame_becomes_a_vector() {
        let models = select(&["mobilenet_v1_0.25_224_quant".to_owned()], None).unwrap();
        let mut embedding = Embedding::new(&models[0], SimdLevel::detect(), 1).unwrap();
        let cases = models[0].cases(&[embedding.input()]).unwrap();
        let mut results = |case| {
            embedding.give(case).unwrap();
            embedding.results().unwrap()
        };
        let first = results(&cases[0]);
        assert_eq!(first[0].shape, [1001]);
        assert_ne!(first, results(&cases[1]));
        assert_eq!(first, results(&cases[0]));
    }
}
