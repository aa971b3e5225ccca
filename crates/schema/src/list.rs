//! Vectors of a flatbuffer, read without panics.

use std::fmt;
use std::marker::PhantomData;

use flatbuffers::{Follow, Vector, VectorIter};

/// A vector field: present with any number of elements, or absent, which reads as empty.
pub struct List<'a, T: 'a> {
    vector: Option<Vector<'a, T>>,
    elements: PhantomData<&'a T>,
}

impl<'a, T: 'a> List<'a, T> {
    pub(crate) fn new(vector: Option<Vector<'a, T>>) -> Self {
        Self { vector, elements: PhantomData }
    }

    /// Whether the field is there at all, be it empty.
    pub fn is_present(&self) -> bool {
        self.vector.is_some()
    }

    /// The number of elements, zero if the field is absent.
    pub fn len(&self) -> usize {
        self.vector.as_ref().map_or(0, Vector::len)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as they lie in the buffer, borrowed from it: bytes, little-endian numbers, or
    /// offsets.
    pub fn bytes(&self) -> &'a [u8] {
        self.vector.as_ref().map_or(&[], Vector::bytes)
    }
}

impl<'a, T: Follow<'a> + 'a> List<'a, T> {
    /// The element at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<T::Inner> {
        let vector = self.vector.as_ref()?;
        (index < vector.len()).then(|| vector.get(index))
    }

    /// The first element, if there is one.
    pub fn first(&self) -> Option<T::Inner> {
        self.get(0)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = T::Inner> + use<'a, T> {
        let elements: Option<VectorIter<'a, T>> = self.vector.as_ref().map(Vector::iter);
        elements.into_iter().flatten()
    }
}

impl<'a, T: Follow<'a> + 'a> fmt::Debug for List<'a, T>
where
    T::Inner: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
