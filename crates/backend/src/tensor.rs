//! Descriptions and views of tensors.

use std::fmt;

use half::f16;

use crate::{BackendError, DType, Quantization};

/// One dimension of a tensor's shape.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a dimension is fixed or it is not")]
pub enum Dimension {
    /// The model fixes the size.
    Fixed(usize),
    /// The size may be changed with [`Session::resize_input`](crate::Session::resize_input); the
    /// value is the present one.
    Dynamic(usize),
}

impl Dimension {
    /// The present size.
    pub const fn size(self) -> usize {
        match self {
            Self::Fixed(size) | Self::Dynamic(size) => size,
        }
    }

    /// Whether the size may be changed.
    pub const fn is_dynamic(self) -> bool {
        matches!(self, Self::Dynamic(_))
    }
}

/// What a tensor holds: name, element type, shape and quantisation.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// The tensor's name in the model; empty if it has none.
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The dimensions, outermost first (`1 x height x width x channels` for images).
    pub dimensions: Vec<Dimension>,
    /// The affine quantisation, if the model gives one for the whole tensor.
    pub quantization: Option<Quantization>,
}

impl TensorSpec {
    /// A description with the given parts.
    pub fn new(
        name: impl Into<String>,
        dtype: DType,
        dimensions: Vec<Dimension>,
        quantization: Option<Quantization>,
    ) -> Self {
        Self { name: name.into(), dtype, dimensions, quantization }
    }

    /// The present sizes, outermost first.
    pub fn shape(&self) -> Vec<usize> {
        self.dimensions.iter().map(|dimension| dimension.size()).collect()
    }

    /// The shape as `1x?x?x3`, with `?` for a dynamic dimension, or `scalar`.
    pub fn shape_text(&self) -> String {
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Dynamic(_) => "?".to_owned(),
        };
        match self.dimensions.len() {
            0 => "scalar".to_owned(),
            _ => self.dimensions.iter().map(size).collect::<Vec<_>>().join("x"),
        }
    }

    /// Number of elements; `None` if it overflows.
    pub fn element_count(&self) -> Option<usize> {
        self.dimensions
            .iter()
            .try_fold(1usize, |count, dimension| count.checked_mul(dimension.size()))
    }

    /// Size in bytes; `None` if it overflows.
    pub fn byte_size(&self) -> Option<usize> {
        self.element_count()?.checked_mul(self.dtype.size())
    }

    /// Checks that a buffer of `bytes` bytes of `dtype` holds exactly this tensor.
    ///
    /// # Errors
    ///
    /// [`BackendError::DTypeMismatch`] or [`BackendError::ByteSizeMismatch`].
    pub fn check_view(&self, dtype: DType, bytes: usize) -> Result<(), BackendError> {
        if dtype != self.dtype {
            return Err(BackendError::DTypeMismatch {
                tensor: self.name.clone(),
                expected: self.dtype,
                found: dtype,
            });
        }
        let expected = self.byte_size();
        if expected != Some(bytes) {
            return Err(BackendError::ByteSizeMismatch {
                tensor: self.name.clone(),
                expected: expected.unwrap_or(usize::MAX),
                found: bytes,
            });
        }
        Ok(())
    }
}

impl fmt::Display for TensorSpec {
    /// As `name: UINT8 1x224x224x3`, with `?` for a dynamic dimension.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, self.dtype, self.shape_text())
    }
}

macro_rules! element_views {
    ($($(#[$doc:meta])* $variant:ident($element:ty) = $dtype:ident;)*) => {
        /// Elements that a session reads, in row-major order.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug)]
        pub enum TensorView<'a> {
            $($(#[$doc])* $variant(&'a [$element]),)*
        }

        /// Elements that a session fills, in row-major order.
        #[non_exhaustive]
        #[derive(Debug)]
        pub enum TensorViewMut<'a> {
            $($(#[$doc])* $variant(&'a mut [$element]),)*
        }

        impl TensorView<'_> {
            /// The type of the elements.
            pub const fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$dtype,)* }
            }

            /// Size in bytes.
            pub const fn byte_size(&self) -> usize {
                match self { $(Self::$variant(elements) => std::mem::size_of_val(*elements),)* }
            }
        }

        impl TensorViewMut<'_> {
            /// The type of the elements.
            pub const fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$dtype,)* }
            }

            /// Size in bytes.
            pub const fn byte_size(&self) -> usize {
                match self { $(Self::$variant(elements) => std::mem::size_of_val(&**elements),)* }
            }
        }
    };
}

element_views! {
    /// 32-bit floats.
    Float32(f32) = Float32;
    /// 16-bit floats.
    Float16(f16) = Float16;
    /// Signed bytes.
    Int8(i8) = Int8;
    /// Unsigned bytes.
    UInt8(u8) = UInt8;
    /// Signed 16-bit integers.
    Int16(i16) = Int16;
    /// Signed 32-bit integers.
    Int32(i32) = Int32;
    /// Signed 64-bit integers.
    Int64(i64) = Int64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dimensions: &[Dimension]) -> TensorSpec {
        TensorSpec::new("image", DType::Float32, dimensions.to_vec(), None)
    }

    #[test]
    fn sizes_are_checked() {
        let huge = spec(&[Dimension::Fixed(usize::MAX), Dimension::Fixed(2)]);
        assert_eq!(huge.element_count(), None);
        assert_eq!(huge.byte_size(), None);
        let small = spec(&[Dimension::Fixed(2), Dimension::Dynamic(3)]);
        assert_eq!(small.byte_size(), Some(24));
        assert_eq!(small.to_string(), "image: FLOAT32 2x?");
    }

    #[test]
    fn views_must_fit() {
        let spec = spec(&[Dimension::Fixed(2)]);
        assert!(spec.check_view(DType::Float32, 8).is_ok());
        assert!(matches!(
            spec.check_view(DType::UInt8, 8),
            Err(BackendError::DTypeMismatch { expected: DType::Float32, found: DType::UInt8, .. })
        ));
        assert!(matches!(
            spec.check_view(DType::Float32, 4),
            Err(BackendError::ByteSizeMismatch { expected: 8, found: 4, .. })
        ));
    }
}
