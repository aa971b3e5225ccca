//! Building models: a graph under construction, its formats, and random data for it.

use image_embedder_backend::f16;
use image_embedder_schema::tflite::{
    BufferT, BuiltinOperator, BuiltinOptionsT, ModelT, OperatorCodeT, OperatorT,
    QuantizationParametersT, SubGraphT, TensorT, TensorType,
};

use crate::random::Random;
use crate::{Case, Elements, Tensor};

/// In what numbers a model computes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Numbers {
    Float32,
    Float16Weights,
    DynamicRange,
    DynamicRangePerChannel,
    UInt8,
    Int8,
    Int8PerChannel,
}

impl Numbers {
    pub(crate) const ALL: [Self; 7] = [
        Self::Float32,
        Self::Float16Weights,
        Self::DynamicRange,
        Self::DynamicRangePerChannel,
        Self::UInt8,
        Self::Int8,
        Self::Int8PerChannel,
    ];

    /// Those that differ for operators without weights.
    pub(crate) const PLAIN: [Self; 3] = [Self::Float32, Self::UInt8, Self::Int8];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "f32",
            Self::Float16Weights => "f16w",
            Self::DynamicRange => "dynamic",
            Self::DynamicRangePerChannel => "dynamic_pc",
            Self::UInt8 => "u8",
            Self::Int8 => "i8",
            Self::Int8PerChannel => "i8_pc",
        }
    }

    pub(crate) const fn is_quantized(self) -> bool {
        matches!(self, Self::UInt8 | Self::Int8 | Self::Int8PerChannel)
    }

    /// Whether activations are floats that are quantised at run time.
    pub(crate) const fn is_dynamic(self) -> bool {
        matches!(self, Self::DynamicRange | Self::DynamicRangePerChannel)
    }

    /// The format of activations, with a scale and a zero point counted from the least value.
    pub(crate) fn format(self, scale: f32, zero_point: u8) -> Format {
        match self {
            Self::UInt8 => Format::uint8(scale, zero_point),
            Self::Int8 | Self::Int8PerChannel => Format::int8(scale, zero_point),
            _ => Format::plain(TensorType::Float32),
        }
    }
}

/// Where a zero point lies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ZeroPoint {
    /// Somewhere in the middle.
    #[default]
    Middle,
    /// At the least value, as after a ReLU.
    Low,
    /// At the largest value.
    High,
}

impl ZeroPoint {
    /// One of its kind, counted from the least value.
    pub(crate) fn pick(self, random: &mut Random) -> u8 {
        match self {
            Self::Middle => random.integer(100, 156) as u8,
            Self::Low => 0,
            Self::High => 255,
        }
    }
}

/// Element type and quantisation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Format {
    pub(crate) element: TensorType,
    pub(crate) scales: Vec<f32>,
    /// In the element type's own values.
    pub(crate) zero_points: Vec<i64>,
    pub(crate) dimension: usize,
}

impl Format {
    pub(crate) fn plain(element: TensorType) -> Self {
        Self { element, scales: Vec::new(), zero_points: Vec::new(), dimension: 0 }
    }

    pub(crate) fn float32() -> Self {
        Self::plain(TensorType::Float32)
    }

    pub(crate) fn uint8(scale: f32, zero_point: u8) -> Self {
        let zero_points = vec![i64::from(zero_point)];
        Self { element: TensorType::UInt8, scales: vec![scale], zero_points, dimension: 0 }
    }

    /// The zero point is counted from -128.
    pub(crate) fn int8(scale: f32, zero_point: u8) -> Self {
        let zero_points = vec![i64::from(zero_point) - 128];
        Self { element: TensorType::Int8, scales: vec![scale], zero_points, dimension: 0 }
    }

    /// With a zero point of zero for each scale.
    pub(crate) fn symmetric(element: TensorType, scales: Vec<f32>, dimension: usize) -> Self {
        let zero_points = vec![0; scales.len()];
        Self { element, scales, zero_points, dimension }
    }

    pub(crate) fn is_byte(&self) -> bool {
        matches!(self.element, TensorType::UInt8 | TensorType::Int8)
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scales.first().copied().unwrap_or(1.0)
    }

    /// The zero point, counted from the least value.
    pub(crate) fn zero_point(&self) -> u8 {
        let zero_point = self.zero_points.first().copied().unwrap_or(0);
        (if self.element == TensorType::Int8 { zero_point + 128 } else { zero_point }) as u8
    }

    /// The root mean square of real values when all values are equally frequent.
    pub(crate) fn spread(&self) -> f32 {
        let offset = 127.5 - f32::from(self.zero_point());
        (5461.3 + offset * offset).sqrt() * self.scale()
    }

    fn quantization(&self) -> Option<Box<QuantizationParametersT>> {
        if self.scales.is_empty() {
            return None;
        }
        Some(Box::new(QuantizationParametersT {
            scale: Some(self.scales.clone()),
            zero_point: Some(self.zero_points.clone()),
            quantized_dimension: self.dimension as i32,
            ..QuantizationParametersT::default()
        }))
    }
}

/// A tensor of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) index: i32,
    pub(crate) shape: Vec<usize>,
    pub(crate) format: Format,
    /// About the root mean square of its real values.
    pub(crate) spread: f32,
}

impl Value {
    /// An input that an operator leaves out.
    pub(crate) fn none() -> Self {
        Self { index: -1, shape: Vec::new(), format: Format::float32(), spread: 0.0 }
    }
}

/// A graph under construction.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) random: Random,
    name: String,
    tensors: Vec<TensorT>,
    buffers: Vec<BufferT>,
    codes: Vec<OperatorCodeT>,
    operators: Vec<OperatorT>,
    input_indices: Vec<i32>,
    inputs: Vec<Tensor>,
}

impl Graph {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            random: Random::new(name, seed),
            name: name.to_owned(),
            tensors: Vec::new(),
            // Tensors without data refer to the first buffer, which is empty.
            buffers: vec![BufferT::default()],
            codes: Vec::new(),
            operators: Vec::new(),
            input_indices: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// A format for inputs of these numbers.
    pub(crate) fn input_format(&mut self, numbers: Numbers, zero_point: ZeroPoint) -> Format {
        let zero_point = zero_point.pick(&mut self.random);
        numbers.format(self.random.float(0.01, 0.03), zero_point)
    }

    /// A tensor to be computed.
    pub(crate) fn tensor(&mut self, format: Format, shape: &[usize], spread: f32) -> Value {
        self.tensors.push(TensorT {
            shape: Some(shape.iter().map(|&size| size as i32).collect()),
            type_: format.element.raw(),
            name: Some(format!("tensor{}", self.tensors.len())),
            quantization: format.quantization(),
            ..TensorT::default()
        });
        let index = self.tensors.len() as i32 - 1;
        Value { index, shape: shape.to_vec(), format, spread }
    }

    /// An input with random elements.
    pub(crate) fn input(&mut self, format: Format, shape: &[usize]) -> Value {
        let count = shape.iter().product();
        let elements = if format.is_byte() {
            let mut bytes: Vec<u8> =
                (0..count).map(|_| self.random.integer(0, 255) as u8).collect();
            if count > 8 {
                bytes[count / 2] = 0;
                bytes[count / 2 + 1] = 255;
            }
            held_bytes(format.element, &bytes)
        } else {
            Elements::Float32(self.random.floats(count, 2.0))
        };
        let spread = if format.is_byte() { format.spread() } else { 2.0 / 3f32.sqrt() };
        self.input_of(format, shape, elements, spread)
    }

    /// An input with the given elements.
    pub(crate) fn input_of(
        &mut self,
        format: Format,
        shape: &[usize],
        elements: Elements,
        spread: f32,
    ) -> Value {
        let value = self.tensor(format, shape, spread);
        self.input_indices.push(value.index);
        self.inputs.push(Tensor { shape: shape.to_vec(), elements });
        value
    }

    /// Leaves dimensions of an input open and gives it the shape that the model file has.
    pub(crate) fn open(&mut self, input: &Value, shape: &[usize], signature: &[i32]) {
        let tensor = &mut self.tensors[input.index as usize];
        tensor.shape = Some(shape.iter().map(|&size| size as i32).collect());
        tensor.shape_signature = Some(signature.to_vec());
    }

    /// A constant.
    pub(crate) fn constant(&mut self, format: Format, shape: &[usize], bytes: Vec<u8>) -> Value {
        let spread = if format.is_byte() { format.spread() } else { 1.0 };
        let value = self.tensor(format, shape, spread);
        self.buffers.push(BufferT { data: Some(bytes), ..BufferT::default() });
        self.tensors[value.index as usize].buffer = self.buffers.len() as u32 - 1;
        value
    }

    /// A constant with random elements.
    pub(crate) fn random_constant(&mut self, format: Format, shape: &[usize]) -> Value {
        let count: usize = shape.iter().product();
        let bytes = if format.is_byte() {
            (0..count).map(|_| self.random.integer(0, 255) as u8).collect()
        } else {
            le_bytes(&self.random.floats(count, 2.0))
        };
        self.constant(format, shape, bytes)
    }

    /// A constant list of 32-bit integers.
    pub(crate) fn integers(&mut self, values: &[i32]) -> Value {
        self.integers_of(&[values.len()], values)
    }

    /// Constant 32-bit integers of a shape.
    pub(crate) fn integers_of(&mut self, shape: &[usize], values: &[i32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Format::plain(TensorType::Int32), shape, bytes)
    }

    /// Constant floats, stored as binary16 and widened by an operator of the graph.
    pub(crate) fn widened(&mut self, shape: &[usize], values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let narrow = self.constant(Format::plain(TensorType::Float16), shape, bytes);
        let wide = self.tensor(Format::float32(), shape, 1.0);
        self.operator(BuiltinOperator::Dequantize, BuiltinOptionsT::None, &[&narrow], &[&wide]);
        wide
    }

    /// Adds an operator.
    pub(crate) fn operator(
        &mut self,
        operator: BuiltinOperator,
        builtin_options: BuiltinOptionsT,
        inputs: &[&Value],
        outputs: &[&Value],
    ) {
        let number = operator.raw();
        let known = self.codes.iter().position(|code| code.builtin_code == number);
        let opcode_index = known.unwrap_or_else(|| {
            self.codes.push(OperatorCodeT {
                // The field ends at 127, which is not an operator's number.
                deprecated_builtin_code: number.min(127) as i8,
                builtin_code: number,
                version: match operator {
                    // The first is not one of TensorFlow Lite's.
                    BuiltinOperator::BroadcastTo => 2,
                    _ => 1,
                },
                ..OperatorCodeT::default()
            });
            self.codes.len() - 1
        });
        let indices = |values: &[&Value]| Some(values.iter().map(|value| value.index).collect());
        self.operators.push(OperatorT {
            opcode_index: opcode_index as u32,
            inputs: indices(inputs),
            outputs: indices(outputs),
            builtin_options,
            ..OperatorT::default()
        });
    }

    /// The finished case.
    pub(crate) fn finish(self, group: &'static str, outputs: &[&Value]) -> Case {
        let model = ModelT {
            version: 3,
            description: Some(self.name.clone()),
            operator_codes: Some(self.codes),
            subgraphs: Some(vec![SubGraphT {
                tensors: Some(self.tensors),
                inputs: Some(self.input_indices),
                outputs: Some(outputs.iter().map(|output| output.index).collect()),
                operators: Some(self.operators),
                name: Some("main".to_owned()),
            }]),
            buffers: Some(self.buffers),
            ..ModelT::default()
        };
        Case { name: self.name, group, model: model.to_bytes(), inputs: self.inputs }
    }
}

/// Bytes counted from the least value, as elements of the type.
pub(crate) fn held_bytes(element: TensorType, bytes: &[u8]) -> Elements {
    if element == TensorType::Int8 {
        Elements::Int8(bytes.iter().map(|byte| (byte ^ 0x80).cast_signed()).collect())
    } else {
        Elements::UInt8(bytes.to_vec())
    }
}

/// Floats as a buffer holds them.
pub(crate) fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
