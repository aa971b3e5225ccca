//! A backend that hands the input back at every output, and fails when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use image_embedder::backend::{
    Backend, BackendError, Cancellation, CancellationFlag, CompileOptions, DType, Dimension, Model,
    ModelData, Quantization, Session, TensorSpec, TensorView, TensorViewMut, f16,
};
use image_embedder_schema::tflite::{Tensor, TensorType, read_model};

/// The backend, and what it has been asked to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echo {
    pub(crate) state: Arc<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Sessions opened so far.
    pub(crate) sessions: AtomicUsize,
    /// Whether the next run fails.
    pub(crate) fails: AtomicBool,
    /// Whether the next run panics.
    pub(crate) panics: AtomicBool,
    /// Whether runs go on until they are cancelled.
    pub(crate) waits: AtomicBool,
    /// Runs that are waiting for that.
    pub(crate) waiting: AtomicUsize,
    /// Whether resizing fails.
    pub(crate) is_rigid: AtomicBool,
    /// Whether outputs of four dimensions take the height and width of the input.
    pub(crate) grows: AtomicBool,
    /// The number of threads that the last model was compiled for.
    pub(crate) threads: AtomicUsize,
}

#[derive(Debug)]
struct EchoModel {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    state: Arc<State>,
}

struct EchoSession {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    state: Arc<State>,
    cancellation: CancellationFlag,
}

impl Backend for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        self.state.threads.store(options.num_threads, Ordering::SeqCst);
        let model = read_model(&model).unwrap();
        let graph = model.subgraphs().first().unwrap();
        let spec = |index: i32| spec(graph.tensors().get(index as usize).unwrap());
        Ok(Arc::new(EchoModel {
            inputs: graph.inputs().iter().map(spec).collect(),
            outputs: graph.outputs().iter().map(spec).collect(),
            state: Arc::clone(&self.state),
        }))
    }
}

fn spec(tensor: Tensor<'_>) -> TensorSpec {
    let dtype = match TensorType::from_raw(tensor.type_()) {
        Some(TensorType::Float32) => DType::Float32,
        Some(TensorType::Float16) => DType::Float16,
        Some(TensorType::UInt8) => DType::UInt8,
        Some(TensorType::Int8) => DType::Int8,
        Some(TensorType::Int32) => DType::Int32,
        other => panic!("a test model with {other:?}"),
    };
    let signature: Vec<i32> = tensor.shape_signature().iter().collect();
    let dimensions = tensor.shape().iter().enumerate().map(|(index, size)| {
        let size = usize::try_from(size).unwrap();
        match signature.get(index) {
            Some(-1) => Dimension::Dynamic(size),
            _ => Dimension::Fixed(size),
        }
    });
    let quantization = tensor.quantization().map(|quantization| {
        let zero_point = quantization.zero_point().first().unwrap();
        Quantization::new(quantization.scale().first().unwrap(), i32::try_from(zero_point).unwrap())
    });
    TensorSpec::new(tensor.name().unwrap(), dtype, dimensions.collect(), quantization)
}

impl Model for EchoModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        self.state.sessions.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(EchoSession {
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            state: Arc::clone(&self.state),
            cancellation: CancellationFlag::default(),
        }))
    }
}

impl Session for EchoSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        if self.state.is_rigid.load(Ordering::SeqCst) {
            return Err(failure("cannot resize"));
        }
        for (dimension, &size) in self.inputs[index].dimensions.iter_mut().zip(shape) {
            match dimension {
                Dimension::Fixed(fixed) => assert_eq!(*fixed, size),
                Dimension::Dynamic(present) => *present = size,
            }
        }
        if self.state.grows.load(Ordering::SeqCst) {
            for output in self.outputs.iter_mut().filter(|output| output.dimensions.len() == 4) {
                for (dimension, &size) in output.dimensions[1..3].iter_mut().zip(&shape[1..3]) {
                    *dimension = Dimension::Fixed(size);
                }
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        for (spec, view) in self.inputs.iter().zip(inputs) {
            spec.check_view(view.dtype(), view.byte_size())?;
        }
        for (spec, view) in self.outputs.iter().zip(&*outputs) {
            spec.check_view(view.dtype(), view.byte_size())?;
        }
        if self.state.fails.swap(false, Ordering::SeqCst) {
            return Err(failure("told to fail"));
        }
        assert!(!self.state.panics.swap(false, Ordering::SeqCst), "told to panic");
        if self.state.waits.load(Ordering::SeqCst) {
            self.cancellation.start();
            self.state.waiting.fetch_add(1, Ordering::SeqCst);
            while !self.cancellation.is_cancelled() {
                std::thread::yield_now();
            }
            self.cancellation.finish();
            return Err(BackendError::Cancelled { backend: "echo".to_owned() });
        }
        let values: Vec<f32> = match inputs[0] {
            TensorView::Float32(elements) => elements.to_vec(),
            TensorView::Float16(elements) => elements.iter().map(|value| value.to_f32()).collect(),
            TensorView::UInt8(elements) => elements.iter().map(|&value| value.into()).collect(),
            TensorView::Int8(elements) => elements.iter().map(|&value| value.into()).collect(),
            _ => panic!("an input of another type"),
        };
        // An output that is longer than the input ends with zeros.
        let value = |index| values.get(index).copied().unwrap_or(0.0);
        for output in outputs {
            match output {
                TensorViewMut::Float32(elements) => fill(elements, value),
                TensorViewMut::Float16(elements) => {
                    fill(elements, |index| f16::from_f32(value(index)));
                }
                TensorViewMut::UInt8(elements) => fill(elements, |index| value(index) as u8),
                TensorViewMut::Int8(elements) => fill(elements, |index| value(index) as i8),
                _ => panic!("an output of another type"),
            }
        }
        Ok(())
    }

    fn cancellation(&self) -> Option<Cancellation> {
        Some(self.cancellation.cancellation())
    }
}

fn fill<T>(elements: &mut [T], value: impl Fn(usize) -> T) {
    for (index, element) in elements.iter_mut().enumerate() {
        *element = value(index);
    }
}

fn failure(message: &str) -> BackendError {
    BackendError::Runtime { backend: "echo".to_owned(), message: message.to_owned() }
}
