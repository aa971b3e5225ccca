//! Safe owner of an interpreter, with what it refers to.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::ffi::{CStr, c_int};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use image_embedder_backend::{
    BackendError, DType, Dimension, Quantization, TensorSpec, TensorView, TensorViewMut,
};

use crate::cancel::Canceller;
use crate::delegate::{Delegate, DelegateLibrary};
use crate::fallback::Fallback;
use crate::library::TfliteLibrary;
use crate::loaded_model::LoadedModel;
use crate::report::{Report, report};
use crate::{NAME, diagnostics, sys};

/// The most threads that one interpreter is given; the library starts each of them at once.
const MAX_THREADS: usize = 256;

/// What an interpreter is made with.
#[derive(Clone, Debug)]
pub(crate) struct InterpreterSettings {
    /// Threads inside one inference.
    pub(crate) num_threads: usize,
    /// Whether to add the XNNPACK delegate where there is one.
    pub(crate) xnnpack: bool,
    /// What makes the delegates that come before it.
    pub(crate) delegates: Arc<[DelegateLibrary]>,
    /// When to do without them.
    pub(crate) fallback: Arc<Fallback>,
}

impl InterpreterSettings {
    /// The same without delegates of other libraries.
    pub(crate) fn without_delegates(&self) -> Self {
        Self { delegates: Arc::new([]), ..self.clone() }
    }
}

/// Options for making one interpreter.
struct Options<'a> {
    raw: NonNull<sys::InterpreterOptions>,
    library: &'a TfliteLibrary,
}

impl Drop for Options<'_> {
    fn drop(&mut self) {
        // SAFETY: the options are this owner's, and interpreters copy what they need.
        unsafe { (self.library.functions.options_delete)(self.raw.as_ptr()) };
    }
}

/// Which side of a model a tensor is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// What the model reads.
    Inputs,
    /// What the model writes.
    Outputs,
}

/// An interpreter whose tensors are laid out.
pub(crate) struct Interpreter {
    raw: NonNull<sys::Interpreter>,
    // The fields below are dropped after the interpreter, which refers to them.
    _delegates: Vec<Delegate>,
    report: Arc<Report>,
    model: Arc<LoadedModel>,
}

// SAFETY: an interpreter has no tie to the thread that made it; it may be used from any thread as
// long as it is one at a time, which exclusive borrows ensure. The same goes for its delegates.
unsafe impl Send for Interpreter {}

impl Interpreter {
    /// Makes an interpreter and lays out its tensors, its inputs in the given shapes or, for an
    /// empty list, in the model's.
    ///
    /// Where the settings allow it, delegates that fail are left out of the interpreter, and of
    /// the settings too.
    pub(crate) fn new(
        model: &Arc<LoadedModel>,
        settings: &mut InterpreterSettings,
        input_shapes: &[Vec<usize>],
    ) -> Result<Self, BackendError> {
        let error = match Self::with_delegates(model, settings, input_shapes) {
            Ok(interpreter) => return Ok(interpreter),
            Err(error) => error,
        };
        if settings.delegates.is_empty() || !settings.fallback.on_compilation_error {
            return Err(error);
        }
        Self::fall_back(model, settings, input_shapes, error)
    }

    /// Makes an interpreter without the delegates of other libraries, which failed with `error`.
    pub(crate) fn fall_back(
        model: &Arc<LoadedModel>,
        settings: &mut InterpreterSettings,
        input_shapes: &[Vec<usize>],
        error: BackendError,
    ) -> Result<Self, BackendError> {
        let without = settings.without_delegates();
        let interpreter = Self::with_delegates(model, &without, input_shapes)?;
        settings.fallback.record(error);
        *settings = without;
        Ok(interpreter)
    }

    fn with_delegates(
        model: &Arc<LoadedModel>,
        settings: &InterpreterSettings,
        input_shapes: &[Vec<usize>],
    ) -> Result<Self, BackendError> {
        let library = &model.library;
        let functions = &library.functions;
        let report_text = Arc::new(Report::default());
        // SAFETY: the function takes nothing.
        let options = NonNull::new(unsafe { (functions.options_create)() })
            .map(|raw| Options { raw, library })
            .ok_or_else(|| diagnostics::runtime_error("creating interpreter options", ""))?;
        let num_threads = settings.num_threads.clamp(1, MAX_THREADS) as i32;
        let delegates = settings.delegates.iter().map(DelegateLibrary::delegate);
        let mut delegates = delegates.collect::<Result<Vec<_>, _>>()?;
        if settings.xnnpack {
            delegates.extend(Delegate::xnnpack(library, num_threads)?);
        }
        // SAFETY: the options are alive; the report outlives the interpreter, which owns it.
        unsafe {
            (functions.options_set_num_threads)(options.raw.as_ptr(), num_threads);
            (functions.options_set_error_reporter)(
                options.raw.as_ptr(),
                report,
                report_text.user_data(),
            );
        }
        if let Some(cancellation) = &library.cancellation {
            // SAFETY: the options are alive. If it fails, the library cannot stop its runs.
            unsafe { (cancellation.options_enable)(options.raw.as_ptr(), true) };
        }
        for delegate in &delegates {
            // SAFETY: both are alive, and the delegate outlives the interpreter, which owns it.
            unsafe { (functions.options_add_delegate)(options.raw.as_ptr(), delegate.as_ptr()) };
        }
        // SAFETY: model and options are alive; the interpreter keeps the model alive.
        let raw = unsafe { (functions.interpreter_create)(model.as_ptr(), options.raw.as_ptr()) };
        drop(options);
        let Some(raw) = NonNull::new(raw) else {
            return Err(diagnostics::runtime_error("creating an interpreter", &report_text.take()));
        };
        let model = Arc::clone(model);
        let mut interpreter = Self { raw, _delegates: delegates, report: report_text, model };
        for (index, shape) in input_shapes.iter().enumerate() {
            interpreter.resize_input(index, shape)?;
        }
        interpreter.allocate_tensors()?;
        Ok(interpreter)
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        self.tensor(Side::Inputs, index)?;
        let sizes: Result<Vec<c_int>, _> =
            shape.iter().map(|&size| c_int::try_from(size)).collect();
        let (Ok(sizes), Ok(rank), Ok(index)) =
            (sizes, i32::try_from(shape.len()), i32::try_from(index))
        else {
            return Err(diagnostics::runtime_error("resizing an input", "a size is too large"));
        };
        // SAFETY: the interpreter is alive, the index was looked up above, and the pointer has
        // `rank` sizes behind it.
        let status = unsafe {
            (self.model.library.functions.resize_input_tensor)(
                self.raw.as_ptr(),
                index,
                sizes.as_ptr(),
                rank,
            )
        };
        self.succeeded("resizing an input", status)
    }

    fn allocate_tensors(&mut self) -> Result<(), BackendError> {
        // SAFETY: the interpreter is alive and borrowed exclusively.
        let status = unsafe { (self.model.library.functions.allocate_tensors)(self.raw.as_ptr()) };
        self.succeeded("laying out the tensors", status)
    }

    /// Runs the model on what is in its inputs, unless the canceller stops it.
    pub(crate) fn invoke(&mut self, canceller: &Canceller) -> Result<(), BackendError> {
        let library = &self.model.library;
        let cancel = library.cancellation.as_ref().map(|cancellation| cancellation.cancel);
        canceller.start(self.raw, cancel);
        // SAFETY: the interpreter is alive and borrowed exclusively; its tensors are laid out,
        // because no other interpreter leaves `new`.
        let status = unsafe { (library.functions.invoke)(self.raw.as_ptr()) };
        let outcome = self.succeeded("inference", status);
        if canceller.finish() {
            return Err(BackendError::Cancelled { backend: NAME.to_owned() });
        }
        outcome
    }

    /// Finds out the sizes of outputs that the library does not tell before a run, with a run on
    /// zeros: those that follow from values, even if the values follow from shapes.
    ///
    /// If that run fails, they stay as the model file has them, and the next run tells.
    pub(crate) fn settle_outputs(&mut self) -> Result<(), BackendError> {
        let mut is_settled = true;
        for index in 0..self.count(Side::Outputs) {
            let (byte_size, data) = self.memory(Side::Outputs, index)?;
            is_settled &= byte_size == 0 || data.is_some();
        }
        if is_settled {
            return Ok(());
        }
        for index in 0..self.count(Side::Inputs) {
            if let (byte_size, Some(data)) = self.memory(Side::Inputs, index)? {
                // SAFETY: the tensor has so many bytes, and the interpreter is borrowed exclusively.
                unsafe { ptr::write_bytes(data.as_ptr(), 0, byte_size) };
            }
        }
        // A failure shows again in the run that the caller asks for.
        let _ = self.invoke(&Canceller::default());
        Ok(())
    }

    fn succeeded(&self, action: &str, status: sys::Status) -> Result<(), BackendError> {
        let text = self.report.take();
        if status == sys::OK { Ok(()) } else { Err(diagnostics::runtime_error(action, &text)) }
    }

    fn count(&self, side: Side) -> usize {
        let functions = &self.model.library.functions;
        // SAFETY: the interpreter is alive.
        let count = unsafe {
            match side {
                Side::Inputs => (functions.input_tensor_count)(self.raw.as_ptr()),
                Side::Outputs => (functions.output_tensor_count)(self.raw.as_ptr()),
            }
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// The address of a tensor, which is valid until the interpreter is next changed.
    fn tensor(&self, side: Side, index: usize) -> Result<NonNull<sys::Tensor>, BackendError> {
        let count = self.count(side);
        let Some(number) = i32::try_from(index).ok().filter(|_| index < count) else {
            return Err(BackendError::NoSuchTensor { index, count });
        };
        let functions = &self.model.library.functions;
        // SAFETY: the interpreter is alive and has more tensors than `number` on this side.
        let raw = unsafe {
            match side {
                Side::Inputs => (functions.input_tensor)(self.raw.as_ptr(), number),
                Side::Outputs => (functions.output_tensor)(self.raw.as_ptr(), number).cast_mut(),
            }
        };
        NonNull::new(raw)
            .ok_or_else(|| diagnostics::runtime_error("looking up a tensor", "there is none"))
    }

    /// Descriptions of all tensors of one side, as they are now.
    pub(crate) fn specs(&self, side: Side) -> Result<Vec<TensorSpec>, BackendError> {
        (0..self.count(side)).map(|index| self.spec(side, index)).collect()
    }

    fn spec(&self, side: Side, index: usize) -> Result<TensorSpec, BackendError> {
        let tensor = self.tensor(side, index)?.as_ptr();
        let functions = &self.model.library.functions;
        // SAFETY: the tensor is the interpreter's and alive; so for every call below.
        let name = unsafe { (functions.tensor_name)(tensor) };
        let name = if name.is_null() {
            String::new()
        } else {
            // SAFETY: the library's names are C strings inside the interpreter.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        };
        // SAFETY: see above.
        let tensor_type = unsafe { (functions.tensor_type)(tensor) };
        let Some(dtype) = dtype(tensor_type) else {
            return Err(BackendError::Runtime {
                backend: NAME.to_owned(),
                message: format!(
                    "tensor {name}: expected numbers of at most 64 bits or booleans, found \
                     elements of TensorFlow Lite's type {tensor_type}"
                ),
            });
        };
        // SAFETY: see above.
        let rank = unsafe { (functions.tensor_num_dims)(tensor) };
        let sizes: Option<Vec<usize>> = (0..rank)
            .map(|dimension| {
                // SAFETY: see above; the dimension is below the rank.
                usize::try_from(unsafe { (functions.tensor_dim)(tensor, dimension) }).ok()
            })
            .collect();
        let Some(sizes) = sizes.filter(|_| rank >= 0) else {
            return Err(BackendError::Runtime {
                backend: NAME.to_owned(),
                message: format!("tensor {name}: expected a shape, found none"),
            });
        };
        // SAFETY: see above.
        let params = unsafe { (functions.tensor_quantization_params)(tensor) };
        // The library leaves the scale at zero if there is none for the whole tensor.
        let quantization =
            (params.scale != 0.0).then(|| Quantization::new(params.scale, params.zero_point));
        let facts = &self.model.facts;
        let open = match side {
            Side::Inputs => facts.open_input(index),
            Side::Outputs => facts.open_output(index),
        };
        let dimensions = sizes
            .iter()
            .enumerate()
            // A shape of another rank than the model's is as it is.
            .map(|(dimension, &size)| match open.len() == sizes.len() && open[dimension] {
                true => Dimension::Dynamic(size),
                false => Dimension::Fixed(size),
            })
            .collect();
        Ok(TensorSpec::new(name, dtype, dimensions, quantization))
    }

    /// The size of a tensor in bytes and its memory, which an output of unknown size lacks.
    fn memory(
        &self,
        side: Side,
        index: usize,
    ) -> Result<(usize, Option<NonNull<u8>>), BackendError> {
        let tensor = self.tensor(side, index)?.as_ptr();
        let functions = &self.model.library.functions;
        // SAFETY: the tensor is the interpreter's and alive.
        let (byte_size, data) =
            unsafe { ((functions.tensor_byte_size)(tensor), (functions.tensor_data)(tensor)) };
        Ok((byte_size, NonNull::new(data.cast())))
    }

    /// The memory of a tensor, if it has `byte_size` bytes.
    fn data(
        &self,
        side: Side,
        index: usize,
        byte_size: usize,
    ) -> Result<NonNull<u8>, BackendError> {
        let (expected, data) = self.memory(side, index)?;
        if expected != byte_size {
            let tensor = self.spec(side, index)?.name;
            return Err(BackendError::ByteSizeMismatch { tensor, expected, found: byte_size });
        }
        match data {
            Some(data) => Ok(data),
            None if byte_size == 0 => Ok(NonNull::dangling()),
            None => Err(diagnostics::runtime_error("reaching a tensor", "it has no memory")),
        }
    }

    /// Copies elements into an input.
    pub(crate) fn write_input(
        &mut self,
        index: usize,
        elements: &TensorView<'_>,
    ) -> Result<(), BackendError> {
        let byte_size = elements.byte_size();
        let source: *const u8 = match elements {
            TensorView::Float32(elements) => elements.as_ptr().cast(),
            TensorView::Float16(elements) => elements.as_ptr().cast(),
            TensorView::Int8(elements) => elements.as_ptr().cast(),
            TensorView::UInt8(elements) => elements.as_ptr(),
            TensorView::Int16(elements) => elements.as_ptr().cast(),
            TensorView::Int32(elements) => elements.as_ptr().cast(),
            TensorView::Int64(elements) => elements.as_ptr().cast(),
            other => return Err(unknown_view(other.dtype())),
        };
        let target = self.data(Side::Inputs, index, byte_size)?;
        // SAFETY: both have `byte_size` bytes, and the caller's are not the library's.
        unsafe { ptr::copy_nonoverlapping(source, target.as_ptr(), byte_size) };
        Ok(())
    }

    /// Copies elements out of an output.
    pub(crate) fn read_output(
        &self,
        index: usize,
        elements: &mut TensorViewMut<'_>,
    ) -> Result<(), BackendError> {
        let byte_size = elements.byte_size();
        let target: *mut u8 = match elements {
            TensorViewMut::Float32(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Float16(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int8(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::UInt8(elements) => elements.as_mut_ptr(),
            TensorViewMut::Int16(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int32(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int64(elements) => elements.as_mut_ptr().cast(),
            other => return Err(unknown_view(other.dtype())),
        };
        let source = self.data(Side::Outputs, index, byte_size)?;
        // SAFETY: both have `byte_size` bytes, the caller's are not the library's, and every bit
        // pattern is a value of the number types above.
        unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, byte_size) };
        Ok(())
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // SAFETY: the interpreter is this owner's.
        unsafe { (self.model.library.functions.interpreter_delete)(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interpreter").field("model", &self.model).finish_non_exhaustive()
    }
}

fn unknown_view(dtype: DType) -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: format!("expected a view of 8 to 64-bit numbers, found one of {dtype}"),
    }
}

fn dtype(tensor_type: sys::TensorType) -> Option<DType> {
    Some(match tensor_type {
        sys::FLOAT32 => DType::Float32,
        sys::FLOAT16 => DType::Float16,
        sys::INT8 => DType::Int8,
        sys::UINT8 => DType::UInt8,
        sys::INT16 => DType::Int16,
        sys::INT32 => DType::Int32,
        sys::INT64 => DType::Int64,
        sys::BOOL => DType::Bool,
        _ => return None,
    })
}
