//! Buffers of a plan.

use crate::PreprocessError;

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Size {
    pub(crate) const fn new(width: u32, height: u32) -> Self {
        Self { width: width as usize, height: height as usize }
    }

    /// Width and height exchanged if `swap`.
    pub(crate) const fn swapped_if(self, swap: bool) -> Self {
        if swap { Self { width: self.height, height: self.width } } else { self }
    }

    /// The size of a chroma plane.
    pub(crate) const fn chroma(self) -> Self {
        Self { width: self.width.div_ceil(2), height: self.height.div_ceil(2) }
    }

    /// Bytes of tight rows of `channels` bytes a pixel.
    pub(crate) fn bytes(self, channels: usize) -> Result<usize, PreprocessError> {
        self.width
            .checked_mul(self.height)
            .and_then(|pixels| pixels.checked_mul(channels))
            .ok_or(PreprocessError::OutOfMemory { bytes: usize::MAX })
    }
}

/// A vector of zeros.
///
/// # Errors
///
/// [`PreprocessError::OutOfMemory`].
pub(crate) fn zeroed(bytes: usize) -> Result<Vec<u8>, PreprocessError> {
    let mut buffer = Vec::new();
    grow(&mut buffer, bytes)?;
    Ok(buffer)
}

/// Makes a buffer at least `bytes` long.
///
/// # Errors
///
/// [`PreprocessError::OutOfMemory`].
pub(crate) fn grow(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), PreprocessError> {
    if let Some(missing) = bytes.checked_sub(buffer.len()) {
        buffer.try_reserve_exact(missing).map_err(|_| PreprocessError::OutOfMemory { bytes })?;
        buffer.resize(bytes, 0);
    }
    Ok(())
}
