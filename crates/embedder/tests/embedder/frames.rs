//! What a model is fed, and what comes back.

use image_embedder::backend::f16;
use image_embedder::embedding::FeatureVector;
use image_embedder::frame::{BoundingBox, FrameBuffer, Orientation};
use image_embedder::metadata::{ImageSize, NormalizationOptions};
use image_embedder::{Embedding, ErrorKind, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_schema::metadata::ColorSpaceType;
use image_embedder_schema::tflite::TensorType;
use image_embedder_test_support::model_builder::{
    PassThrough, TensorKind, image_tensor, metadata, normalization, normalized_rgb,
};

use crate::models::{create, explain, options, set_default_size};

/// An 8 x 8 image in which every byte is another.
fn pixels() -> Vec<u8> {
    (0..192).collect()
}

fn frame(pixels: &[u8]) -> FrameBuffer<'_> {
    FrameBuffer::from_rgb(pixels, 8, 8).unwrap()
}

fn embed_with(model: &PassThrough, options: ImageEmbedderOptions) -> Vec<Embedding> {
    let pixels = pixels();
    let embedder = ImageEmbedder::from_bytes(model.to_bytes(), options).unwrap();
    embedder.embed(&frame(&pixels)).unwrap().embeddings
}

fn embed(model: &PassThrough) -> Vec<f32> {
    let [embedding] = embed_with(model, options()).try_into().unwrap();
    embedding.feature_vector.as_float().unwrap().to_vec()
}

fn bytes_as<T>(convert: impl Fn(f32) -> T) -> Vec<T> {
    (0..192u8).map(|byte| convert(byte.into())).collect()
}

#[test]
fn uint8_models_get_the_bytes() {
    assert_eq!(embed(&PassThrough::default()), bytes_as(|byte| byte));
    // Neither metadata nor quantisation of the input changes that.
    let mut model = PassThrough::default().with_metadata(&normalized_rgb(127.0, 128.0));
    model.input.quantization = Some((0.5, 7));
    assert_eq!(embed(&model), bytes_as(|byte| byte));
}

#[test]
fn outputs_are_dequantized() {
    let mut model = PassThrough::default();
    model.outputs = vec![TensorKind { quantization: Some((0.5, 10)), ..model.outputs[0].clone() }];
    assert_eq!(embed(&model), bytes_as(|byte| 0.5 * (byte - 10.0)));
    model.outputs = vec![TensorKind::int8(&[1, 100], 0.25, -3)];
    let expected: Vec<f32> = bytes_as(|byte| 0.25 * (byte + 3.0))[..100].to_vec();
    assert_eq!(embed(&model), expected);
}

#[test]
fn float_models_get_normalized_pixels() {
    let model =
        PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])]);
    let uniform = model.clone().with_metadata(&normalized_rgb(127.5, 63.75));
    assert_eq!(embed(&uniform), bytes_as(|byte| (1.0 / 63.75) * (byte - 127.5)));

    let unit = normalization(&[1.0, 2.0, 3.0], &[2.0, 4.0, -8.0]);
    let tensor = image_tensor(ColorSpaceType::Rgb, vec![unit]);
    let per_channel = model.with_metadata(&metadata(vec![tensor], Vec::new()));
    let values = embed(&per_channel);
    for (index, value) in values.iter().enumerate() {
        let byte = index as f32;
        let expected = match index % 3 {
            0 => (byte - 1.0) * 0.5,
            1 => (byte - 2.0) * 0.25,
            _ => (byte - 3.0) * -0.125,
        };
        assert_eq!(*value, expected, "{index}");
    }
    assert_eq!(values.len(), 192);

    // The caller's options overrule the metadata.
    let mut given = options();
    given.normalization = Some(NormalizationOptions::uniform(0.0, 2.0));
    let [embedding] = embed_with(&per_channel, given).try_into().unwrap();
    assert_eq!(embedding.feature_vector.as_float().unwrap(), bytes_as(|byte| byte * 0.5));
}

#[test]
fn float16_models_get_normalized_pixels() {
    let half =
        |shape: &[i32]| TensorKind { element: TensorType::Float16, ..TensorKind::float32(shape) };
    let model = PassThrough::new(half(&[1, 8, 8, 3]), vec![half(&[1, 192])]);
    let model = model.with_metadata(&normalized_rgb(127.0, 128.0));
    let rounded = |byte: f32| f16::from_f32(1.0 / 128.0 * (byte - 127.0)).to_f32();
    assert_eq!(embed(&model), bytes_as(rounded));
    #[cfg(feature = "native")]
    {
        let [native] = embed_with(&model, ImageEmbedderOptions::default()).try_into().unwrap();
        assert_eq!(native.feature_vector.as_float().unwrap(), bytes_as(rounded));
    }
    // 256 levels of a third keep neither 24 nor 11 bits.
    let model = model.with_metadata(&normalized_rgb(0.0, 3.0));
    let found = embed(&model);
    assert_eq!(found, bytes_as(|byte| f16::from_f32(1.0 / 3.0 * byte).to_f32()));
    assert_ne!(found, bytes_as(|byte| 1.0 / 3.0 * byte));
}

#[test]
fn int8_models_get_signed_pixels() {
    let mut model = PassThrough::new(
        TensorKind::int8(&[1, 8, 8, 3], 1.0 / 64.0, 5),
        vec![TensorKind::int8(&[1, 192], 1.0, 0)],
    );
    // Without a normalisation: the byte less 128.
    assert_eq!(embed(&model), bytes_as(|byte| byte - 128.0));
    // With one: the normalised pixel, quantised.
    let normalized = model.clone().with_metadata(&normalized_rgb(127.0, 128.0));
    let expected = bytes_as(|byte| {
        let real = (1.0 / 128.0) * (byte - 127.0);
        ((real * 64.0).round() + 5.0).clamp(-128.0, 127.0)
    });
    assert_eq!(embed(&normalized), expected);
    // With one, but nothing to quantise by.
    model.input.quantization = None;
    let model = model.with_metadata(&normalized_rgb(127.0, 128.0));
    assert_eq!(embed(&model), bytes_as(|byte| byte - 128.0));
}

#[test]
fn given_normalization_quantizes_uint8_inputs() {
    let mut model = PassThrough::default();
    model.input.quantization = Some((0.5, 10));
    let mut given = options();
    given.normalization = Some(NormalizationOptions::uniform(0.0, 2.0));
    let [embedding] = embed_with(&model, given).try_into().unwrap();
    // byte / 2 in steps of a half is the byte, plus the zero point.
    assert_eq!(embedding.feature_vector.as_float().unwrap(), bytes_as(|byte| byte + 10.0));
}

#[test]
fn normalized_and_quantized() {
    let mut options = options();
    options.l2_normalize = true;
    let model = PassThrough::default();
    let [unit] = embed_with(&model, options.clone()).try_into().unwrap();
    let unit = unit.feature_vector.as_float().unwrap().to_vec();
    let length: f64 = unit.iter().map(|value| f64::from(*value).powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-6, "{length}");

    options.quantize = true.into();
    let [quantized] = embed_with(&model, options.clone()).try_into().unwrap();
    let expected: Vec<i8> = unit.iter().map(|value| (value * 128.0).round() as i8).collect();
    assert_eq!(quantized.feature_vector, FeatureVector::Quantized(expected));

    options.l2_normalize = false;
    let [saturated] = embed_with(&model, options).try_into().unwrap();
    let values = saturated.feature_vector.as_quantized().unwrap();
    assert_eq!(values[0], 0);
    assert!(values[1..].iter().all(|&value| value == 127));
}

#[test]
fn every_output_gives_an_embedding() {
    let model = PassThrough {
        outputs: vec![
            TensorKind::uint8(&[1, 192]),
            TensorKind::float32(&[1, 1, 1, 50]),
            TensorKind::int8(&[1, 7], 2.0, 0),
        ],
        ..PassThrough::default()
    };
    let embeddings = embed_with(&model, options());
    assert_eq!(embeddings.len(), 3);
    for (index, (embedding, dimension)) in embeddings.iter().zip([192, 50, 7]).enumerate() {
        assert_eq!(embedding.output_index, index);
        assert_eq!(embedding.feature_vector.len(), dimension);
        assert_eq!(embedding.head_name, Some(format!("output{index}")));
    }
    assert_eq!(embeddings[2].feature_vector.as_float().unwrap()[3], 6.0);
}

#[test]
fn regions() {
    // Rows of 16 pixels, of which the model gets the right half, pixel by pixel.
    let wide: Vec<u8> = (0..8)
        .flat_map(|row| (0..48u8).map(move |x| if x < 24 { 255 } else { row * 24 + x - 24 }))
        .collect();
    let wide = FrameBuffer::from_rgb(&wide, 16, 8).unwrap();
    let embedder = create(&PassThrough::default()).unwrap();
    let region = BoundingBox::new(8, 0, 8, 8);
    let result = embedder.embed_region(&wide, region).unwrap();
    assert_eq!(result.feature_vector().as_float().unwrap(), bytes_as(|byte| byte));

    let outside = [
        (BoundingBox::new(9, 0, 8, 8), "8x8 at (9, 0)"),
        (BoundingBox::new(0, 1, 8, 8), "8x8 at (0, 1)"),
        (BoundingBox::new(u32::MAX, 0, 8, 8), "16x8"),
        (BoundingBox::new(0, 0, 0, 8), "0x8"),
    ];
    for (region, part) in outside {
        let (kind, message) = explain(&embedder.embed_region(&wide, region).unwrap_err());
        assert_eq!(kind, ErrorKind::Input);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
        assert!(embedder.embed_region(&wide, BoundingBox::new(8, 0, 8, 8)).is_ok());
    }
}

#[test]
fn orientation_turns_the_pixels() {
    let pixels = pixels();
    let embedder = create(&PassThrough::default()).unwrap();
    let turned = frame(&pixels).with_orientation(Orientation::RightTop);
    let result = embedder.embed(&turned).unwrap();
    let values = result.feature_vector().as_float().unwrap();
    for (row, column) in [(0, 0), (0, 7), (3, 5), (7, 7)] {
        // Clockwise: the stored first row is the upright right side.
        let stored = (7 - column) * 24 + row * 3;
        assert_eq!(values[row * 24 + column * 3], stored as f32, "({row}, {column})");
    }
}

fn open_model() -> PassThrough {
    let mut model =
        PassThrough::new(TensorKind::uint8(&[1, 1, 1, 3]), vec![TensorKind::uint8(&[1, 24])]);
    model.input_signature = Some(vec![1, -1, -1, 3]);
    model
}

#[test]
fn open_sizes_take_images_as_they_are() {
    // 4 x 2 pixels; the model sees them in reading order.
    let pixels: Vec<u8> = (0..24).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 4, 2).unwrap();
    let embedder = create(&open_model()).unwrap();
    let upright = embedder.embed(&frame).unwrap();
    assert_eq!(
        upright.feature_vector().as_float().unwrap(),
        (0..24u8).map(f32::from).collect::<Vec<_>>()
    );
    // Turned, they are 2 x 4 and not distorted: every byte appears once.
    let turned = embedder.embed(&frame.with_orientation(Orientation::RightTop)).unwrap();
    let turned = turned.feature_vector().as_float().unwrap().to_vec();
    assert_eq!(turned[..6], [12.0, 13.0, 14.0, 0.0, 1.0, 2.0]);
    let mut sorted = turned;
    sorted.sort_by(f32::total_cmp);
    assert_eq!(sorted, (0..24u8).map(f32::from).collect::<Vec<_>>());
    // And a region is not resized either.
    let region = embedder.embed_region(&frame, BoundingBox::new(1, 1, 2, 1)).unwrap();
    assert_eq!(
        region.feature_vector().as_float().unwrap()[..7],
        [15.0, 16.0, 17.0, 18.0, 19.0, 20.0, 0.0]
    );
}

#[test]
fn a_default_size_resizes() {
    let mut tensor = image_tensor(ColorSpaceType::Rgb, Vec::new());
    set_default_size(&mut tensor, ImageSize { width: 4, height: 2 });
    let model = open_model().with_metadata(&metadata(vec![tensor], Vec::new()));
    let embedder = create(&model).unwrap();
    let pixels = vec![77; 3 * 40 * 30];
    let frame = FrameBuffer::from_rgb(&pixels, 40, 30).unwrap();
    let result = embedder.embed(&frame).unwrap();
    let values = result.feature_vector().as_float().unwrap().to_vec();
    assert!(values.iter().all(|&value| (76.0..=77.0).contains(&value)), "{values:?}");
}
