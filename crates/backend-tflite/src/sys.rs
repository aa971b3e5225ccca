//! The part of the TensorFlow Lite C API that the backend calls.
//!
//! Types and signatures are those of the headers `c_api.h`, `c_api_experimental.h`, `c_api_types.h`,
//! `external_delegate.h` and `xnnpack_delegate.h`.

#![allow(unsafe_code, reason = "a foreign function is declared here")]

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;

use image_embedder_backend::foreign_functions;

/// `TfLiteModel`, opaque.
#[repr(C)]
pub(crate) struct Model {
    opaque: [u8; 0],
}

/// `TfLiteInterpreterOptions`, opaque.
#[repr(C)]
pub(crate) struct InterpreterOptions {
    opaque: [u8; 0],
}

/// `TfLiteInterpreter`, opaque.
#[repr(C)]
pub(crate) struct Interpreter {
    opaque: [u8; 0],
}

/// `TfLiteTensor`, of which only its address is used.
///
/// `TfLiteOpaqueTensor` is another name for the same object.
#[repr(C)]
pub(crate) struct Tensor {
    opaque: [u8; 0],
}

/// `TfLiteDelegate`, of which only its address is used.
#[repr(C)]
pub(crate) struct Delegate {
    opaque: [u8; 0],
}

/// `TfLiteStatus`; an integer, because newer libraries may return values that are not known here.
pub(crate) type Status = c_int;

/// `kTfLiteOk`.
pub(crate) const OK: Status = 0;

/// `TfLiteType`; an integer for the same reason as [`Status`].
pub(crate) type TensorType = c_int;

/// `kTfLiteFloat32`.
pub(crate) const FLOAT32: TensorType = 1;
/// `kTfLiteInt32`.
pub(crate) const INT32: TensorType = 2;
/// `kTfLiteUInt8`.
pub(crate) const UINT8: TensorType = 3;
/// `kTfLiteInt64`.
pub(crate) const INT64: TensorType = 4;
/// `kTfLiteBool`.
pub(crate) const BOOL: TensorType = 6;
/// `kTfLiteInt16`.
pub(crate) const INT16: TensorType = 7;
/// `kTfLiteInt8`.
pub(crate) const INT8: TensorType = 9;
/// `kTfLiteFloat16`.
pub(crate) const FLOAT16: TensorType = 10;

/// `TfLiteQuantizationParams`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct QuantizationParams {
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
}

/// `TfLiteXNNPackDelegateOptions`, with room for the fields that differ between versions.
///
/// Every version begins with the number of threads; what follows has grown and moved, so it is
/// only ever copied from the library's defaults. C returns a struct of more than 16 bytes by way
/// of a buffer of the caller's, which may be larger than the callee's struct and is then left in
/// part as it was. The real struct has between 24 and 64 bytes in the versions that
/// [`XnnpackFunctions`] accepts.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct XnnpackOptions {
    pub(crate) num_threads: i32,
    rest: MaybeUninit<[u8; 508]>,
}

/// A C `va_list` as a parameter, one machine word that is only passed on.
///
/// On x86-64 (System V) it is an array type that decays to a pointer. On 64-bit Arm it is a
/// pointer on Apple's systems, and elsewhere a struct of 32 bytes, which the calling convention
/// passes by reference. On 32-bit Arm it is a struct that holds one pointer, passed like one. On
/// Windows it is a pointer.
pub(crate) type VaList = *mut c_void;

/// The callback of an error reporter.
pub(crate) type Reporter =
    unsafe extern "C" fn(user_data: *mut c_void, format: *const c_char, arguments: VaList);

#[cfg(all(unix, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
unsafe extern "C" {
    /// C99 `vsnprintf`.
    pub(crate) fn vsnprintf(
        buffer: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: VaList,
    ) -> c_int;
}

foreign_functions! {
    /// The functions that every TensorFlow Lite C library has, from version 2.5 on.
    Functions {
        version = "TfLiteVersion": fn() -> *const c_char;
        model_create = "TfLiteModelCreate": fn(*const c_void, usize) -> *mut Model;
        model_delete = "TfLiteModelDelete": fn(*mut Model);
        options_create = "TfLiteInterpreterOptionsCreate": fn() -> *mut InterpreterOptions;
        options_delete = "TfLiteInterpreterOptionsDelete": fn(*mut InterpreterOptions);
        options_set_num_threads = "TfLiteInterpreterOptionsSetNumThreads":
            fn(*mut InterpreterOptions, i32);
        options_set_error_reporter = "TfLiteInterpreterOptionsSetErrorReporter":
            fn(*mut InterpreterOptions, Reporter, *mut c_void);
        options_add_delegate = "TfLiteInterpreterOptionsAddDelegate":
            fn(*mut InterpreterOptions, *mut Delegate);
        interpreter_create = "TfLiteInterpreterCreate":
            fn(*const Model, *const InterpreterOptions) -> *mut Interpreter;
        interpreter_delete = "TfLiteInterpreterDelete": fn(*mut Interpreter);
        allocate_tensors = "TfLiteInterpreterAllocateTensors": fn(*mut Interpreter) -> Status;
        invoke = "TfLiteInterpreterInvoke": fn(*mut Interpreter) -> Status;
        resize_input_tensor = "TfLiteInterpreterResizeInputTensor":
            fn(*mut Interpreter, i32, *const c_int, i32) -> Status;
        input_tensor_count = "TfLiteInterpreterGetInputTensorCount":
            fn(*const Interpreter) -> i32;
        input_tensor = "TfLiteInterpreterGetInputTensor":
            fn(*const Interpreter, i32) -> *mut Tensor;
        output_tensor_count = "TfLiteInterpreterGetOutputTensorCount":
            fn(*const Interpreter) -> i32;
        output_tensor = "TfLiteInterpreterGetOutputTensor":
            fn(*const Interpreter, i32) -> *const Tensor;
        tensor_type = "TfLiteTensorType": fn(*const Tensor) -> TensorType;
        tensor_num_dims = "TfLiteTensorNumDims": fn(*const Tensor) -> i32;
        tensor_dim = "TfLiteTensorDim": fn(*const Tensor, i32) -> i32;
        tensor_byte_size = "TfLiteTensorByteSize": fn(*const Tensor) -> usize;
        tensor_data = "TfLiteTensorData": fn(*const Tensor) -> *mut c_void;
        tensor_name = "TfLiteTensorName": fn(*const Tensor) -> *const c_char;
        tensor_quantization_params = "TfLiteTensorQuantizationParams":
            fn(*const Tensor) -> QuantizationParams;
    }
}

foreign_functions! {
    /// Model creation that reports why it failed.
    ReportingFunctions {
        model_create_with_error_reporter = "TfLiteModelCreateWithErrorReporter":
            fn(*const c_void, usize, Reporter, *mut c_void) -> *mut Model;
    }
}

foreign_functions! {
    /// The functions that stop a run, of `c_api_experimental.h`.
    CancellationFunctions {
        options_enable = "TfLiteInterpreterOptionsEnableCancellation":
            fn(*mut InterpreterOptions, bool) -> Status;
        cancel = "TfLiteInterpreterCancel": fn(*const Interpreter) -> Status;
    }
}

foreign_functions! {
    /// The functions of the XNNPACK delegate.
    ///
    /// `options_of` returns the address of a delegate's options, of which only the number of
    /// threads in front is read. It came after the options had outgrown 16 bytes, so its presence
    /// vouches for the way in which `options_default` returns them.
    XnnpackFunctions {
        options_default = "TfLiteXNNPackDelegateOptionsDefault": fn() -> XnnpackOptions;
        options_of = "TfLiteXNNPackDelegateGetOptions":
            fn(*mut Delegate) -> *const i32;
        create = "TfLiteXNNPackDelegateCreate": fn(*const XnnpackOptions) -> *mut Delegate;
        delete = "TfLiteXNNPackDelegateDelete": fn(*mut Delegate);
    }
}

/// The callback for errors of [`DelegateFunctions`].
pub(crate) type DelegateReporter = unsafe extern "C" fn(message: *const c_char);

foreign_functions! {
    /// The functions of a library with a delegate, of `external_delegate.h`.
    DelegateFunctions {
        create = "tflite_plugin_create_delegate":
            fn(*const *const c_char, *const *const c_char, usize, DelegateReporter)
                -> *mut Delegate;
        destroy = "tflite_plugin_destroy_delegate": fn(*mut Delegate);
    }
}
