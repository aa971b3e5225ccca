//! Tiny models whose outputs are their input, cast and reshaped, with any metadata.
//!
//! With them a test reads back the very numbers that an embedder fed to its model, and reaches
//! every check of a model's inputs, outputs and metadata without a model file.

use image_embedder_schema::metadata::{
    ColorSpaceType, ContentPropertiesT, ContentT, ImagePropertiesT, METADATA_NAME, ModelMetadataT,
    NormalizationOptionsT, ProcessUnitOptionsT, ProcessUnitT, SubGraphMetadataT, TensorMetadataT,
};
use image_embedder_schema::tflite::{
    BufferT, BuiltinOperator, BuiltinOptionsT, CastOptionsT, MetadataT, ModelT, OperatorCodeT,
    OperatorT, QuantizationParametersT, ReshapeOptionsT, SubGraphT, TensorT, TensorType,
};

/// A model that gives its first input back at every output.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax and a default")]
pub struct PassThrough {
    /// How many inputs of the same kind the model has; all but the first lead nowhere.
    pub input_count: usize,
    /// The shape, type and quantisation of the inputs.
    pub input: TensorKind,
    /// The inputs' shape with -1 where a dimension may change.
    pub input_signature: Option<Vec<i32>>,
    /// The shape, type and quantisation of each output.
    pub outputs: Vec<TensorKind>,
    /// The bytes of the metadata buffer.
    pub metadata: Option<Vec<u8>>,
    /// The name of the metadata entry.
    pub metadata_name: String,
}

/// The shape, type and quantisation of a tensor.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct TensorKind {
    /// The sizes, outermost first.
    pub shape: Vec<i32>,
    /// The element type.
    pub element: TensorType,
    /// Scale and zero point.
    pub quantization: Option<(f32, i64)>,
}

impl TensorKind {
    /// A tensor of 32-bit floats.
    #[must_use]
    pub fn float32(shape: &[i32]) -> Self {
        Self { shape: shape.to_vec(), element: TensorType::Float32, quantization: None }
    }

    /// A tensor of unsigned bytes that stand for themselves.
    #[must_use]
    pub fn uint8(shape: &[i32]) -> Self {
        Self { shape: shape.to_vec(), element: TensorType::UInt8, quantization: Some((1.0, 0)) }
    }

    /// A tensor of signed bytes with the given scale and zero point.
    #[must_use]
    pub fn int8(shape: &[i32], scale: f32, zero_point: i64) -> Self {
        Self {
            shape: shape.to_vec(),
            element: TensorType::Int8,
            quantization: Some((scale, zero_point)),
        }
    }

    fn tensor(&self, name: String) -> TensorT {
        TensorT {
            shape: Some(self.shape.clone()),
            type_: self.element.raw(),
            name: Some(name),
            quantization: self.quantization.map(|(scale, zero_point)| {
                Box::new(QuantizationParametersT {
                    scale: Some(vec![scale]),
                    zero_point: Some(vec![zero_point]),
                    ..QuantizationParametersT::default()
                })
            }),
            ..TensorT::default()
        }
    }
}

impl Default for PassThrough {
    /// One `1x8x8x3` input of unsigned bytes, one `1x192` output of the same, no metadata.
    fn default() -> Self {
        Self {
            input_count: 1,
            input: TensorKind::uint8(&[1, 8, 8, 3]),
            input_signature: None,
            outputs: vec![TensorKind::uint8(&[1, 192])],
            metadata: None,
            metadata_name: METADATA_NAME.to_owned(),
        }
    }
}

impl PassThrough {
    /// The default model with another input and output.
    #[must_use]
    pub fn new(input: TensorKind, outputs: Vec<TensorKind>) -> Self {
        Self { input, outputs, ..Self::default() }
    }

    /// The same model with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: &ModelMetadataT) -> Self {
        self.metadata = Some(metadata.to_bytes());
        self
    }

    /// The model as tables, for tests that change it further.
    #[must_use]
    pub fn model(&self) -> ModelT {
        let mut graph = GraphParts::default();
        // Buffer 0 is the empty one that tensors without data refer to.
        graph.buffers.push(BufferT::default());
        let mut inputs = Vec::new();
        for index in 0..self.input_count {
            let mut tensor = self.input.tensor(format!("input{index}"));
            tensor.shape_signature.clone_from(&self.input_signature);
            inputs.push(graph.add_tensor(tensor));
        }
        let outputs = self
            .outputs
            .iter()
            .enumerate()
            .map(|(index, output)| graph.add_output(&self.input, output, index))
            .collect();
        let metadata = self.metadata.as_ref().map(|bytes| {
            let buffer = graph.add_buffer(bytes.clone());
            vec![MetadataT { name: Some(self.metadata_name.clone()), buffer }]
        });
        ModelT {
            version: 3,
            description: Some("pass-through".to_owned()),
            operator_codes: Some(graph.codes),
            subgraphs: Some(vec![SubGraphT {
                tensors: Some(graph.tensors),
                inputs: Some(inputs),
                outputs: Some(outputs),
                operators: Some(graph.operators),
                name: Some("main".to_owned()),
            }]),
            buffers: Some(graph.buffers),
            metadata,
            ..ModelT::default()
        }
    }

    /// The model as a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.model().to_bytes()
    }
}

/// What a graph under construction has so far.
#[derive(Default)]
struct GraphParts {
    buffers: Vec<BufferT>,
    tensors: Vec<TensorT>,
    operators: Vec<OperatorT>,
    codes: Vec<OperatorCodeT>,
}

impl GraphParts {
    fn add_tensor(&mut self, tensor: TensorT) -> i32 {
        self.tensors.push(tensor);
        i32::try_from(self.tensors.len() - 1).expect("a test model has few tensors")
    }

    fn add_buffer(&mut self, data: Vec<u8>) -> u32 {
        self.buffers.push(BufferT { data: Some(data), ..BufferT::default() });
        u32::try_from(self.buffers.len() - 1).expect("a test model has few buffers")
    }

    fn opcode(&mut self, operator: BuiltinOperator) -> u32 {
        let number = operator.raw();
        let known = self.codes.iter().position(|code| code.builtin_code == number);
        let index = known.unwrap_or_else(|| {
            self.codes.push(OperatorCodeT {
                deprecated_builtin_code: i8::try_from(number.min(127)).expect("at most 127"),
                builtin_code: number,
                ..OperatorCodeT::default()
            });
            self.codes.len() - 1
        });
        u32::try_from(index).expect("a test model has few operators")
    }

    /// Leads tensor 0 to a new output: a cast if the types differ, then a reshape.
    fn add_output(&mut self, input: &TensorKind, output: &TensorKind, index: usize) -> i32 {
        let mut source = 0;
        if output.element != input.element {
            let cast = TensorKind { shape: input.shape.clone(), ..output.clone() };
            let target = self.add_tensor(cast.tensor(format!("cast{index}")));
            let opcode_index = self.opcode(BuiltinOperator::Cast);
            self.operators.push(OperatorT {
                opcode_index,
                inputs: Some(vec![source]),
                outputs: Some(vec![target]),
                builtin_options: BuiltinOptionsT::CastOptions(CastOptionsT {
                    in_data_type: input.element.raw(),
                    out_data_type: output.element.raw(),
                }),
                ..OperatorT::default()
            });
            source = target;
        }
        let sizes: Vec<u8> = output.shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        let buffer = self.add_buffer(sizes);
        let rank = i32::try_from(output.shape.len()).expect("a rank is small");
        let shape = self.add_tensor(TensorT {
            shape: Some(vec![rank]),
            type_: TensorType::Int32.raw(),
            buffer,
            name: Some(format!("shape{index}")),
            ..TensorT::default()
        });
        let target = self.add_tensor(output.tensor(format!("output{index}")));
        let opcode_index = self.opcode(BuiltinOperator::Reshape);
        self.operators.push(OperatorT {
            opcode_index,
            inputs: Some(vec![source, shape]),
            outputs: Some(vec![target]),
            builtin_options: BuiltinOptionsT::ReshapeOptions(ReshapeOptionsT {
                new_shape: Some(output.shape.clone()),
            }),
            ..OperatorT::default()
        });
        target
    }
}

/// A process unit that normalises with the given means and standard deviations.
#[must_use]
pub fn normalization(mean: &[f32], std: &[f32]) -> ProcessUnitT {
    ProcessUnitT {
        options: ProcessUnitOptionsT::NormalizationOptions(NormalizationOptionsT {
            mean: Some(mean.to_vec()),
            std: Some(std.to_vec()),
        }),
    }
}

/// Metadata of an image tensor in the given colours, with the given process units.
#[must_use]
pub fn image_tensor(
    color_space: ColorSpaceType,
    process_units: Vec<ProcessUnitT>,
) -> TensorMetadataT {
    TensorMetadataT {
        name: Some("image".to_owned()),
        content: Some(Box::new(ContentT {
            content_properties: ContentPropertiesT::ImageProperties(ImagePropertiesT {
                color_space: color_space.raw(),
                default_size: None,
            }),
            range: None,
        })),
        process_units: Some(process_units),
        ..TensorMetadataT::default()
    }
}

/// Metadata of a model whose first subgraph has these inputs and outputs.
#[must_use]
pub fn metadata(inputs: Vec<TensorMetadataT>, outputs: Vec<TensorMetadataT>) -> ModelMetadataT {
    ModelMetadataT {
        name: Some("test model".to_owned()),
        subgraph_metadata: Some(vec![SubGraphMetadataT {
            input_tensor_metadata: Some(inputs),
            output_tensor_metadata: Some(outputs),
            ..SubGraphMetadataT::default()
        }]),
        ..ModelMetadataT::default()
    }
}

/// Metadata of an RGB image model that normalises with one mean and one standard deviation.
#[must_use]
pub fn normalized_rgb(mean: f32, std: f32) -> ModelMetadataT {
    let unit = normalization(&[mean], &[std]);
    metadata(vec![image_tensor(ColorSpaceType::Rgb, vec![unit])], Vec::new())
}
