//! A model's main graph as plain data, read from the flatbuffer and checked.

use image_embedder_backend::{BackendError, DType, Dimension, Quantization, TensorSpec, f16};
use image_embedder_schema::List;
use image_embedder_schema::tflite::{self, TensorType};
use tract_core::prelude::Tensor;

use crate::failure::{invalid, tract_error};
use crate::steps::Steps;
use crate::translate::{Translation, translation};

/// The largest number of elements of a tensor, so that index arithmetic cannot overflow.
pub(crate) const MAX_ELEMENTS: usize = 1 << 30;

/// Tensors and the operations that compute them, in the order in which they run.
pub(crate) struct ModelFile<'a> {
    pub(crate) tensors: Vec<FileTensor<'a>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
}

/// A tensor as the file describes it; constant if it has data.
#[derive(Debug)]
pub(crate) struct FileTensor<'a> {
    pub(crate) name: String,
    /// `None` for a type that no operator here takes.
    pub(crate) dtype: Option<DType>,
    pub(crate) shape: Vec<usize>,
    /// Which dimensions may change; empty if none.
    is_open: Vec<bool>,
    pub(crate) quantization: Option<AffineQuantization>,
    data: &'a [u8],
}

/// Affine quantisation, by one scale or by one for each slice along `dimension`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AffineQuantization {
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_points: Vec<i32>,
    pub(crate) dimension: usize,
}

/// One operation with its operands; an optional input that is left out is `None`.
pub(crate) struct Node {
    pub(crate) name: String,
    /// How it is translated, if that is known.
    pub(crate) translation: Option<Translation>,
    pub(crate) inputs: Vec<Option<usize>>,
    pub(crate) outputs: Vec<usize>,
}

/// What tract computes with in place of the model's elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// 32-bit floats.
    Float,
    /// Bytes, held as floats: the distance of the byte from the tensor's zero point.
    Bytes,
    /// Whole numbers of 32 or 64 bits, as they are.
    Whole,
    /// Truth values, as they are.
    Bool,
}

impl<'a> ModelFile<'a> {
    /// Reads the first subgraph of a model file.
    ///
    /// # Errors
    ///
    /// [`BackendError::InvalidModel`].
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BackendError> {
        let model = tflite::read_model(bytes).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            invalid(match cause {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            })
        })?;
        let graph =
            model.subgraphs().first().ok_or_else(|| invalid("expected a subgraph, found none"))?;
        let mut tensors = Vec::with_capacity(graph.tensors().len());
        for tensor in graph.tensors().iter() {
            tensors.push(FileTensor::read(&tensor, bytes, &model)?);
        }
        let count = tensors.len();
        let codes: Vec<_> = model.operator_codes().iter().collect();
        let mut nodes = Vec::with_capacity(graph.operators().len());
        for operator in graph.operators().iter() {
            let index = operator.opcode_index();
            let code = codes.get(index as usize).ok_or_else(|| {
                invalid(format!("expected an operator code below {}, found {index}", codes.len()))
            })?;
            let name = code.name();
            let inputs = operator.inputs();
            let inputs = inputs
                .iter()
                .map(
                    |index| {
                        if index == -1 { Ok(None) } else { place(index, count, &name).map(Some) }
                    },
                )
                .collect::<Result<_, _>>()?;
            nodes.push(Node {
                translation: translation(code.builtin_number(), &operator.builtin_options()),
                inputs,
                outputs: places(operator.outputs(), count, &name)?,
                name,
            });
        }
        Ok(Self {
            inputs: places(graph.inputs(), count, "inputs")?,
            outputs: places(graph.outputs(), count, "outputs")?,
            tensors,
            nodes,
        })
    }

    /// The names of all operators that have no translation, each once, in order of appearance.
    pub(crate) fn unsupported(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.translation.is_none()) {
            if !names.contains(&node.name) {
                names.push(node.name.clone());
            }
        }
        names
    }
}

fn place(index: i32, count: usize, of: &str) -> Result<usize, BackendError> {
    usize::try_from(index).ok().filter(|&index| index < count).ok_or_else(|| {
        invalid(format!("{of}: expected a tensor index below {count}, found {index}"))
    })
}

fn places(indices: List<'_, i32>, count: usize, of: &str) -> Result<Vec<usize>, BackendError> {
    indices.iter().map(|index| place(index, count, of)).collect()
}

impl<'a> FileTensor<'a> {
    fn read(
        tensor: &tflite::Tensor<'a>,
        file: &'a [u8],
        model: &tflite::Model<'a>,
    ) -> Result<Self, BackendError> {
        let name = tensor.name().unwrap_or_default().to_owned();
        let dtype = TensorType::from_raw(tensor.type_()).and_then(|kind| {
            Some(match kind {
                TensorType::Float32 => DType::Float32,
                TensorType::Float16 => DType::Float16,
                TensorType::Int8 => DType::Int8,
                TensorType::UInt8 => DType::UInt8,
                TensorType::Int32 => DType::Int32,
                TensorType::Int64 => DType::Int64,
                TensorType::Bool => DType::Bool,
                _ => return None,
            })
        });
        let size = |size: i32| {
            usize::try_from(size).map_err(|_| {
                invalid(format!("tensor {name}: expected sizes of at least 0, found {size}"))
            })
        };
        let shape: Vec<usize> = tensor.shape().iter().map(size).collect::<Result<_, _>>()?;
        checked_volume(&name, &shape)?;
        let mut is_open: Vec<bool> =
            tensor.shape_signature().iter().map(|size| size == -1).collect();
        if is_open.len() != shape.len() {
            is_open.clear();
        }
        let quantization = match tensor.quantization() {
            Some(parameters) if !parameters.scale().is_empty() => {
                Some(AffineQuantization::read(&name, dtype, &shape, &parameters)?)
            }
            _ => None,
        };
        let buffers = model.buffers();
        let data = match buffers.get(tensor.buffer() as usize) {
            Some(buffer) => buffer_bytes(file, &buffer)?,
            None if tensor.buffer() == 0 => &[],
            None => {
                return Err(invalid(format!(
                    "tensor {name}: expected a buffer index below {}, found {}",
                    buffers.len(),
                    tensor.buffer()
                )));
            }
        };
        Ok(Self { name, dtype, shape, is_open, quantization, data })
    }

    /// What tract computes with, if any operator takes the elements.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Some(match self.dtype? {
            DType::Float32 | DType::Float16 => Kind::Float,
            DType::Int8 | DType::UInt8 => Kind::Bytes,
            DType::Int32 | DType::Int64 => Kind::Whole,
            DType::Bool => Kind::Bool,
            _ => return None,
        })
    }

    /// The name of the element type.
    pub(crate) fn dtype_name(&self) -> &'static str {
        self.dtype.map_or("another type", DType::name)
    }

    /// The quantisation of a tensor of bytes that is quantised as a whole.
    pub(crate) fn steps(&self) -> Result<Steps, BackendError> {
        let least = match self.dtype {
            Some(DType::Int8) => -128,
            Some(DType::UInt8) => 0,
            _ => {
                return Err(invalid(format!(
                    "tensor {}: expected INT8 or UINT8, found {}",
                    self.name,
                    self.dtype_name()
                )));
            }
        };
        match self.quantization.as_ref().map(|affine| (&affine.scales[..], &affine.zero_points[..]))
        {
            Some((&[scale], &[zero_point])) => Ok(Steps { scale, zero_point, least }),
            Some((scales, _)) => Err(invalid(format!(
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

    /// The value of a byte that is held as 0; 0 itself for bytes without quantisation.
    pub(crate) fn zero_point(&self) -> i32 {
        match &self.quantization {
            Some(affine) if affine.zero_points.len() == 1 => affine.zero_points[0],
            _ => 0,
        }
    }

    /// The least value of the element type, if it is a byte.
    pub(crate) fn least(&self) -> i32 {
        if self.dtype == Some(DType::Int8) { -128 } else { 0 }
    }

    /// The description of the tensor with the given shape, as an input or output.
    pub(crate) fn spec(&self, shape: &[usize]) -> Result<TensorSpec, BackendError> {
        let dtype = self.dtype.ok_or_else(|| {
            invalid(format!("tensor {}: its element type cannot be an input or output", self.name))
        })?;
        let dimensions = shape
            .iter()
            .enumerate()
            .map(|(index, &size)| {
                if self.is_open.len() == shape.len() && self.is_open[index] {
                    Dimension::Dynamic(size)
                } else {
                    Dimension::Fixed(size)
                }
            })
            .collect();
        let quantization = match &self.quantization {
            Some(affine) if affine.scales.len() == 1 => {
                Some(Quantization::new(affine.scales[0], affine.zero_points[0]))
            }
            _ => None,
        };
        Ok(TensorSpec::new(self.name.clone(), dtype, dimensions, quantization))
    }

    /// The constant that tract computes with; `None` if the tensor has no data.
    pub(crate) fn constant(&self) -> Result<Option<Tensor>, BackendError> {
        let (Some(dtype), false) = (self.dtype, self.data.is_empty()) else {
            return Ok(None);
        };
        let (shape, data) = (&self.shape[..], self.data);
        let expected = checked_volume(&self.name, shape)? * dtype.size();
        if data.len() != expected {
            return Err(invalid(format!(
                "tensor {}: expected {expected} bytes of data, found {}",
                self.name,
                data.len()
            )));
        }
        let tensor = match dtype {
            DType::Float32 => Tensor::from_shape(shape, &numbers(data, f32::from_le_bytes)),
            DType::Float16 => {
                Tensor::from_shape(shape, &numbers(data, |raw| f16::from_le_bytes(raw).to_f32()))
            }
            DType::Int32 => Tensor::from_shape(shape, &numbers(data, i32::from_le_bytes)),
            DType::Int64 => Tensor::from_shape(shape, &numbers(data, i64::from_le_bytes)),
            DType::Bool => Tensor::from_shape(shape, &numbers(data, |[byte]| byte != 0)),
            DType::Int8 => {
                let own = numbers(data, i8::from_le_bytes);
                Tensor::from_shape(shape, &self.held(own.into_iter().map(i32::from)))
            }
            DType::UInt8 => {
                Tensor::from_shape(shape, &self.held(data.iter().map(|&byte| i32::from(byte))))
            }
            _ => return Ok(None),
        };
        tensor.map(Some).map_err(|error| tract_error("making a constant", &error))
    }

    /// Bytes as distances from their zero points.
    fn held(&self, own: impl Iterator<Item = i32>) -> Vec<f32> {
        let Some(affine) = &self.quantization else {
            return own.map(|value| value as f32).collect();
        };
        let count = affine.zero_points.len();
        let inner: usize =
            if count == 1 { 1 } else { self.shape[affine.dimension + 1..].iter().product() };
        let zero_point = |index: usize| affine.zero_points[index / inner % count];
        own.enumerate().map(|(index, value)| (value - zero_point(index)) as f32).collect()
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

/// The number of elements of a shape, at most [`MAX_ELEMENTS`].
pub(crate) fn checked_volume(name: &str, shape: &[usize]) -> Result<usize, BackendError> {
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

/// The bytes of a buffer, which models above 2 GiB keep behind the flatbuffer.
fn buffer_bytes<'a>(file: &'a [u8], buffer: &tflite::Buffer<'a>) -> Result<&'a [u8], BackendError> {
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

impl AffineQuantization {
    fn read(
        name: &str,
        dtype: Option<DType>,
        shape: &[usize],
        parameters: &tflite::QuantizationParameters<'_>,
    ) -> Result<Self, BackendError> {
        let scales: Vec<f32> = parameters.scale().iter().collect();
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || **scale < 0.0) {
            return Err(invalid(format!(
                "tensor {name}: expected a positive scale, found {scale}"
            )));
        }
        let stored: Vec<i64> = parameters.zero_point().iter().collect();
        let stored = match stored[..] {
            [] => vec![0; scales.len()],
            [zero_point] => vec![zero_point; scales.len()],
            _ if stored.len() == scales.len() => stored,
            _ => {
                return Err(invalid(format!(
                    "tensor {name}: expected {} zero points, found {}",
                    scales.len(),
                    stored.len()
                )));
            }
        };
        let zero_points = stored
            .into_iter()
            .map(|zero_point| {
                let fits = match dtype {
                    Some(DType::Int8) => i8::try_from(zero_point).is_ok(),
                    Some(DType::UInt8) => u8::try_from(zero_point).is_ok(),
                    _ => true,
                };
                i32::try_from(zero_point).ok().filter(|_| fits).ok_or_else(|| {
                    invalid(format!(
                        "tensor {name}: expected a zero point in the range of {}, found \
                         {zero_point}",
                        dtype.map_or("32 bits", DType::name)
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        let dimension = usize::try_from(parameters.quantized_dimension()).unwrap_or(usize::MAX);
        if scales.len() > 1 && shape.get(dimension) != Some(&scales.len()) {
            return Err(invalid(format!(
                "tensor {name}: expected a scale for each slice along dimension {dimension} of \
                 {shape:?}, found {}",
                scales.len()
            )));
        }
        Ok(Self { scales, zero_points, dimension })
    }
}
