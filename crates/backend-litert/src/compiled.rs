//! Safe owner of a compiled model with the buffers of its inputs and outputs.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use image_embedder_backend::{
    BackendError, CancellationFlag, TensorSpec, TensorView, TensorViewMut,
};

use crate::NAME;
use crate::graph::element_type;
use crate::loaded_model::LoadedModel;
use crate::status::{check, failure};
use crate::sys;

/// The most threads that one model is given; the library starts each of them at once.
const MAX_THREADS: usize = 256;

/// What a model is compiled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Threads inside one inference.
    pub(crate) num_threads: usize,
    /// Whether XNNPACK runs what it can.
    pub(crate) xnnpack: bool,
}

/// A compiled model, which runs one inference at a time.
pub(crate) struct CompiledModel {
    raw: NonNull<sys::CompiledModel>,
    /// The buffers of the entry's inputs, in its order.
    inputs: Vec<Buffer>,
    /// The buffers of the entry's outputs, in its order.
    outputs: Vec<Buffer>,
    /// Asked by the library between two operators; it keeps the address.
    cancellation: Arc<CancellationFlag>,
    model: Arc<LoadedModel>,
}

// SAFETY: a compiled model has no tie to the thread that made it; it may be used from any thread
// as long as it is one at a time, which exclusive borrows ensure.
unsafe impl Send for CompiledModel {}

/// Options for compiling one model.
struct Options<'a> {
    raw: NonNull<sys::Options>,
    model: &'a LoadedModel,
}

impl<'a> Options<'a> {
    fn new(model: &'a LoadedModel, settings: Settings) -> Result<Self, BackendError> {
        let functions = &model.library.functions;
        let mut raw = ptr::null_mut();
        // SAFETY: the pointer is to a local.
        check("creating options", unsafe { (functions.create_options)(&mut raw) }, String::new)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure("creating options gave none"))?;
        let options = Self { raw, model };
        // SAFETY: the options are alive.
        let status = unsafe { (functions.set_accelerators)(raw.as_ptr(), sys::CPU) };
        check("choosing the processor", status, String::new)?;
        let mode = if settings.xnnpack { "delegate" } else { "builtin" };
        let num_threads = settings.num_threads.clamp(1, MAX_THREADS);
        options
            .add("xnnpack", &format!("kernel_mode = \"{mode}\"\nnum_threads = {num_threads}\n"))?;
        // Errors are collected for whoever asks, instead of being printed.
        options.add("runtime_options_string", "error_reporter_mode = 2\n")?;
        Ok(options)
    }

    /// Adds options of a kind, as TOML: what the functions of `litert/c/options` make, which the
    /// library does not export.
    fn add(&self, kind: &str, toml: &str) -> Result<(), BackendError> {
        let functions = &self.model.library.functions;
        let (Ok(kind), Ok(toml)) = (CString::new(kind), CString::new(toml)) else {
            return Err(failure("expected options without zero bytes"));
        };
        let payload = toml.into_raw();
        let mut opaque = ptr::null_mut();
        // SAFETY: the kind is copied, and the payload is freed by the function that comes with it.
        let status = unsafe {
            (functions.create_opaque_options)(
                kind.as_ptr(),
                payload.cast(),
                free_payload,
                &mut opaque,
            )
        };
        if let Err(error) = check("creating options", status, String::new) {
            // SAFETY: the library did not take the payload.
            unsafe { free_payload(payload.cast()) };
            return Err(error);
        }
        // SAFETY: both are alive; the options own the opaque ones from here on.
        let status = unsafe { (functions.add_opaque_options)(self.raw.as_ptr(), opaque) };
        check("adding options", status, String::new).inspect_err(|_| {
            // SAFETY: the options did not take them.
            unsafe { (functions.destroy_opaque_options)(opaque) };
        })
    }
}

impl Drop for Options<'_> {
    fn drop(&mut self) {
        // SAFETY: the options are this owner's, and compiled models copy what they need.
        unsafe { (self.model.library.functions.destroy_options)(self.raw.as_ptr()) };
    }
}

/// Frees a payload of [`Options::add`].
///
/// # Safety
///
/// `payload` is of `CString::into_raw`, and this is the one call for it.
unsafe extern "C" fn free_payload(payload: *mut c_void) {
    // SAFETY: the caller promises it.
    drop(unsafe { CString::from_raw(payload.cast()) });
}

/// The library's question whether to go on.
///
/// # Safety
///
/// `data` is the address of a live flag.
unsafe extern "C" fn is_cancelled(data: *mut c_void) -> bool {
    // SAFETY: the caller promises a live flag; it is only ever shared.
    unsafe { &*data.cast_const().cast::<CancellationFlag>() }.is_cancelled()
}

impl CompiledModel {
    /// Compiles the model and lays out its tensors, its inputs in the shapes of `inputs`.
    ///
    /// Returns it with the outputs as they are then.
    pub(crate) fn new(
        model: &Arc<LoadedModel>,
        settings: Settings,
        inputs: &[TensorSpec],
        cancellation: Arc<CancellationFlag>,
    ) -> Result<(Self, Vec<TensorSpec>), BackendError> {
        let library = &model.library;
        let functions = &library.functions;
        let options = Options::new(model, settings)?;
        let mut raw = ptr::null_mut();
        let status = {
            let _making = library.making();
            // SAFETY: all are alive, and the compiled model keeps the loaded one alive.
            unsafe {
                (functions.create_compiled_model)(
                    library.environment(),
                    model.as_ptr(),
                    options.raw.as_ptr(),
                    &mut raw,
                )
            }
        };
        drop(options);
        check("compiling the model", status, String::new)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure("compiling the model gave none"))?;
        let model = Arc::clone(model);
        let mut compiled =
            Self { raw, inputs: Vec::new(), outputs: Vec::new(), cancellation, model };
        compiled.ask_before_each_operator()?;
        compiled.resize_inputs(inputs)?;
        let outputs = compiled.output_specs()?;
        compiled.create_buffers(inputs, &outputs)?;
        Ok((compiled, outputs))
    }

    fn ask_before_each_operator(&self) -> Result<(), BackendError> {
        let flag = Arc::as_ptr(&self.cancellation).cast_mut().cast();
        // SAFETY: the compiled model is alive, and the flag lives as long, because it owns it.
        let status = unsafe {
            (self.model.library.functions.set_cancellation)(self.raw.as_ptr(), flag, is_cancelled)
        };
        self.succeeded("setting up cancellation", status)
    }

    fn resize_inputs(&self, inputs: &[TensorSpec]) -> Result<(), BackendError> {
        let entry = &self.model.entry;
        for (number, &index) in entry.inputs.iter().enumerate() {
            if inputs[index] == self.model.graph.inputs[index] {
                continue;
            }
            let sizes: Result<Vec<c_int>, _> =
                inputs[index].shape().iter().map(|&size| c_int::try_from(size)).collect();
            let sizes = sizes.map_err(|_| failure("resizing an input: a size is too large"))?;
            // SAFETY: the compiled model is alive, and the pointer has as many sizes behind it.
            let status = unsafe {
                (self.model.library.functions.resize_input)(
                    self.raw.as_ptr(),
                    entry.signature,
                    number,
                    sizes.as_ptr(),
                    sizes.len(),
                )
            };
            self.succeeded("resizing an input", status)?;
        }
        Ok(())
    }

    /// The model's outputs in the shapes that follow from the inputs'.
    fn output_specs(&self) -> Result<Vec<TensorSpec>, BackendError> {
        let entry = &self.model.entry;
        let mut layouts = vec![sys::Layout::default(); entry.outputs.len()];
        // SAFETY: the compiled model is alive, and there are as many layouts as the call says.
        let status = unsafe {
            (self.model.library.functions.output_layouts)(
                self.raw.as_ptr(),
                entry.signature,
                layouts.len(),
                layouts.as_mut_ptr(),
                true,
            )
        };
        self.succeeded("laying out the tensors", status)?;
        let mut outputs = self.model.graph.outputs.clone();
        for (layout, &index) in layouts.iter().zip(&entry.outputs) {
            let output = &mut outputs[index];
            let shape = layout.shape().ok_or_else(|| {
                failure(format!(
                    "output {output}: its shape depends on values, which LiteRT \
                                 does not tell"
                ))
            })?;
            *output = reshaped(output, &shape);
        }
        Ok(outputs)
    }

    fn create_buffers(
        &mut self,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Result<(), BackendError> {
        let functions = &self.model.library.functions;
        let entry = &self.model.entry;
        let create = |specs: &[TensorSpec], order: &[usize], requirements| {
            let buffer = |(number, &index): (usize, &usize)| {
                self.create_buffer(&specs[index], number, requirements)
            };
            order.iter().enumerate().map(buffer).collect::<Result<Vec<_>, _>>()
        };
        let input_buffers = create(inputs, &entry.inputs, functions.input_requirements)?;
        let output_buffers = create(outputs, &entry.outputs, functions.output_requirements)?;
        (self.inputs, self.outputs) = (input_buffers, output_buffers);
        Ok(())
    }

    fn create_buffer(
        &self,
        spec: &TensorSpec,
        number: usize,
        requirements: unsafe extern "C" fn(
            *mut sys::CompiledModel,
            usize,
            usize,
            *mut *mut sys::TensorBufferRequirements,
        ) -> sys::Status,
    ) -> Result<Buffer, BackendError> {
        let library = &self.model.library;
        let (Some(element_type), Some(layout)) =
            (element_type(spec.dtype), sys::Layout::dense(&spec.shape()))
        else {
            return Err(failure(format!("tensor {spec}: LiteRT has no buffers of its kind")));
        };
        let mut needs = ptr::null_mut();
        // SAFETY: the compiled model is alive; the pointer is to a local.
        let status = unsafe {
            requirements(self.raw.as_ptr(), self.model.entry.signature, number, &mut needs)
        };
        self.succeeded("asking for a buffer's size", status)?;
        let kind = sys::RankedTensorType { element_type, layout };
        let mut raw = ptr::null_mut();
        // SAFETY: all are alive; the pointers are to locals.
        let status = unsafe {
            (library.functions.create_buffer)(library.environment(), &kind, needs, &mut raw)
        };
        self.succeeded("creating a buffer", status)?;
        let raw = NonNull::new(raw).ok_or_else(|| failure("creating a buffer gave none"))?;
        Ok(Buffer { raw, name: spec.name.clone(), model: Arc::clone(&self.model) })
    }

    /// Copies elements into the model's input `index`, and into the outputs that are that input.
    pub(crate) fn write_input(
        &mut self,
        index: usize,
        elements: &TensorView<'_>,
    ) -> Result<(), BackendError> {
        let source: *const u8 = match elements {
            TensorView::Float32(elements) => elements.as_ptr().cast(),
            TensorView::Int8(elements) => elements.as_ptr().cast(),
            TensorView::UInt8(elements) => elements.as_ptr(),
            TensorView::Int16(elements) => elements.as_ptr().cast(),
            TensorView::Int32(elements) => elements.as_ptr().cast(),
            TensorView::Int64(elements) => elements.as_ptr().cast(),
            TensorView::Float16(elements) => elements.as_ptr().cast(),
            other => return Err(unknown_view(other.dtype())),
        };
        let byte_size = elements.byte_size();
        let entry = &self.model.entry;
        let input = buffer(&self.inputs, &entry.inputs, index);
        let outputs = self.model.graph.outputs_of_input(index);
        let outputs = outputs.map(|output| buffer(&self.outputs, &entry.outputs, output));
        for buffer in std::iter::once(input).chain(outputs) {
            buffer?.with_memory(byte_size, sys::LOCK_WRITE, |memory| {
                // SAFETY: both have `byte_size` bytes, and the caller's are not the library's.
                unsafe { ptr::copy_nonoverlapping(source, memory.as_ptr(), byte_size) };
            })?;
        }
        Ok(())
    }

    /// Copies elements out of the model's output `index`.
    pub(crate) fn read_output(
        &self,
        index: usize,
        elements: &mut TensorViewMut<'_>,
    ) -> Result<(), BackendError> {
        let byte_size = elements.byte_size();
        let target: *mut u8 = match elements {
            TensorViewMut::Float32(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int8(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::UInt8(elements) => elements.as_mut_ptr(),
            TensorViewMut::Int16(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int32(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Int64(elements) => elements.as_mut_ptr().cast(),
            TensorViewMut::Float16(elements) => elements.as_mut_ptr().cast(),
            other => return Err(unknown_view(other.dtype())),
        };
        let filled = self.model.graph.filled_output(index);
        let buffer = buffer(&self.outputs, &self.model.entry.outputs, filled)?;
        buffer.with_memory(byte_size, sys::LOCK_READ, |memory| {
            // SAFETY: both have `byte_size` bytes, the caller's are not the library's, and every
            // bit pattern is a value of the number types above.
            unsafe { ptr::copy_nonoverlapping(memory.as_ptr(), target, byte_size) };
        })
    }

    /// Runs the model on what is in its inputs, unless the flag stops it.
    pub(crate) fn run(&mut self) -> Result<(), BackendError> {
        let pointers = |buffers: &[Buffer]| -> Vec<*mut sys::TensorBuffer> {
            buffers.iter().map(|buffer| buffer.raw.as_ptr()).collect()
        };
        let (mut inputs, mut outputs) = (pointers(&self.inputs), pointers(&self.outputs));
        self.cancellation.start();
        // SAFETY: the compiled model and its buffers are alive and borrowed exclusively, and there
        // are as many as the call says.
        let status = unsafe {
            (self.model.library.functions.run)(
                self.raw.as_ptr(),
                self.model.entry.signature,
                inputs.len(),
                inputs.as_mut_ptr(),
                outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        let outcome = self.succeeded("inference", status);
        if self.cancellation.finish() {
            return Err(BackendError::Cancelled { backend: NAME.to_owned() });
        }
        outcome
    }

    fn succeeded(&self, action: &str, status: sys::Status) -> Result<(), BackendError> {
        check(action, status, || self.take_errors())
    }

    /// What the library has reported since the last call.
    fn take_errors(&self) -> String {
        let functions = &self.model.library.functions;
        let mut messages = ptr::null_mut();
        // SAFETY: the compiled model is alive; the pointer is to a local.
        let status = unsafe { (functions.error_messages)(self.raw.as_ptr(), &mut messages) };
        if status != sys::OK || messages.is_null() {
            return String::new();
        }
        // SAFETY: the library gives away a C string.
        let text = unsafe { CStr::from_ptr(messages) }.to_string_lossy().into_owned();
        // SAFETY: it was allocated with `malloc`, as the header says, and is used no more; the
        // compiled model is alive.
        unsafe {
            sys::free(messages.cast());
            (functions.clear_errors)(self.raw.as_ptr());
        }
        text
    }
}

impl Drop for CompiledModel {
    fn drop(&mut self) {
        // Buffers go before the model that they were made for.
        self.inputs.clear();
        self.outputs.clear();
        let _making = self.model.library.making();
        // SAFETY: the compiled model is this owner's.
        unsafe { (self.model.library.functions.destroy_compiled_model)(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for CompiledModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledModel").field("model", &self.model).finish_non_exhaustive()
    }
}

/// The memory of an input or output.
struct Buffer {
    raw: NonNull<sys::TensorBuffer>,
    /// The tensor's name.
    name: String,
    model: Arc<LoadedModel>,
}

impl Buffer {
    /// Calls `work` with the memory, if it has `byte_size` bytes.
    fn with_memory(
        &self,
        byte_size: usize,
        mode: c_int,
        work: impl FnOnce(NonNull<u8>),
    ) -> Result<(), BackendError> {
        let functions = &self.model.library.functions;
        let mut expected = 0;
        // SAFETY: the buffer is alive; so for every call below. Pointers are to locals.
        let status = unsafe { (functions.buffer_size)(self.raw.as_ptr(), &mut expected) };
        check("measuring a buffer", status, String::new)?;
        if expected != byte_size {
            let tensor = self.name.clone();
            return Err(BackendError::ByteSizeMismatch { tensor, expected, found: byte_size });
        }
        let mut memory = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { (functions.lock_buffer)(self.raw.as_ptr(), &mut memory, mode) };
        check("locking a buffer", status, String::new)?;
        let reached = NonNull::new(memory.cast()).map(work);
        // SAFETY: as above; it was locked.
        let status = unsafe { (functions.unlock_buffer)(self.raw.as_ptr()) };
        check("unlocking a buffer", status, String::new)?;
        reached.ok_or_else(|| failure("locking a buffer gave no memory"))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the buffer is this owner's.
        unsafe { (self.model.library.functions.destroy_buffer)(self.raw.as_ptr()) };
    }
}

/// The buffer of the model's tensor `index`, among those that are in the entry's `order`.
fn buffer<'a>(
    buffers: &'a [Buffer],
    order: &[usize],
    index: usize,
) -> Result<&'a Buffer, BackendError> {
    let number = order.iter().position(|&place| place == index);
    number
        .and_then(|number| buffers.get(number))
        .ok_or_else(|| failure("expected a buffer for each tensor, found none"))
}

fn unknown_view(dtype: image_embedder_backend::DType) -> BackendError {
    failure(format!("expected a view of 8 to 64-bit numbers, found one of {dtype}"))
}

/// The tensor in another shape, with the same dimensions open.
pub(crate) fn reshaped(spec: &TensorSpec, shape: &[usize]) -> TensorSpec {
    use image_embedder_backend::Dimension;

    let same_rank = spec.dimensions.len() == shape.len();
    let dimension =
        |(index, &size): (usize, &usize)| match same_rank && spec.dimensions[index].is_dynamic() {
            true => Dimension::Dynamic(size),
            false => Dimension::Fixed(size),
        };
    let dimensions = shape.iter().enumerate().map(dimension).collect();
    TensorSpec::new(spec.name.clone(), spec.dtype, dimensions, spec.quantization)
}
