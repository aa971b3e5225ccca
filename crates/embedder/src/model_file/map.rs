//! Memory maps of model files.

use std::fs::File;
#[cfg(unix)]
use std::os::fd::AsFd;
use std::path::Path;

use image_embedder_backend::ModelData;
use memmap2::MmapOptions;

use super::part_length;
use crate::{Error, ErrorKind, TfLiteSupportStatus};

/// Maps a model file to memory, read-only.
///
/// ```
/// # #[cfg(feature = "native")] {
/// use image_embedder::{ImageEmbedder, ImageEmbedderOptions, model_file};
///
/// let path = "models/efficientnet_lite0_feature_vector_uint8.tflite";
/// # let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
/// // SAFETY: nothing writes to the folder of models.
/// let model = unsafe { model_file::map(path)? };
/// let embedder = ImageEmbedder::from_bytes(model, ImageEmbedderOptions::default())?;
/// assert_eq!(embedder.embedding_dimension(0), Some(1280));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Safety
///
/// As long as the returned data or a clone of it exists, which an embedder may keep, the file must
/// not be truncated nor written to, by this process or any other. Replacing it under its name by
/// renaming another file is allowed, for that leaves the mapped one as it is. Reading beyond the
/// end of a truncated file ends the process on most systems.
///
/// # Errors
///
/// - [`ErrorKind::Input`] if the file cannot be opened, is empty or cannot be mapped.
/// - [`ErrorKind::Resource`] if it does not fit into the address space.
pub unsafe fn map(path: impl AsRef<Path>) -> Result<ModelData, Error> {
    let path = path.as_ref();
    let file =
        File::open(path).map_err(|error| Error::model_file(&path.display().to_string(), error))?;
    // SAFETY: the caller vouches for the file.
    unsafe { map_file(&file, 0, None) }
}

/// Maps a part of an open file to memory, read-only: `length` bytes from `offset` on or, without a
/// length, everything.
///
/// The descriptor stays open and may be closed; the map does not need it. The offset need not be
/// a multiple of a page.
///
/// # Safety
///
/// As for [`map`].
///
/// # Errors
///
/// - [`ErrorKind::Input`] if the part is not within the file or cannot be mapped.
/// - [`ErrorKind::Resource`] if it does not fit into the address space.
#[cfg(unix)]
pub unsafe fn map_descriptor(
    descriptor: impl AsFd,
    offset: u64,
    length: Option<u64>,
) -> Result<ModelData, Error> {
    let file = super::file_of(&descriptor)?;
    // SAFETY: the caller vouches for the file.
    unsafe { map_file(&file, offset, length) }
}

/// # Safety
///
/// As for [`map`].
unsafe fn map_file(file: &File, offset: u64, length: Option<u64>) -> Result<ModelData, Error> {
    let length = part_length(file, offset, length)?;
    // SAFETY: the caller vouches that the file stays as it is.
    let mapped = unsafe { MmapOptions::new().offset(offset).len(length).map(file) };
    mapped.map(ModelData::new).map_err(|error| {
        Error::because(ErrorKind::Input, "cannot map the model file to memory", error)
            .with_status(TfLiteSupportStatus::FileMmapError)
    })
}
