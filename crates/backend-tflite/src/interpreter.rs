//! Safe owners of TensorFlow Lite's models, delegates and interpreters.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use image_embedder_backend::{
    BackendError, DType, Dimension, ModelData, Quantization, TensorSpec, TensorView, TensorViewMut,
};

use crate::library::TfliteLibrary;
use crate::model_bytes::ModelBytes;
use crate::{NAME, diagnostics, sys};

/// The most threads that one interpreter is given; the library starts each of them at once.
const MAX_THREADS: usize = 256;

/// The bytes at which a TensorFlow Lite file has its identifier, and the identifier.
const IDENTIFIER: (std::ops::Range<usize>, &[u8]) = (4..8, b"TFL3");

/// The most text that is kept of what the library reports, in bytes.
const MAX_REPORT: usize = 1 << 16;

/// What the library reports while it works for one owner.
#[derive(Default)]
struct Report(Mutex<String>);

impl Report {
    fn add(&self, message: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + message.len() < MAX_REPORT {
            text.push_str(message.trim_end());
            text.push('\n');
        }
    }

    /// All messages since the last call, one a line.
    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The address by which [`report`] finds this report.
    fn user_data(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }
}

/// The callback behind every error reporter.
///
/// # Safety
///
/// `user_data` comes from [`Report::user_data`] and the report is alive; `format` and `arguments`
/// are those of a `vprintf` call.
unsafe extern "C" fn report(user_data: *mut c_void, format: *const c_char, arguments: sys::VaList) {
    // SAFETY: the caller promises that this is a live report; it is only ever shared.
    let report = unsafe { &*user_data.cast_const().cast::<Report>() };
    // SAFETY: the caller promises that the two belong together.
    let message = unsafe { formatted(format, arguments) };
    report.add(&message);
}

/// The message of a `vprintf` call, up to 4095 bytes.
///
/// # Safety
///
/// `format` is a C string and `arguments` the `va_list` for it, not yet read from.
#[cfg(all(unix, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
unsafe fn formatted(format: *const c_char, arguments: sys::VaList) -> String {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the size is the buffer's, the rest is the caller's promise, and on these
    // architectures a `va_list` parameter is one word, as the type says.
    let length = unsafe {
        sys::vsnprintf(buffer.as_mut_ptr().cast::<c_char>(), buffer.len(), format, arguments)
    };
    if length < 0 {
        // SAFETY: the caller promises a C string.
        return unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned();
    }
    let message = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
    message.to_string_lossy().into_owned()
}

/// The bare format string of a `vprintf` call, where the shape of a `va_list` is not known.
///
/// # Safety
///
/// `format` is a C string.
#[cfg(not(all(unix, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm"))))]
unsafe fn formatted(format: *const c_char, _arguments: sys::VaList) -> String {
    // SAFETY: the caller promises a C string.
    unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned()
}

/// A model that the library has opened, with the bytes it reads from.
pub(crate) struct LoadedModel {
    raw: NonNull<sys::Model>,
    library: Arc<TfliteLibrary>,
    /// What the library reports when it opens the model; it keeps the address.
    _report: Arc<Report>,
    bytes: ModelBytes,
}

// SAFETY: the library never changes a model after it is made, makes interpreters from it on any
// thread, and counts their references atomically.
unsafe impl Send for LoadedModel {}
// SAFETY: as above.
unsafe impl Sync for LoadedModel {}

impl LoadedModel {
    /// Opens a model.
    pub(crate) fn new(library: Arc<TfliteLibrary>, model: ModelData) -> Result<Self, BackendError> {
        let (place, identifier) = IDENTIFIER;
        match model.get(place) {
            Some(found) if found == identifier => {}
            Some(found) => {
                return Err(BackendError::InvalidModel {
                    reason: format!(
                        "expected the file identifier TFL3, found {}",
                        found.escape_ascii()
                    ),
                });
            }
            None => {
                return Err(BackendError::InvalidModel {
                    reason: format!("expected at least 8 bytes, found {}", model.len()),
                });
            }
        }
        let bytes = ModelBytes::new(model);
        let report_text = Arc::new(Report::default());
        let raw = match &library.reporting {
            // SAFETY: the bytes and the report live as long as the model, which owns them; the
            // bytes do not move, because neither variant of `ModelBytes` holds them inline.
            Some(reporting) => unsafe {
                (reporting.model_create_with_error_reporter)(
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    report,
                    report_text.user_data(),
                )
            },
            // SAFETY: as above.
            None => unsafe { (library.functions.model_create)(bytes.as_ptr().cast(), bytes.len()) },
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, library, _report: report_text, bytes }),
            None => Err(diagnostics::invalid_model(&report_text.take())),
        }
    }
}

impl Drop for LoadedModel {
    fn drop(&mut self) {
        // SAFETY: the model is this owner's, and interpreters keep this owner alive.
        unsafe { (self.library.functions.model_delete)(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModel")
            .field("bytes", &self.bytes.len())
            .field("library", &self.library)
            .finish()
    }
}

/// What an interpreter is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterpreterSettings {
    /// Threads inside one inference.
    pub(crate) num_threads: usize,
    /// Whether to add the XNNPACK delegate where there is one.
    pub(crate) xnnpack: bool,
}

/// An XNNPACK delegate.
struct XnnpackDelegate {
    raw: NonNull<sys::Delegate>,
    delete: unsafe extern "C" fn(*mut sys::Delegate),
}

impl XnnpackDelegate {
    /// A delegate with the given number of threads; `None` if the library does not export it.
    fn new(library: &TfliteLibrary, num_threads: i32) -> Result<Option<Self>, BackendError> {
        let Some(functions) = &library.xnnpack else {
            return Ok(None);
        };
        // SAFETY: the function takes nothing; `XnnpackOptions` says why its result fits.
        let mut options = unsafe { (functions.options_default)() };
        options.num_threads = num_threads;
        // SAFETY: the options are the library's own but for the number of threads.
        let raw = unsafe { (functions.create)(&options) };
        let Some(raw) = NonNull::new(raw) else {
            return Err(diagnostics::runtime_error("creating an XNNPACK delegate", ""));
        };
        let delegate = Self { raw, delete: functions.delete };
        // SAFETY: the delegate is alive.
        let options = unsafe { (functions.options_of)(raw.as_ptr()) };
        // SAFETY: if not null, the address is of the delegate's options, which begin with this.
        let found = unsafe { options.as_ref() };
        if found != Some(&num_threads) {
            let text = format!("expected options for {num_threads} threads, found {found:?}");
            return Err(diagnostics::runtime_error("creating an XNNPACK delegate", &text));
        }
        Ok(Some(delegate))
    }
}

impl Drop for XnnpackDelegate {
    fn drop(&mut self) {
        // SAFETY: the delegate is this owner's, and the interpreter that used it is gone.
        unsafe { (self.delete)(self.raw.as_ptr()) };
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
    _delegate: Option<XnnpackDelegate>,
    report: Arc<Report>,
    model: Arc<LoadedModel>,
}

// SAFETY: an interpreter has no tie to the thread that made it; it may be used from any thread as
// long as it is one at a time, which exclusive borrows ensure. The same goes for its delegate.
unsafe impl Send for Interpreter {}

impl Interpreter {
    /// Makes an interpreter and lays out its tensors, its inputs in the given shapes or, for an
    /// empty list, in the model's.
    pub(crate) fn new(
        model: Arc<LoadedModel>,
        settings: InterpreterSettings,
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
        let delegate = match settings.xnnpack {
            true => XnnpackDelegate::new(library, num_threads)?,
            false => None,
        };
        // SAFETY: the options are alive; the report outlives the interpreter, which owns it.
        unsafe {
            (functions.options_set_num_threads)(options.raw.as_ptr(), num_threads);
            (functions.options_set_error_reporter)(
                options.raw.as_ptr(),
                report,
                report_text.user_data(),
            );
        }
        if let Some(delegate) = &delegate {
            // SAFETY: both are alive, and the delegate outlives the interpreter, which owns it.
            unsafe {
                (functions.options_add_delegate)(options.raw.as_ptr(), delegate.raw.as_ptr());
            }
        }
        // SAFETY: model and options are alive; the interpreter keeps the model alive.
        let raw =
            unsafe { (functions.interpreter_create)(model.raw.as_ptr(), options.raw.as_ptr()) };
        drop(options);
        let Some(raw) = NonNull::new(raw) else {
            return Err(diagnostics::runtime_error("creating an interpreter", &report_text.take()));
        };
        let mut interpreter = Self { raw, _delegate: delegate, report: report_text, model };
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

    /// Runs the model on what is in its inputs.
    pub(crate) fn invoke(&mut self) -> Result<(), BackendError> {
        // SAFETY: the interpreter is alive and borrowed exclusively; its tensors are laid out,
        // because no other interpreter leaves `new`.
        let status = unsafe { (self.model.library.functions.invoke)(self.raw.as_ptr()) };
        self.succeeded("inference", status)
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
        let dimensions: Option<Vec<Dimension>> = (0..rank)
            .map(|dimension| {
                // SAFETY: see above; the dimension is below the rank.
                let size = unsafe { (functions.tensor_dim)(tensor, dimension) };
                let size = usize::try_from(size).ok()?;
                Some(if self.is_dynamic(tensor, rank, dimension) {
                    Dimension::Dynamic(size)
                } else {
                    Dimension::Fixed(size)
                })
            })
            .collect();
        let Some(dimensions) = dimensions.filter(|_| rank >= 0) else {
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
        Ok(TensorSpec::new(name, dtype, dimensions, quantization))
    }

    /// Whether the model leaves a dimension open; not known with libraries that lack signatures.
    fn is_dynamic(&self, tensor: *const sys::Tensor, rank: i32, dimension: i32) -> bool {
        let Some(functions) = &self.model.library.signature else {
            return false;
        };
        let mut signature_rank = 0;
        let mut size = 0;
        // SAFETY: the tensor is alive and the pointer is to a local.
        let status = unsafe { (functions.num_dims_signature)(tensor, &mut signature_rank) };
        if status != sys::OK || signature_rank != rank {
            return false;
        }
        // SAFETY: as above; the dimension is below the rank, which is the signature's.
        let status = unsafe { (functions.dim_signature)(tensor, dimension, &mut size) };
        status == sys::OK && size < 0
    }

    /// The memory of a tensor, if it has `byte_size` bytes.
    fn data(
        &self,
        side: Side,
        index: usize,
        byte_size: usize,
    ) -> Result<NonNull<u8>, BackendError> {
        let tensor = self.tensor(side, index)?.as_ptr();
        let functions = &self.model.library.functions;
        // SAFETY: the tensor is the interpreter's and alive.
        let (expected, data) =
            unsafe { ((functions.tensor_byte_size)(tensor), (functions.tensor_data)(tensor)) };
        if expected != byte_size {
            let tensor = self.spec(side, index)?.name;
            return Err(BackendError::ByteSizeMismatch { tensor, expected, found: byte_size });
        }
        match NonNull::new(data.cast()) {
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
