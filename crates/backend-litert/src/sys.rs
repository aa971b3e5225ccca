//! The part of LiteRT's C API that the backend calls.
//!
//! Types and signatures are those of the headers in `litert/c` of LiteRT 2.3: `litert_common.h`,
//! `litert_any.h`, `litert_environment.h`, `litert_environment_options.h`, `litert_model.h`,
//! `litert_model_types.h`, `litert_layout.h`, `litert_options.h`, `litert_opaque_options.h`,
//! `litert_compiled_model.h`, `litert_tensor_buffer.h` and `litert_tensor_buffer_requirements.h`.

#![allow(unsafe_code, reason = "a foreign function is declared here")]

use std::ffi::{c_char, c_int, c_void};

use image_embedder_backend::foreign_functions;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            pub(crate) struct $name {
                opaque: [u8; 0],
            }
        )*
    };
}

handles! {
    /// What `LiteRtEnvironment` points to.
    Environment;
    /// What `LiteRtModel` points to.
    Model;
    /// What `LiteRtSignature` points to.
    Signature;
    /// What `LiteRtOptions` points to.
    Options;
    /// What `LiteRtOpaqueOptions` points to.
    OpaqueOptions;
    /// What `LiteRtCompiledModel` points to.
    CompiledModel;
    /// What `LiteRtTensorBuffer` points to.
    TensorBuffer;
    /// What `LiteRtTensorBufferRequirements` points to.
    TensorBufferRequirements;
}

/// `LiteRtStatus`; an integer, because newer libraries may return values that are not known here.
pub(crate) type Status = c_int;

/// `kLiteRtStatusOk`.
pub(crate) const OK: Status = 0;

/// `LiteRtElementType` has the numbers of `TfLiteType`.
pub(crate) type ElementType = c_int;

/// `kLiteRtHwAcceleratorCpu`.
pub(crate) const CPU: c_int = 1;

/// `kLiteRtTensorBufferLockModeRead`.
pub(crate) const LOCK_READ: c_int = 0;
/// `kLiteRtTensorBufferLockModeWrite`.
pub(crate) const LOCK_WRITE: c_int = 1;

/// `kLiteRtEnvOptionTagAutoRegisterAccelerators`.
pub(crate) const AUTO_REGISTER_ACCELERATORS: c_int = 24;
/// `kLiteRtEnvOptionTagMinLoggerSeverity`.
pub(crate) const MIN_LOGGER_SEVERITY: c_int = 25;
/// `kLiteRtLogSeveritySilent`.
pub(crate) const SILENT: i64 = 4;

/// `kLiteRtAnyTypeInt`.
const ANY_INT: c_int = 2;

/// `LiteRtEnvOption` with a `LiteRtAny` that holds an integer.
#[repr(C)]
pub(crate) struct EnvironmentOption {
    tag: c_int,
    value: AnyInteger,
}

/// `LiteRtAny` with an integer.
#[repr(C, align(8))]
struct AnyInteger {
    kind: c_int,
    value: i64,
}

impl EnvironmentOption {
    /// An option with an integer.
    pub(crate) const fn integer(tag: c_int, value: i64) -> Self {
        Self { tag, value: AnyInteger { kind: ANY_INT, value } }
    }
}

/// `LITERT_TENSOR_MAX_RANK`.
const MAX_RANK: usize = 8;

/// `LiteRtLayout`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    /// Seven bits of rank, then one that says whether there are strides.
    bits: u32,
    dimensions: [i32; MAX_RANK],
    strides: [u32; MAX_RANK],
}

impl Layout {
    /// A dense layout; `None` if the shape has too many dimensions or a size is too large.
    pub(crate) fn dense(shape: &[usize]) -> Option<Self> {
        let mut layout = Self { bits: u32::try_from(shape.len()).ok()?, ..Self::default() };
        for (index, &size) in shape.iter().enumerate() {
            *layout.dimensions.get_mut(index)? = i32::try_from(size).ok()?;
        }
        Some(layout)
    }

    /// The sizes; `None` if one is not known.
    pub(crate) fn shape(&self) -> Option<Vec<usize>> {
        let dimensions = self.dimensions.get(..(self.bits & 0x7f) as usize)?;
        dimensions.iter().map(|&size| usize::try_from(size).ok()).collect()
    }
}

/// `LiteRtRankedTensorType`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RankedTensorType {
    pub(crate) element_type: ElementType,
    pub(crate) layout: Layout,
}

// The sizes that the headers assert.
const _: () = assert!(size_of::<EnvironmentOption>() == 24);
const _: () = assert!(size_of::<Layout>() == 68);
const _: () = assert!(size_of::<RankedTensorType>() == 72);

foreign_functions! {
    /// The functions of `libLiteRt`.
    Functions {
        create_environment = "LiteRtCreateEnvironment":
            fn(c_int, *const EnvironmentOption, *mut *mut Environment) -> Status;
        create_model = "LiteRtCreateModelFromBuffer":
            fn(*mut Environment, *const c_void, usize, *mut *mut Model) -> Status;
        destroy_model = "LiteRtDestroyModel": fn(*mut Model);
        signature_count = "LiteRtGetNumModelSignatures": fn(*mut Model, *mut usize) -> Status;
        signature = "LiteRtGetModelSignature":
            fn(*mut Model, usize, *mut *mut Signature) -> Status;
        signature_key = "LiteRtGetSignatureKey":
            fn(*mut Signature, *mut *const c_char) -> Status;
        signature_input_count = "LiteRtGetNumSignatureInputs":
            fn(*mut Signature, *mut usize) -> Status;
        signature_input_name = "LiteRtGetSignatureInputName":
            fn(*mut Signature, usize, *mut *const c_char) -> Status;
        signature_output_count = "LiteRtGetNumSignatureOutputs":
            fn(*mut Signature, *mut usize) -> Status;
        signature_output_name = "LiteRtGetSignatureOutputName":
            fn(*mut Signature, usize, *mut *const c_char) -> Status;
        create_options = "LiteRtCreateOptions": fn(*mut *mut Options) -> Status;
        destroy_options = "LiteRtDestroyOptions": fn(*mut Options);
        set_accelerators = "LiteRtSetOptionsHardwareAccelerators":
            fn(*mut Options, c_int) -> Status;
        create_opaque_options = "LiteRtCreateOpaqueOptions":
            fn(*const c_char, *mut c_void, unsafe extern "C" fn(*mut c_void),
                *mut *mut OpaqueOptions) -> Status;
        destroy_opaque_options = "LiteRtDestroyOpaqueOptions": fn(*mut OpaqueOptions);
        add_opaque_options = "LiteRtAddOpaqueOptions":
            fn(*mut Options, *mut OpaqueOptions) -> Status;
        create_compiled_model = "LiteRtCreateCompiledModel":
            fn(*mut Environment, *mut Model, *mut Options, *mut *mut CompiledModel) -> Status;
        destroy_compiled_model = "LiteRtDestroyCompiledModel": fn(*mut CompiledModel);
        input_requirements = "LiteRtGetCompiledModelInputBufferRequirements":
            fn(*mut CompiledModel, usize, usize, *mut *mut TensorBufferRequirements) -> Status;
        output_requirements = "LiteRtGetCompiledModelOutputBufferRequirements":
            fn(*mut CompiledModel, usize, usize, *mut *mut TensorBufferRequirements) -> Status;
        output_layouts = "LiteRtGetCompiledModelOutputTensorLayouts":
            fn(*mut CompiledModel, usize, usize, *mut Layout, bool) -> Status;
        resize_input = "LiteRtCompiledModelResizeInputTensor":
            fn(*mut CompiledModel, usize, usize, *const c_int, usize) -> Status;
        set_cancellation = "LiteRtSetCompiledModelCancellationFunction":
            fn(*mut CompiledModel, *mut c_void, unsafe extern "C" fn(*mut c_void) -> bool)
                -> Status;
        run = "LiteRtRunCompiledModel":
            fn(*mut CompiledModel, usize, usize, *mut *mut TensorBuffer, usize,
                *mut *mut TensorBuffer) -> Status;
        clear_errors = "LiteRtCompiledModelClearErrors": fn(*mut CompiledModel) -> Status;
        error_messages = "LiteRtCompiledModelGetErrorMessages":
            fn(*mut CompiledModel, *mut *mut c_char) -> Status;
        create_buffer = "LiteRtCreateManagedTensorBufferFromRequirements":
            fn(*mut Environment, *const RankedTensorType, *mut TensorBufferRequirements,
                *mut *mut TensorBuffer) -> Status;
        destroy_buffer = "LiteRtDestroyTensorBuffer": fn(*mut TensorBuffer);
        buffer_size = "LiteRtGetTensorBufferPackedSize":
            fn(*mut TensorBuffer, *mut usize) -> Status;
        lock_buffer = "LiteRtLockTensorBuffer":
            fn(*mut TensorBuffer, *mut *mut c_void, c_int) -> Status;
        unlock_buffer = "LiteRtUnlockTensorBuffer": fn(*mut TensorBuffer) -> Status;
    }
}

unsafe extern "C" {
    /// C99 `free`, for the text that `error_messages` gives away.
    pub(crate) fn free(memory: *mut c_void);
}
