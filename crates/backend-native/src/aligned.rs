//! Memory that begins on a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE_BYTES: usize = 64;

/// A fixed number of elements, the first of which lies at the start of a cache line, so that
/// vectors of a line's length do not straddle two.
#[derive(Debug, Default)]
pub(crate) struct AlignedVec<T> {
    storage: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> AlignedVec<T> {
    /// Elements of the default value.
    pub(crate) fn new(len: usize) -> Self {
        let storage = vec![T::default(); len + LINE_BYTES / size_of::<T>()];
        let start = storage.as_ptr().align_offset(LINE_BYTES).min(storage.len() - len);
        Self { storage, start, len }
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_on_a_line() {
        for len in [0, 1, 63, 64, 1000] {
            let mut bytes = AlignedVec::<u8>::new(len);
            assert_eq!((bytes.len(), bytes.as_ptr() as usize % LINE_BYTES), (len, 0));
            bytes.fill(7);
            let floats = AlignedVec::<f32>::new(len);
            assert_eq!((floats.len(), floats.as_ptr() as usize % LINE_BYTES), (len, 0));
        }
        assert!(AlignedVec::<u8>::default().is_empty());
    }
}
