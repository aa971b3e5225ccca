//! One state of a plan behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, DType, Session, TensorSpec, TensorView, TensorViewMut, check_count, check_inputs,
    check_outputs, resized_shapes,
};
use tract_tflite::internal::{TypedSimplePlan, TypedSimpleState};
use tract_tflite::prelude::{DatumType, TValue, TVec, Tensor};

use crate::failure::{guarded, runtime_error};

/// A session with a state of its own.
pub(crate) struct TractSession {
    inputs: Arc<[TensorSpec]>,
    outputs: Arc<[TensorSpec]>,
    /// The types under which tract takes the inputs, with their quantisation.
    input_types: Vec<DatumType>,
    plan: Arc<TypedSimplePlan>,
    /// Gone after a run that failed, which may have left it half-way.
    state: Option<TypedSimpleState>,
}

impl TractSession {
    pub(crate) fn new(
        inputs: Arc<[TensorSpec]>,
        outputs: Arc<[TensorSpec]>,
        plan: Arc<TypedSimplePlan>,
    ) -> Result<Self, BackendError> {
        let input_types = guarded("looking up the inputs", || {
            (0..inputs.len()).map(|index| Ok(plan.model().input_fact(index)?.datum_type)).collect()
        })?;
        let state = Some(new_state(&plan)?);
        Ok(Self { inputs, outputs, input_types, plan, state })
    }
}

fn new_state(plan: &Arc<TypedSimplePlan>) -> Result<TypedSimpleState, BackendError> {
    guarded("opening a session", || plan.spawn())
}

impl Session for TractSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        // tract fixes every dimension when it loads a model, so only the present shape is left.
        resized_shapes(&self.inputs, index, shape).map(|_| ())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.inputs, inputs)?;
        check_outputs(&self.outputs, outputs)?;
        let mut state = match self.state.take() {
            Some(state) => state,
            None => new_state(&self.plan)?,
        };
        let mut tensors: TVec<TValue> = TVec::new();
        for ((view, spec), &datum_type) in
            inputs.iter().zip(self.inputs.iter()).zip(&self.input_types)
        {
            let mut tensor =
                guarded("making an input", || Tensor::zero_dt(datum_type, &spec.shape()))?;
            write_tensor(&mut tensor, view)?;
            tensors.push(tensor.into());
        }
        let results = guarded("inference", || state.run(tensors))?;
        check_count("outputs", outputs.len(), results.len())?;
        for (result, (view, spec)) in results.iter().zip(outputs.iter_mut().zip(&*self.outputs)) {
            read_tensor(result, view, spec)?;
        }
        self.state = Some(state);
        Ok(())
    }
}

fn unknown_view(dtype: DType) -> BackendError {
    runtime_error(&format!("expected a view of 8 to 32-bit numbers, found one of {dtype}"))
}

/// Copies elements into a tensor of the same size.
fn write_tensor(tensor: &mut Tensor, elements: &TensorView<'_>) -> Result<(), BackendError> {
    let bytes = tensor.as_bytes_mut();
    if bytes.len() != elements.byte_size() {
        return Err(runtime_error(&format!(
            "expected an input of {} bytes, found tract's of {}",
            elements.byte_size(),
            bytes.len()
        )));
    }
    match elements {
        TensorView::UInt8(elements) => bytes.copy_from_slice(elements),
        TensorView::Int8(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Float32(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Int16(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Int32(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        other => return Err(unknown_view(other.dtype())),
    }
    Ok(())
}

/// Copies elements out of a tensor of the same size.
fn read_tensor(
    tensor: &Tensor,
    elements: &mut TensorViewMut<'_>,
    spec: &TensorSpec,
) -> Result<(), BackendError> {
    let bytes = tensor.as_bytes();
    if bytes.len() != elements.byte_size() {
        return Err(BackendError::ByteSizeMismatch {
            tensor: spec.name.clone(),
            expected: bytes.len(),
            found: elements.byte_size(),
        });
    }
    match elements {
        TensorViewMut::UInt8(elements) => elements.copy_from_slice(bytes),
        TensorViewMut::Int8(elements) => read(elements, bytes, i8::from_ne_bytes),
        TensorViewMut::Float32(elements) => read(elements, bytes, f32::from_ne_bytes),
        TensorViewMut::Int16(elements) => read(elements, bytes, i16::from_ne_bytes),
        TensorViewMut::Int32(elements) => read(elements, bytes, i32::from_ne_bytes),
        other => return Err(unknown_view(other.dtype())),
    }
    Ok(())
}

fn write<T: Copy, const N: usize>(
    bytes: &mut [u8],
    elements: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) {
    for (bytes, &element) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(elements) {
        *bytes = to_bytes(element);
    }
}

fn read<T, const N: usize>(elements: &mut [T], bytes: &[u8], from_bytes: impl Fn([u8; N]) -> T) {
    for (element, &bytes) in elements.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *element = from_bytes(bytes);
    }
}
