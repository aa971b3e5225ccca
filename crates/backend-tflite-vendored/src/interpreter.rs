//! Owner of an interpreter, with the model that it refers to.

use std::ffi::c_int;
use std::fmt;
use std::sync::Arc;

use image_embedder_backend::{
    BackendError, DType, Dimension, TensorSpec, TensorView, TensorViewMut, f16,
};
use tflite::InterpreterBuilder;
use tflite::ops::builtin::BuiltinOpResolver;

use crate::NAME;
use crate::loaded_model::LoadedModel;
use crate::model_file::TensorFacts;

/// The most threads that one interpreter is given.
const MAX_THREADS: usize = 256;

/// Which side of a model a tensor is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// What the model reads.
    Inputs,
    /// What the model writes.
    Outputs,
}

type Borrowing<'a> = tflite::Interpreter<'a, Arc<BuiltinOpResolver>>;

self_cell::self_cell!(
    struct Owning {
        owner: Arc<LoadedModel>,

        #[not_covariant]
        dependent: Borrowing,
    }
);

/// An interpreter whose tensors are laid out.
pub(crate) struct Interpreter(Owning);

impl Interpreter {
    /// Makes an interpreter and lays out its tensors.
    pub(crate) fn new(model: &Arc<LoadedModel>, num_threads: usize) -> Result<Self, BackendError> {
        let num_threads = num_threads.clamp(1, MAX_THREADS) as c_int;
        let owning = Owning::try_new(Arc::clone(model), |model| {
            InterpreterBuilder::new(&model.model, Arc::clone(&model.resolver))?
                .build_with_threads(num_threads)
        });
        owning.map(Self).map_err(|error| failed("making an interpreter", &error))
    }

    /// Runs the model on what is in its inputs.
    pub(crate) fn invoke(&mut self) -> Result<(), BackendError> {
        self.0
            .with_dependent_mut(|_, interpreter| interpreter.invoke())
            .map_err(|error| failed("inference", &error))
    }

    fn facts(&self, side: Side) -> &[TensorFacts] {
        let file = &self.0.borrow_owner().file;
        match side {
            Side::Inputs => &file.inputs,
            Side::Outputs => &file.outputs,
        }
    }

    fn tensor(&self, side: Side, index: usize) -> Result<&TensorFacts, BackendError> {
        let facts = self.facts(side);
        facts.get(index).ok_or(BackendError::NoSuchTensor { index, count: facts.len() })
    }

    /// Descriptions of all tensors of one side, as they are now.
    pub(crate) fn specs(&self, side: Side) -> Result<Vec<TensorSpec>, BackendError> {
        self.facts(side).iter().map(|facts| self.spec(facts)).collect()
    }

    fn spec(&self, facts: &TensorFacts) -> Result<TensorSpec, BackendError> {
        let info = self.0.with_dependent(|_, interpreter| interpreter.tensor_info(facts.index));
        let Some(info) = info else {
            return Err(without_memory(facts));
        };
        let dimensions = info
            .dims
            .iter()
            .enumerate()
            // A shape of another rank than the model's is as it is.
            .map(|(dimension, &size)| match facts.open.len() == info.dims.len() {
                true if facts.open[dimension] => Dimension::Dynamic(size),
                _ => Dimension::Fixed(size),
            })
            .collect();
        Ok(TensorSpec::new(facts.name.clone(), facts.dtype, dimensions, facts.quantization))
    }

    /// Whether the tensor has elements; one without has no memory.
    fn has_elements(&self, facts: &TensorFacts) -> bool {
        let info = self.0.with_dependent(|_, interpreter| interpreter.tensor_info(facts.index));
        info.is_some_and(|info| !info.dims.contains(&0))
    }

    /// Copies elements into an input, which must have some.
    pub(crate) fn write_input(
        &mut self,
        index: usize,
        elements: &TensorView<'_>,
    ) -> Result<(), BackendError> {
        self.tensor(Side::Inputs, index)?;
        self.0.with_dependent_mut(|model, interpreter| {
            let facts = &model.file.inputs[index];
            let memory = interpreter.tensor_buffer_mut(facts.index);
            let memory = memory.ok_or_else(|| without_memory(facts))?;
            expect_bytes(facts, memory.len(), elements.byte_size())?;
            match elements {
                TensorView::UInt8(elements) => memory.copy_from_slice(elements),
                TensorView::Int8(elements) => store(memory, elements, i8::to_ne_bytes),
                TensorView::Float16(elements) => store(memory, elements, f16::to_ne_bytes),
                TensorView::Int16(elements) => store(memory, elements, i16::to_ne_bytes),
                TensorView::Float32(elements) => store(memory, elements, f32::to_ne_bytes),
                TensorView::Int32(elements) => store(memory, elements, i32::to_ne_bytes),
                TensorView::Int64(elements) => store(memory, elements, i64::to_ne_bytes),
                other => return Err(unknown_view(other.dtype())),
            }
            Ok(())
        })
    }

    /// Copies elements out of an output.
    pub(crate) fn read_output(
        &self,
        index: usize,
        elements: &mut TensorViewMut<'_>,
    ) -> Result<(), BackendError> {
        let facts = self.tensor(Side::Outputs, index)?;
        if !self.has_elements(facts) {
            return expect_bytes(facts, 0, elements.byte_size());
        }
        self.0.with_dependent(|_, interpreter| {
            let memory =
                interpreter.tensor_buffer(facts.index).ok_or_else(|| without_memory(facts))?;
            expect_bytes(facts, memory.len(), elements.byte_size())?;
            match elements {
                TensorViewMut::UInt8(elements) => elements.copy_from_slice(memory),
                TensorViewMut::Int8(elements) => load(elements, memory, i8::from_ne_bytes),
                TensorViewMut::Float16(elements) => load(elements, memory, f16::from_ne_bytes),
                TensorViewMut::Int16(elements) => load(elements, memory, i16::from_ne_bytes),
                TensorViewMut::Float32(elements) => load(elements, memory, f32::from_ne_bytes),
                TensorViewMut::Int32(elements) => load(elements, memory, i32::from_ne_bytes),
                TensorViewMut::Int64(elements) => load(elements, memory, i64::from_ne_bytes),
                other => return Err(unknown_view(other.dtype())),
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interpreter").field("model", self.0.borrow_owner()).finish_non_exhaustive()
    }
}

/// Writes elements, as many as there is memory for, in the machine's order of bytes.
fn store<T: Copy, const N: usize>(
    memory: &mut [u8],
    elements: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) {
    let (chunks, _) = memory.as_chunks_mut::<N>();
    for (chunk, &element) in chunks.iter_mut().zip(elements) {
        *chunk = to_bytes(element);
    }
}

/// Reads elements, as many as there is memory of, in the machine's order of bytes.
fn load<T, const N: usize>(elements: &mut [T], memory: &[u8], from_bytes: impl Fn([u8; N]) -> T) {
    let (chunks, _) = memory.as_chunks::<N>();
    for (element, &chunk) in elements.iter_mut().zip(chunks) {
        *element = from_bytes(chunk);
    }
}

fn expect_bytes(facts: &TensorFacts, expected: usize, found: usize) -> Result<(), BackendError> {
    if expected == found {
        return Ok(());
    }
    Err(BackendError::ByteSizeMismatch { tensor: facts.name.clone(), expected, found })
}

fn failed(action: &str, error: &tflite::Error) -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: format!("{action} failed: {error}; TensorFlow Lite's reason is on standard error"),
    }
}

fn without_memory(facts: &TensorFacts) -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: format!("tensor {}: expected memory, found none", facts.name),
    }
}

fn unknown_view(dtype: DType) -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: format!("expected a view of 8 to 64-bit numbers, found one of {dtype}"),
    }
}
