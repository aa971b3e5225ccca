//! What embedding a frame gives.

use image_embedder_embedding::{FeatureVector, Fingerprint, cosine_similarity};

use crate::{Error, ErrorKind};

/// The feature vectors of one frame, one for each of the model's outputs, in model order.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingResult {
    /// The feature vectors; at least one.
    pub embeddings: Vec<Embedding>,
    /// What made them: results of equal fingerprints may be compared. See
    /// [`ImageEmbedder::fingerprint`](crate::ImageEmbedder::fingerprint).
    pub fingerprint: Fingerprint,
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

    /// The embedding of an output; `None` if the result has none of that index.
    pub fn embedding(&self, output_index: usize) -> Option<&Embedding> {
        self.embeddings.iter().find(|embedding| embedding.output_index == output_index)
    }

    /// The cosine of the angle between the vectors of one output in two results; see
    /// [`cosine_similarity`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if
    ///
    /// - the fingerprints differ, because the results come from different models or options and
    ///   the number would mean nothing,
    /// - a result has no such output,
    /// - or the vectors cannot be compared, as [`cosine_similarity`] says.
    pub fn cosine_similarity(&self, other: &Self, output_index: usize) -> Result<f64, Error> {
        self.fingerprint.check(other.fingerprint)?;
        self.cosine_similarity_ignoring_fingerprints(other, output_index)
    }

    /// As [`cosine_similarity`](Self::cosine_similarity), but whatever the fingerprints are: for
    /// those who know that the vectors belong together, or want to know how far a change of
    /// options moves them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if a result has no such output, or the vectors cannot be compared, as
    /// [`cosine_similarity`] says.
    pub fn cosine_similarity_ignoring_fingerprints(
        &self,
        other: &Self,
        output_index: usize,
    ) -> Result<f64, Error> {
        Ok(cosine_similarity(self.vector(output_index)?, other.vector(output_index)?)?)
    }

    fn vector(&self, output_index: usize) -> Result<&FeatureVector, Error> {
        match self.embedding(output_index) {
            Some(embedding) => Ok(&embedding.feature_vector),
            None => {
                let count = self.embeddings.len();
                let message =
                    format!("expected an output index below {count}, found {output_index}");
                Err(Error::new(ErrorKind::Input, message))
            }
        }
    }
}
