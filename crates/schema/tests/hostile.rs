//! Hostile bytes give an error, never a panic, and everything that is accepted can be walked.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use flatbuffers::FlatBufferBuilder;
use image_embedder_schema::SchemaError;
use image_embedder_schema::metadata::read_metadata;
use image_embedder_schema::tflite::{BufferT, MODEL_IDENTIFIER, ModelT, read_model};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, normalized_rgb};
use proptest::prelude::*;

fn bundled() -> Vec<u8> {
    fs::read(model("efficientnet_lite0_feature_vector_uint8.tflite")).unwrap()
}

/// The bundled model without its large buffers: all of the structure and none of the weights.
fn skeleton() -> Vec<u8> {
    let mut model = read_model(&bundled()).unwrap().unpack();
    for buffer in model.buffers.iter_mut().flatten() {
        if buffer.data.as_ref().is_some_and(|data| data.len() > 256) {
            buffer.data = None;
        }
    }
    model.to_bytes()
}

fn small() -> Vec<u8> {
    PassThrough::default().with_metadata(&normalized_rgb(127.5, 127.5)).to_bytes()
}

/// Walks every field of whatever is accepted.
fn walk(bytes: &[u8]) -> Result<ModelT, SchemaError> {
    let model = read_model(bytes)?;
    let _ = model.unread();
    let model = model.unpack();
    for buffer in model.buffers.iter().flatten() {
        if let Ok(metadata) = read_metadata(buffer.data.as_deref().unwrap_or_default()) {
            let _ = metadata.unpack();
        }
    }
    Ok(model)
}

/// Where `text` lies in `bytes`.
fn position(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

fn set_word(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn too_short() {
    let bytes = small();
    for length in 0..8 {
        assert_eq!(
            read_model(&bytes[..length]).err(),
            Some(SchemaError::TooShort { expected: 8, found: length })
        );
    }
}

#[test]
fn wrong_identifier() {
    let mut bytes = small();
    bytes[4..8].copy_from_slice(b"TFL2");
    let error = read_model(&bytes).err().unwrap();
    assert_eq!(error, SchemaError::WrongIdentifier { expected: "TFL3", found: *b"TFL2" });
    assert_eq!(error.to_string(), "expected the file identifier TFL3, found TFL2");
    let found = read_metadata(&bytes).err();
    assert_eq!(found, Some(SchemaError::WrongIdentifier { expected: "M001", found: *b"TFL2" }));
}

#[test]
fn truncated_models_are_refused() {
    let mut truncations = 0;
    for bytes in [bundled(), small()] {
        let end = flatbuffer_end(&bytes);
        let step = (end / 300).max(1);
        for length in (0..end).step_by(step).chain(0..64).chain(end - 64..end) {
            assert!(walk(&bytes[..length]).is_err(), "accepted {length} of {end} bytes");
            truncations += 1;
        }
        assert!(walk(&bytes[..end]).is_ok());
    }
    assert!(truncations > 700, "only {truncations} truncations");
}

/// The least length at which the file is accepted: the end of whatever lies last in it.
fn flatbuffer_end(bytes: &[u8]) -> usize {
    let (mut refused, mut accepted) = (0, bytes.len());
    while accepted - refused > 1 {
        let middle = refused + (accepted - refused) / 2;
        if read_model(&bytes[..middle]).is_ok() {
            accepted = middle;
        } else {
            refused = middle;
        }
    }
    accepted
}

#[test]
fn a_root_that_leads_to_itself_is_empty() {
    let mut bytes = small();
    set_word(&mut bytes, 0, 0);
    assert_eq!(walk(&bytes), Ok(ModelT::default()));
}

#[test]
fn a_root_that_leads_astray_is_refused() {
    for root in [2, 4, 6, 1 << 20, u32::MAX] {
        let mut bytes = small();
        set_word(&mut bytes, 0, root);
        assert!(matches!(read_model(&bytes), Err(SchemaError::Malformed { .. })), "{root}");
    }
}

#[test]
fn a_vector_longer_than_the_file_is_refused() {
    for length in [1 << 16, u32::MAX / 2, u32::MAX] {
        let mut bytes = small();
        let text = position(&bytes, "pass-through");
        set_word(&mut bytes, text - 4, length);
        assert!(matches!(read_model(&bytes), Err(SchemaError::Malformed { .. })), "{length}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let mut bytes = small();
    let text = position(&bytes, "pass-through");
    bytes[text] = 0xff;
    assert!(matches!(read_model(&bytes), Err(SchemaError::Malformed { .. })));
}

#[test]
fn every_word_replaced_is_refused_or_walks() {
    let bytes = small();
    let (mut refused, mut walked) = (0, 0);
    for at in (0..bytes.len() - 3).step_by(4) {
        let value = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        // Zero makes an offset lead to itself; the others lead before, behind and beside.
        for replacement in
            [0, 1, 2, 4, value.wrapping_add(4), value.wrapping_sub(4), 1 << 31, u32::MAX]
        {
            let mut hostile = bytes.clone();
            set_word(&mut hostile, at, replacement);
            match walk(&hostile) {
                Ok(_) => walked += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(refused + walked, bytes.len() / 4 * 8);
    assert!(refused > 200, "only {refused} of {} were refused", refused + walked);
    assert!(walked > 200, "only {walked} of {} could be walked", refused + walked);
}

#[test]
fn bytes_that_are_referred_to_again_and_again_are_refused() {
    let mut builder = FlatBufferBuilder::new();
    let buffer = BufferT { data: Some(vec![1; 1 << 20]), ..BufferT::default() };
    let buffer = buffer.pack(&mut builder);
    let buffers = builder.create_vector(&vec![buffer; 100_000]);
    let model = builder.start_table();
    builder.push_slot_always(4 + 2 * 4, buffers);
    let model = builder.end_table(model);
    builder.finish(model, Some(MODEL_IDENTIFIER));
    let bytes = builder.finished_data();
    assert!(bytes.len() < 2 << 20);
    assert!(matches!(read_model(bytes), Err(SchemaError::Malformed { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = walk(&bytes);
        if bytes.len() >= 8 {
            bytes[4..8].copy_from_slice(b"TFL3");
            let _ = walk(&bytes);
            bytes[4..8].copy_from_slice(b"M001");
            let _ = read_metadata(&bytes).map(|metadata| metadata.unpack());
        }
    }
}

#[test]
fn a_union_type_without_a_value_is_checked() {
    let mut builder = FlatBufferBuilder::new();
    let unit = builder.start_table();
    builder.push_slot_always(4, 1u8);
    let unit = builder.end_table(unit);
    let units = builder.create_vector(&[unit]);
    let subgraph = builder.start_table();
    builder.push_slot_always(14, units);
    let subgraph = builder.end_table(subgraph);
    let subgraphs = builder.create_vector(&[subgraph]);
    let root = builder.start_table();
    builder.push_slot_always(10, subgraphs);
    let root = builder.end_table(root);
    builder.finish(root, Some("M001"));
    let mut bytes = builder.finished_data().to_vec();
    let metadata = read_metadata(&bytes).unwrap();
    assert!(metadata.unpack().subgraph_metadata.is_some());

    // The vtable that says: 6 bytes, a table of some bytes, field 0 at 7. Now the field lies far away.
    let vtable: Vec<usize> = (0..bytes.len() - 6)
        .filter(|&at| bytes[at..at + 2] == [6, 0] && bytes[at + 4..at + 6] == [7, 0])
        .collect();
    let [vtable] = vtable.as_slice() else { panic!("one vtable, not {vtable:?}") };
    bytes[vtable + 4..vtable + 6].copy_from_slice(&0x7fffu16.to_le_bytes());
    assert!(matches!(read_metadata(&bytes), Err(SchemaError::Malformed { .. })));
}

#[test]
fn flipped_bytes_never_panic() {
    let files = [small(), skeleton()];
    let metadata = normalized_rgb(127.5, 127.5).to_bytes();
    let flips =
        (0..2usize, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8));
    let config =
        ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&flips, |(file, flips)| {
            let mut bytes = files[file].clone();
            let mut metadata = metadata.clone();
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
                let at = index.index(metadata.len());
                metadata[at] = value;
            }
            let _ = walk(&bytes);
            let _ = read_metadata(&metadata).map(|metadata| (metadata.unread(), metadata.unpack()));
            Ok(())
        })
        .unwrap();
}
