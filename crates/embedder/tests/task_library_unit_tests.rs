//! The Task Library's own unit tests, for what its missing test model is not needed for.
//!
//! | Original | Here |
//! |---|---|
//! | `image_embedder_test.cc`, `CreateFromOptions` | the first two tests |
//! | `image_embedder_test.cc`, `CosineSimilarity` | `similarity_…` |
//! | `image_embedder_test.cc`, `Embed`, `GetEmbeddingDimension`, `GetNumberOfOutputLayers` | `extractor_…`, with another model |
//! | `tensor_image_test.py` | `burger_…`, `random_…` |
//! | `image_preprocessor_test.cc` | `open_input_…` |
//! | `image_classifier_test.cc`, `SucceedsWithQuantizedModel`, `GetInputShape` | `classifier_…` |
//! | `image_segmenter_test.cc`, `SucceedsWithOrientation` | `turned_…` |
//! | `image_embedder_test.py`, models by path and by content, `get_embedding_by_index` | `models_…` |
//! | `common_test.cc` | `the_status_…` |
//!
//! Those of metadata are ported in `crates/metadata/tests`.
#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::embedding::FeatureVector;
use image_embedder::frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
use image_embedder::preprocess::{FrameGeometry, Plan, PreprocessOptions};
use image_embedder::{
    ErrorKind, ImageEmbedder, ImageEmbedderOptions, TfLiteSupportStatus, cosine_similarity,
};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};
use image_embedder_test_support::{model, reference};

fn photo(name: &str) -> Image {
    Image::open(reference(format!("images/{name}")), &DecodeOptions::default()).unwrap()
}

/// The RGB pixels that the original decodes from a photo, with its width and height.
fn decoded(name: &str) -> (Vec<u8>, u32, u32) {
    // An array of bytes in NumPy's format, version 1.0.
    let file = std::fs::read(reference(format!("spec/golden/decoded/{name}.npy"))).unwrap();
    let pixels = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = std::str::from_utf8(&file[10..pixels]).unwrap();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let sizes: Vec<u32> = shape.split(',').map(|size| size.trim().parse().unwrap()).collect();
    assert_eq!(sizes[2], 3, "{name}");
    (file[pixels..].to_vec(), sizes[1], sizes[0])
}

fn open(name: &str) -> ImageEmbedder {
    ImageEmbedder::from_file(model(name), ImageEmbedderOptions::default()).unwrap()
}

fn float(values: &[f32]) -> FeatureVector {
    FeatureVector::Float(values.to_vec())
}

fn quantized(values: &[i8]) -> FeatureVector {
    FeatureVector::Quantized(values.to_vec())
}

#[test]
fn missing_operator_is_refused_with_its_status() {
    // EMBEDDING_LOOKUP, which no image model has.
    const EMBEDDING_LOOKUP: i8 = 7;
    let mut model = PassThrough::default().model();
    for code in model.operator_codes.as_mut().unwrap() {
        code.deprecated_builtin_code = EMBEDDING_LOOKUP;
        code.builtin_code = i32::from(EMBEDDING_LOOKUP);
    }
    let error =
        ImageEmbedder::from_bytes(model.to_bytes(), ImageEmbedderOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.task_library_status(), Some(TfLiteSupportStatus::UnsupportedBuiltinOp));
}

#[test]
fn missing_model_is_refused() {
    let error = ImageEmbedder::from_bytes(Vec::new(), ImageEmbedderOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    assert!(error.task_library_status().is_some());
}

#[test]
fn similarity_needs_vectors_of_one_kind_and_size_with_a_norm() {
    let refused = [
        (quantized(&[1, 2]), float(&[0.1, 0.2]), "quantized and float"),
        (float(&[0.1]), float(&[0.1, 0.2]), "different sizes"),
        (quantized(&[1]), quantized(&[1, 2]), "different sizes"),
        (float(&[0.0, 0.0]), float(&[0.1, 0.2]), "0 norm"),
        (quantized(&[0, 0]), quantized(&[1, 2]), "0 norm"),
    ];
    for (u, v, part) in refused {
        let message = cosine_similarity(&u, &v).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn similarity_is_exact() {
    let similarity =
        cosine_similarity(&float(&[1.0, 0.0, 0.0, 0.0]), &float(&[0.5, 0.5, 0.5, 0.5]));
    assert_eq!(similarity, Ok(0.5));
    let similarity = cosine_similarity(&quantized(&[127, 0, 0, 0]), &quantized(&[-128, 0, 0, 0]));
    assert_eq!(similarity, Ok(-1.0));
}

#[test]
fn models_come_by_path_and_by_content() {
    let path = model("mobilenet_v1_0.25_224_quant.tflite");
    let options = ImageEmbedderOptions::default;
    let by_path = ImageEmbedder::from_file(&path, options()).unwrap();
    let by_content = ImageEmbedder::from_bytes(std::fs::read(&path).unwrap(), options()).unwrap();
    assert_eq!(by_path.fingerprint(), by_content.fingerprint());
    let error = ImageEmbedder::from_file("", options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");

    let pixels = vec![90; 224 * 224 * 3];
    let result = by_path.embed(&FrameBuffer::from_rgb(&pixels, 224, 224).unwrap()).unwrap();
    assert_eq!(result.embedding(0).unwrap().output_index, 0);
    assert!(result.embedding(1).is_none());
    let error = result.cosine_similarity(&result, 1).unwrap_err();
    assert_eq!(error.to_string(), "expected an output index below 1, found 1");
}

#[test]
fn the_status_of_an_error_has_its_number() {
    let model = PassThrough { metadata: Some(b"0123BADF0123".to_vec()), ..PassThrough::default() };
    let error =
        ImageEmbedder::from_bytes(model.to_bytes(), ImageEmbedderOptions::default()).unwrap_err();
    assert_eq!(error.task_library_status().map(TfLiteSupportStatus::code), Some(200));
    let source = std::error::Error::source(&error).and_then(std::error::Error::source);
    assert!(source.unwrap().to_string().contains("BADF"));
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn turned_photos_become_the_upright_ones() {
    let cases = [
        ("segmentation_input_rotation90_flop.jpg", 7, "segmentation_input_rotation0.jpg"),
        ("burger_rotation180.jpg", 3, "burger.jpg"),
    ];
    for (turned, exif, upright) in cases {
        let (upright, width, height) = decoded(upright);
        let (turned, stored_width, stored_height) = decoded(turned);
        // How far the photo is from the upright one if it is turned in some way.
        let distance = |orientation: Orientation| {
            let frame = FrameBuffer::from_rgb(&turned, stored_width, stored_height).unwrap();
            let frame = frame.with_orientation(orientation);
            let options = PreprocessOptions::default();
            let mut plan = Plan::new(FrameGeometry::of(&frame), width, height, &options).unwrap();
            let mut output = vec![0; plan.output_len()];
            plan.rgb_into(&frame, &mut output).unwrap();
            let levels = output.iter().zip(&upright).map(|(a, &b)| u64::from(a.abs_diff(b)));
            levels.sum::<u64>() as f64 / output.len() as f64
        };
        let right = Orientation::from_exif(exif).unwrap();
        let found = distance(right);
        // The files were compressed one by one.
        assert!(found < 10.0, "{right}: {found}");
        for wrong in Orientation::ALL.into_iter().filter(|wrong| *wrong != right) {
            assert!(distance(wrong) > 3.0 * found, "{wrong}: {}", distance(wrong));
        }
    }
}

#[test]
fn random_arrays_become_frames_of_their_format() {
    let formats = [(1, PixelFormat::Gray), (3, PixelFormat::Rgb), (4, PixelFormat::Rgba)];
    for (channels, format) in formats {
        let pixels: Vec<u8> =
            (0..200 * 300 * channels).map(|index: u32| (index * 37 % 251) as u8).collect();
        let frame = FrameBuffer::from_contiguous(format, &pixels, 300, 200).unwrap();
        assert_eq!((frame.width(), frame.height(), frame.format()), (300, 200, format));
        assert_eq!(frame.planes()[0].data, pixels);
    }
}

#[test]
fn open_input_gets_the_pixels_as_floats() {
    let (width, height) = (48_u32, 33_u32);
    let elements = i32::try_from(width * height * 3).unwrap();
    let mut model = PassThrough::new(
        TensorKind::float32(&[1, 1, 1, 3]),
        vec![TensorKind::float32(&[1, elements])],
    );
    model.input_signature = Some(vec![1, -1, -1, 3]);
    let mut options = ImageEmbedderOptions::default();
    options.normalization =
        Some(image_embedder::metadata::NormalizationOptions { mean: vec![0.0], std: vec![1.0] });
    let embedder = ImageEmbedder::from_bytes(model.to_bytes(), options).unwrap();
    let pixels: Vec<u8> = (0..width * height * 3).map(|index| (index * 37 % 251) as u8).collect();
    let frame = FrameBuffer::from_rgb(&pixels, width, height).unwrap();
    let result = embedder.embed(&frame).unwrap();
    let expected: Vec<f32> = pixels.into_iter().map(f32::from).collect();
    assert_eq!(result.feature_vector().as_float(), Some(&expected[..]));
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn burger_decodes_to_its_pixels() {
    let path = reference("images/burger.jpg");
    let from_bytes =
        Image::from_bytes(&std::fs::read(path).unwrap(), &DecodeOptions::default()).unwrap();
    for image in [photo("burger.jpg"), from_bytes] {
        assert_eq!((image.width(), image.height()), (480, 325));
        assert_eq!(image.format(), PixelFormat::Rgb);
        // The original's decoder says 231 and 68; decoders of JPEG differ by a few levels.
        let pixels = image.pixels();
        assert!(pixels[0].abs_diff(231) <= 3, "{}", pixels[0]);
        let last = pixels[(324 * 480 + 479) * 3 + 2];
        assert!(last.abs_diff(68) <= 3, "{last}");
    }
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn extractor_tells_a_burger_from_its_crop() {
    let name = "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite";
    let (burger, width, height) = decoded("burger.jpg");
    let burger = FrameBuffer::from_rgb(&burger, width, height).unwrap();
    let (crop, width, height) = decoded("burger_crop.jpg");
    let crop = FrameBuffer::from_rgb(&crop, width, height).unwrap();
    // Similarities by tflite-support 0.4.4, and the tolerance of the original test.
    let cases = [
        (false, false, None, 0.965_470_130),
        (true, false, None, 0.965_470_130),
        (true, true, None, 0.959_543_180),
        (false, false, Some(BoundingBox::new(0, 0, 400, 325)), 0.999_786_152),
    ];
    for (l2_normalize, quantize, region, expected) in cases {
        let mut options = ImageEmbedderOptions::default();
        options.l2_normalize = l2_normalize;
        options.quantize = quantize.into();
        let embedder = ImageEmbedder::from_file(model(name), options).unwrap();
        assert_eq!(embedder.embedding_dimension(0), Some(1024));
        assert_eq!(embedder.embedding_dimension(1), None);
        assert_eq!(embedder.number_of_outputs(), 1);

        let left = match &region {
            Some(region) => embedder.embed_region(&burger, region).unwrap(),
            None => embedder.embed(&burger).unwrap(),
        };
        let right = embedder.embed(&crop).unwrap();
        assert_eq!(left.feature_vector().len(), 1024);
        assert_eq!(left.feature_vector().as_quantized().is_some(), quantize);
        assert!(left.embedding(1).is_none());
        let similarity = cosine_similarity(left.feature_vector(), right.feature_vector()).unwrap();
        assert!((similarity - expected).abs() <= 1e-6, "{similarity}, expected {expected}");
    }
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn classifier_sees_a_burger() {
    let embedder = open("mobilenet_v1_0.25_224_quant.tflite");
    assert_eq!(embedder.number_of_outputs(), 1);
    assert_eq!((embedder.input_spec().width, embedder.input_spec().height), (Some(224), Some(224)));
    let result = embedder.embed(&photo("burger.jpg").frame().unwrap()).unwrap();
    let scores = result.feature_vector().as_float().unwrap();
    assert_eq!(scores.len(), 1001);
    assert!((scores[934] - 0.96).abs() <= 0.01, "{}", scores[934]);
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn open_input_of_a_real_model_takes_a_photo_as_it_is() {
    let embedder = open("dilated_conv.tflite");
    assert_eq!(embedder.number_of_outputs(), 1);
    assert_eq!(embedder.embedding_dimension(0), Some(16));
    let (burger, width, height) = decoded("burger.jpg");
    let frame = FrameBuffer::from_rgb(&burger, width, height).unwrap();
    let explanation = embedder.explain(&frame, None).unwrap();
    let size = explanation.target_size;
    assert_eq!((size.width, size.height), (width, height));
    assert!(explanation.pixels == burger);
    // Mean 0 and standard deviation 1: the levels themselves.
    let levels =
        (f64::from(*burger.iter().min().unwrap()), f64::from(*burger.iter().max().unwrap()));
    assert_eq!(explanation.input_range, levels);
    assert_eq!(explanation.result.feature_vector().len(), 16);
}
