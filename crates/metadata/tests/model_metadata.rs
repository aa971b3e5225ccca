//! Metadata of built and real models, and every way in which it can be wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use image_embedder_metadata::{
    AssociatedFileKind, ColorSpace, Content, ImageInput, ImageSize, MetadataError, ModelMetadata,
    NormalizationOptions, ProcessUnit,
};
use image_embedder_schema::SchemaError;
use image_embedder_schema::metadata::{
    AssociatedFileT, AudioPropertiesT, BoundingBoxPropertiesT, ColorSpaceType, ContentPropertiesT,
    ContentT, FeaturePropertiesT, ImagePropertiesT, ImageSizeT, ModelMetadataT,
    NormalizationOptionsT, ProcessUnitOptionsT, ProcessUnitT, StatsT, TensorMetadataT,
};
use image_embedder_schema::tflite::{BufferT, MetadataT};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{
    PassThrough, image_tensor, metadata, normalization, normalized_rgb,
};

fn read(metadata: &ModelMetadataT) -> Result<Option<ModelMetadata>, MetadataError> {
    ModelMetadata::from_model(&PassThrough::default().with_metadata(metadata).to_bytes())
}

fn image_input(metadata: &ModelMetadataT) -> Result<ImageInput, MetadataError> {
    read(metadata).unwrap().unwrap().image_input()
}

fn with_units(process_units: Vec<ProcessUnitT>) -> ModelMetadataT {
    metadata(vec![image_tensor(ColorSpaceType::Rgb, process_units)], Vec::new())
}

fn raw_normalization(mean: Option<Vec<f32>>, std: Option<Vec<f32>>) -> ProcessUnitT {
    ProcessUnitT {
        options: ProcessUnitOptionsT::NormalizationOptions(NormalizationOptionsT { mean, std }),
    }
}

fn with_content(content_properties: ContentPropertiesT) -> ModelMetadataT {
    let tensor = TensorMetadataT {
        content: Some(Box::new(ContentT { content_properties, range: None })),
        ..TensorMetadataT::default()
    };
    metadata(vec![tensor], Vec::new())
}

#[test]
fn everything_is_read() {
    let file = |name: &str, type_| AssociatedFileT {
        name: Some(name.to_owned()),
        description: Some("words".to_owned()),
        type_,
        locale: Some("en".to_owned()),
        version: Some("2".to_owned()),
    };
    let input = TensorMetadataT {
        description: Some("a photo".to_owned()),
        dimension_names: Some(["b", "h", "w", "c"].map(str::to_owned).to_vec()),
        content: Some(Box::new(ContentT {
            content_properties: ContentPropertiesT::ImageProperties(ImagePropertiesT {
                color_space: 1,
                default_size: Some(Box::new(ImageSizeT { width: 320, height: 240 })),
            }),
            range: None,
        })),
        stats: Some(Box::new(StatsT { max: Some(vec![255.0]), min: Some(vec![0.0]) })),
        associated_files: Some(vec![file("input.txt", 1)]),
        ..image_tensor(ColorSpaceType::Rgb, vec![normalization(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0])])
    };
    let output = TensorMetadataT { name: Some("feature".to_owned()), ..TensorMetadataT::default() };
    let source = ModelMetadataT {
        description: Some("embeds".to_owned()),
        version: Some("v1".to_owned()),
        author: Some("someone".to_owned()),
        license: Some("Apache-2.0".to_owned()),
        min_parser_version: Some("9.9.9".to_owned()),
        associated_files: Some(vec![file("labels.txt", 2), file("odd.bin", 77)]),
        ..metadata(vec![input], vec![output, TensorMetadataT::default()])
    };

    let read = read(&source).unwrap().unwrap();
    assert_eq!(read.name.as_deref(), Some("test model"));
    assert_eq!(read.description.as_deref(), Some("embeds"));
    assert_eq!(read.version.as_deref(), Some("v1"));
    assert_eq!(read.author.as_deref(), Some("someone"));
    assert_eq!(read.license.as_deref(), Some("Apache-2.0"));
    assert_eq!(read.min_parser_version.as_deref(), Some("9.9.9"));
    let [labels, odd] = read.associated_files.as_slice() else { panic!("two files") };
    assert_eq!(labels.name, "labels.txt");
    assert_eq!(labels.kind, AssociatedFileKind::TensorAxisLabels);
    assert_eq!(labels.locale.as_deref(), Some("en"));
    assert_eq!(odd.kind, AssociatedFileKind::Unknown);

    let subgraph = read.subgraph.as_ref().unwrap();
    let [input] = subgraph.inputs.as_slice() else { panic!("one input") };
    assert_eq!(input.dimension_names, ["b", "h", "w", "c"]);
    assert_eq!(input.stats.as_ref().unwrap().max, [255.0]);
    assert_eq!(input.associated_files[0].kind, AssociatedFileKind::Descriptions);
    assert!(matches!(input.content, Content::Image(_)));
    assert!(matches!(input.process_units.as_slice(), [ProcessUnit::Normalization(_)]));

    let input = read.image_input().unwrap();
    assert_eq!(input.color_space, Some(ColorSpace::Rgb));
    assert_eq!(input.default_size, Some(ImageSize { width: 320, height: 240 }));
    assert_eq!(
        input.normalization,
        Some(NormalizationOptions::per_channel([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    );
    assert_eq!(read.output_name(0), Some("feature"));
    assert_eq!(read.output_name(1), None);
    assert_eq!(read.output_name(2), None);
}

#[test]
fn real_models() {
    let bytes = fs::read(model("efficientnet_lite0_feature_vector_uint8.tflite")).unwrap();
    let input = ModelMetadata::from_model(&bytes).unwrap().unwrap().image_input().unwrap();
    assert_eq!(input.normalization, Some(NormalizationOptions::uniform(127.0, 128.0)));
    assert_eq!(input.check_color_space(), Ok(()));

    let bytes = fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let metadata = ModelMetadata::from_model(&bytes).unwrap().unwrap();
    assert_eq!(metadata.output_name(0), Some("probability"));
    assert_eq!(
        metadata.image_input().unwrap().normalization,
        Some(NormalizationOptions::uniform(127.5, 127.5))
    );
}

#[test]
fn no_metadata_is_no_error() {
    let bare = PassThrough::default().to_bytes();
    assert_eq!(ModelMetadata::from_model(&bare), Ok(None));
    let foreign = PassThrough { metadata_name: "OTHER".to_owned(), ..PassThrough::default() }
        .with_metadata(&normalized_rgb(0.0, 1.0))
        .to_bytes();
    assert_eq!(ModelMetadata::from_model(&foreign), Ok(None));
}

#[test]
fn the_first_entry_of_the_name_counts() {
    let mut model = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).model();
    let buffers = model.buffers.as_mut().unwrap();
    buffers.push(BufferT { data: Some(b"garbage".to_vec()), ..BufferT::default() });
    let buffer = u32::try_from(buffers.len() - 1).unwrap();
    let entries = model.metadata.as_mut().unwrap();
    entries.insert(0, MetadataT { name: Some("min_runtime_version".to_owned()), buffer });
    entries.push(MetadataT { name: Some("TFLITE_METADATA".to_owned()), buffer });
    assert!(ModelMetadata::from_model(&model.to_bytes()).unwrap().is_some());
}

#[test]
fn metadata_without_a_subgraph_says_nothing() {
    let read = read(&ModelMetadataT::default()).unwrap().unwrap();
    assert_eq!(read.image_input(), Ok(ImageInput::default()));
    assert_eq!(read.output_name(0), None);
}

#[test]
fn data_behind_the_flatbuffer_is_read_within_bounds() {
    let metadata = normalized_rgb(3.0, 4.0).to_bytes();
    let mut model = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).model();
    let index = model.metadata.as_ref().unwrap()[0].buffer as usize;
    let mut file = |offset, size| {
        model.buffers.as_mut().unwrap()[index] = BufferT { data: None, offset, size };
        model.to_bytes()
    };
    let size = metadata.len() as u64;
    // The file's length does not depend on the values of offset and size, being non-zero.
    let offset = file(1 << 40, size).len() as u64;
    let mut bytes = file(offset, size);
    assert_eq!(bytes.len() as u64, offset);
    bytes.extend_from_slice(&metadata);
    let read = ModelMetadata::from_model(&bytes).unwrap().unwrap();
    assert_eq!(
        read.image_input().unwrap().normalization,
        Some(NormalizationOptions::uniform(3.0, 4.0))
    );

    for (offset, size) in [(offset, size + 1), (1 << 40, size), (u64::MAX, 2), (2, u64::MAX)] {
        let mut bytes = file(offset, size);
        bytes.extend_from_slice(&metadata);
        let error = MetadataError::BufferRange { offset, size, file_size: bytes.len() };
        assert_eq!(ModelMetadata::from_model(&bytes), Err(error));
    }
}

#[test]
fn not_a_model() {
    let error = ModelMetadata::from_model(b"not a model at all").unwrap_err();
    assert!(matches!(
        error,
        MetadataError::Model { source: SchemaError::WrongIdentifier { expected: "TFL3", .. } }
    ));
}

/// The malformations that end the process of the C++ implementation.
mod malformed {
    use super::*;

    #[test]
    fn mean_or_std_is_missing() {
        let without_mean = with_units(vec![raw_normalization(None, Some(vec![1.0]))]);
        assert_eq!(
            image_input(&without_mean),
            Err(MetadataError::NormalizationLengths { mean: 0, std: 1 })
        );
        let without_std = with_units(vec![raw_normalization(Some(vec![1.0; 3]), None)]);
        assert_eq!(
            image_input(&without_std),
            Err(MetadataError::NormalizationLengths { mean: 3, std: 0 })
        );
        let without_both = with_units(vec![raw_normalization(None, None)]);
        assert_eq!(
            image_input(&without_both),
            Err(MetadataError::NormalizationChannels { found: 0 })
        );
    }

    #[test]
    fn the_list_of_subgraphs_is_empty() {
        let empty =
            ModelMetadataT { subgraph_metadata: Some(Vec::new()), ..ModelMetadataT::default() };
        assert_eq!(read(&empty), Err(MetadataError::NoSubgraph));
    }

    #[test]
    fn the_buffer_index_is_out_of_range() {
        for found in [4, 1000, u32::MAX] {
            let mut model = PassThrough::default().with_metadata(&normalized_rgb(0.0, 1.0)).model();
            let count = model.buffers.as_ref().unwrap().len();
            model.metadata.as_mut().unwrap()[0].buffer = found;
            assert_eq!(
                ModelMetadata::from_model(&model.to_bytes()),
                Err(MetadataError::BufferIndex { found, count })
            );
        }
    }

    #[test]
    fn the_buffer_has_no_data() {
        let mut model = PassThrough::default().with_metadata(&normalized_rgb(0.0, 1.0)).model();
        model.metadata.as_mut().unwrap()[0].buffer = 0;
        assert_eq!(
            ModelMetadata::from_model(&model.to_bytes()),
            Err(MetadataError::BufferWithoutData { index: 0 })
        );
    }

    #[test]
    fn the_root_leads_astray() {
        let mut metadata = normalized_rgb(0.0, 1.0).to_bytes();
        metadata[..4].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
        let model = PassThrough { metadata: Some(metadata), ..PassThrough::default() }.to_bytes();
        assert!(matches!(
            ModelMetadata::from_model(&model),
            Err(MetadataError::Metadata { source: SchemaError::Malformed { .. } })
        ));
    }

    #[test]
    fn the_identifier_is_another() {
        let mut metadata = normalized_rgb(0.0, 1.0).to_bytes();
        metadata[4..8].copy_from_slice(b"BADF");
        let model = PassThrough { metadata: Some(metadata), ..PassThrough::default() }.to_bytes();
        let source = SchemaError::WrongIdentifier { expected: "M001", found: *b"BADF" };
        assert_eq!(ModelMetadata::from_model(&model), Err(MetadataError::Metadata { source }));
    }

    #[test]
    fn truncated_metadata() {
        let metadata = normalized_rgb(0.0, 1.0).to_bytes();
        let mut refused = 0;
        for length in 1..metadata.len() {
            let metadata = Some(metadata[..length].to_vec());
            let model = PassThrough { metadata, ..PassThrough::default() }.to_bytes();
            if let Err(error) = ModelMetadata::from_model(&model) {
                assert!(matches!(error, MetadataError::Metadata { .. }), "{error}");
                refused += 1;
            }
        }
        // The end of the buffer may be padding.
        assert!(refused > metadata.len() - 8, "only {refused} of {}", metadata.len());
    }
}

#[test]
fn another_number_of_inputs_than_one() {
    let tensor = || image_tensor(ColorSpaceType::Rgb, Vec::new());
    for inputs in [vec![], vec![tensor(), tensor()]] {
        let found = inputs.len();
        let result = image_input(&metadata(inputs, Vec::new()));
        assert_eq!(result, Err(MetadataError::InputCount { found }));
    }
    let mut absent = metadata(Vec::new(), Vec::new());
    absent.subgraph_metadata.as_mut().unwrap()[0].input_tensor_metadata = None;
    assert_eq!(image_input(&absent), Err(MetadataError::InputCount { found: 0 }));
}

#[test]
fn content_other_than_an_image() {
    let cases = [
        (ContentPropertiesT::FeatureProperties(FeaturePropertiesT::default()), "FeatureProperties"),
        (
            ContentPropertiesT::BoundingBoxProperties(BoundingBoxPropertiesT::default()),
            "BoundingBoxProperties",
        ),
        (ContentPropertiesT::AudioProperties(AudioPropertiesT::default()), "AudioProperties"),
    ];
    for (content, found) in cases {
        assert_eq!(
            image_input(&with_content(content)),
            Err(MetadataError::ContentKind { tensor: "#0".to_owned(), found })
        );
    }
    let nothing = image_input(&with_content(ContentPropertiesT::None)).unwrap();
    assert_eq!(nothing.color_space, None);
}

#[test]
fn several_or_unfit_normalizations() {
    let unit = || normalization(&[0.0], &[1.0]);
    assert_eq!(
        image_input(&with_units(vec![unit(), unit(), unit()])),
        Err(MetadataError::NormalizationCount { tensor: "image".to_owned(), found: 3 })
    );
    let uneven = with_units(vec![normalization(&[0.0; 3], &[1.0])]);
    let error = image_input(&uneven).unwrap_err();
    assert_eq!(error, MetadataError::NormalizationLengths { mean: 3, std: 1 });
    assert_eq!(
        error.to_string(),
        "NormalizationOptions: expected as many std as mean values, found 3 mean and 1 std"
    );
    for found in [2, 4] {
        let values = vec![1.0; found];
        assert_eq!(
            image_input(&with_units(vec![normalization(&values, &values)])),
            Err(MetadataError::NormalizationChannels { found })
        );
    }
}

#[test]
fn checks_come_in_order() {
    // Wrong content and wrong normalisation: the content is reported.
    let mut tensor = image_tensor(ColorSpaceType::Rgb, vec![normalization(&[], &[])]);
    tensor.content = Some(Box::new(ContentT {
        content_properties: ContentPropertiesT::AudioProperties(AudioPropertiesT::default()),
        range: None,
    }));
    assert!(matches!(
        image_input(&metadata(vec![tensor], Vec::new())),
        Err(MetadataError::ContentKind { .. })
    ));
}

#[test]
fn colors_other_than_rgb() {
    let image = |color_space| {
        with_content(ContentPropertiesT::ImageProperties(ImagePropertiesT {
            color_space,
            default_size: None,
        }))
    };
    let cases = [
        (0, Ok(())),
        (1, Ok(())),
        (2, Err(MetadataError::ColorSpace { found: ColorSpace::Grayscale })),
        (9, Err(MetadataError::ColorSpace { found: ColorSpace::Other(9) })),
    ];
    for (raw, expected) in cases {
        assert_eq!(image_input(&image(raw)).unwrap().check_color_space(), expected);
    }
}
