//! Models from files and parts of files, read or mapped to memory.
//!
//! [`read`] copies a file, which is safe whatever happens to it afterwards, and is what
//! [`ImageEmbedder::from_file`](crate::ImageEmbedder::from_file) does. [`map`] copies nothing: the
//! system loads pages as they are used and shares them between processes, which suits large
//! models; its contract is that nobody changes the file.

#[allow(
    unsafe_code,
    reason = "a file can change under a memory map, which only callers can rule out"
)]
mod map;

use std::fs::File;
#[cfg(unix)]
use std::os::fd::AsFd;
use std::path::Path;

use image_embedder_backend::ModelData;

use crate::{Error, ErrorKind, TfLiteSupportStatus};

pub use map::map;
#[cfg(unix)]
pub use map::map_descriptor;

/// Reads a model file.
///
/// # Errors
///
/// - [`ErrorKind::Input`] if the file cannot be read.
/// - [`ErrorKind::Resource`] if there is not enough memory.
pub fn read(path: impl AsRef<Path>) -> Result<ModelData, Error> {
    let path = path.as_ref();
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(Error::model_file(&path.display().to_string(), error)),
    }
}

/// Reads a part of an open file, such as an asset inside a package, from `offset` on: `length`
/// bytes or, without a length, everything.
///
/// The descriptor stays open, and its position in the file is neither used nor moved.
///
/// # Errors
///
/// - [`ErrorKind::Input`] if the part is not within the file or cannot be read.
/// - [`ErrorKind::Resource`] if there is not enough memory.
#[cfg(unix)]
pub fn read_descriptor(
    descriptor: impl AsFd,
    offset: u64,
    length: Option<u64>,
) -> Result<ModelData, Error> {
    use std::os::unix::fs::FileExt;

    let file = file_of(&descriptor)?;
    let length = part_length(&file, offset, length)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| {
        Error::new(ErrorKind::Resource, format!("could not allocate {length} bytes"))
    })?;
    bytes.resize(length, 0);
    file.read_exact_at(&mut bytes, offset)
        .map_err(|error| Error::model_file("from the file descriptor", error))?;
    Ok(bytes.into())
}

/// The open file behind a descriptor, under a descriptor of its own.
#[cfg(unix)]
fn file_of(descriptor: &impl AsFd) -> Result<File, Error> {
    match descriptor.as_fd().try_clone_to_owned() {
        Ok(owned) => Ok(owned.into()),
        Err(error) => Err(Error::model_file("from the file descriptor", error)),
    }
}

/// The number of bytes from `offset` on, checked against the size of the file.
fn part_length(file: &File, offset: u64, length: Option<u64>) -> Result<usize, Error> {
    let metadata =
        file.metadata().map_err(|error| Error::model_file("from an open file", error))?;
    let size = metadata.len();
    let invalid = |message: String| {
        Error::new(ErrorKind::Input, message).with_status(TfLiteSupportStatus::InvalidArgumentError)
    };
    if !metadata.is_file() {
        let message = "expected a model in a regular file, found another kind of file";
        return Err(
            Error::new(ErrorKind::Input, message).with_status(TfLiteSupportStatus::FileMmapError)
        );
    }
    if size == 0 {
        let message = "expected a model file with content, found an empty file";
        return Err(
            Error::new(ErrorKind::Input, message).with_status(TfLiteSupportStatus::FileReadError)
        );
    }
    let rest = size.checked_sub(offset).filter(|&rest| rest > 0).ok_or_else(|| {
        invalid(format!("expected an offset within the model file of {size} bytes, found {offset}"))
    })?;
    let length = length.filter(|&length| length > 0).unwrap_or(rest);
    if length > rest {
        return Err(invalid(format!(
            "expected at most {rest} bytes from offset {offset} of the model file of {size} \
             bytes, found {length}"
        )));
    }
    usize::try_from(length).map_err(|_| {
        let message = format!("a model of {length} bytes does not fit into the address space");
        Error::new(ErrorKind::Resource, message)
    })
}
