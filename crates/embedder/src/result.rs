//! What embedding a frame gives.

use image_embedder_embedding::FeatureVector;

/// The feature vectors of one frame, one for each of the model's outputs, in model order.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingResult {
    /// The feature vectors; at least one.
    pub embeddings: Vec<Embedding>,
}

/// The feature vector of one output.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The vector.
    pub feature_vector: FeatureVector,
    /// The index of the output.
    pub output_index: usize,
    /// The output's name: that of the metadata or, if it names none, that of the tensor.
    pub head_name: Option<String>,
}

impl EmbeddingResult {
    /// The vector of the first output, which for most models is the only one.
    pub fn feature_vector(&self) -> &FeatureVector {
        const NONE: &FeatureVector = &FeatureVector::Float(Vec::new());
        // An embedder refuses models without outputs; an emptied result has an empty vector.
        self.embeddings.first().map_or(NONE, |embedding| &embedding.feature_vector)
    }
}
