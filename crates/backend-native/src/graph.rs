//! The model's main subgraph as plain data, read from the flatbuffer and checked.

use std::sync::Arc;

use image_embedder_backend::{BackendError, DType, Dimension, Quantization, TensorSpec, f16};
use image_embedder_schema::tflite::{self, TensorType};

use crate::NAME;
use crate::operator::Operator;

/// The largest number of elements of a tensor, so that index arithmetic cannot overflow.
const MAX_ELEMENTS: usize = 1 << 30;

/// Tensors and the nodes that compute them, in execution order.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
}

/// A tensor; constant if it has data.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    /// Which dimensions may change; empty if none.
    pub(crate) dynamic: Vec<bool>,
    pub(crate) quantization: Option<AffineQuantization>,
    pub(crate) data: Option<Data>,
}

/// The element types that the engine knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Element {
    Float32,
    /// Held as `f32`, with values of the narrower type only.
    Float16,
    /// Held as `u8`, 128 higher.
    Int8,
    UInt8,
    /// Held as `u8`, 0 or 1.
    Bool,
    /// Held as `i64`, within the narrower type's range.
    Int32,
    Int64,
    /// Known to the format but not to the engine; only unused tensors may have it.
    Other,
}

/// In what the engine holds elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holder {
    Float32,
    Bytes,
    Integers,
}

/// Constant elements, as the engine holds them.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Float32(Arc<[f32]>),
    Bytes(Arc<[u8]>),
    Integers(Arc<[i64]>),
}

/// Affine quantisation, per tensor (one scale) or per slice along `dimension`.
///
/// Zero points of signed tensors are held 128 higher, as their values are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AffineQuantization {
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_points: Vec<i32>,
    pub(crate) dimension: usize,
}

/// One operator with its operands; an optional input that is left out is `None`.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) operator: Option<Operator>,
    pub(crate) inputs: Vec<Option<usize>>,
    pub(crate) outputs: Vec<usize>,
}

impl Element {
    fn from_schema(raw: i8) -> Self {
        match TensorType::from_raw(raw) {
            Some(TensorType::Float32) => Self::Float32,
            Some(TensorType::Float16) => Self::Float16,
            Some(TensorType::Int8) => Self::Int8,
            Some(TensorType::UInt8) => Self::UInt8,
            Some(TensorType::Int32) => Self::Int32,
            Some(TensorType::Int64) => Self::Int64,
            Some(TensorType::Bool) => Self::Bool,
            _ => Self::Other,
        }
    }

    /// The type in the backend interface's terms.
    pub(crate) fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::Float32 => DType::Float32,
            Self::Float16 => DType::Float16,
            Self::Int8 => DType::Int8,
            Self::UInt8 => DType::UInt8,
            Self::Int32 => DType::Int32,
            Self::Int64 => DType::Int64,
            Self::Bool => DType::Bool,
            Self::Other => return None,
        })
    }

    /// In what elements are held, if the engine knows them.
    pub(crate) fn holder(self) -> Option<Holder> {
        Some(match self {
            Self::Float32 | Self::Float16 => Holder::Float32,
            Self::Int8 | Self::UInt8 | Self::Bool => Holder::Bytes,
            Self::Int32 | Self::Int64 => Holder::Integers,
            Self::Other => return None,
        })
    }

    /// Whether elements are whole numbers without a scale.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::Int32 | Self::Int64)
    }

    /// Whether elements are quantised bytes.
    pub(crate) fn is_byte(self) -> bool {
        matches!(self, Self::Int8 | Self::UInt8)
    }

    /// What is added to a held byte to get its value in the model's own type.
    pub(crate) fn byte_offset(self) -> i32 {
        if self == Self::Int8 { -128 } else { 0 }
    }

    fn name(self) -> &'static str {
        self.dtype().map_or("of another type", DType::name)
    }
}

impl Tensor {
    pub(crate) fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The one scale and zero point of a tensor quantised as a whole.
    pub(crate) fn per_tensor(&self) -> Result<(f32, i32), BackendError> {
        match &self.quantization {
            Some(AffineQuantization { scales, zero_points, .. }) if scales.len() == 1 => {
                Ok((scales[0], zero_points[0]))
            }
            Some(AffineQuantization { scales, .. }) => Err(invalid(format!(
                "tensor {}: expected one scale, found {}",
                self.name,
                scales.len()
            ))),
            None => Err(invalid(format!(
                "tensor {}: expected quantisation parameters, found none",
                self.name
            ))),
        }
    }

    pub(crate) fn spec(&self) -> Result<TensorSpec, BackendError> {
        let dtype = self.element.dtype().ok_or_else(|| {
            invalid(format!("tensor {}: its element type cannot be an input or output", self.name))
        })?;
        let dimensions = self
            .shape
            .iter()
            .enumerate()
            .map(|(index, &size)| {
                if self.dynamic.get(index) == Some(&true) {
                    Dimension::Dynamic(size)
                } else {
                    Dimension::Fixed(size)
                }
            })
            .collect();
        let quantization = self
            .per_tensor()
            .ok()
            .map(|(scale, zero)| Quantization::new(scale, zero + self.element.byte_offset()));
        Ok(TensorSpec::new(self.name.clone(), dtype, dimensions, quantization))
    }

    /// The data as whole numbers, if the tensor is a constant of them.
    pub(crate) fn integers(&self) -> Option<&[i64]> {
        match self.data.as_ref()? {
            Data::Integers(values) => Some(values),
            _ => None,
        }
    }
}

impl Graph {
    /// Whether an input has a dimension that may change.
    pub(crate) fn has_open_inputs(&self) -> bool {
        self.inputs.iter().any(|&index| self.tensors[index].dynamic.contains(&true))
    }

    /// Reads the first subgraph of a verified model.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackendError> {
        let model = tflite::read_model(bytes).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            invalid(match cause {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            })
        })?;
        let subgraph =
            model.subgraphs().first().ok_or_else(|| invalid("expected a subgraph, found none"))?;
        let codes: Vec<_> = model.operator_codes().iter().collect();
        let buffers = model.buffers();
        let mut tensors = Vec::with_capacity(subgraph.tensors().len());
        for tensor in subgraph.tensors().iter() {
            let data = match buffers.get(tensor.buffer() as usize) {
                Some(buffer) => constant_bytes(bytes, &buffer)?,
                None if tensor.buffer() == 0 => &[],
                None => {
                    return Err(invalid(format!(
                        "tensor {}: expected a buffer index below {}, found {}",
                        tensor.name().unwrap_or_default(),
                        buffers.len(),
                        tensor.buffer()
                    )));
                }
            };
            tensors.push(read_tensor(&tensor, data)?);
        }
        let check = |index: i32, what: &str| {
            usize::try_from(index).ok().filter(|&index| index < tensors.len()).ok_or_else(|| {
                invalid(format!(
                    "{what}: expected a tensor index below {}, found {index}",
                    tensors.len()
                ))
            })
        };
        let mut nodes = Vec::with_capacity(subgraph.operators().len());
        for operator in subgraph.operators().iter() {
            let code = codes.get(operator.opcode_index() as usize).ok_or_else(|| {
                invalid(format!(
                    "expected an operator code below {}, found {}",
                    codes.len(),
                    operator.opcode_index()
                ))
            })?;
            let name = code.name();
            let inputs = operator
                .inputs()
                .iter()
                .map(|index| if index == -1 { Ok(None) } else { check(index, &name).map(Some) })
                .collect::<Result<_, _>>()?;
            let outputs = operator
                .outputs()
                .iter()
                .map(|index| check(index, &name))
                .collect::<Result<_, _>>()?;
            nodes.push(Node {
                operator: Operator::read(code.builtin_number(), &operator.builtin_options()),
                name,
                inputs,
                outputs,
            });
        }
        let ends = |list: image_embedder_schema::List<'_, i32>, what| {
            list.iter().map(|index| check(index, what)).collect::<Result<Vec<_>, _>>()
        };
        let inputs = ends(subgraph.inputs(), "subgraph inputs")?;
        let outputs = ends(subgraph.outputs(), "subgraph outputs")?;
        Ok(Self { tensors, nodes, inputs, outputs })
    }
}

/// The bytes of a buffer, which models above 2 GiB keep behind the flatbuffer.
fn constant_bytes<'a>(
    file: &'a [u8],
    buffer: &tflite::Buffer<'a>,
) -> Result<&'a [u8], BackendError> {
    if buffer.offset() <= 1 {
        return Ok(buffer.data().bytes());
    }
    let start = usize::try_from(buffer.offset()).ok();
    let end = start.zip(usize::try_from(buffer.size()).ok()).and_then(|(a, b)| a.checked_add(b));
    start.zip(end).and_then(|(start, end)| file.get(start..end)).ok_or_else(|| {
        invalid(format!(
            "expected a buffer inside the {} bytes of the file, found {} bytes at {}",
            file.len(),
            buffer.size(),
            buffer.offset()
        ))
    })
}

fn read_tensor(tensor: &tflite::Tensor<'_>, bytes: &[u8]) -> Result<Tensor, BackendError> {
    let name = tensor.name().unwrap_or_default().to_owned();
    let element = Element::from_schema(tensor.type_());
    let shape: Vec<usize> = tensor
        .shape()
        .iter()
        .map(|size| {
            usize::try_from(size).map_err(|_| {
                invalid(format!("tensor {name}: expected sizes of at least 0, found {size}"))
            })
        })
        .collect::<Result<_, _>>()?;
    checked_element_count(&name, &shape)?;
    let dynamic: Vec<bool> = tensor.shape_signature().iter().map(|size| size == -1).collect();
    let dynamic = if dynamic.len() == shape.len() { dynamic } else { Vec::new() };
    let quantization = match tensor.quantization() {
        Some(parameters) if !parameters.scale().is_empty() => {
            Some(read_quantization(&name, element, &parameters)?)
        }
        _ => None,
    };
    let data = if bytes.is_empty() { None } else { read_data(&name, element, &shape, bytes)? };
    Ok(Tensor { name, element, shape, dynamic, quantization, data })
}

/// The number of elements of a shape, bounded by [`MAX_ELEMENTS`].
pub(crate) fn checked_element_count(name: &str, shape: &[usize]) -> Result<usize, BackendError> {
    shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size))
        .filter(|&count| count <= MAX_ELEMENTS)
        .ok_or_else(|| {
            invalid(format!(
                "tensor {name}: expected at most {MAX_ELEMENTS} elements, found shape {shape:?}"
            ))
        })
}

fn read_quantization(
    name: &str,
    element: Element,
    parameters: &tflite::QuantizationParameters<'_>,
) -> Result<AffineQuantization, BackendError> {
    let scales: Vec<f32> = parameters.scale().iter().collect();
    if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || **scale < 0.0) {
        return Err(invalid(format!("tensor {name}: expected a positive scale, found {scale}")));
    }
    let stored: Vec<i64> = parameters.zero_point().iter().collect();
    let zero_points = match stored.len() {
        0 => vec![0; scales.len()],
        1 => vec![stored[0]; scales.len()],
        count if count == scales.len() => stored,
        count => {
            return Err(invalid(format!(
                "tensor {name}: expected {} zero points, found {count}",
                scales.len()
            )));
        }
    };
    let zero_points = zero_points
        .into_iter()
        .map(|zero| {
            let fits = match element {
                Element::Int8 => i8::try_from(zero).is_ok(),
                Element::UInt8 => u8::try_from(zero).is_ok(),
                _ => i32::try_from(zero).is_ok(),
            };
            // The test above makes the narrowing exact.
            fits.then_some(zero as i32 - element.byte_offset()).ok_or_else(|| {
                invalid(format!(
                    "tensor {name}: expected a zero point in the range of {}, found {zero}",
                    element.name()
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    let dimension = usize::try_from(parameters.quantized_dimension()).unwrap_or(0);
    Ok(AffineQuantization { scales, zero_points, dimension })
}

fn read_data(
    name: &str,
    element: Element,
    shape: &[usize],
    bytes: &[u8],
) -> Result<Option<Data>, BackendError> {
    fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Arc<[T]> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
    }
    let Some(dtype) = element.dtype() else {
        return Ok(None);
    };
    let expected = checked_element_count(name, shape)? * dtype.size();
    if bytes.len() != expected {
        return Err(invalid(format!(
            "tensor {name}: expected {expected} bytes of data, found {}",
            bytes.len()
        )));
    }
    Ok(Some(match element {
        Element::Float32 => Data::Float32(numbers(bytes, f32::from_le_bytes)),
        Element::Float16 => Data::Float32(numbers(bytes, |raw| f16::from_le_bytes(raw).to_f32())),
        Element::Int8 => Data::Bytes(bytes.iter().map(|&byte| byte ^ 0x80).collect()),
        Element::UInt8 => Data::Bytes(bytes.into()),
        Element::Bool => Data::Bytes(bytes.iter().map(|&byte| u8::from(byte != 0)).collect()),
        Element::Int32 => Data::Integers(numbers(bytes, |raw| i64::from(i32::from_le_bytes(raw)))),
        Element::Int64 => Data::Integers(numbers(bytes, i64::from_le_bytes)),
        Element::Other => return Ok(None),
    }))
}

/// An error about the model's content.
pub(crate) fn invalid(reason: impl Into<String>) -> BackendError {
    BackendError::InvalidModel { reason: reason.into() }
}

/// An error about an operand that an operator of the engine does not take.
pub(crate) fn unsupported(operator: &str, what: impl std::fmt::Display) -> BackendError {
    BackendError::UnsupportedOperators {
        backend: NAME.to_owned(),
        operators: vec![format!("{operator} ({what})")],
    }
}
