//! What is packed reads back the same, and constant data is aligned.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use flatbuffers::FlatBufferBuilder;
use image_embedder_schema::metadata::{
    AssociatedFileT, AudioPropertiesT, BertTokenizerOptionsT, BoundingBoxPropertiesT,
    ContentPropertiesT, ContentT, CustomMetadataT, FeaturePropertiesT, ImagePropertiesT,
    ImageSizeT, ModelMetadataT, NormalizationOptionsT, ProcessUnitOptionsT, ProcessUnitT,
    ScoreCalibrationOptionsT, StatsT, SubGraphMetadataT, TensorGroupT, TensorMetadataT,
    ValueRangeT, read_metadata,
};
use image_embedder_schema::tflite::{MODEL_IDENTIFIER, ModelT, read_model};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind, normalized_rgb};

/// The committed models and how many operators each has.
const MODELS: [(&str, usize); 2] = [
    ("efficientnet_lite0_feature_vector_uint8.tflite", 61),
    ("mobilenet_v1_0.25_224_quant.tflite", 31),
];

#[test]
fn real_models_survive_unpacking_and_packing() {
    let mut checked = 0;
    for (name, operators) in MODELS {
        let bytes = fs::read(model(name)).unwrap();
        let unpacked = read_model(&bytes).unwrap().unpack();
        let subgraphs = unpacked.subgraphs.as_ref().unwrap();
        assert_eq!(subgraphs[0].operators.as_ref().unwrap().len(), operators, "{name}");

        let packed = unpacked.to_bytes();
        let again = read_model(&packed).unwrap();
        assert_eq!(again.unpack(), unpacked, "{name}");

        for buffer in again.buffers().iter() {
            let data = buffer.data().bytes();
            if !data.is_empty() {
                let offset = data.as_ptr() as usize - packed.as_ptr() as usize;
                assert_eq!(offset % 16, 0, "{name}: {} bytes at {offset}", data.len());
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} buffers had data");
}

#[test]
fn defaults_read_back() {
    let empty = ModelT::default();
    assert_eq!(read_model(&empty.to_bytes()).unwrap().unpack(), empty);
    let empty = ModelMetadataT::default();
    assert_eq!(read_metadata(&empty.to_bytes()).unwrap().unpack(), empty);
}

#[test]
fn an_absent_vector_differs_from_an_empty_one() {
    let absent = ModelT::default();
    let empty = ModelT { subgraphs: Some(Vec::new()), ..ModelT::default() };
    let absent_bytes = absent.to_bytes();
    let empty_bytes = empty.to_bytes();
    assert!(!read_model(&absent_bytes).unwrap().subgraphs().is_present());
    let read = read_model(&empty_bytes).unwrap();
    assert!(read.subgraphs().is_present());
    assert!(read.subgraphs().is_empty());
    assert_eq!(read.unpack(), empty);
}

#[test]
fn a_built_model_reads_back() {
    let built = PassThrough {
        input_signature: Some(vec![1, -1, -1, 3]),
        outputs: vec![TensorKind::float32(&[1, 192]), TensorKind::uint8(&[1, 1, 1, 192])],
        ..PassThrough::default()
    }
    .with_metadata(&normalized_rgb(127.5, 127.5));
    let model = built.model();
    let bytes = model.to_bytes();
    let read = read_model(&bytes).unwrap();
    assert_eq!(read.unpack(), model);
    let names: Vec<String> = read.operator_codes().iter().map(|code| code.name()).collect();
    assert_eq!(names, ["CAST", "RESHAPE"]);
}

#[test]
fn metadata_of_every_kind_reads_back() {
    let file = AssociatedFileT {
        name: Some("labels.txt".to_owned()),
        description: Some("labels".to_owned()),
        type_: 2,
        locale: Some("en".to_owned()),
        version: Some("1".to_owned()),
    };
    let contents = [
        ContentPropertiesT::None,
        ContentPropertiesT::FeatureProperties(FeaturePropertiesT::default()),
        ContentPropertiesT::ImageProperties(ImagePropertiesT {
            color_space: 1,
            default_size: Some(Box::new(ImageSizeT { width: 320, height: 240 })),
        }),
        ContentPropertiesT::BoundingBoxProperties(BoundingBoxPropertiesT {
            index: Some(vec![1, 0, 3, 2]),
            type_: 1,
            coordinate_type: 1,
        }),
        ContentPropertiesT::AudioProperties(AudioPropertiesT { sample_rate: 16_000, channels: 1 }),
    ];
    let units = [
        ProcessUnitOptionsT::NormalizationOptions(NormalizationOptionsT {
            mean: Some(vec![1.0, 2.0, 3.0]),
            std: None,
        }),
        ProcessUnitOptionsT::ScoreCalibrationOptions(ScoreCalibrationOptionsT {
            score_transformation: 1,
            default_score: 0.5,
        }),
        ProcessUnitOptionsT::BertTokenizerOptions(BertTokenizerOptionsT {
            vocab_file: Some(vec![file.clone()]),
        }),
    ];
    let tensors = contents.map(|content_properties| TensorMetadataT {
        name: Some("tensor".to_owned()),
        dimension_names: Some(vec!["batch".to_owned(), String::new()]),
        content: Some(Box::new(ContentT {
            content_properties,
            range: Some(Box::new(ValueRangeT { min: -1, max: 4 })),
        })),
        process_units: Some(
            units.clone().map(|options| ProcessUnitT { options }).into_iter().collect(),
        ),
        stats: Some(Box::new(StatsT { max: Some(vec![255.0]), min: Some(vec![0.0]) })),
        associated_files: Some(vec![file.clone()]),
        ..TensorMetadataT::default()
    });
    let metadata = ModelMetadataT {
        name: Some("Grüße".to_owned()),
        subgraph_metadata: Some(vec![SubGraphMetadataT {
            input_tensor_metadata: Some(tensors.to_vec()),
            output_tensor_groups: Some(vec![TensorGroupT {
                name: Some("group".to_owned()),
                tensor_names: Some(vec!["tensor".to_owned()]),
            }]),
            custom_metadata: Some(vec![CustomMetadataT {
                name: Some("custom".to_owned()),
                data: Some(vec![7; 33]),
            }]),
            ..SubGraphMetadataT::default()
        }]),
        associated_files: Some(vec![file]),
        min_parser_version: Some("1.5.0".to_owned()),
        ..ModelMetadataT::default()
    };
    let bytes = metadata.to_bytes();
    assert_eq!(read_metadata(&bytes).unwrap().unpack(), metadata);
}

#[test]
fn what_is_not_read_is_named() {
    let mut models = 0;
    for (name, _) in MODELS {
        let bytes = fs::read(model(name)).unwrap();
        assert_eq!(read_model(&bytes).unwrap().unread(), [] as [&str; 0], "{name}");
        models += 1;
    }
    assert_eq!(models, MODELS.len());

    // Number 34 is TOPK_V2, which nothing here runs.
    let mut builder = FlatBufferBuilder::new();
    let options = builder.start_table();
    let options = builder.end_table(options);
    let operator = builder.start_table();
    builder.push_slot_always(10, 34u8);
    builder.push_slot_always(12, options);
    builder.push_slot_always(30, 7i32);
    let operator = builder.end_table(operator);
    let operators = builder.create_vector(&[operator]);
    let subgraph = builder.start_table();
    builder.push_slot_always(10, operators);
    let subgraph = builder.end_table(subgraph);
    let subgraphs = builder.create_vector(&[subgraph]);
    let root = builder.start_table();
    builder.push_slot_always(8, subgraphs);
    let root = builder.end_table(root);
    builder.finish(root, Some(MODEL_IDENTIFIER));
    assert_eq!(
        read_model(builder.finished_data()).unwrap().unread(),
        [
            "subgraphs[0].operators[0] field 13",
            "subgraphs[0].operators[0].builtin_options of type 34",
        ]
    );
}
