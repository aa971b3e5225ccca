//! Puts a new root in front of a model whose tables are not all known.
//!
//! ```text
//! root, identifier | Model | buffers, metadata (vectors) | new tables and data | the old file
//! ```
//!
//! A flatbuffer refers to its parts by unsigned distances, so a table can lie in front of what it
//! refers to but not behind it. The new root and its two new vectors therefore come first and
//! refer to the tables of the old file, whose bytes and alignment stay as they are. Only replaced
//! metadata is overwritten with zeros.

use image_embedder_schema::metadata::METADATA_NAME;
use image_embedder_schema::tflite::{MODEL_IDENTIFIER, Model, read_model};

use super::{MAX_FILE_SIZE, own_buffers};
use crate::MetadataError;

/// The strictest alignment in a model, that of constant data.
const ALIGNMENT: usize = 16;

/// How many fields of `Model` are known: those up to `signature_defs`.
const MODEL_FIELDS: u16 = 8;

const SUBGRAPHS_AND_BEFORE: [u16; 3] = [1, 2, 3];
const BUFFERS: u16 = 4;
const METADATA_BUFFER: u16 = 5;
const METADATA: u16 = 6;
const SIGNATURE_DEFS: u16 = 7;

/// The model with this metadata buffer or none.
pub(super) fn replace_metadata(
    flatbuffer: &[u8],
    metadata: Option<&[u8]>,
) -> Result<Vec<u8>, MetadataError> {
    let model = read_model(flatbuffer).map_err(|source| MetadataError::Model { source })?;
    let old = Old { bytes: flatbuffer };
    let root = old.root().ok_or_else(broken)?;
    let unknown = old.fields_from(root, MODEL_FIELDS);
    if !unknown.is_empty() {
        let found = unknown.iter().map(|id| format!("field {id}")).collect();
        return Err(MetadataError::Unread { found });
    }
    let own = own_buffers(&model);
    let plan = Plan::new(&model, &old, root, &own, metadata.is_some()).ok_or_else(broken)?;
    let front = plan.front(&model, &old, root, metadata);
    let front = front.finish(flatbuffer.len())?;

    let mut file = front;
    let start = file.len();
    file.extend_from_slice(flatbuffer);
    for range in plan.dead {
        if let Some(dead) = file.get_mut(start + range.start..start + range.end) {
            dead.fill(0);
        }
    }
    // The new root was written by hand: what cannot be read is not handed out.
    read_model(&file).map_err(|source| MetadataError::Model { source })?;
    Ok(file)
}

/// What a verified model cannot be.
fn broken() -> MetadataError {
    MetadataError::Unread { found: vec!["a model of another layout".to_owned()] }
}

/// What the new vectors refer to.
struct Plan {
    buffers: Vec<Part>,
    metadata: Vec<Part>,
    /// The index of the buffer that the new metadata entry names.
    new_index: u32,
    /// Where replaced metadata lies in the old file.
    dead: Vec<std::ops::Range<usize>>,
}

/// An element of a new vector.
#[derive(Clone, Copy)]
enum Part {
    /// A table of the old file, at this position.
    Old(usize),
    /// The table with the new metadata, or that names it.
    New,
    /// A buffer without data.
    Empty,
}

impl Plan {
    fn new(
        model: &Model<'_>,
        old: &Old<'_>,
        root: usize,
        own: &[u32],
        replace: bool,
    ) -> Option<Self> {
        let buffer_positions = old.tables(root, BUFFERS)?;
        let mut dead = Vec::new();
        let data: Vec<_> = buffer_positions.iter().map(|position| old.data(*position)).collect();
        for index in own.iter().filter_map(|index| usize::try_from(*index).ok()) {
            let range = data.get(index)?.clone();
            let shared =
                data.iter().enumerate().any(|(other, data)| other != index && *data == range);
            dead.extend(range.filter(|_| !shared));
        }
        let mut buffers: Vec<Part> = buffer_positions.into_iter().map(Part::Old).collect();
        for index in own.iter().filter_map(|index| usize::try_from(*index).ok()) {
            *buffers.get_mut(index)? = Part::Empty;
        }

        let mut metadata: Vec<Part> = model
            .metadata()
            .iter()
            .zip(old.tables(root, METADATA)?)
            .filter(|(entry, _)| entry.name() != Some(METADATA_NAME))
            .map(|(_, position)| Part::Old(position))
            .collect();
        let mut new_index = 0;
        if replace {
            metadata.push(Part::New);
            if buffers.is_empty() {
                buffers.push(Part::Empty);
            }
            let index = own.first().and_then(|index| usize::try_from(*index).ok());
            let index = index.unwrap_or(buffers.len());
            match buffers.get_mut(index) {
                Some(buffer) => *buffer = Part::New,
                None => buffers.push(Part::New),
            }
            new_index = u32::try_from(index).ok()?;
        }
        Some(Self { buffers, metadata, new_index, dead })
    }

    fn front(
        &self,
        model: &Model<'_>,
        old: &Old<'_>,
        root: usize,
        metadata: Option<&[u8]>,
    ) -> Front {
        let mut front = Front::default();
        let root_word = front.word(0);
        front.bytes.extend_from_slice(MODEL_IDENTIFIER.as_bytes());

        // The Model table: eight fields of four bytes behind the distance to its vtable.
        let has_metadata = !self.metadata.is_empty();
        let keeps = |id| old.target(root, id).is_some();
        front.half(4 + 2 * MODEL_FIELDS);
        front.half(4 + 4 * MODEL_FIELDS);
        for id in 0..MODEL_FIELDS {
            let present = match id {
                0 => true,
                BUFFERS => !self.buffers.is_empty(),
                METADATA => has_metadata,
                id => keeps(id),
            };
            front.half(if present { 4 + 4 * id } else { 0 });
        }
        let table = front.word(4 + 2 * u32::from(MODEL_FIELDS));
        front.refer(root_word, Target::Front(table));
        front.word(model.version());
        let fields: Vec<usize> = (1..MODEL_FIELDS).map(|_| front.word(0)).collect();
        let field = |id: u16| fields[usize::from(id) - 1];
        for id in SUBGRAPHS_AND_BEFORE.into_iter().chain([METADATA_BUFFER, SIGNATURE_DEFS]) {
            if let Some(position) = old.target(root, id) {
                front.refer(field(id), Target::Old(position));
            }
        }

        let mut unresolved = Vec::new();
        for (id, parts) in [(BUFFERS, &self.buffers), (METADATA, &self.metadata)] {
            if parts.is_empty() {
                continue;
            }
            let vector = front.word(u32::try_from(parts.len()).unwrap_or(u32::MAX));
            front.refer(field(id), Target::Front(vector));
            for part in parts {
                let word = front.word(0);
                match part {
                    Part::Old(position) => front.refer(word, Target::Old(*position)),
                    part => unresolved.push((id, *part, word)),
                }
            }
        }
        for (id, part, word) in unresolved {
            let table = match (id, part, metadata) {
                (METADATA, ..) => front.metadata_table(self.new_index),
                (_, Part::New, Some(metadata)) => front.buffer_table(metadata),
                _ => front.empty_table(),
            };
            front.refer(word, Target::Front(table));
        }
        front
    }
}

/// What a word in front refers to.
enum Target {
    Front(usize),
    Old(usize),
}

/// The bytes in front of the old file.
#[derive(Default)]
struct Front {
    bytes: Vec<u8>,
    references: Vec<(usize, Target)>,
}

impl Front {
    fn half(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn word(&mut self, value: u32) -> usize {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self.bytes.len() - 4
    }

    /// Adds zeros until `ahead` more bytes end at a multiple of `alignment`.
    fn align(&mut self, alignment: usize, ahead: usize) {
        while !(self.bytes.len() + ahead).is_multiple_of(alignment) {
            self.bytes.push(0);
        }
    }

    fn refer(&mut self, word: usize, target: Target) {
        self.references.push((word, target));
    }

    /// A `Buffer` with data.
    fn buffer_table(&mut self, data: &[u8]) -> usize {
        self.align(4, 0);
        // Vtable: its size, the table's, field 0; and two bytes that align the table.
        for half in [6, 8, 4, 0] {
            self.half(half);
        }
        let table = self.word(8);
        let word = self.word(0);
        self.align(ALIGNMENT, 4);
        let vector = self.word(u32::try_from(data.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(data);
        self.refer(word, Target::Front(vector));
        table
    }

    /// A `Metadata` entry that names a buffer.
    fn metadata_table(&mut self, buffer: u32) -> usize {
        self.align(4, 0);
        for half in [8, 12, 4, 8] {
            self.half(half);
        }
        let table = self.word(8);
        let word = self.word(0);
        self.word(buffer);
        let name = self.word(u32::try_from(METADATA_NAME.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(METADATA_NAME.as_bytes());
        self.bytes.push(0);
        self.refer(word, Target::Front(name));
        table
    }

    /// A table without fields.
    fn empty_table(&mut self) -> usize {
        self.align(4, 0);
        for half in [4, 4] {
            self.half(half);
        }
        self.word(4)
    }

    /// The bytes with all references resolved, before an old file of the given size.
    fn finish(mut self, old_size: usize) -> Result<Vec<u8>, MetadataError> {
        self.align(ALIGNMENT, 0);
        let size = self.bytes.len().saturating_add(old_size);
        if size > MAX_FILE_SIZE {
            return Err(MetadataError::ModelTooLarge { size, limit: MAX_FILE_SIZE });
        }
        for (word, target) in std::mem::take(&mut self.references) {
            let target = match target {
                Target::Front(position) => position,
                Target::Old(position) => self.bytes.len() + position,
            };
            let distance = u32::try_from(target - word).unwrap_or(u32::MAX);
            self.bytes[word..word + 4].copy_from_slice(&distance.to_le_bytes());
        }
        Ok(self.bytes)
    }
}

/// Positions in a verified model. Reads are checked all the same.
struct Old<'a> {
    bytes: &'a [u8],
}

impl Old<'_> {
    fn half(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The position that the word at `at` refers to.
    fn follow(&self, at: usize) -> Option<usize> {
        at.checked_add(usize::try_from(self.word(at)?).ok()?)
    }

    fn root(&self) -> Option<usize> {
        self.follow(0)
    }

    fn vtable(&self, table: usize) -> Option<usize> {
        let distance = self.word(table)?.cast_signed();
        usize::try_from(i64::try_from(table).ok()? - i64::from(distance)).ok()
    }

    /// The position of a table's field.
    fn field(&self, table: usize, id: u16) -> Option<usize> {
        let vtable = self.vtable(table)?;
        let slot = 4 + 2 * id;
        if slot >= self.half(vtable)? {
            return None;
        }
        match self.half(vtable + usize::from(slot))? {
            0 => None,
            offset => table.checked_add(usize::from(offset)),
        }
    }

    /// The numbers of a table's fields from `first` on that are present.
    fn fields_from(&self, table: usize, first: u16) -> Vec<u16> {
        let size = self.vtable(table).and_then(|vtable| self.half(vtable));
        let count = (size.unwrap_or(0) / 2).saturating_sub(2);
        (first..count).filter(|id| self.field(table, *id).is_some()).collect()
    }

    /// The position that a table's field refers to.
    fn target(&self, table: usize, id: u16) -> Option<usize> {
        self.follow(self.field(table, id)?)
    }

    /// The positions of the tables that a field lists; none if it is absent.
    fn tables(&self, table: usize, id: u16) -> Option<Vec<usize>> {
        let Some(vector) = self.target(table, id) else {
            return Some(Vec::new());
        };
        let count = usize::try_from(self.word(vector)?).ok()?;
        (0..count)
            .map(|index| self.follow(vector.checked_add(4 + index.checked_mul(4)?)?))
            .collect()
    }

    /// Where a buffer's data lies.
    fn data(&self, buffer: usize) -> Option<std::ops::Range<usize>> {
        let vector = self.target(buffer, 0)?;
        let size = usize::try_from(self.word(vector)?).ok()?;
        let start = vector.checked_add(4)?;
        Some(start..start.checked_add(size)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image_embedder_schema::tflite::{BufferT, ModelT};
    use image_embedder_test_support::model;
    use image_embedder_test_support::model_builder::{PassThrough, normalized_rgb};

    use super::*;

    fn unpacked(bytes: &[u8]) -> ModelT {
        read_model(bytes).unwrap().unpack()
    }

    /// Models with metadata amid other entries, at their end, and without.
    fn models() -> Vec<Vec<u8>> {
        let mut bare = PassThrough::default().model();
        bare.buffers = None;
        bare.subgraphs = None;
        let mut shared = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).model();
        let metadata = shared.metadata.as_mut().unwrap();
        metadata.push(metadata[0].clone());
        metadata[1].name = Some("OTHER".to_owned());
        vec![
            fs::read(model("efficientnet_lite0_feature_vector_uint8.tflite")).unwrap(),
            fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap(),
            PassThrough::default().to_bytes(),
            PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).to_bytes(),
            bare.to_bytes(),
            shared.to_bytes(),
        ]
    }

    #[test]
    fn a_new_root_says_the_same_but_for_metadata() {
        let models = models();
        assert_eq!(models.len(), 6);
        for (number, old) in models.iter().enumerate() {
            for new in [&b"first"[..], &[7; 1000]] {
                let file = replace_metadata(old, Some(new)).unwrap();
                let mut tables = unpacked(&file);
                let entries = tables.metadata.as_mut().unwrap();
                let entry = entries.pop().unwrap();
                assert_eq!(entry.name.as_deref(), Some(METADATA_NAME));
                let index = entry.buffer as usize;
                let buffers = tables.buffers.as_mut().unwrap();
                assert_eq!(buffers[index].data.as_deref(), Some(new), "model {number}");

                // Once the metadata is out, nothing else differs.
                let mut expected = unpacked(old);
                if let Some(entries) = &mut expected.metadata {
                    entries.retain(|entry| entry.name.as_deref() != Some(METADATA_NAME));
                }
                let entries = tables.metadata.take().filter(|entries| !entries.is_empty());
                tables.metadata = entries;
                expected.metadata = expected.metadata.filter(|entries| !entries.is_empty());
                let old_buffers = expected.buffers.get_or_insert_default();
                if old_buffers.is_empty() {
                    old_buffers.push(BufferT::default());
                }
                let buffers = tables.buffers.as_mut().unwrap();
                buffers.truncate(old_buffers.len());
                if index < old_buffers.len() {
                    buffers[index] = BufferT::default();
                    old_buffers[index] = BufferT::default();
                }
                assert_eq!(tables, expected, "model {number}");
            }
        }
    }

    #[test]
    fn the_old_bytes_and_their_alignment_stay() {
        for old in models() {
            let file = replace_metadata(&old, Some(&[1; 100])).unwrap();
            let start = file.len() - old.len();
            assert_eq!(start % ALIGNMENT, 0);
            let changed: Vec<usize> =
                (0..old.len()).filter(|&at| file[start + at] != old[at]).collect();
            assert!(changed.iter().all(|&at| file[start + at] == 0));
            let metadata = read_model(&old).unwrap();
            let own = own_buffers(&metadata);
            let dead = own
                .first()
                .map_or(0, |index| metadata.buffers().get(*index as usize).unwrap().data().len());
            assert!(changed.len() <= dead);
            assert_eq!(changed.is_empty(), dead == 0);

            let model = read_model(&file).unwrap();
            let mut buffers = model.buffers().iter().map(|buffer| buffer.data().bytes());
            let new = buffers.find(|data| *data == [1; 100]).unwrap();
            assert_eq!((new.as_ptr() as usize - file.as_ptr() as usize) % ALIGNMENT, 0);
        }
    }

    #[test]
    fn metadata_goes() {
        const MARK: &[u8] = b"replaced metadata";
        for (number, old) in models().iter().enumerate() {
            let file = replace_metadata(old, Some(MARK)).unwrap();
            let stripped = replace_metadata(&file, None).unwrap();
            let model = read_model(&stripped).unwrap();
            assert!(!model.metadata().iter().any(|entry| entry.name() == Some(METADATA_NAME)));
            assert!(!stripped.windows(MARK.len()).any(|window| window == MARK), "model {number}");
            assert_eq!(unpacked(&stripped).subgraphs, unpacked(old).subgraphs);
        }
    }

    #[test]
    fn a_model_of_a_later_schema_is_refused() {
        let mut builder = Front::default();
        let root = builder.word(0);
        builder.bytes.extend_from_slice(MODEL_IDENTIFIER.as_bytes());
        builder.half(4 + 2 * 9);
        builder.half(8);
        (0..8).for_each(|_| builder.half(0));
        builder.half(4);
        builder.half(0);
        let table = builder.word(24);
        builder.word(3);
        builder.refer(root, Target::Front(table));
        let file = builder.finish(0).unwrap();
        assert!(read_model(&file).is_ok());
        let found = vec!["field 8".to_owned()];
        assert_eq!(replace_metadata(&file, Some(b"some")), Err(MetadataError::Unread { found }));
    }
}
