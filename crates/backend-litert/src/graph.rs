//! What the model file says of inputs, outputs and signatures.

use std::error::Error;

use image_embedder_backend::{BackendError, DType, Dimension, Quantization, TensorSpec};
use image_embedder_schema::tflite::{
    BuiltinOperator, Model, SignatureDef, SubGraph, Tensor, TensorType, read_model,
};

use crate::NAME;

/// The model's first subgraph from outside, and the signatures that enter it.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    /// Which tensors of the file the inputs are.
    input_tensors: Vec<i32>,
    /// Which tensors of the file the outputs are; one may be there twice, or be an input.
    output_tensors: Vec<i32>,
    signatures: Vec<Signature>,
    /// Whether the file has signatures at all; LiteRT makes one for a file without.
    has_signatures: bool,
}

/// A named entry point of the first subgraph.
#[derive(Clone, Debug)]
struct Signature {
    key: String,
    inputs: Vec<Name>,
    outputs: Vec<Name>,
}

/// A signature's name for one of the graph's inputs or outputs.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    index: usize,
}

/// Where the library's n-th tensor of a signature is in the model.
pub(crate) type Order = Vec<usize>;

impl Graph {
    /// Verifies the structure of the model file, reads it, and refuses what LiteRT cannot run.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackendError> {
        let model = read_model(bytes).map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}"));
            invalid(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        let graph =
            model.subgraphs().first().ok_or_else(|| invalid("expected a subgraph, found none"))?;
        let operators = unsupported(&model);
        if !operators.is_empty() {
            return Err(BackendError::UnsupportedOperators { backend: NAME.to_owned(), operators });
        }
        let (inputs, outputs) =
            (graph.inputs().iter().collect::<Vec<_>>(), graph.outputs().iter().collect::<Vec<_>>());
        let specs = |indices: &[i32]| -> Result<Vec<TensorSpec>, BackendError> {
            indices.iter().map(|&index| spec(&tensor(&graph, index)?)).collect()
        };
        let signatures = model.signature_defs();
        Ok(Self {
            inputs: specs(&inputs)?,
            outputs: specs(&outputs)?,
            signatures: signatures
                .iter()
                .filter(|signature| signature.subgraph_index() == 0)
                .filter_map(|signature| Signature::read(&signature, &inputs, &outputs))
                .collect(),
            has_signatures: !signatures.is_empty(),
            input_tensors: inputs,
            output_tensors: outputs,
        })
    }

    /// The outputs that are the same tensor as the input `index`.
    ///
    /// LiteRT lets each buffer of a run stand for its tensor, so the input is read from theirs.
    pub(crate) fn outputs_of_input(&self, index: usize) -> impl Iterator<Item = usize> {
        let tensor = self.input_tensors.get(index);
        let outputs = self.output_tensors.iter().enumerate();
        outputs.filter(move |(_, other)| Some(*other) == tensor).map(|(output, _)| output)
    }

    /// The output whose buffer has the output `index` after a run: the last one that is the same
    /// tensor.
    pub(crate) fn filled_output(&self, index: usize) -> usize {
        let tensor = self.output_tensors.get(index);
        self.output_tensors.iter().rposition(|other| Some(other) == tensor).unwrap_or(index)
    }

    /// Where the tensors of the library's signature `key` are among the inputs and outputs, by the
    /// names that the library has for them; `None` if it is not an entry to the whole graph.
    pub(crate) fn orders(
        &self,
        key: &str,
        inputs: &[String],
        outputs: &[String],
    ) -> Option<(Order, Order)> {
        if !self.has_signatures {
            let whole = inputs.len() == self.inputs.len() && outputs.len() == self.outputs.len();
            return whole.then(|| ((0..inputs.len()).collect(), (0..outputs.len()).collect()));
        }
        let signature = self.signatures.iter().find(|signature| signature.key == key)?;
        Some((
            order(&signature.inputs, inputs, self.inputs.len())?,
            order(&signature.outputs, outputs, self.outputs.len())?,
        ))
    }
}

impl Signature {
    fn read(signature: &SignatureDef<'_>, inputs: &[i32], outputs: &[i32]) -> Option<Self> {
        let names = |maps: Vec<(Option<&str>, u32)>, tensors: &[i32]| -> Option<Vec<Name>> {
            maps.into_iter()
                .map(|(text, tensor)| {
                    let tensor = i32::try_from(tensor).ok()?;
                    let index = tensors.iter().position(|&other| other == tensor)?;
                    Some(Name { text: text?.to_owned(), index })
                })
                .collect()
        };
        let inputs_of = signature.inputs().iter().map(|map| (map.name(), map.tensor_index()));
        let outputs_of = signature.outputs().iter().map(|map| (map.name(), map.tensor_index()));
        Some(Self {
            key: signature.signature_key().unwrap_or_default().to_owned(),
            inputs: names(inputs_of.collect(), inputs)?,
            outputs: names(outputs_of.collect(), outputs)?,
        })
    }
}

/// The places of `names` in the model, if every one of its `count` tensors is there once.
fn order(known: &[Name], names: &[String], count: usize) -> Option<Order> {
    let place = |name: &String| Some(known.iter().find(|known| known.text == *name)?.index);
    let order: Order = names.iter().map(place).collect::<Option<_>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    (sorted.into_iter().eq(0..count)).then_some(order)
}

/// Operators that LiteRT has no kernel for or that TensorFlow Lite's kernels do not survive: custom
/// ones, and a `DEPTHWISE_CONV_2D` of two operands, which has no bias for them to read.
fn unsupported(model: &Model<'_>) -> Vec<String> {
    let codes = model.operator_codes();
    let mut found = Vec::new();
    for graph in model.subgraphs().iter() {
        for operator in graph.operators().iter() {
            let index = usize::try_from(operator.opcode_index()).ok();
            let Some(code) = index.and_then(|index| codes.get(index)) else { continue };
            let number = code.builtin_number();
            let name = match BuiltinOperator::from_raw(number) {
                Some(BuiltinOperator::Custom) => {
                    format!("custom operator {}", code.custom_code().unwrap_or("without a name"))
                }
                Some(BuiltinOperator::DepthwiseConv2d) if operator.inputs().len() < 3 => {
                    "DEPTHWISE_CONV_2D without a bias".to_owned()
                }
                _ => continue,
            };
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

fn tensor<'a>(graph: &SubGraph<'a>, index: i32) -> Result<Tensor<'a>, BackendError> {
    let count = graph.tensors().len();
    usize::try_from(index)
        .ok()
        .and_then(|index| graph.tensors().get(index))
        .ok_or_else(|| invalid(format!("expected a tensor index below {count}, found {index}")))
}

fn spec(tensor: &Tensor<'_>) -> Result<TensorSpec, BackendError> {
    let name = tensor.name().unwrap_or_default();
    let Some(dtype) = TensorType::from_raw(tensor.type_()).and_then(dtype) else {
        return Err(invalid(format!(
            "tensor {name}: expected numbers of at most 64 bits or booleans, found elements of \
             type {}",
            tensor.type_()
        )));
    };
    let shape: Vec<i32> = tensor.shape().iter().collect();
    let signature: Vec<i32> = tensor.shape_signature().iter().collect();
    let dimensions = shape.iter().enumerate().map(|(index, &size)| {
        let open = signature.len() == shape.len() && signature[index] < 0;
        // A converter may leave an open size at -1.
        let size = usize::try_from(if open { size.max(1) } else { size });
        let size = size.map_err(|_| {
            invalid(format!("tensor {name}: expected sizes of at least 0, found {shape:?}"))
        })?;
        Ok(if open { Dimension::Dynamic(size) } else { Dimension::Fixed(size) })
    });
    let dimensions = dimensions.collect::<Result<_, BackendError>>()?;
    let quantization = tensor.quantization().and_then(|quantization| {
        let (scales, zero_points) = (quantization.scale(), quantization.zero_point());
        let scale = scales.first().filter(|_| scales.len() == 1)?;
        let zero_point = i32::try_from(zero_points.first().unwrap_or(0)).ok()?;
        (scale != 0.0).then(|| Quantization::new(scale, zero_point))
    });
    Ok(TensorSpec::new(name, dtype, dimensions, quantization))
}

/// The type in the backend interface's terms.
fn dtype(element: TensorType) -> Option<DType> {
    Some(match element {
        TensorType::Float32 => DType::Float32,
        TensorType::Float16 => DType::Float16,
        TensorType::Int8 => DType::Int8,
        TensorType::UInt8 => DType::UInt8,
        TensorType::Int16 => DType::Int16,
        TensorType::Int32 => DType::Int32,
        TensorType::Int64 => DType::Int64,
        TensorType::Bool => DType::Bool,
        _ => return None,
    })
}

/// LiteRT's number of the type.
pub(crate) fn element_type(dtype: DType) -> Option<crate::sys::ElementType> {
    Some(match dtype {
        DType::Float32 => 1,
        DType::Int32 => 2,
        DType::UInt8 => 3,
        DType::Int64 => 4,
        DType::Bool => 6,
        DType::Int16 => 7,
        DType::Int8 => 9,
        DType::Float16 => 10,
        _ => return None,
    })
}

fn invalid(reason: impl Into<String>) -> BackendError {
    BackendError::InvalidModel { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_places() {
        let name = |text: &str, index| Name { text: text.to_owned(), index };
        let known = [name("b", 1), name("a", 0)];
        let names = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(order(&known, &names(&["a", "b"]), 2), Some(vec![0, 1]));
        assert_eq!(order(&known, &names(&["b", "a"]), 2), Some(vec![1, 0]));
        for wrong in [&["a"][..], &["a", "a"], &["a", "c"], &[]] {
            assert_eq!(order(&known, &names(wrong), 2), None, "{wrong:?}");
        }
    }
}
