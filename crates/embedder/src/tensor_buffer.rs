//! Memory for one tensor of a type that an embedder uses.

use image_embedder_backend::{DType, TensorSpec, TensorView, TensorViewMut, f16};

use crate::{Error, ErrorKind};

/// The elements of one tensor.
#[derive(Debug)]
pub(crate) enum TensorBuffer {
    Float32(Vec<f32>),
    Float16(Vec<f16>),
    Int8(Vec<i8>),
    UInt8(Vec<u8>),
}

impl TensorBuffer {
    /// Zeros for the present size of a tensor whose type was checked.
    pub(crate) fn new(spec: &TensorSpec) -> Result<Self, Error> {
        let size = || Error::new(ErrorKind::Resource, format!("tensor {spec} is too large"));
        let count = spec.element_count().ok_or_else(size)?;
        spec.byte_size().filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or_else(size)?;
        Ok(match spec.dtype {
            DType::Float32 => Self::Float32(zeros(count).ok_or_else(size)?),
            DType::Float16 => Self::Float16(zeros(count).ok_or_else(size)?),
            DType::Int8 => Self::Int8(zeros(count).ok_or_else(size)?),
            DType::UInt8 => Self::UInt8(zeros(count).ok_or_else(size)?),
            other => {
                let message =
                    format!("expected FLOAT32, FLOAT16, INT8 or UINT8 elements, found {other}");
                return Err(Error::new(ErrorKind::Bug, message));
            }
        })
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float32(elements) => elements.len(),
            Self::Float16(elements) => elements.len(),
            Self::Int8(elements) => elements.len(),
            Self::UInt8(elements) => elements.len(),
        }
    }

    /// The least and the greatest element; zeros if there are none.
    pub(crate) fn range(&self) -> (f64, f64) {
        fn range(elements: impl Iterator<Item = f64>) -> (f64, f64) {
            elements
                .fold(None, |range: Option<(f64, f64)>, element| match range {
                    None => Some((element, element)),
                    Some((least, greatest)) => Some((least.min(element), greatest.max(element))),
                })
                .unwrap_or_default()
        }
        match self {
            Self::Float32(elements) => range(elements.iter().map(|&element| element.into())),
            Self::Float16(elements) => range(elements.iter().map(|&element| element.into())),
            Self::Int8(elements) => range(elements.iter().map(|&element| element.into())),
            Self::UInt8(elements) => range(elements.iter().map(|&element| element.into())),
        }
    }

    pub(crate) fn view(&self) -> TensorView<'_> {
        match self {
            Self::Float32(elements) => TensorView::Float32(elements),
            Self::Float16(elements) => TensorView::Float16(elements),
            Self::Int8(elements) => TensorView::Int8(elements),
            Self::UInt8(elements) => TensorView::UInt8(elements),
        }
    }

    pub(crate) fn view_mut(&mut self) -> TensorViewMut<'_> {
        match self {
            Self::Float32(elements) => TensorViewMut::Float32(elements),
            Self::Float16(elements) => TensorViewMut::Float16(elements),
            Self::Int8(elements) => TensorViewMut::Int8(elements),
            Self::UInt8(elements) => TensorViewMut::UInt8(elements),
        }
    }
}

/// Zeros, or `None` if there is no memory for them.
fn zeros<T: Clone + Default>(count: usize) -> Option<Vec<T>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).ok()?;
    elements.resize(count, T::default());
    Some(elements)
}
