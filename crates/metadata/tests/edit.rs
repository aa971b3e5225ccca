//! Metadata that is written reads back, and everything else stays as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Cursor, Write};

use image_embedder_metadata::{
    AssociatedFile, AssociatedFileKind, AssociatedFiles, ColorSpace, ImageSize, MetadataChanges,
    MetadataError, ModelMetadata, NewFile, NormalizationOptions, TensorChanges, cut_at,
    edit_metadata, strip_metadata,
};
use image_embedder_schema::metadata::{
    BoundingBoxPropertiesT, ColorSpaceType, ContentPropertiesT, ContentT, CustomMetadataT,
    ModelMetadataT, ProcessUnitOptionsT, ProcessUnitT, ScoreCalibrationOptionsT, TensorGroupT,
    TensorMetadataT, ValueRangeT, read_metadata,
};
use image_embedder_schema::tflite::{BufferT, MetadataT, ModelT, read_model};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{
    PassThrough, TensorKind, image_tensor, metadata, normalization, normalized_rgb,
};
use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

const MODELS: [&str; 2] =
    ["efficientnet_lite0_feature_vector_uint8.tflite", "mobilenet_v1_0.25_224_quant.tflite"];

fn tables(file: &[u8]) -> ModelT {
    read_model(file).unwrap().unpack()
}

fn read(file: &[u8]) -> ModelMetadata {
    ModelMetadata::from_model(file).unwrap().unwrap()
}

/// The tables of the metadata buffer.
fn metadata_tables(file: &[u8]) -> ModelMetadataT {
    let model = tables(file);
    let entries = model.metadata.unwrap();
    let entry = entries.iter().find(|e| e.name.as_deref() == Some("TFLITE_METADATA")).unwrap();
    let buffers = model.buffers.unwrap();
    read_metadata(buffers[entry.buffer as usize].data.as_ref().unwrap()).unwrap().unpack()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn new_file(name: &str, content: &[u8]) -> NewFile {
    NewFile {
        file: AssociatedFile::new(name, AssociatedFileKind::TensorAxisLabels),
        content: content.to_vec(),
    }
}

fn normalize(mean: f32, std: f32) -> MetadataChanges {
    let mut input = TensorChanges::default();
    input.normalization = Some(NormalizationOptions::uniform(mean, std));
    let mut changes = MetadataChanges::default();
    changes.inputs = vec![input];
    changes
}

/// A change of everything that can be changed.
fn everything() -> MetadataChanges {
    let mut changes = normalize(127.5, 128.0);
    changes.name = text("an embedder");
    changes.description = text("embeds");
    changes.version = text("v2");
    changes.author = text("someone");
    changes.license = text("Apache-2.0");
    changes.files = vec![new_file("notes.txt", b"notes")];
    let input = &mut changes.inputs[0];
    input.name = text("photo");
    input.description = text("a photograph");
    input.color_space = Some(ColorSpace::Rgb);
    input.default_size = Some(ImageSize { width: 320, height: 240 });
    let mut output = TensorChanges::default();
    output.name = text("feature");
    output.description = text("the vector");
    output.files = vec![new_file("words.txt", b"a\nb\n")];
    changes.outputs = vec![output];
    changes
}

fn check_everything(file: &[u8]) {
    let read = read(file);
    assert_eq!(read.name.as_deref(), Some("an embedder"));
    assert_eq!(read.description.as_deref(), Some("embeds"));
    assert_eq!(read.version.as_deref(), Some("v2"));
    assert_eq!(read.author.as_deref(), Some("someone"));
    assert_eq!(read.license.as_deref(), Some("Apache-2.0"));
    assert_eq!(read.associated_files.last().unwrap().name, "notes.txt");
    let input = read.image_input().unwrap();
    assert_eq!(input.name.as_deref(), Some("photo"));
    assert_eq!(input.color_space, Some(ColorSpace::Rgb));
    assert_eq!(input.default_size, Some(ImageSize { width: 320, height: 240 }));
    assert_eq!(input.normalization, Some(NormalizationOptions::uniform(127.5, 128.0)));
    let subgraph = read.subgraph.as_ref().unwrap();
    assert_eq!(subgraph.inputs[0].description.as_deref(), Some("a photograph"));
    let output = &subgraph.outputs[0];
    assert_eq!(output.name.as_deref(), Some("feature"));
    assert_eq!(output.description.as_deref(), Some("the vector"));
    let words = output.associated_files.last().unwrap();
    assert_eq!(words, &AssociatedFile::new("words.txt", AssociatedFileKind::TensorAxisLabels));
    let files = AssociatedFiles::open(file).unwrap();
    assert_eq!(files.read("notes.txt").unwrap(), b"notes");
    assert_eq!(files.read("words.txt").unwrap(), b"a\nb\n");
}

#[test]
fn everything_reads_back() {
    let float = PassThrough::new(
        TensorKind::float32(&[1, 8, 8, 3]),
        vec![TensorKind::float32(&[1, 192]), TensorKind::float32(&[1, 192])],
    );
    let mut files = vec![float.to_bytes()];
    files.extend(MODELS.map(|name| fs::read(model(name)).unwrap()));
    assert_eq!(files.len(), 3);
    for file in files {
        let edited = edit_metadata(&file, &everything()).unwrap();
        check_everything(&edited);
        // The same once more changes nothing.
        assert_eq!(edit_metadata(&edited, &everything()).unwrap(), edited);
        let outputs = tables(&file).subgraphs.unwrap()[0].outputs.as_ref().unwrap().len();
        assert_eq!(read(&edited).subgraph.unwrap().outputs.len(), outputs);
    }
}

#[test]
fn a_float_model_gets_its_normalization() {
    let built =
        PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])]);
    let file = edit_metadata(&built.to_bytes(), &normalize(127.5, 127.5)).unwrap();
    let input = read(&file).image_input().unwrap();
    assert_eq!(input.normalization, Some(NormalizationOptions::uniform(127.5, 127.5)));
    assert_eq!(read(&file).min_parser_version.as_deref(), Some("1.0.0"));

    let mut expected = built.model();
    let buffers = expected.buffers.as_mut().unwrap();
    let buffer = u32::try_from(buffers.len()).unwrap();
    let data = Some(metadata_tables(&file).to_bytes());
    buffers.push(BufferT { data, ..BufferT::default() });
    expected.metadata = Some(vec![MetadataT { name: text("TFLITE_METADATA"), buffer }]);
    assert_eq!(tables(&file), expected);
    assert_eq!(tables(&strip_metadata(&file).unwrap()), built.model());
}

#[test]
fn models_stay_the_same_around_their_metadata() {
    let mut checked = 0;
    for name in MODELS {
        let file = fs::read(model(name)).unwrap();
        let stripped = strip_metadata(&file).unwrap();
        assert_eq!(ModelMetadata::from_model(&stripped), Ok(None));
        assert!(AssociatedFiles::open(&stripped).unwrap().is_empty());
        assert_eq!(strip_metadata(&stripped).unwrap(), stripped);

        let mut expected = tables(&file);
        let entries = expected.metadata.as_mut().unwrap();
        let position =
            entries.iter().position(|e| e.name.as_deref() == Some("TFLITE_METADATA")).unwrap();
        let entry = entries.remove(position);
        expected.metadata = expected.metadata.filter(|entries| !entries.is_empty());
        let buffers = expected.buffers.as_mut().unwrap();
        assert_eq!(entry.buffer as usize, buffers.len() - 1);
        buffers.pop();
        assert_eq!(tables(&stripped), expected, "{name}");

        let edited = edit_metadata(&file, &everything()).unwrap();
        assert_eq!(tables(&strip_metadata(&edited).unwrap()), expected, "{name}");
        checked += 1;
    }
    assert_eq!(checked, MODELS.len());
}

/// Metadata that uses what the plain structs do not show.
fn rich() -> ModelMetadataT {
    let calibration = ProcessUnitT {
        options: ProcessUnitOptionsT::ScoreCalibrationOptions(ScoreCalibrationOptionsT {
            score_transformation: 2,
            default_score: 0.25,
        }),
    };
    let boxes = BoundingBoxPropertiesT { index: Some(vec![1, 0, 3, 2]), ..Default::default() };
    let output = TensorMetadataT {
        content: Some(Box::new(ContentT {
            content_properties: ContentPropertiesT::BoundingBoxProperties(boxes),
            range: Some(Box::new(ValueRangeT { min: 1, max: 2 })),
        })),
        process_units: Some(vec![calibration.clone()]),
        ..TensorMetadataT::default()
    };
    let units = vec![calibration, normalization(&[1.0], &[2.0]), normalization(&[3.0], &[4.0])];
    let mut metadata = metadata(vec![image_tensor(ColorSpaceType::Grayscale, units)], vec![output]);
    let subgraph = &mut metadata.subgraph_metadata.as_mut().unwrap()[0];
    subgraph.output_tensor_groups =
        Some(vec![TensorGroupT { name: text("group"), tensor_names: Some(vec!["a".to_owned()]) }]);
    subgraph.custom_metadata =
        Some(vec![CustomMetadataT { name: text("tool"), data: Some(vec![1, 2, 3]) }]);
    metadata.min_parser_version = text("9.9.9");
    metadata
}

#[test]
fn metadata_that_is_not_changed_stays() {
    let file = PassThrough::default().with_metadata(&rich()).to_bytes();
    let mut changes = normalize(127.5, 127.5);
    changes.inputs[0].color_space = Some(ColorSpace::Rgb);
    changes.name = Some(String::new());
    let edited = edit_metadata(&file, &changes).unwrap();

    let mut expected = rich();
    expected.name = None;
    expected.min_parser_version = text("1.5.0");
    let input = &mut expected.subgraph_metadata.as_mut().unwrap()[0]
        .input_tensor_metadata
        .as_mut()
        .unwrap()[0];
    let units = input.process_units.as_mut().unwrap();
    units.truncate(1);
    units.push(normalization(&[127.5], &[127.5]));
    input.content = image_tensor(ColorSpaceType::Rgb, Vec::new()).content;
    assert_eq!(metadata_tables(&edited), expected);
}

#[test]
fn a_buffer_that_others_use_is_left_to_them() {
    let mut model = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).model();
    let entries = model.metadata.as_mut().unwrap();
    entries.insert(0, MetadataT { name: text("OTHER"), buffer: entries[0].buffer });
    let shared = model.metadata.as_ref().unwrap()[0].buffer as usize;
    let file = model.to_bytes();

    let edited = tables(&edit_metadata(&file, &normalize(5.0, 6.0)).unwrap());
    let buffers = edited.buffers.as_ref().unwrap();
    assert_eq!(buffers[shared], model.buffers.as_ref().unwrap()[shared]);
    assert_eq!(edited.metadata.as_ref().unwrap()[1].buffer as usize, buffers.len() - 1);

    let stripped = tables(&strip_metadata(&file).unwrap());
    assert_eq!(stripped.buffers, model.buffers);
    assert_eq!(stripped.metadata.unwrap().len(), 1);
}

#[test]
fn files_are_kept_replaced_and_stored() {
    let base = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).to_bytes();
    let mut archive = Cursor::new(Vec::new());
    let mut writer = ZipWriter::new(&mut archive);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in [("kept.txt", &[b'k'; 5000][..]), ("old.txt", b"old")] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.add_directory("folder", options).unwrap();
    writer.finish().unwrap();
    let file = [base, archive.into_inner()].concat();

    let mut changes = MetadataChanges::default();
    changes.files = vec![new_file("old.txt", b"new"), new_file("Grüße.txt", b"")];
    let edited = edit_metadata(&file, &changes).unwrap();
    let files = AssociatedFiles::open(&edited).unwrap();
    assert_eq!(files.names().collect::<Vec<_>>(), ["kept.txt", "old.txt", "Grüße.txt"]);
    assert_eq!(files.read("kept.txt").unwrap(), [b'k'; 5000]);
    assert_eq!(files.read("old.txt").unwrap(), b"new");
    assert_eq!(files.read("Grüße.txt").unwrap(), b"");
    assert_eq!(read(&edited).associated_files.len(), 2);

    let mut archive = zip::ZipArchive::new(Cursor::new(edited)).unwrap();
    let mut stored = 0;
    for index in 0..archive.len() {
        let file = archive.by_index(index).unwrap();
        assert_eq!(file.compression(), CompressionMethod::Stored);
        stored += 1;
    }
    assert_eq!(stored, 3);
}

/// The bytes with the one union type `old` changed to `new`, so that it is not read any more.
fn with_other_type(
    bytes: &[u8],
    old: u8,
    new: u8,
    unread: impl Fn(&[u8]) -> Option<Vec<String>>,
) -> Vec<u8> {
    let ending = format!("options of type {new}");
    let mut found: Vec<Vec<u8>> = (0..bytes.len())
        .filter(|at| bytes[*at] == old)
        .map(|at| {
            let mut changed = bytes.to_vec();
            changed[at] = new;
            changed
        })
        .filter(|changed| {
            unread(changed).is_some_and(|paths| paths.len() == 1 && paths[0].ends_with(&ending))
        })
        .collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// A model whose CAST has options of TOPK_V2, which the schema does not read.
fn with_unread_parts() -> Vec<u8> {
    let outputs = vec![TensorKind::float32(&[1, 192])];
    let model = PassThrough::new(TensorKind::uint8(&[1, 8, 8, 3]), outputs).to_bytes();
    with_other_type(&model, 37, 34, |bytes| Some(read_model(bytes).ok()?.unread()))
}

#[test]
fn parts_that_are_not_read_stay() {
    let bare = with_unread_parts();
    let unread = read_model(&bare).unwrap().unread();
    assert_eq!(unread, ["subgraphs[0].operators[0].builtin_options of type 34"]);
    let edited = edit_metadata(&bare, &everything()).unwrap();
    check_everything(&edited);
    assert_eq!(read_model(&edited).unwrap().unread(), unread);
    let kept = |file: &[u8]| file.windows(bare.len()).filter(|window| *window == bare).count();
    assert_eq!(kept(&edited), 1);

    // The files are replaced, not piled up.
    let again = edit_metadata(&edited, &everything()).unwrap();
    check_everything(&again);
    assert_eq!(again.windows(4).filter(|window| window == b"PK\x05\x06").count(), 1);
    assert_eq!(kept(&again), 1);

    let stripped = strip_metadata(&again).unwrap();
    assert_eq!(ModelMetadata::from_model(&stripped), Ok(None));
    assert!(AssociatedFiles::open(&stripped).unwrap().is_empty());
    assert_eq!(read_model(&stripped).unwrap().unread(), unread);
    assert_eq!(tables(&stripped).subgraphs, tables(&bare).subgraphs);
    assert!(!stripped.windows(8).any(|window| window == b"embedder"));
}

mod refused {
    use super::*;

    #[test]
    fn more_tensors_than_the_model_has() {
        let mut changes = normalize(1.0, 2.0);
        changes.inputs.push(TensorChanges::default());
        let file = PassThrough::default().to_bytes();
        let error = MetadataError::TensorCount { kind: "input", found: 2, count: 1 };
        assert_eq!(edit_metadata(&file, &changes), Err(error));
        changes.inputs.clear();
        changes.outputs = vec![TensorChanges::default(); 3];
        let error = MetadataError::TensorCount { kind: "output", found: 3, count: 1 };
        assert_eq!(edit_metadata(&file, &changes), Err(error));
    }

    #[test]
    fn an_unusable_normalization() {
        let file = PassThrough::default().to_bytes();
        let error = edit_metadata(&file, &normalize(1.0, 0.0));
        assert_eq!(error, Err(MetadataError::NormalizationStd { channel: 0, found: 0.0 }));
    }

    #[test]
    fn a_file_without_a_usable_name() {
        let file = PassThrough::default().to_bytes();
        let mut changes = MetadataChanges::default();
        let long = "x".repeat(70_000);
        let names = ["", "folder/", &long];
        let mut refused = 0;
        for bad in names {
            changes.files = vec![new_file(bad, b"content")];
            let error = edit_metadata(&file, &changes).unwrap_err();
            assert!(matches!(error, MetadataError::UnwritableFile { name, .. } if name == bad));
            refused += 1;
        }
        assert_eq!(refused, 3);
    }

    #[test]
    fn metadata_that_would_be_lost() {
        let metadata = with_other_type(&normalized_rgb(2.0, 3.0).to_bytes(), 1, 99, |bytes| {
            Some(read_metadata(bytes).ok()?.unread())
        });
        let file = PassThrough { metadata: Some(metadata), ..PassThrough::default() }.to_bytes();
        let error = edit_metadata(&file, &normalize(1.0, 2.0)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected only parts of the TensorFlow Lite schema that can be written back, found \
             subgraph_metadata[0].input_tensor_metadata[0].process_units[0].options of type 99"
        );
        assert_eq!(tables(&strip_metadata(&file).unwrap()), PassThrough::default().model());
    }

    #[test]
    fn broken_metadata_can_only_be_stripped() {
        let metadata = Some(b"not metadata at all".to_vec());
        let file = PassThrough { metadata, ..PassThrough::default() }.to_bytes();
        let error = edit_metadata(&file, &normalize(1.0, 2.0)).unwrap_err();
        assert!(matches!(error, MetadataError::Metadata { .. }));
        let stripped = strip_metadata(&file).unwrap();
        assert_eq!(tables(&stripped), PassThrough::default().model());
        assert!(edit_metadata(&stripped, &normalize(1.0, 2.0)).is_ok());
    }

    #[test]
    fn data_behind_the_flatbuffer() {
        let mut model = PassThrough::default().model();
        model.buffers.as_mut().unwrap()[1] = BufferT { data: None, offset: 3 << 30, size: 16 };
        let error = Err(MetadataError::DataOutside { offset: 3 << 30 });
        assert_eq!(edit_metadata(&model.to_bytes(), &normalize(1.0, 2.0)), error);
        assert_eq!(strip_metadata(&model.to_bytes()), error);
    }

    #[test]
    fn not_a_model() {
        let error = edit_metadata(b"not a model", &normalize(1.0, 2.0)).unwrap_err();
        assert!(matches!(error, MetadataError::Model { .. }));
        assert!(matches!(strip_metadata(b""), Err(MetadataError::Model { .. })));
    }
}

#[test]
fn damaged_models_never_panic() {
    let small = PassThrough::default().with_metadata(&rich()).to_bytes();
    let files = [
        edit_metadata(&small, &everything()).unwrap(),
        edit_metadata(&with_unread_parts(), &everything()).unwrap(),
    ];
    let flips =
        (0..files.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6));
    let config =
        ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    let (edited, cut) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    proptest::test_runner::TestRunner::new(config)
        .run(&flips, |(file, flips)| {
            let mut bytes = files[file].clone();
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(written) = edit_metadata(&bytes, &everything()) {
                // The damage may have given the model more inputs, so not all that is checked
                // elsewhere holds; what was written is there all the same.
                let read = read(&written);
                assert_eq!(read.license.as_deref(), Some("Apache-2.0"));
                let files = AssociatedFiles::open(&written).unwrap();
                assert_eq!(files.read("words.txt").unwrap(), b"a\nb\n");
                edited.set(edited.get() + 1);
            }
            if let Ok(written) = strip_metadata(&bytes) {
                assert_eq!(ModelMetadata::from_model(&written), Ok(None));
            }
            if let Ok(written) = cut_at(&bytes, "output0") {
                let model = tables(&written);
                assert_eq!(model.subgraphs.unwrap()[0].outputs.as_ref().unwrap().len(), 1);
                cut.set(cut.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(cut.get() > 20, "only {} could be cut", cut.get());
    assert!(edited.get() > 50, "only {} could be edited", edited.get());
}
