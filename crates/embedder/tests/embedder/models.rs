//! Which models are accepted, and why others are not.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use image_embedder::backend::DType;
use image_embedder::frame::FrameBuffer;
use image_embedder::metadata::{AssociatedFiles, ImageSize, NormalizationOptions};
use image_embedder::preprocess::{PreprocessMode, ResizePolicy};
use image_embedder::{Error, ErrorKind, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_schema::metadata::{ColorSpaceType, ModelMetadataT, TensorMetadataT};
use image_embedder_schema::tflite::TensorType;
use image_embedder_test_support::model_builder::{
    PassThrough, TensorKind, image_tensor, metadata, normalization, normalized_rgb,
};

use crate::echo::Echo;

pub(crate) fn options() -> ImageEmbedderOptions {
    ImageEmbedderOptions::with_backend(Arc::new(Echo::default()))
}

pub(crate) fn create(model: &PassThrough) -> Result<ImageEmbedder, Error> {
    ImageEmbedder::from_bytes(model.to_bytes(), options())
}

/// The kind of an error and the messages of its chain.
pub(crate) fn explain(error: &Error) -> (ErrorKind, String) {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        chain = format!("{chain}: {error}");
        source = error.source();
    }
    (error.kind(), chain)
}

fn refusal(model: &PassThrough) -> (ErrorKind, String) {
    explain(&create(model).unwrap_err())
}

#[track_caller]
fn assert_refused(model: &PassThrough, kind: ErrorKind, parts: &[&str]) {
    let (found, message) = refusal(model);
    assert_eq!(found, kind, "{message}");
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

fn float(shape: &[i32]) -> PassThrough {
    PassThrough::new(TensorKind::float32(shape), vec![TensorKind::float32(&[1, 192])])
}

fn with_output(output: TensorKind) -> PassThrough {
    PassThrough { outputs: vec![output], ..PassThrough::default() }
}

fn described(color_space: ColorSpaceType) -> ModelMetadataT {
    metadata(vec![image_tensor(color_space, Vec::new())], Vec::new())
}

#[test]
fn what_a_model_takes_and_gives() {
    let output = TensorMetadataT { name: Some("feature".to_owned()), ..TensorMetadataT::default() };
    let unit = normalization(&[127.0], &[128.0]);
    let model = PassThrough::new(
        TensorKind::float32(&[1, 6, 8, 3]),
        vec![
            TensorKind::float32(&[1, 144]),
            TensorKind::uint8(&[1, 1, 1, 144]),
            TensorKind::int8(&[1, 100], 0.5, 3),
        ],
    )
    .with_metadata(&metadata(vec![image_tensor(ColorSpaceType::Rgb, vec![unit])], vec![output]));
    let embedder = create(&model).unwrap();

    let input = embedder.input_spec();
    assert_eq!((input.width, input.height), (Some(8), Some(6)));
    assert_eq!(input.dtype, DType::Float32);
    assert_eq!(input.name, "image");
    assert_eq!(input.normalization, Some(NormalizationOptions::uniform(127.0, 128.0)));

    assert_eq!(embedder.number_of_outputs(), 3);
    assert_eq!(embedder.embedding_dimension(0), Some(144));
    assert_eq!(embedder.embedding_dimension(1), Some(144));
    assert_eq!(embedder.embedding_dimension(2), Some(100));
    assert_eq!(embedder.embedding_dimension(3), None);
    let names: Vec<_> = embedder.output_specs().iter().map(|output| &output.name).collect();
    assert_eq!(
        names,
        [&Some("feature".to_owned()), &Some("output1".to_owned()), &Some("output2".to_owned())]
    );
    assert_eq!(embedder.metadata().unwrap().name.as_deref(), Some("test model"));
    assert_eq!(embedder.options().backend.name(), "echo");
}

#[test]
fn bytes_that_are_not_a_model() {
    for bytes in [&b""[..], b"abc", b"a text file, not a model"] {
        let error = ImageEmbedder::from_bytes(bytes.to_vec(), options()).unwrap_err();
        let (kind, message) = explain(&error);
        assert_eq!(kind, ErrorKind::Model);
        assert!(message.starts_with("not a valid TensorFlow Lite model: expected"), "{message}");
        assert!(message.contains("found"), "{message}");
    }
    let whole = PassThrough::default().to_bytes();
    let error = ImageEmbedder::from_bytes(whole[..whole.len() / 2].to_vec(), options());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Model);
}

#[test]
fn a_file_that_is_not_there() {
    let error = ImageEmbedder::from_file("no/such/model.tflite", options()).unwrap_err();
    let (kind, message) = explain(&error);
    assert_eq!(kind, ErrorKind::Input);
    assert!(message.starts_with("cannot read the model no/such/model.tflite: "), "{message}");
}

#[test]
fn metadata_that_cannot_be_used() {
    let wrong = PassThrough { metadata: Some(b"0123BADF0123".to_vec()), ..PassThrough::default() };
    assert_refused(
        &wrong,
        ErrorKind::Model,
        &["unusable model metadata: invalid TFLite Metadata", "identifier M001, found BADF"],
    );
    let two = vec![TensorMetadataT::default(), TensorMetadataT::default()];
    let two = PassThrough::default().with_metadata(&metadata(two, Vec::new()));
    assert_refused(&two, ErrorKind::Unsupported, &["1 tensor, found 2"]);
    let uneven = normalization(&[1.0, 2.0], &[1.0]);
    let uneven = metadata(vec![image_tensor(ColorSpaceType::Rgb, vec![uneven])], Vec::new());
    assert_refused(
        &PassThrough::default().with_metadata(&uneven),
        ErrorKind::Model,
        &["found 2 mean and 1 std"],
    );
}

/// An archive of the file `labels.txt` with 20 lines, compressed: Python's `zipfile` made it.
const COMPRESSED: &[u8] =
    b"PK\x03\x04\x14\0\0\0\x08\0\0\0\x21\0\x6d\x49\xab\x96\x09\0\0\0\x50\0\0\0\
    \x0a\0\0\0labels.txt\x4b\x4e\x2c\xe1\x4a\xa6\x22\x06\0PK\x01\x02\x14\x03\x14\0\0\0\x08\0\0\0\
    \x21\0\x6d\x49\xab\x96\x09\0\0\0\x50\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0\0\x80\x01\0\0\0\0\
    labels.txtPK\x05\x06\0\0\0\0\x01\0\x01\0\x38\0\0\0\x31\0\0\0\0\0";

#[test]
fn archives_behind_the_model_do_not_matter() {
    let mut without_directory = COMPRESSED.to_vec();
    without_directory[49..90].fill(0xff);
    let mut without_content = COMPRESSED.to_vec();
    without_content[..49].fill(0xff);
    let archives = [COMPRESSED, &without_directory, &without_content, &COMPRESSED[..100], b"PK"];
    let model = PassThrough::default().with_metadata(&described(ColorSpaceType::Rgb)).to_bytes();
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let alone = ImageEmbedder::from_bytes(model.clone(), options()).unwrap();
    let expected = alone.embed(&frame).unwrap().embeddings;
    for archive in archives {
        let file = [&model[..], archive].concat();
        let embedder = ImageEmbedder::from_bytes(file, options()).unwrap();
        assert_eq!(embedder.embed(&frame).unwrap().embeddings, expected);
    }
    let file = [&model[..], COMPRESSED].concat();
    let files = AssociatedFiles::open(&file).unwrap();
    assert_eq!(files.read("labels.txt").unwrap(), b"cat\n".repeat(20));
}

#[test]
fn inputs_that_cannot_be_used() {
    let two = PassThrough { input_count: 2, ..PassThrough::default() };
    assert_refused(&two, ErrorKind::Unsupported, &["model with 1 input, found 2"]);

    let flat = PassThrough::new(TensorKind::uint8(&[1, 192]), vec![TensorKind::uint8(&[1, 192])]);
    assert_refused(&flat, ErrorKind::Unsupported, &["4 dimensions", "found 2", "UINT8 1x192"]);

    let integers = TensorKind { element: TensorType::Int32, ..TensorKind::float32(&[1, 8, 8, 3]) };
    let integers = PassThrough::new(integers, vec![TensorKind::float32(&[1, 192])]);
    assert_refused(
        &integers,
        ErrorKind::Unsupported,
        &["FLOAT32, FLOAT16, INT8 or UINT8", "INT32"],
    );

    let gray = PassThrough::default().with_metadata(&described(ColorSpaceType::Grayscale));
    assert_refused(&gray, ErrorKind::Unsupported, &["color space RGB, found GRAYSCALE"]);

    for shape in [[2, 8, 8, 3], [1, 8, 8, 1], [1, 8, 8, 4]] {
        let model = PassThrough::new(TensorKind::uint8(&shape), vec![TensorKind::uint8(&[1, 64])]);
        let found = shape.map(|size| size.to_string()).join("x");
        assert_refused(&model, ErrorKind::Unsupported, &["1 x height x width x 3", &found]);
    }
    for (shape, side) in [([1, 8, 0, 3], "width"), ([1, 0, 8, 3], "height")] {
        let model = PassThrough::new(TensorKind::uint8(&shape), vec![TensorKind::uint8(&[1, 64])]);
        assert_refused(&model, ErrorKind::Model, &["positive", side]);
    }
}

#[test]
fn an_unknown_color_space_is_rgb() {
    let model = PassThrough::default().with_metadata(&described(ColorSpaceType::Unknown));
    assert!(create(&model).is_ok());
}

#[test]
fn float_models_need_normalization() {
    let model = float(&[1, 8, 8, 3]);
    assert_refused(
        &model,
        ErrorKind::Unsupported,
        &["NormalizationOptions", "found none", "metadata", "options.normalization"],
    );
    let mut given = options();
    given.normalization = Some(NormalizationOptions::uniform(0.0, 1.0));
    assert!(ImageEmbedder::from_bytes(model.to_bytes(), given).is_ok());
    assert!(create(&model.with_metadata(&normalized_rgb(0.0, 1.0))).is_ok());
}

#[test]
fn a_std_of_zero_is_refused_at_creation() {
    let model = float(&[1, 8, 8, 3]).with_metadata(&normalized_rgb(0.0, 0.0));
    assert_refused(&model, ErrorKind::Model, &["std other than 0", "found 0"]);

    // A uint8 model does not use it.
    assert!(create(&PassThrough::default().with_metadata(&normalized_rgb(0.0, 0.0))).is_ok());

    let mut given = options();
    given.normalization = Some(NormalizationOptions::uniform(0.0, 1e-9));
    let error = ImageEmbedder::from_bytes(float(&[1, 8, 8, 3]).to_bytes(), given).unwrap_err();
    let (kind, message) = explain(&error);
    assert_eq!(kind, ErrorKind::Input);
    assert!(message.starts_with("unusable options.normalization: "), "{message}");
}

#[test]
fn options_that_cannot_be_used() {
    let model = PassThrough::default().to_bytes();
    let mut no_threads = options();
    no_threads.num_threads = 0;
    let error = ImageEmbedder::from_bytes(model.clone(), no_threads).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("at least 1, found 0"), "{error}");

    let mut letterbox = options();
    letterbox.preprocess.resize_policy = ResizePolicy::Letterbox { padding: [0; 3] };
    let error = ImageEmbedder::from_bytes(model.clone(), letterbox.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    letterbox.preprocess.mode = PreprocessMode::Quality;
    assert!(ImageEmbedder::from_bytes(model.clone(), letterbox).is_ok());

    // A uint8 input without quantisation cannot be given a normalisation.
    let mut given = options();
    given.normalization = Some(NormalizationOptions::uniform(0.0, 1.0));
    assert!(ImageEmbedder::from_bytes(model, given.clone()).is_ok());
    let mut bare = PassThrough::default();
    bare.input.quantization = None;
    let error = ImageEmbedder::from_bytes(bare.to_bytes(), given).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("quantisation parameters"), "{error}");
}

#[test]
fn threads_reach_the_backend() {
    let backend = Echo::default();
    let mut options = ImageEmbedderOptions::with_backend(Arc::new(backend.clone()));
    options.num_threads = 3;
    ImageEmbedder::from_bytes(PassThrough::default().to_bytes(), options).unwrap();
    assert_eq!(backend.state.threads.load(Ordering::SeqCst), 3);
}

#[test]
fn outputs_that_cannot_be_used() {
    let map = with_output(TensorKind::float32(&[1, 257, 256, 21]));
    assert_refused(
        &map,
        ErrorKind::Unsupported,
        &["not an embedder: output 0", "1 x 1 x 1 x N", "map of 256x257"],
    );
    for shape in [&[192][..], &[1, 3, 64], &[1, 1, 1, 1, 192]] {
        let model = with_output(TensorKind::float32(shape));
        let found = format!("found {} in", shape.len());
        assert_refused(&model, ErrorKind::Unsupported, &["2 dimensions", &found]);
    }
    for shape in [&[3, 64][..], &[2, 1, 1, 96]] {
        let model = with_output(TensorKind::float32(shape));
        assert_refused(&model, ErrorKind::Unsupported, &["batch of 1, found"]);
    }
    let integers = TensorKind { element: TensorType::Int32, ..TensorKind::float32(&[1, 192]) };
    assert_refused(&with_output(integers), ErrorKind::Unsupported, &["INT32"]);

    let bare = TensorKind { quantization: None, ..TensorKind::uint8(&[1, 192]) };
    assert_refused(&with_output(bare), ErrorKind::Unsupported, &["quantisation", "found none"]);
    assert_refused(
        &with_output(TensorKind::float32(&[1, 0])),
        ErrorKind::Unsupported,
        &["found 0"],
    );

    let second = PassThrough {
        outputs: vec![TensorKind::uint8(&[1, 192]), TensorKind::uint8(&[192])],
        ..PassThrough::default()
    };
    assert_refused(&second, ErrorKind::Unsupported, &["output 1"]);
    let none = PassThrough { outputs: Vec::new(), ..PassThrough::default() };
    assert_refused(&none, ErrorKind::Unsupported, &["at least 1 output, found 0"]);
}

#[test]
fn open_sizes_take_the_default_of_the_metadata() {
    let mut open = PassThrough::default();
    open.input.shape = vec![1, 1, 1, 3];
    open.input_signature = Some(vec![1, -1, -1, 3]);
    let spec = create(&open).unwrap().input_spec().clone();
    assert_eq!((spec.width, spec.height), (None, None));

    let mut tensor = image_tensor(ColorSpaceType::Rgb, Vec::new());
    set_default_size(&mut tensor, ImageSize { width: 20, height: 10 });
    let open = open.with_metadata(&metadata(vec![tensor.clone()], Vec::new()));
    let spec = create(&open).unwrap().input_spec().clone();
    assert_eq!((spec.width, spec.height), (Some(20), Some(10)));

    // A fixed size is not overruled, and a size of zero says nothing.
    let half = PassThrough { input_signature: Some(vec![1, 1, -1, 3]), ..open.clone() };
    let spec = create(&half).unwrap().input_spec().clone();
    assert_eq!((spec.width, spec.height), (Some(20), Some(1)));
    set_default_size(&mut tensor, ImageSize { width: 20, height: 0 });
    let zero = open.with_metadata(&metadata(vec![tensor], Vec::new()));
    let spec = create(&zero).unwrap().input_spec().clone();
    assert_eq!((spec.width, spec.height), (None, None));
}

pub(crate) fn set_default_size(tensor: &mut TensorMetadataT, size: ImageSize) {
    use image_embedder_schema::metadata::{ContentPropertiesT, ImageSizeT};
    let content = tensor.content.as_mut().unwrap();
    let ContentPropertiesT::ImageProperties(image) = &mut content.content_properties else {
        panic!("an image tensor");
    };
    image.default_size = Some(Box::new(ImageSizeT { width: size.width, height: size.height }));
}
