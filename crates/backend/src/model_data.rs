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
