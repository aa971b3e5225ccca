//! A model that the library has opened.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use image_embedder_backend::{BackendError, ModelData};

use crate::library::TfliteLibrary;
use crate::model_facts::ModelFacts;
use crate::report::{Report, report};
use crate::{diagnostics, sys};

/// The alignment that converters give to the buffers inside a model file, in bytes.
const ALIGNMENT: usize = 16;

/// A model that the library has opened, with the bytes it reads from.
pub(crate) struct LoadedModel {
    raw: NonNull<sys::Model>,
    pub(crate) library: Arc<TfliteLibrary>,
    /// What the library reports when it opens the model; it keeps the address.
    _report: Arc<Report>,
    bytes: ModelData,
    pub(crate) facts: ModelFacts,
}

// SAFETY: the library never changes a model after it is made, makes interpreters from it on any
// thread, and counts their references atomically.
unsafe impl Send for LoadedModel {}
// SAFETY: as above.
unsafe impl Sync for LoadedModel {}

impl LoadedModel {
    /// Verifies and opens a model.
    pub(crate) fn new(library: Arc<TfliteLibrary>, model: ModelData) -> Result<Self, BackendError> {
        let facts = ModelFacts::read(&model)?;
        let bytes = model.aligned_to(ALIGNMENT);
        let report_text = Arc::new(Report::default());
        let raw = match &library.reporting {
            // SAFETY: the bytes and the report live as long as the model, which owns them; the
            // bytes do not move, because their owner is on the heap and never changed.
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
            Some(raw) => Ok(Self { raw, library, _report: report_text, bytes, facts }),
            None => Err(diagnostics::invalid_model(&report_text.take())),
        }
    }

    /// The library's model, alive as long as this.
    pub(crate) fn as_ptr(&self) -> *const sys::Model {
        self.raw.as_ptr()
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
