//! The ZIP archive behind a model.

use std::fmt;
use std::io::{Cursor, Read, Write};

use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, ZipArchive};

use crate::MetadataError;

/// The signature of the record that ends a ZIP archive.
const END_OF_CENTRAL_DIRECTORY: &[u8] = b"PK\x05\x06";

/// The record's size without its comment, plus the longest comment.
const LONGEST_END_OF_CENTRAL_DIRECTORY: usize = 22 + u16::MAX as usize;

/// The files that travel in a ZIP archive behind a model, such as labels.
///
/// Files may be stored or deflated. Nothing is decompressed before it is asked for.
#[derive(Clone)]
pub struct AssociatedFiles<'a> {
    archive: Option<ZipArchive<Cursor<&'a [u8]>>>,
    max_file_size: u64,
}

impl<'a> AssociatedFiles<'a> {
    /// The most bytes that one file may have once decompressed, unless told otherwise: 64 MiB.
    pub const DEFAULT_MAX_FILE_SIZE: u64 = 64 << 20;

    /// Reads the directory of the archive behind a model; a model without one has no files.
    ///
    /// # Errors
    ///
    /// [`MetadataError::Archive`] if there is an archive but its directory is damaged. The model
    /// and its metadata can be read all the same.
    pub fn open(model: &'a [u8]) -> Result<Self, MetadataError> {
        let tail = model.len().saturating_sub(LONGEST_END_OF_CENTRAL_DIRECTORY);
        let has_archive = model.get(tail..).is_some_and(|tail| {
            tail.windows(END_OF_CENTRAL_DIRECTORY.len())
                .any(|bytes| bytes == END_OF_CENTRAL_DIRECTORY)
        });
        let archive = has_archive
            .then(|| ZipArchive::new(Cursor::new(model)))
            .transpose()
            .map_err(|error| MetadataError::Archive { reason: error.to_string() })?;
        Ok(Self { archive, max_file_size: Self::DEFAULT_MAX_FILE_SIZE })
    }

    /// The same files with another limit on the size of one, in bytes.
    #[must_use]
    pub fn with_max_file_size(mut self, max_file_size: u64) -> Self {
        self.max_file_size = max_file_size;
        self
    }

    /// The names of the files, in the order of the archive's directory.
    ///
    /// A name that is not text in its declared encoding is left out: no metadata can refer to it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.archive
            .iter()
            .flat_map(ZipArchive::file_names)
            .filter_map(|name| Some(name.ok()?.into_owned()))
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.names().count()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// - [`MetadataError::FileNotFound`] if there is no file of that name.
    /// - [`MetadataError::FileTooLarge`] if it has more bytes than the limit, whatever its header
    ///   claims.
    /// - [`MetadataError::UnreadableFile`] if it is damaged, encrypted or compressed by another
    ///   method than deflate.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, MetadataError> {
        let not_found =
            || MetadataError::FileNotFound { name: name.to_owned(), found: self.names().collect() };
        let unreadable = |reason: &dyn fmt::Display| MetadataError::UnreadableFile {
            name: name.to_owned(),
            reason: reason.to_string(),
        };
        let limit = self.max_file_size;
        let too_large = || MetadataError::FileTooLarge { name: name.to_owned(), limit };

        let mut archive = self.archive.clone().ok_or_else(not_found)?;
        let file = match archive.by_name(name) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Err(not_found()),
            Err(error) => return Err(unreadable(&error)),
        };
        if file.size() > limit {
            return Err(too_large());
        }
        let mut content = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|error| unreadable(&error))?;
        if u64::try_from(content.len()).map_or(true, |size| size > limit) {
            return Err(too_large());
        }
        Ok(content)
    }

    /// The names and contents of all files, in the order of the archive's directory.
    pub(crate) fn contents(&self) -> Result<Vec<FileContent>, MetadataError> {
        let names = self.archive.iter().flat_map(ZipArchive::file_names);
        let names: Vec<String> = names
            .map(|name| name.map(|name| name.into_owned()))
            .collect::<Result<_, _>>()
            .map_err(|error| MetadataError::Archive { reason: error.to_string() })?;
        names
            .into_iter()
            // A folder has no content, and no metadata refers to it.
            .filter(|name| !name.ends_with('/'))
            .map(|name| {
                let content = self.read(&name)?;
                Ok(FileContent { name, content })
            })
            .collect()
    }

    /// Where the archive starts, in bytes from the start of the file; `None` without an archive.
    pub(crate) fn start(&self) -> Result<Option<usize>, MetadataError> {
        let Some(mut archive) = self.archive.clone() else {
            return Ok(None);
        };
        let damaged = |reason: String| MetadataError::Archive { reason };
        let mut start = archive.central_directory_start();
        for index in 0..archive.len() {
            let file = archive.by_index_raw(index);
            let file = file.map_err(|error| damaged(error.to_string()))?;
            start = start.min(file.header_start());
        }
        usize::try_from(start).map(Some).map_err(|error| damaged(error.to_string()))
    }
}

/// A file of an archive.
pub(crate) struct FileContent {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The model with an archive of these files behind it; without files, the model as it is.
///
/// The files are stored, not compressed, as the TensorFlow Lite Task Library demands. The bytes
/// depend on the arguments alone: every file carries the earliest date that ZIP can express.
pub(crate) fn append_files(
    model: Vec<u8>,
    files: &[FileContent],
) -> Result<Vec<u8>, MetadataError> {
    if files.is_empty() {
        return Ok(model);
    }
    let end = model.len() as u64;
    let mut file = Cursor::new(model);
    file.set_position(end);
    let mut archive = ZipWriter::new(file);
    for file in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let written = archive
            .start_file(file.name.as_str(), options)
            .and_then(|()| Ok(archive.write_all(&file.content)?));
        written.map_err(|error| MetadataError::UnwritableFile {
            name: file.name.clone(),
            reason: error.to_string(),
        })?;
    }
    let archive =
        archive.finish().map_err(|error| MetadataError::Archive { reason: error.to_string() })?;
    Ok(archive.into_inner())
}

impl fmt::Debug for AssociatedFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
