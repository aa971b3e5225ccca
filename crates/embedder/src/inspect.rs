//! What a model file contains, without a backend.

use std::collections::BTreeMap;
use std::fmt;

use image_embedder_schema::tflite::{SubGraph, Tensor, TensorType, read_model};

use crate::{Error, ErrorKind};

/// The inputs, outputs and operators of a model's main graph.
///
/// ```
/// # #[cfg(feature = "bundled-model")] {
/// use image_embedder::inspect::ModelSummary;
///
/// let summary = ModelSummary::from_model(&image_embedder::bundled_model())?;
/// assert_eq!(summary.inputs[0].shape, [1, 224, 224, 3]);
/// assert_eq!(summary.operators["CONV_2D"], 33);
/// # }
/// # Ok::<(), image_embedder::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSummary {
    /// What made the model, in its own words.
    pub description: Option<String>,
    /// The inputs, in model order.
    pub inputs: Vec<TensorSummary>,
    /// The outputs, in model order.
    pub outputs: Vec<TensorSummary>,
    /// How often each operator is used.
    pub operators: BTreeMap<String, usize>,
}

/// An input or output of a model.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSummary {
    /// The tensor's name; empty if it has none.
    pub name: String,
    /// The element type in TensorFlow's spelling, such as `UINT8`.
    pub element_type: String,
    /// The sizes, outermost first, with -1 where a size may change.
    pub shape: Vec<i32>,
    /// Scale and zero point, if there is one pair for the whole tensor.
    pub quantization: Option<(f32, i64)>,
}

impl ModelSummary {
    /// Reads the summary of a model file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] if the bytes are not a well-formed model.
    pub fn from_model(model: &[u8]) -> Result<Self, Error> {
        let model = read_model(model)?;
        let malformed = |message: String| Error::new(ErrorKind::Model, message);
        let graph = model
            .subgraphs()
            .first()
            .ok_or_else(|| malformed("expected a model with a graph, found none".to_owned()))?;
        let tensors = |side: &str, indices: &mut dyn Iterator<Item = i32>| {
            indices
                .map(|index| {
                    tensor(&graph, index).map(TensorSummary::new).ok_or_else(|| {
                        let count = graph.tensors().len();
                        malformed(format!(
                            "expected {side} tensors with an index below {count}, found {index}"
                        ))
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let codes = model.operator_codes();
        let mut operators = BTreeMap::new();
        for operator in graph.operators().iter() {
            let index = operator.opcode_index();
            let code = usize::try_from(index).ok().and_then(|index| codes.get(index));
            let code = code.ok_or_else(|| {
                malformed(format!(
                    "expected an operator code with an index below {}, found {index}",
                    codes.len()
                ))
            })?;
            *operators.entry(code.name()).or_insert(0) += 1;
        }
        Ok(Self {
            description: model.description().map(str::to_owned),
            inputs: tensors("input", &mut graph.inputs().iter())?,
            outputs: tensors("output", &mut graph.outputs().iter())?,
            operators,
        })
    }
}

fn tensor<'a>(graph: &SubGraph<'a>, index: i32) -> Option<Tensor<'a>> {
    graph.tensors().get(usize::try_from(index).ok()?)
}

impl TensorSummary {
    fn new(tensor: Tensor<'_>) -> Self {
        let signature = tensor.shape_signature();
        let shape = if signature.is_empty() { tensor.shape() } else { signature };
        let element_type = match TensorType::from_raw(tensor.type_()) {
            Some(element) => format!("{element:?}").to_ascii_uppercase(),
            None => format!("TYPE {}", tensor.type_()),
        };
        let quantization = tensor.quantization().and_then(|quantization| {
            let (scale, zero_point) = (quantization.scale(), quantization.zero_point());
            (scale.len() == 1)
                .then(|| Some((scale.first()?, zero_point.first().unwrap_or(0))))
                .flatten()
        });
        Self {
            name: tensor.name().unwrap_or_default().to_owned(),
            element_type,
            shape: shape.iter().collect(),
            quantization,
        }
    }
}

impl fmt::Display for TensorSummary {
    /// As `name: UINT8 1x224x224x3 (scale 0.0078125, zero point 127)`, with `?` for an open size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ", self.name, self.element_type)?;
        if self.shape.is_empty() {
            f.write_str("scalar")?;
        }
        for (index, size) in self.shape.iter().enumerate() {
            if index > 0 {
                f.write_str("x")?;
            }
            if *size < 0 {
                f.write_str("?")?;
            } else {
                write!(f, "{size}")?;
            }
        }
        if let Some((scale, zero_point)) = self.quantization {
            write!(f, " (scale {scale}, zero point {zero_point})")?;
        }
        Ok(())
    }
}
