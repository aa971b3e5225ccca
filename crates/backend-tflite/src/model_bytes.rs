//! Model bytes at an address that TensorFlow Lite can read in place.

use std::ops::{Deref, Range};

use image_embedder_backend::ModelData;

/// The alignment that converters give to the buffers inside a model file, in bytes.
const ALIGNMENT: usize = 16;

/// Model bytes whose first byte is aligned; shared with the caller if theirs already are.
pub(crate) enum ModelBytes {
    /// The caller's bytes.
    Shared(ModelData),
    /// A copy in a part of a larger buffer, which is never changed or moved.
    Copied {
        /// The buffer.
        buffer: Vec<u8>,
        /// Where the model lies in it.
        range: Range<usize>,
    },
}

impl ModelBytes {
    /// Takes the bytes as they are if they are aligned, else copies them.
    pub(crate) fn new(model: ModelData) -> Self {
        if bytes_to_alignment(&model) == 0 {
            return Self::Shared(model);
        }
        let mut buffer = Vec::with_capacity(model.len() + ALIGNMENT);
        let start = bytes_to_alignment(&buffer);
        buffer.resize(start, 0);
        buffer.extend_from_slice(&model);
        Self::Copied { range: start..buffer.len(), buffer }
    }
}

impl Deref for ModelBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Shared(model) => model,
            Self::Copied { buffer, range } => buffer.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// How many bytes lie before the next aligned address, at most 15.
fn bytes_to_alignment(bytes: &[u8]) -> usize {
    bytes.as_ptr().addr().wrapping_neg() % ALIGNMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_ends_up_aligned() {
        #[repr(align(16))]
        struct Aligned([u8; 64]);
        static BYTES: Aligned = {
            let mut bytes = [0; 64];
            let mut index = 0;
            while index < bytes.len() {
                bytes[index] = index as u8;
                index += 1;
            }
            Aligned(bytes)
        };

        let mut shared = 0;
        let mut copied = 0;
        for offset in 0..=ALIGNMENT {
            let expected = &BYTES.0[offset..];
            let model = ModelBytes::new(ModelData::from_static(expected));
            assert_eq!(&*model, expected, "offset {offset}");
            assert_eq!(model.as_ptr().addr() % ALIGNMENT, 0, "offset {offset}");
            match model {
                ModelBytes::Shared(_) => shared += 1,
                ModelBytes::Copied { .. } => copied += 1,
            }
        }
        assert_eq!((shared, copied), (2, 15));
    }
}
