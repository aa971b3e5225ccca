//! The memory of a session: typed slots that tensors share over time.

use std::sync::Arc;

use image_embedder_backend::BackendError;

use crate::NAME;
use crate::aligned::AlignedVec;

/// Where an operand lives.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The first `len` floats of slot `index`.
    Float32 { index: usize, len: usize },
    /// The first `len` bytes of slot `index`.
    Bytes { index: usize, len: usize },
    /// A constant.
    ConstantFloat32(Arc<[f32]>),
    /// A constant.
    ConstantBytes(Arc<[u8]>),
}

/// The slots of one session.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub(crate) float32: Vec<AlignedVec<f32>>,
    pub(crate) bytes: Vec<AlignedVec<u8>>,
}

/// Working memory that kernels use within one step.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) float32: AlignedVec<f32>,
    pub(crate) bytes: AlignedVec<u8>,
    pub(crate) int32: AlignedVec<i32>,
}

/// How much working memory a kernel needs, in elements.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScratchSizes {
    pub(crate) float32: usize,
    pub(crate) bytes: usize,
    pub(crate) int32: usize,
}

impl ScratchSizes {
    /// Enough for either.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            float32: self.float32.max(other.float32),
            bytes: self.bytes.max(other.bytes),
            int32: self.int32.max(other.int32),
        }
    }
}

impl Scratch {
    pub(crate) fn new(sizes: ScratchSizes) -> Self {
        Self {
            float32: AlignedVec::new(sizes.float32),
            bytes: AlignedVec::new(sizes.bytes),
            int32: AlignedVec::new(sizes.int32),
        }
    }
}

/// The inputs of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) slots: &'a Slots,
    pub(crate) places: &'a [Place],
}

impl<'a> Inputs<'a> {
    /// The floats of input `index`.
    pub(crate) fn float32(&self, index: usize) -> Result<&'a [f32], BackendError> {
        match self.places.get(index) {
            Some(Place::Float32 { index, len }) => self
                .slots
                .float32
                .get(*index)
                .and_then(|slot| slot.get(..*len))
                .ok_or_else(misplaced),
            Some(Place::ConstantFloat32(values)) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    /// The bytes of input `index`.
    pub(crate) fn bytes(&self, index: usize) -> Result<&'a [u8], BackendError> {
        match self.places.get(index) {
            Some(Place::Bytes { index, len }) => {
                self.slots.bytes.get(*index).and_then(|slot| slot.get(..*len)).ok_or_else(misplaced)
            }
            Some(Place::ConstantBytes(values)) => Ok(values),
            _ => Err(misplaced()),
        }
    }
}

/// The output of one step.
#[derive(Debug)]
pub(crate) enum Output<'a> {
    Float32(&'a mut [f32]),
    Bytes(&'a mut [u8]),
}

impl<'a> Output<'a> {
    pub(crate) fn float32(self) -> Result<&'a mut [f32], BackendError> {
        match self {
            Self::Float32(values) => Ok(values),
            Self::Bytes(_) => Err(misplaced()),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a mut [u8], BackendError> {
        match self {
            Self::Bytes(values) => Ok(values),
            Self::Float32(_) => Err(misplaced()),
        }
    }
}

/// A plan that disagrees with its session: a defect of the engine, reported, never a panic.
pub(crate) fn misplaced() -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: "a step does not find its operand (a defect of this backend)".to_owned(),
    }
}
