//! A model that the library has opened.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use image_embedder_backend::{BackendError, ModelData};

use crate::graph::{Graph, Order};
use crate::library::LitertLibrary;
use crate::status::{check, failure};
use crate::sys;

/// The alignment that converters give to the buffers inside a model file, in bytes.
const ALIGNMENT: usize = 16;

/// A model that the library has opened, with the bytes it reads from.
pub(crate) struct LoadedModel {
    raw: NonNull<sys::Model>,
    pub(crate) library: Arc<LitertLibrary>,
    pub(crate) graph: Graph,
    pub(crate) entry: Entry,
    bytes: ModelData,
}

/// The signature by which the whole graph is run.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The library's number of the signature.
    pub(crate) signature: usize,
    /// For each of its inputs, which of the model's it is.
    pub(crate) inputs: Order,
    /// For each of its outputs, the same.
    pub(crate) outputs: Order,
}

// SAFETY: the library does not change a model once it is made, and compiles it with a lock held.
unsafe impl Send for LoadedModel {}
// SAFETY: as above.
unsafe impl Sync for LoadedModel {}

impl LoadedModel {
    /// Verifies and opens a model.
    pub(crate) fn new(library: Arc<LitertLibrary>, bytes: ModelData) -> Result<Self, BackendError> {
        let graph = Graph::read(&bytes)?;
        let bytes = bytes.aligned_to(ALIGNMENT);
        let mut raw = ptr::null_mut();
        let status = {
            let _making = library.making();
            // SAFETY: the bytes live as long as the model, which owns them and never moves them.
            unsafe {
                (library.functions.create_model)(
                    library.environment(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    &mut raw,
                )
            }
        };
        if let Err(error) = check("opening the model", status, String::new) {
            return Err(BackendError::InvalidModel { reason: error.to_string() });
        }
        let raw = NonNull::new(raw).ok_or_else(|| failure("opening the model gave none"))?;
        let entry = Entry { signature: 0, inputs: Order::new(), outputs: Order::new() };
        let mut model = Self { raw, library, graph, entry, bytes };
        model.entry = model.find_entry()?;
        Ok(model)
    }

    /// The library's model, alive as long as this.
    pub(crate) fn as_ptr(&self) -> *mut sys::Model {
        self.raw.as_ptr()
    }

    /// The first signature that has every input and output of the graph.
    fn find_entry(&self) -> Result<Entry, BackendError> {
        let functions = &self.library.functions;
        let mut count = 0;
        // SAFETY: the model is alive; so for every call below. Pointers are to locals.
        let status = unsafe { (functions.signature_count)(self.as_ptr(), &mut count) };
        check("counting signatures", status, String::new)?;
        for index in 0..count {
            let mut signature = ptr::null_mut();
            // SAFETY: as above; the index is below the count.
            let status = unsafe { (functions.signature)(self.as_ptr(), index, &mut signature) };
            check("looking up a signature", status, String::new)?;
            let mut key = ptr::null();
            // SAFETY: the signature is the model's.
            let status = unsafe { (functions.signature_key)(signature, &mut key) };
            check("reading a signature", status, String::new)?;
            // SAFETY: the key is null or a C string of the model.
            let key = unsafe { text(key) };
            let inputs = self.names(
                signature,
                functions.signature_input_count,
                functions.signature_input_name,
            )?;
            let outputs = self.names(
                signature,
                functions.signature_output_count,
                functions.signature_output_name,
            )?;
            if let Some((inputs, outputs)) = self.graph.orders(&key, &inputs, &outputs) {
                return Ok(Entry { signature: index, inputs, outputs });
            }
        }
        Err(failure(format!(
            "expected a signature with all {} inputs and {} outputs of the graph, found none among \
             {count}",
            self.graph.inputs.len(),
            self.graph.outputs.len()
        )))
    }

    fn names(
        &self,
        signature: *mut sys::Signature,
        count: unsafe extern "C" fn(*mut sys::Signature, *mut usize) -> sys::Status,
        name: unsafe extern "C" fn(*mut sys::Signature, usize, *mut *const c_char) -> sys::Status,
    ) -> Result<Vec<String>, BackendError> {
        let mut number = 0;
        // SAFETY: the signature is of this model, which is alive; the pointer is to a local.
        check("reading a signature", unsafe { count(signature, &mut number) }, String::new)?;
        (0..number)
            .map(|index| {
                let mut found = ptr::null();
                // SAFETY: as above; the index is below the number.
                let status = unsafe { name(signature, index, &mut found) };
                check("reading a signature", status, String::new)?;
                // SAFETY: the name is null or a C string of the model.
                Ok(unsafe { text(found) })
            })
            .collect()
    }
}

/// A copy of a C string; empty for null.
///
/// # Safety
///
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller promises a C string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Drop for LoadedModel {
    fn drop(&mut self) {
        let _making = self.library.making();
        // SAFETY: the model is this owner's, and compiled models keep this owner alive.
        unsafe { (self.library.functions.destroy_model)(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModel")
            .field("bytes", &self.bytes.len())
            .field("entry", &self.entry)
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}
