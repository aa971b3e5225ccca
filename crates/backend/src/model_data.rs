//! Shared ownership of model bytes.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a model file, cheap to clone, whoever owns them: a vector, a static array or a
/// memory map.
///
/// ```
/// use image_embedder_backend::ModelData;
///
/// let from_vec = ModelData::from(vec![1, 2, 3]);
/// let from_static = ModelData::from_static(&[1, 2, 3]);
/// assert_eq!(from_vec[..], from_static[..]);
/// ```
#[derive(Clone)]
pub struct ModelData(Owner);

#[derive(Clone)]
enum Owner {
    Static(&'static [u8]),
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl ModelData {
    /// Takes bytes from any owner; the owner is kept until the last clone is dropped.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Owner::Shared(Arc::new(owner)))
    }

    /// Takes bytes that live as long as the program, such as those of `include_bytes!`.
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Owner::Static(bytes))
    }

    /// The same bytes at an address that is a multiple of `alignment`: shared if they are there
    /// already, else copied.
    ///
    /// Runtimes that read a model in place need it: converters align the buffers inside a file to
    /// 16 bytes.
    #[must_use]
    pub fn aligned_to(self, alignment: usize) -> Self {
        if bytes_to_alignment(&self, alignment) == 0 {
            return self;
        }
        let mut buffer = Vec::with_capacity(self.len().saturating_add(alignment));
        let start = bytes_to_alignment(&buffer, alignment);
        buffer.resize(start, 0);
        buffer.extend_from_slice(&self);
        Self::new(Tail { buffer, start })
    }
}

/// The part of a buffer behind `start`; the buffer is never changed or moved.
struct Tail {
    buffer: Vec<u8>,
    start: usize,
}

impl AsRef<[u8]> for Tail {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// How many bytes lie before the next aligned address.
fn bytes_to_alignment(bytes: &[u8], alignment: usize) -> usize {
    bytes.as_ptr().addr().wrapping_neg().checked_rem(alignment).unwrap_or(0)
}

impl Deref for ModelData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Owner::Static(bytes) => bytes,
            Owner::Shared(owner) => (**owner).as_ref(),
        }
    }
}

impl From<Vec<u8>> for ModelData {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for ModelData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelData({} bytes)", self.len())
    }
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
        for offset in 0..=16 {
            let expected = &BYTES.0[offset..];
            let model = ModelData::from_static(expected).aligned_to(16);
            assert_eq!(&*model, expected, "offset {offset}");
            assert_eq!(model.as_ptr().addr() % 16, 0, "offset {offset}");
            if std::ptr::eq(&*model, expected) { shared += 1 } else { copied += 1 }
        }
        assert_eq!((shared, copied), (2, 15));
        let any = ModelData::from(vec![1, 2, 3]).aligned_to(0);
        assert_eq!(any[..], [1, 2, 3]);
    }
}
