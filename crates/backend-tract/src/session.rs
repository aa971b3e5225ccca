//! One state of a plan behind the session interface.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Cancellation, CancellationFlag, DType, ModelData, Session, TensorSpec,
    TensorView, TensorViewMut, check_count, check_inputs, check_outputs, f16, resized_shapes,
};
use tract_core::internal::TypedSimpleState;
use tract_core::plan;
use tract_core::prelude::{TValue, TVec, Tensor, TractError};

use crate::NAME;
use crate::backend::Plan;
use crate::failure::{guarded, runtime_error, tract_error};

/// A session with a state of its own.
pub(crate) struct TractSession {
    plan: Arc<Plan>,
    /// The model file, if sizes may change.
    data: Option<ModelData>,
    /// Gone after a run that failed, which may have left it half-way.
    state: Option<TypedSimpleState>,
    /// What the state reads, kept from run to run.
    inputs: Vec<Arc<Tensor>>,
    /// Looked at between two nodes of the graph.
    cancellation: CancellationFlag,
}

impl TractSession {
    pub(crate) fn new(plan: Arc<Plan>, data: Option<ModelData>) -> Result<Self, BackendError> {
        let cancellation = CancellationFlag::default();
        let mut session = Self { inputs: Vec::new(), state: None, plan, data, cancellation };
        session.start()?;
        Ok(session)
    }

    /// Makes a state and the tensors that it reads.
    fn start(&mut self) -> Result<(), BackendError> {
        let plan = Arc::clone(&self.plan);
        let (state, inputs) = guarded("opening a session", || {
            let failed = |error| tract_error("opening a session", &error);
            let graph = plan.runnable.model();
            let mut inputs = Vec::new();
            for (index, spec) in plan.inputs.iter().enumerate() {
                let datum_type = graph.input_fact(index).map_err(failed)?.datum_type;
                let tensor = Tensor::zero_dt(datum_type, &spec.shape()).map_err(failed)?;
                inputs.push(Arc::new(tensor));
            }
            Ok((plan.runnable.spawn().map_err(failed)?, inputs))
        })?;
        (self.state, self.inputs) = (Some(state), inputs);
        Ok(())
    }
}

impl Session for TractSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.plan.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.plan.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        let Some(shapes) = resized_shapes(&self.plan.inputs, index, shape)? else {
            return Ok(());
        };
        let Some(data) = &self.data else {
            return Err(runtime_error("expected the file of a model whose sizes may change"));
        };
        let plan = Arc::new(Plan::resized(data, &shapes)?);
        // Handles that were given out stop the runs to come too.
        let cancellation = self.cancellation.clone();
        *self = Self { cancellation, ..Self::new(plan, self.data.clone())? };
        Ok(())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.plan.inputs, inputs)?;
        check_outputs(&self.plan.outputs, outputs)?;
        let mut state = match self.state.take() {
            Some(state) => state,
            None => {
                self.start()?;
                self.state.take().ok_or_else(|| runtime_error("expected a state"))?
            }
        };
        let mut tensors: TVec<TValue> = TVec::new();
        for (held, view) in self.inputs.iter_mut().zip(inputs) {
            // Alone unless the last run has kept it.
            write_tensor(Arc::make_mut(held), view)?;
            tensors.push(TValue::from_const(Arc::clone(held)));
        }
        let cancellation = &self.cancellation;
        cancellation.start();
        let outcome = guarded("inference", || {
            let results = state.run_plan_with_eval(tensors, |context, held, node, inputs| {
                if cancellation.is_cancelled() {
                    return Err(TractError::msg("cancelled"));
                }
                plan::eval(context, held, node, inputs)
            });
            results.map_err(|error| tract_error("inference", &error))
        });
        if cancellation.finish() {
            return Err(BackendError::Cancelled { backend: NAME.to_owned() });
        }
        let results = outcome?;
        check_count("outputs", outputs.len(), results.len())?;
        for (result, (view, spec)) in results.iter().zip(outputs.iter_mut().zip(&self.plan.outputs))
        {
            read_tensor(result, view, spec)?;
        }
        self.state = Some(state);
        Ok(())
    }

    fn cancellation(&self) -> Option<Cancellation> {
        Some(self.cancellation.cancellation())
    }
}

fn unknown_view(dtype: DType) -> BackendError {
    runtime_error(format!("expected a view of 8 to 64-bit numbers, found one of {dtype}"))
}

/// Copies elements into a tensor of the same size.
fn write_tensor(tensor: &mut Tensor, elements: &TensorView<'_>) -> Result<(), BackendError> {
    let bytes = tensor.as_bytes_mut();
    if bytes.len() != elements.byte_size() {
        return Err(runtime_error(format!(
            "expected an input of {} bytes, found tract's of {}",
            elements.byte_size(),
            bytes.len()
        )));
    }
    match elements {
        TensorView::UInt8(elements) => bytes.copy_from_slice(elements),
        TensorView::Int8(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Float32(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Float16(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
        TensorView::Int64(elements) => write(bytes, elements, |element| element.to_ne_bytes()),
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
        TensorViewMut::Float16(elements) => read(elements, bytes, f16::from_ne_bytes),
        TensorViewMut::Int64(elements) => read(elements, bytes, i64::from_ne_bytes),
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
