//! A case: a model and inputs.

use image_embedder_backend::{DType, TensorView, TensorViewMut, f16};

use crate::random::fnv1a;

/// A small model with one set of inputs.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Case {
    /// The name, `<operator>_<numbers>_<variant>`, unlike that of any other case.
    pub name: String,
    /// The family of the case, which is the name of its golden file.
    pub group: &'static str,
    /// The model file.
    pub model: Vec<u8>,
    /// The inputs; where their shape differs from the model's, the session is resized.
    pub inputs: Vec<Tensor>,
}

impl Case {
    /// A hash of model and inputs, by which results of another version of the case are told apart.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut bytes = self.model.clone();
        for input in &self.inputs {
            bytes.extend(input.shape.iter().flat_map(|&size| (size as u64).to_le_bytes()));
            bytes.extend(input.elements.to_le_bytes());
        }
        fnv1a(&bytes)
    }
}

/// The shape and elements of an input or output.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a tensor is its shape and its elements")]
pub struct Tensor {
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub elements: Elements,
}

macro_rules! elements {
    ($($(#[$doc:meta])* $Variant:ident($element:ty);)*) => {
        /// The elements of a tensor.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Elements {
            $($(#[$doc])* $Variant(Vec<$element>),)*
        }

        impl Elements {
            /// That many zeros, or `None` if no session reads or fills that type.
            #[must_use]
            pub fn zeros(dtype: DType, count: usize) -> Option<Self> {
                match dtype {
                    $(DType::$Variant => Some(Self::$Variant(vec![<$element>::default(); count])),)*
                    _ => None,
                }
            }

            /// The elements from little-endian bytes, or `None` if no session reads that type.
            #[must_use]
            pub fn from_le_bytes(dtype: DType, bytes: &[u8]) -> Option<Self> {
                match dtype {
                    $(DType::$Variant => {
                        let (chunks, _) = bytes.as_chunks::<{ size_of::<$element>() }>();
                        let read = |chunk: &[u8; size_of::<$element>()]| {
                            <$element>::from_le_bytes(*chunk)
                        };
                        Some(Self::$Variant(chunks.iter().map(read).collect()))
                    })*
                    _ => None,
                }
            }

            /// The elements as little-endian bytes.
            #[must_use]
            pub fn to_le_bytes(&self) -> Vec<u8> {
                match self {
                    $(Self::$Variant(values) => {
                        values.iter().flat_map(|value| value.to_le_bytes()).collect()
                    })*
                }
            }

            /// The type of the elements.
            #[must_use]
            pub fn dtype(&self) -> DType {
                match self { $(Self::$Variant(_) => DType::$Variant,)* }
            }

            /// The number of elements.
            #[must_use]
            pub fn count(&self) -> usize {
                match self { $(Self::$Variant(values) => values.len(),)* }
            }

            /// The elements for a session to read.
            #[must_use]
            pub fn view(&self) -> TensorView<'_> {
                match self { $(Self::$Variant(values) => TensorView::$Variant(values),)* }
            }

            /// The elements for a session to fill.
            pub fn view_mut(&mut self) -> TensorViewMut<'_> {
                match self { $(Self::$Variant(values) => TensorViewMut::$Variant(values),)* }
            }
        }
    };
}

elements! {
    /// 32-bit floats.
    Float32(f32);
    /// 16-bit floats.
    Float16(f16);
    /// Signed bytes.
    Int8(i8);
    /// Unsigned bytes.
    UInt8(u8);
    /// Signed 16-bit integers.
    Int16(i16);
    /// Signed 32-bit integers.
    Int32(i32);
    /// Signed 64-bit integers.
    Int64(i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_the_way_through_bytes() {
        let all = [
            Elements::Float32(vec![1.5, -0.0]),
            Elements::Float16(vec![f16::from_f32(1.5), f16::NEG_INFINITY]),
            Elements::Int8(vec![-128, 127]),
            Elements::UInt8(vec![0, 255]),
            Elements::Int16(vec![-2, 300]),
            Elements::Int32(vec![i32::MIN, 7]),
            Elements::Int64(vec![i64::MIN, 7]),
        ];
        for elements in &all {
            let bytes = elements.to_le_bytes();
            assert_eq!(bytes.len(), 2 * elements.dtype().size());
            assert_eq!(Elements::from_le_bytes(elements.dtype(), &bytes).as_ref(), Some(elements));
        }
        assert_eq!(Elements::zeros(DType::Bool, 1), None);
    }
}
