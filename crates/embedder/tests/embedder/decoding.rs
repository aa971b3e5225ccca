//! Image files of every format, damaged ones, and bombs.

use std::fs;

use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, LumaA, Rgb, RgbImage, Rgba};
use image_embedder::ErrorKind;
use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::frame::{Orientation, PixelFormat};
use image_embedder_test_support::fixture;

use crate::models::explain;

fn read(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

fn decode(name: &str) -> Image {
    Image::open(fixture(format!("images/{name}")), &DecodeOptions::default()).unwrap()
}

fn refusal(bytes: &[u8]) -> (ErrorKind, String) {
    let error = Image::from_bytes(bytes, &DecodeOptions::default()).unwrap_err();
    let (kind, message) = explain(&error);
    assert!(!message.contains('\n'), "{message}");
    (kind, message)
}

/// The greatest and the mean difference of two images' colours.
fn difference(left: &Image, right: &Image) -> (u8, f64) {
    assert_eq!((left.width(), left.height()), (right.width(), right.height()));
    let (left, right) = (colors(left), colors(right));
    let differences = left.iter().zip(&right).map(|(a, b)| a.abs_diff(*b));
    let greatest = differences.clone().max().unwrap();
    let sum: f64 = differences.map(f64::from).sum();
    (greatest, sum / left.len() as f64)
}

/// The bytes without alpha.
fn colors(image: &Image) -> Vec<u8> {
    let channels = if image.format() == PixelFormat::Rgba { 4 } else { 3 };
    image.pixels().chunks(channels).flat_map(|pixel| &pixel[..3]).copied().collect()
}

/// Every image format, with and without loss.
const FORMATS: [&str; 6] = [
    "coffee_rgb.png",
    "coffee.bmp",
    "coffee.gif",
    "coffee.tiff",
    "coffee_lossless.webp",
    "coffee.jpg",
];

#[test]
fn lossless_formats_give_the_same_pixels() {
    let png = decode("coffee_rgb.png");
    assert_eq!(png.format(), PixelFormat::Rgb);
    for name in ["coffee.bmp", "coffee.tiff", "coffee_lossless.webp", "coffee_rgb16.png"] {
        assert_eq!(difference(&png, &decode(name)).0, 0, "{name}");
    }
    let rgba = decode("coffee_rgba.png");
    assert_eq!(rgba.format(), PixelFormat::Rgba);
    assert_eq!(rgba.pixels().len(), png.pixels().len() / 3 * 4);
    for name in ["coffee_palette.png", "coffee.gif"] {
        let (_, mean) = difference(&png, &decode(name));
        assert!(mean < 20.0, "{name}: {mean}");
    }
}

#[test]
fn lossy_formats_come_near() {
    let progressive = decode("coffee_progressive.jpg");
    for name in ["coffee.webp", "coffee_cmyk.jpg"] {
        let (_, mean) = difference(&progressive, &decode(name));
        assert!(mean < 8.0, "{name}: {mean}");
    }
    assert!(decode("coffee_gray.jpg").pixels().chunks(3).all(|pixel| pixel[0] == pixel[2]));
}

#[test]
fn gray_becomes_three_equal_channels() {
    let gray = decode("coffee_gray.png");
    assert_eq!(gray.format(), PixelFormat::Rgb);
    assert!(gray.pixels().chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    let alpha = decode("coffee_gray_alpha.png");
    assert_eq!(alpha.format(), PixelFormat::Rgba);
    assert!(alpha.pixels().chunks(4).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
}

#[test]
fn pixels_of_the_image_crate_are_taken() {
    let convert = |image: DynamicImage| {
        let image = Image::try_from(image).unwrap();
        assert!(image.frame().is_ok());
        (image.format(), image.pixels().to_vec())
    };
    let gray = GrayImage::from_raw(2, 1, vec![7, 200]).unwrap();
    assert_eq!(convert(gray.into()), (PixelFormat::Rgb, vec![7, 7, 7, 200, 200, 200]));
    let gray_alpha = GrayAlphaImage::from_pixel(1, 1, LumaA([9, 128]));
    assert_eq!(convert(gray_alpha.into()), (PixelFormat::Rgba, vec![9, 9, 9, 128]));
    let rgb = RgbImage::from_pixel(1, 1, Rgb([1, 2, 3]));
    assert_eq!(convert(rgb.into()), (PixelFormat::Rgb, vec![1, 2, 3]));
    let deep = ImageBuffer::from_pixel(1, 1, Rgb([0u16, 257 * 100, u16::MAX]));
    assert_eq!(convert(deep.into()), (PixelFormat::Rgb, vec![0, 100, 255]));
    let float = ImageBuffer::from_pixel(1, 1, Rgba([0.0f32, 1.0, 2.0, 1.0]));
    assert_eq!(convert(float.into()), (PixelFormat::Rgba, vec![0, 255, 255, 255]));
    let error = Image::try_from(DynamicImage::new_rgb8(0, 4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[test]
fn orientation_is_read_unless_ignored() {
    let turned = decode("cat_orientation6.jpg");
    assert_eq!(turned.orientation(), Orientation::RightTop);
    assert_eq!(turned.frame().unwrap().orientation(), Orientation::RightTop);
    let upright = decode("cat.jpg");
    assert_eq!(upright.orientation(), Orientation::TopLeft);
    assert_eq!((turned.width(), turned.height()), (upright.height(), upright.width()));

    let mut options = DecodeOptions::default();
    options.ignore_exif = true;
    let ignored = Image::open(fixture("images/cat_orientation6.jpg"), &options).unwrap();
    assert_eq!(ignored.orientation(), Orientation::TopLeft);
    assert_eq!(ignored.pixels(), turned.pixels());
}

#[test]
fn truncated_files_are_refused() {
    let mut refused = 0;
    for name in
        FORMATS.into_iter().chain(["coffee_progressive.jpg", "coffee.webp", "coffee_gray.jpg"])
    {
        let bytes = read(&format!("images/{name}"));
        for percent in [1, 10, 50, 75, 90, 97] {
            let (kind, message) = refusal(&bytes[..bytes.len() * percent / 100]);
            assert!(
                matches!(kind, ErrorKind::Input | ErrorKind::Unsupported),
                "{name} at {percent}%: {kind}: {message}"
            );
            assert!(message.contains("expected"), "{message}");
            assert!(message.contains("found"), "{message}");
            refused += 1;
        }
    }
    assert_eq!(refused, 9 * 6);
}

#[test]
fn truncated_jpegs_are_taken_if_allowed() {
    let mut options = DecodeOptions::default();
    options.allow_truncated = true;
    let whole = decode("coffee_progressive.jpg");
    let bytes = read("images/coffee_progressive.jpg");
    let cut = Image::from_bytes(&bytes[..bytes.len() * 3 / 4], &options).unwrap();
    assert_eq!((cut.width(), cut.height()), (whole.width(), whole.height()));
    let (_, mean) = difference(&cut, &whole);
    assert!(mean > 0.0 && mean < 30.0, "{mean}");
    assert_eq!(Image::from_bytes(&bytes, &options).unwrap().pixels(), whole.pixels());

    // What has no pixels at all is refused all the same, and so are other formats.
    for bytes in [&bytes[..20], &read("hostile/truncated.png")] {
        assert!(Image::from_bytes(bytes, &options).is_err());
    }
}

#[test]
fn jpegs_are_refused_at_any_length() {
    for name in ["coffee_gray.jpg", "coffee_progressive.jpg"] {
        let bytes = read(&format!("images/{name}"));
        let end = bytes.len();
        for length in (0..end).step_by(97).chain(end - 20..end) {
            let (kind, message) = refusal(&bytes[..length]);
            assert_eq!(kind, ErrorKind::Input, "{name} at {length} of {end}: {message}");
        }
    }
}

#[test]
fn hostile_files() {
    let cases = [
        ("empty.png", ErrorKind::Input, "found an empty file"),
        ("not_an_image.jpg", ErrorKind::Input, "found content that starts with"),
        ("truncated.jpg", ErrorKind::Input, "ends early"),
        ("truncated_header.jpg", ErrorKind::Input, "ends early"),
        ("truncated.png", ErrorKind::Input, "damaged or truncated"),
        ("corrupt_checksum.png", ErrorKind::Input, "damaged or truncated"),
        ("zero_width.png", ErrorKind::Input, "found"),
        ("huge_dimensions.png", ErrorKind::Resource, "expected"),
    ];
    for (name, kind, part) in cases {
        let (found, message) = refusal(&read(&format!("hostile/{name}")));
        assert_eq!(found, kind, "{name}: {message}");
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn the_limit_is_the_caller_s() {
    let bytes = read("images/coffee_rgb.png");
    let size = decode("coffee_rgb.png").pixels().len() as u64;
    let mut options = DecodeOptions::default();
    options.max_bytes = size - 1;
    let error = Image::from_bytes(&bytes, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource);
    assert!(error.to_string().contains("expected"), "{error}");
    options.max_bytes = 1 << 20;
    assert!(Image::from_bytes(&bytes, &options).is_ok());
}

#[test]
fn the_path_is_named() {
    let missing = Image::open("no/such/photo.jpg", &DecodeOptions::default()).unwrap_err();
    let (kind, message) = explain(&missing);
    assert_eq!(kind, ErrorKind::Input);
    assert!(message.starts_with("cannot read the image no/such/photo.jpg: "), "{message}");
    let damaged = fixture("hostile/truncated.jpg");
    let damaged = Image::open(damaged, &DecodeOptions::default()).unwrap_err();
    let (_, message) = explain(&damaged);
    assert!(message.contains("hostile/truncated.jpg: expected a JPEG image"), "{message}");
}
