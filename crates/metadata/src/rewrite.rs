//! Puts another metadata buffer into a model, or takes it out.
//!
//! A model that the schema reads in full is written anew, which drops replaced metadata and keeps
//! the file compact. Any other model keeps every byte: a new root is put in front of it, see
//! [`prepend`].

mod prepend;

use image_embedder_schema::metadata::METADATA_NAME;
use image_embedder_schema::tflite::{BufferT, MetadataT, Model, ModelT, read_model};

use crate::{AssociatedFiles, MetadataError};

/// The largest file, in bytes, that offsets of 32 bits reach every part of, with a sign to spare.
pub(crate) const MAX_FILE_SIZE: usize = i32::MAX as usize;

/// The largest file that is written anew. A hostile file whose parts share their bytes grows by
/// a factor when they are written apart; this keeps even that below [`MAX_FILE_SIZE`].
pub(crate) const MAX_UNPACKED_FILE_SIZE: usize = 256 << 20;

/// The model without its archive, and with this metadata buffer or none.
pub(crate) fn replace_metadata(
    file: &[u8],
    archive: Option<&AssociatedFiles<'_>>,
    metadata: Option<&[u8]>,
) -> Result<Vec<u8>, MetadataError> {
    let model = read_model(file).map_err(|source| MetadataError::Model { source })?;
    check_data_is_inside(&model)?;
    if file.len() <= MAX_UNPACKED_FILE_SIZE && model.unread().is_empty() {
        let own = own_buffers(&model);
        let mut tables = model.unpack();
        match metadata {
            Some(metadata) => set_buffer(&mut tables, &own, metadata),
            None => remove_buffers(&mut tables, own),
        }
        return Ok(tables.to_bytes());
    }
    let end = match archive {
        Some(archive) => archive.start()?,
        None => AssociatedFiles::open(file)?.start()?,
    };
    let flatbuffer = end.and_then(|end| file.get(..end)).unwrap_or(file);
    prepend::replace_metadata(flatbuffer, metadata)
}

/// Refuses a model above 2 GiB: it counts some positions from the start of the file, so nothing
/// in it can be moved.
pub(crate) fn check_data_is_inside(model: &Model<'_>) -> Result<(), MetadataError> {
    // The converter writes an offset of 1 as a placeholder of data that stays inside.
    let buffers = model.buffers();
    let buffer = buffers.iter().find(|buffer| buffer.offset() > 1);
    let subgraphs = model.subgraphs();
    let operator = subgraphs
        .iter()
        .flat_map(|subgraph| subgraph.operators().iter())
        .find(|operator| operator.large_custom_options_offset() > 1);
    let offset = buffer
        .map(|buffer| buffer.offset())
        .or(operator.map(|operator| operator.large_custom_options_offset()));
    match offset {
        Some(offset) => Err(MetadataError::DataOutside { offset }),
        None => Ok(()),
    }
}

/// The buffers of the metadata entries in order, as far as nothing else refers to them.
pub(crate) fn own_buffers(model: &Model<'_>) -> Vec<u32> {
    let subgraphs = model.subgraphs();
    let of_tensors = subgraphs
        .iter()
        .flat_map(|subgraph| subgraph.tensors().iter())
        .map(|tensor| tensor.buffer());
    let of_others = model
        .metadata()
        .iter()
        .filter(|entry| entry.name() != Some(METADATA_NAME))
        .map(|entry| entry.buffer());
    let superseded = model.metadata_buffer().iter().filter_map(|index| u32::try_from(index).ok());
    let used: std::collections::HashSet<u32> = of_tensors
        .chain(of_others)
        .chain(superseded)
        // Tensors without data refer to buffer 0.
        .chain([0])
        .collect();
    let count = model.buffers().len();
    model
        .metadata()
        .iter()
        .filter(|entry| entry.name() == Some(METADATA_NAME))
        .map(|entry| entry.buffer())
        .filter(|index| !used.contains(index))
        .filter(|index| usize::try_from(*index).is_ok_and(|index| index < count))
        .collect()
}

fn set_buffer(model: &mut ModelT, own: &[u32], metadata: &[u8]) {
    let buffers = model.buffers.get_or_insert_default();
    if buffers.is_empty() {
        buffers.push(BufferT::default());
    }
    let entries = model.metadata.get_or_insert_default();
    let entry = entries
        .iter()
        .position(|entry| entry.name.as_deref() == Some(METADATA_NAME))
        .unwrap_or_else(|| {
            entries.push(MetadataT { name: Some(METADATA_NAME.to_owned()), buffer: 0 });
            entries.len() - 1
        });
    let entry = &mut entries[entry];
    if !own.contains(&entry.buffer) {
        // A file of at most 2 GiB has fewer buffers than an index can count.
        entry.buffer = u32::try_from(buffers.len()).unwrap_or(u32::MAX);
        buffers.push(BufferT::default());
    }
    let index = usize::try_from(entry.buffer).unwrap_or(usize::MAX);
    if let Some(buffer) = buffers.get_mut(index) {
        buffer.data = Some(metadata.to_vec());
    }
}

fn remove_buffers(model: &mut ModelT, mut own: Vec<u32>) {
    let Some(entries) = &mut model.metadata else {
        return;
    };
    entries.retain(|entry| entry.name.as_deref() != Some(METADATA_NAME));
    if entries.is_empty() {
        model.metadata = None;
    }
    let buffers = model.buffers.get_or_insert_default();
    own.sort_unstable();
    for index in own.into_iter().rev().filter_map(|index| usize::try_from(index).ok()) {
        // Only the last buffer can go without giving others another index.
        if index + 1 == buffers.len() {
            buffers.pop();
        } else if let Some(buffer) = buffers.get_mut(index) {
            *buffer = BufferT::default();
        }
    }
}
