//! Bit-exact agreement with the TensorFlow Lite Task Library on recorded pixels.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image_embedder_frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
use image_embedder_preprocess::{FrameGeometry, Normalization, Plan, PreprocessOptions};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/preprocess")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn integers(value: &Value) -> Vec<u32> {
    let integer = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    value.as_array().unwrap().iter().map(integer).collect()
}

fn integer(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The part of `data` that an `[offset, length]` pair names.
fn part<'a>(data: &'a [u8], value: &Value) -> &'a [u8] {
    let [offset, length] = integers(value)[..] else { panic!("expected [offset, length]") };
    &data[offset as usize..][..length as usize]
}

fn format_named(name: &str) -> PixelFormat {
    PixelFormat::ALL.into_iter().find(|format| format.name() == name).unwrap()
}

/// Preprocesses the frame of a recorded case.
fn run(case: &Value, format: PixelFormat, input: &[u8], region: &Value) -> Vec<u8> {
    let (width, height) = (integer(&case["width"]), integer(&case["height"]));
    let exif = case["orientation"].as_u64().unwrap_or(1);
    let orientation = Orientation::from_exif(u8::try_from(exif).unwrap()).unwrap();
    let size = format.contiguous_size(width, height).unwrap();
    let frame = FrameBuffer::from_contiguous(format, &input[..size], width, height)
        .unwrap()
        .with_orientation(orientation);
    let geometry = if region.is_null() {
        FrameGeometry::of(&frame)
    } else {
        let [x, y, width, height] = integers(region)[..] else { panic!("expected four numbers") };
        FrameGeometry::of_region(&frame, BoundingBox::new(x, y, width, height)).unwrap()
    };
    let (width, height) = (integer(&case["out_width"]), integer(&case["out_height"]));
    let mut plan = Plan::new(geometry, width, height, &PreprocessOptions::default()).unwrap();
    let mut output = vec![0; plan.output_len()];
    plan.rgb_into(&frame, &mut output).unwrap();
    let first = output.clone();
    plan.rgb_into(&frame, &mut output).unwrap();
    assert_eq!(first, output, "a second run differs");
    output
}

/// Runs all cases of a fixture and returns how many there were of each format.
fn check(name: &str) -> BTreeMap<String, usize> {
    let cases = json(&fixtures().join(name).with_extension("json"));
    let data = std::fs::read(fixtures().join(name).with_extension("bin")).unwrap();
    let mut counts = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let format = case["format"].as_str().unwrap();
        let input = part(&data, &case["input"]);
        let output = run(case, format_named(format), input, &case["region"]);
        let expected = part(&data, &case["output"]);
        assert_eq!(output.len(), expected.len());
        let wrong = output.iter().zip(expected).filter(|(a, b)| a != b).count();
        if wrong > 0 {
            failures.push(format!("{wrong} of {} bytes: {case}", expected.len()));
        }
        *counts.entry(format.to_owned()).or_insert(0) += 1;
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
    counts
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn wheel_pixels_are_exact() {
    assert_eq!(check("wheel"), counts([("RGB", 50), ("RGBA", 50)]));
}

#[test]
fn frame_buffer_utils_pixels_are_exact() {
    let expected =
        counts([("RGB", 80), ("RGBA", 80), ("NV12", 80), ("NV21", 80), ("YV12", 80), ("YV21", 80)]);
    assert_eq!(check("frame_buffer_utils"), expected);
}

#[test]
fn normalization_is_exact() {
    let channels = |value: &Value| -> [f32; 3] {
        let values: Vec<f32> =
            value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
        match values[..] {
            [one] => [one; 3],
            [red, green, blue] => [red, green, blue],
            _ => panic!("expected one or three numbers"),
        }
    };
    let rgb: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
    let mut cases = 0;
    for case in json(&fixtures().join("normalization.json"))["normalize"].as_array().unwrap() {
        let normalization =
            Normalization::new(channels(&case["mean"]), channels(&case["std"])).unwrap();
        let mut output = vec![0.0; rgb.len()];
        normalization.apply(&rgb, &mut output).unwrap();
        let expected = case["values"].as_array().unwrap();
        assert_eq!(output.len(), expected.len());
        for (found, expected) in output.into_iter().zip(expected) {
            let expected = expected.as_f64().unwrap() as f32;
            assert_eq!(found.to_bits(), expected.to_bits(), "{found} is not {expected}");
        }
        cases += 1;
    }
    assert_eq!(cases, 7);
}

/// Reads an array of unsigned bytes: version 1.0, C order, shape `(height, width, channels)`.
fn read_npy(path: &Path) -> ([u32; 3], Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00", "{}", path.display());
    let header_end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..header_end]).unwrap();
    assert!(header.contains("'|u1'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape: Vec<u32> = shape.split(',').map(|size| size.trim().parse().unwrap()).collect();
    (shape.try_into().unwrap(), bytes[header_end..].to_vec())
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE to its folder"]
fn photographs_are_exact() {
    let reference = std::env::var_os("IMAGE_EMBEDDER_REFERENCE")
        .expect("IMAGE_EMBEDDER_REFERENCE names the folder of the reference data");
    let golden = Path::new(&reference).join("spec/golden");
    let data = std::fs::read(golden.join("pixels_wheel.bin")).unwrap();
    let mut cases = 0;
    for case in json(&golden.join("pixels_wheel.json"))["cases"].as_array().unwrap() {
        let Some(image) = case["image"].as_str() else {
            continue;
        };
        let ([height, width, channels], pixels) =
            read_npy(&golden.join("decoded").join(format!("{image}.npy")));
        assert_eq!((integer(&case["width"]), integer(&case["height"])), (width, height));
        let format = if channels == 4 { PixelFormat::Rgba } else { PixelFormat::Rgb };
        let output = run(case, format, &pixels, &case["roi"]);
        assert_eq!(format.name(), case["format"].as_str().unwrap(), "{image}");
        assert!(output == part(&data, &case["output"]), "{image} differs");
        cases += 1;
    }
    assert_eq!(cases, 10);
}
