//! Corrects how tract-tflite translates the operator `MEAN`.

use image_embedder_backend::BackendError;
use tract_tflite::internal::tract_core::ops::binary::TypedBinOp;
use tract_tflite::internal::tract_core::ops::math;
use tract_tflite::internal::tract_core::ops::quant::Scale;
use tract_tflite::prelude::{DatumType, TypedModel};

use crate::NAME;

/// Makes the means of floats in a freshly translated graph true means.
///
/// tract-tflite 0.23.9 computes a mean as a sum that its operator `Scale` divides. That operator
/// is for requantisation and rounds to whole numbers, floats included; nothing else in a
/// translated graph uses it. A multiplication takes its place.
///
/// # Errors
///
/// [`BackendError::UnsupportedOperators`] if the model has a mean of anything but 32-bit floats:
/// the sum before it has the type of the input and overflows.
pub(crate) fn correct(graph: &mut TypedModel) -> Result<(), BackendError> {
    for node in graph.nodes_mut() {
        if !node.op_as::<TypedBinOp>().is_some_and(|operation| operation.0.is::<Scale>()) {
            continue;
        }
        let found = node.outputs.first().map(|output| output.fact.datum_type);
        if found != Some(DatumType::F32) {
            let element =
                found.map_or_else(String::new, |found| format!("{:?}", found.unquantized()));
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: vec![format!("MEAN of {element} tensors")],
            });
        }
        node.op = Box::new(math::mul());
    }
    Ok(())
}
