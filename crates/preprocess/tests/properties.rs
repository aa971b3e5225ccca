//! What holds for every frame: layouts, regions, orientations, and refusals.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_embedder_frame::{BoundingBox, FrameBuffer, FrameError, Orientation, PixelFormat, Plane};
use image_embedder_preprocess::{
    FrameGeometry, InputQuantization, Normalization, Plan, PreprocessError, PreprocessMode,
    PreprocessOptions, ResizePolicy, YuvColorSpace, YuvMatrix, YuvRange,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const MODES: [PreprocessMode; 3] =
    [PreprocessMode::TaskLibrary, PreprocessMode::MediaPipe, PreprocessMode::Quality];

/// A contiguous frame that owns its bytes.
#[derive(Clone, Debug)]
struct Image {
    format: PixelFormat,
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Image {
    /// Bytes that look random and are the same each time.
    fn new(format: PixelFormat, width: u32, height: u32, seed: u32) -> Self {
        let size = format.contiguous_size(width, height).unwrap();
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let byte = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        };
        Self { format, width, height, data: (0..size).map(byte).collect() }
    }

    fn frame(&self) -> FrameBuffer<'_> {
        FrameBuffer::from_contiguous(self.format, &self.data, self.width, self.height).unwrap()
    }

    /// A copy of a region; of YUV only of one with an even origin.
    fn cropped(&self, region: BoundingBox) -> Self {
        let chroma = BoundingBox::new(
            region.origin_x / 2,
            region.origin_y / 2,
            region.width.div_ceil(2),
            region.height.div_ceil(2),
        );
        let mut data = Vec::new();
        let planes = self.frame();
        let v_first = matches!(self.format, PixelFormat::Nv21 | PixelFormat::Yv12);
        let rows = |plane: usize, region: BoundingBox, bytes: usize| -> Vec<u8> {
            let plane = planes.planes()[plane];
            let mut copied = Vec::new();
            for y in region.origin_y..region.origin_y + region.height {
                for x in region.origin_x..region.origin_x + region.width {
                    let start =
                        y as usize * plane.row_stride_bytes + x as usize * plane.pixel_stride_bytes;
                    copied.extend_from_slice(&plane.data[start..start + bytes]);
                }
            }
            copied
        };
        data.extend(rows(0, region, self.format.bytes_per_pixel()));
        if self.format.is_yuv() {
            let (first, second) = if v_first { (2, 1) } else { (1, 2) };
            let (first, second) = (rows(first, chroma, 1), rows(second, chroma, 1));
            if self.format.has_interleaved_chroma() {
                data.extend(first.into_iter().zip(second).flat_map(|(a, b)| [a, b]));
            } else {
                data.extend(first);
                data.extend(second);
            }
        }
        Self { format: self.format, width: region.width, height: region.height, data }
    }
}

fn preprocess(
    frame: &FrameBuffer<'_>,
    region: Option<BoundingBox>,
    target: (u32, u32),
    options: &PreprocessOptions,
) -> Result<Vec<u8>, PreprocessError> {
    let geometry = match region {
        Some(region) => FrameGeometry::of_region(frame, region)?,
        None => FrameGeometry::of(frame),
    };
    let mut plan = Plan::new(geometry, target.0, target.1, options)?;
    let mut output = vec![0; plan.output_len()];
    plan.rgb_into(frame, &mut output)?;
    Ok(output)
}

fn formats() -> impl Strategy<Value = PixelFormat> {
    select(&PixelFormat::ALL[..])
}

fn color_spaces() -> impl Strategy<Value = YuvColorSpace> {
    select(&YuvColorSpace::ALL[..])
}

fn orientations() -> impl Strategy<Value = Orientation> {
    select(&Orientation::ALL[..])
}

/// A size, and a region that lies within it.
fn sizes_and_regions() -> impl Strategy<Value = ((u32, u32), BoundingBox)> {
    let axis = (1u32..70).prop_flat_map(|size| {
        (1..=size).prop_flat_map(move |extent| (Just(size), 0..=size - extent, Just(extent)))
    });
    (axis.clone(), axis)
        .prop_map(|((width, x, w), (height, y, h))| ((width, height), BoundingBox::new(x, y, w, h)))
}

/// The size of an upright image.
fn upright(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    if orientation.swaps_dimensions() { (height, width) } else { (width, height) }
}

proptest! {
    #[test]
    fn orientations_compose(
        format in formats(),
        mode in select(vec![PreprocessMode::TaskLibrary, PreprocessMode::Quality]),
        half in (1u32..20, 1u32..20),
        first in orientations(),
        second in orientations(),
        seed: u32,
    ) {
        // Even sizes, for turning chroma on its own shifts it in odd ones.
        let size = (half.0 * 2, half.1 * 2);
        let options = PreprocessOptions::with_mode(mode);
        let image = Image::new(format, size.0, size.1, seed);

        let once = upright(first, size);
        let frame = image.frame().with_orientation(first);
        let turned = preprocess(&frame, None, once, &options).unwrap();
        let frame = FrameBuffer::from_rgb(&turned, once.0, once.1).unwrap();
        let frame = frame.with_orientation(second);
        let twice = upright(second, once);
        let turned = preprocess(&frame, None, twice, &options).unwrap();

        let both = first.then(second);
        prop_assert_eq!(twice, upright(both, size));
        let frame = image.frame().with_orientation(both);
        prop_assert_eq!(turned, preprocess(&frame, None, twice, &options).unwrap());
    }

    #[test]
    fn oriented_region_is_that_of_the_upright_image(
        ((width, height), region) in sizes_and_regions(),
        mode in select(vec![PreprocessMode::TaskLibrary, PreprocessMode::Quality]),
        orientation in orientations(),
        seed: u32,
    ) {
        let options = PreprocessOptions::with_mode(mode);
        let image = Image::new(PixelFormat::Rgb, width, height, seed);
        let frame = image.frame().with_orientation(orientation);
        let size = upright(orientation, (width, height));
        let whole = Image {
            format: PixelFormat::Rgb,
            width: size.0,
            height: size.1,
            data: preprocess(&frame, None, size, &options).unwrap(),
        };
        let oriented = region.oriented(orientation, width, height).unwrap();
        let target = (oriented.width, oriented.height);
        prop_assert_eq!(
            preprocess(&frame, Some(region), target, &options).unwrap(),
            whole.cropped(oriented).data
        );
    }

    #[test]
    fn every_case_runs_and_runs_alike_again(
        format in formats(),
        mode in select(&MODES[..]),
        ((width, height), region) in sizes_and_regions(),
        orientation in orientations(),
        target in (1u32..60, 1u32..60),
        seed: u32,
    ) {
        let image = Image::new(format, width, height, seed);
        let frame = image.frame().with_orientation(orientation);
        let geometry = FrameGeometry::of_region(&frame, region).unwrap();
        let options = PreprocessOptions::with_mode(mode);
        let plan = Plan::new(geometry, target.0, target.1, &options);
        if mode == PreprocessMode::MediaPipe && orientation.is_mirrored() {
            prop_assert_eq!(
                plan.unwrap_err(),
                PreprocessError::UnsupportedOrientation { mode, orientation }
            );
            return Ok(());
        }
        let mut plan = plan.unwrap();
        prop_assert_eq!(plan.output_len(), (target.0 * target.1 * 3) as usize);
        let (mut first, mut second) = (vec![0; plan.output_len()], vec![255; plan.output_len()]);
        plan.rgb_into(&frame, &mut first).unwrap();
        plan.rgb_into(&frame, &mut second).unwrap();
        prop_assert_eq!(first, second);
    }

    #[test]
    fn region_of_the_whole_equals_no_region(
        format in formats(),
        mode in select(&MODES[..]),
        size in (1u32..70, 1u32..70),
        orientation in orientations(),
        target in (1u32..60, 1u32..60),
        seed: u32,
    ) {
        let image = Image::new(format, size.0, size.1, seed);
        let frame = image.frame().with_orientation(orientation);
        let options = PreprocessOptions::with_mode(mode);
        prop_assert_eq!(
            preprocess(&frame, Some(frame.bounds()), target, &options),
            preprocess(&frame, None, target, &options)
        );
    }

    #[test]
    fn an_orientation_and_its_inverse_are_the_identity(
        format in select(vec![PixelFormat::Rgb, PixelFormat::Rgba, PixelFormat::Gray]),
        mode in select(vec![PreprocessMode::TaskLibrary, PreprocessMode::Quality]),
        size in (1u32..40, 1u32..40),
        orientation in orientations(),
        seed: u32,
    ) {
        let image = Image::new(format, size.0, size.1, seed);
        let options = PreprocessOptions::with_mode(mode);
        let turned_size = upright(orientation, size);
        let frame = image.frame().with_orientation(orientation);
        let turned = preprocess(&frame, None, turned_size, &options).unwrap();
        let frame = FrameBuffer::from_rgb(&turned, turned_size.0, turned_size.1).unwrap();
        let frame = frame.with_orientation(orientation.inverse());
        prop_assert_eq!(
            preprocess(&frame, None, size, &options).unwrap(),
            preprocess(&image.frame(), None, size, &options).unwrap()
        );
    }

    #[test]
    fn padded_rows_equal_tight_rows(
        format in formats(),
        mode in select(&MODES[..]),
        ((width, height), region) in sizes_and_regions(),
        padding in (0usize..9, 0usize..9, 0usize..9),
        pixel_strides in (1usize..=2, 1usize..=2),
        target in (1u32..40, 1u32..40),
        seed: u32,
    ) {
        let image = Image::new(format, width, height, seed);
        let tight = image.frame();
        // Copies of the planes, with padding after each row but the last.
        let copy = |index: usize, padding: usize, pixel_stride: usize| {
            let plane = tight.planes()[index];
            let (columns, rows, bytes) = if index == 0 {
                (width as usize, height as usize, format.bytes_per_pixel())
            } else {
                (width.div_ceil(2) as usize, height.div_ceil(2) as usize, 1)
            };
            let row_stride = (columns - 1) * pixel_stride + bytes + padding;
            let mut data = vec![77; (rows - 1) * row_stride + (columns - 1) * pixel_stride + bytes];
            for y in 0..rows {
                for x in 0..columns {
                    let from = y * plane.row_stride_bytes + x * plane.pixel_stride_bytes;
                    let to = y * row_stride + x * pixel_stride;
                    data[to..to + bytes].copy_from_slice(&plane.data[from..from + bytes]);
                }
            }
            (data, row_stride, pixel_stride)
        };
        let mut copies = vec![copy(0, padding.0, format.bytes_per_pixel())];
        if format.is_yuv() {
            let u = copy(1, padding.1, pixel_strides.0);
            let v = copy(2, padding.2, pixel_strides.1);
            let v_first = matches!(format, PixelFormat::Nv21 | PixelFormat::Yv12);
            copies.extend(if v_first { [v, u] } else { [u, v] });
        }
        let planes: Vec<_> =
            copies.iter().map(|(data, row, pixel)| Plane::new(data, *row, *pixel)).collect();
        let padded =
            FrameBuffer::new(format, width, height, &planes, Orientation::TopLeft).unwrap();

        let options = PreprocessOptions::with_mode(mode);
        prop_assert_eq!(
            preprocess(&padded, Some(region), target, &options),
            preprocess(&tight, Some(region), target, &options)
        );
    }

    #[test]
    fn region_equals_its_copy(
        format in formats(),
        mode in select(vec![PreprocessMode::TaskLibrary, PreprocessMode::Quality]),
        ((width, height), mut region) in sizes_and_regions(),
        orientation in orientations(),
        target in (1u32..40, 1u32..40),
        seed: u32,
    ) {
        if format.is_yuv() {
            region.origin_x &= !1;
            region.origin_y &= !1;
        }
        let image = Image::new(format, width, height, seed);
        let copy = image.cropped(region);
        let options = PreprocessOptions::with_mode(mode);
        let frame = image.frame().with_orientation(orientation);
        let copied = copy.frame().with_orientation(orientation);
        prop_assert_eq!(
            preprocess(&frame, Some(region), target, &options),
            preprocess(&copied, None, target, &options)
        );
    }

    #[test]
    fn quality_keeps_constant_colours(
        colour: [u8; 3],
        ((width, height), region) in sizes_and_regions(),
        policy in select(vec![
            ResizePolicy::Stretch,
            ResizePolicy::CenterCrop,
            ResizePolicy::Letterbox { padding: [9, 8, 7] },
        ]),
        orientation in orientations(),
        target in (1u32..40, 1u32..40),
    ) {
        let pixels = colour.repeat((width * height) as usize);
        let frame = FrameBuffer::from_rgb(&pixels, width, height).unwrap();
        let frame = frame.with_orientation(orientation);
        let mut options = PreprocessOptions::with_mode(PreprocessMode::Quality);
        options.resize_policy = policy;
        let output = preprocess(&frame, Some(region), target, &options).unwrap();
        let mut content = 0;
        for pixel in output.as_chunks::<3>().0 {
            if *pixel == colour {
                content += 1;
            } else {
                prop_assert_eq!(policy, ResizePolicy::Letterbox { padding: [9, 8, 7] });
                prop_assert_eq!(*pixel, [9, 8, 7]);
            }
        }
        prop_assert!(content > 0);
    }

    #[test]
    fn quality_treats_gray_as_equal_channels(
        ((width, height), region) in sizes_and_regions(),
        target in (1u32..40, 1u32..40),
        seed: u32,
    ) {
        let gray = Image::new(PixelFormat::Gray, width, height, seed);
        let rgb: Vec<u8> = gray.data.iter().flat_map(|&level| [level; 3]).collect();
        let rgb = FrameBuffer::from_rgb(&rgb, width, height).unwrap();
        let options = PreprocessOptions::with_mode(PreprocessMode::Quality);
        prop_assert_eq!(
            preprocess(&gray.frame(), Some(region), target, &options),
            preprocess(&rgb, Some(region), target, &options)
        );
    }

    #[test]
    fn media_pipe_follows_its_formula(
        ((width, height), region) in sizes_and_regions(),
        is_whole: bool,
        degrees in select(vec![0, 90, 180, 270]),
        target in (1u32..50, 1u32..50),
        seed: u32,
    ) {
        let image = Image::new(PixelFormat::Rgb, width, height, seed);
        let region = if is_whole { BoundingBox::whole(width, height) } else { region };
        let expected = media_pipe_formula(&image, region, degrees, target);
        let orientation = match degrees {
            0 => Orientation::TopLeft,
            90 => Orientation::RightTop,
            180 => Orientation::BottomRight,
            _ => Orientation::LeftBottom,
        };
        let frame = image.frame().with_orientation(orientation);
        let options = PreprocessOptions::with_mode(PreprocessMode::MediaPipe);
        prop_assert_eq!(preprocess(&frame, Some(region), target, &options).unwrap(), expected);
    }

    #[test]
    fn media_pipe_takes_yuv_as_the_rgb_of_each_pixel(
        format in select(vec![PixelFormat::Nv12, PixelFormat::Yv12]),
        ((width, height), region) in sizes_and_regions(),
        orientation in select(vec![Orientation::TopLeft, Orientation::LeftBottom]),
        target in (1u32..40, 1u32..40),
        color_space in color_spaces(),
        seed: u32,
    ) {
        let image = Image::new(format, width, height, seed);
        let mut options = PreprocessOptions::with_mode(PreprocessMode::MediaPipe);
        options.yuv_color_space = color_space;
        let frame = image.frame();
        let sample = |plane: usize, x: u32, y: u32| {
            let plane = frame.planes()[plane];
            let index =
                y as usize * plane.row_stride_bytes + x as usize * plane.pixel_stride_bytes;
            f64::from(plane.data[index])
        };
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let [u, v] = [1, 2].map(|plane| sample(plane, x / 2, y / 2));
                let pixel = rgb_from_yuv(color_space, sample(0, x, y), u, v);
                rgb.extend(pixel.map(|level| level.round().clamp(0.0, 255.0) as u8));
            }
        }
        let rgb = FrameBuffer::from_rgb(&rgb, width, height).unwrap().with_orientation(orientation);
        let frame = frame.with_orientation(orientation);
        let output = preprocess(&frame, Some(region), target, &options).unwrap();
        let expected = preprocess(&rgb, Some(region), target, &options).unwrap();
        for (found, expected) in output.into_iter().zip(expected) {
            // Where the formula gives a half, the fixed-point numbers may round the other way.
            prop_assert!(found.abs_diff(expected) <= 1, "found {found}, expected {expected}");
        }
    }

    #[test]
    fn quality_is_a_triangle_filter(
        format in select(vec![PixelFormat::Rgba, PixelFormat::Nv21]),
        ((width, height), region) in sizes_and_regions(),
        target in (1u32..40, 1u32..40),
        color_space in color_spaces(),
        seed: u32,
    ) {
        let image = Image::new(format, width, height, seed);
        let mut options = PreprocessOptions::with_mode(PreprocessMode::Quality);
        options.yuv_color_space = color_space;
        let output = preprocess(&image.frame(), Some(region), target, &options).unwrap();
        let expected = triangle_filter(&image, region, target, color_space);
        // Two roundings to 8 bits, which the conversion from YUV multiplies.
        let tolerance = if format.is_yuv() { 5.0 } else { 1.1 };
        for (found, expected) in output.into_iter().zip(expected) {
            let error = (f64::from(found) - expected.clamp(0.0, 255.0)).abs();
            prop_assert!(error < tolerance, "found {found}, expected {expected}");
        }
    }

    #[test]
    fn normalized_and_quantized_outputs_follow_the_rgb_output(
        levels in vec(any::<u8>(), 12),
        mean in -10f32..200.0,
        std in 0.5f32..200.0,
    ) {
        let frame = FrameBuffer::from_rgb(&levels, 2, 2).unwrap();
        let options = PreprocessOptions::default();
        let mut plan = Plan::new(FrameGeometry::of(&frame), 2, 2, &options).unwrap();
        let normalization = Normalization::uniform(mean, std).unwrap();
        let mut floats = [0.0; 12];
        plan.normalized_into(&frame, &normalization, &mut floats).unwrap();
        let quantization = InputQuantization::new(&normalization, 0.05, -3).unwrap();
        let (mut signed, mut unsigned) = ([0i8; 12], [0u8; 12]);
        plan.int8_into(&frame, &quantization, &mut signed).unwrap();
        plan.uint8_into(&frame, &quantization, &mut unsigned).unwrap();
        for index in 0..12 {
            let value = (1.0 / std) * (f32::from(levels[index]) - mean);
            prop_assert_eq!(floats[index], value);
            let quantized = (value / 0.05).round() - 3.0;
            prop_assert_eq!(f32::from(signed[index]), quantized.clamp(-128.0, 127.0));
            prop_assert_eq!(f32::from(unsigned[index]), quantized.clamp(0.0, 255.0));
        }
    }
}

/// The documented formula, pixel by pixel with a rotation matrix.
fn media_pipe_formula(
    image: &Image,
    region: BoundingBox,
    degrees: i32,
    (target_width, target_height): (u32, u32),
) -> Vec<u8> {
    let (box_width, box_height) = (f64::from(region.width), f64::from(region.height));
    let centre_x = f64::from(region.origin_x) + box_width / 2.0;
    let centre_y = f64::from(region.origin_y) + box_height / 2.0;
    let (width, height) =
        if degrees % 180 == 90 { (box_height, box_width) } else { (box_width, box_height) };
    // Cosine and sine of minus the clockwise rotation.
    let (cosine, sine) = match degrees {
        0 => (1.0, 0.0),
        90 => (0.0, -1.0),
        180 => (-1.0, 0.0),
        _ => (0.0, 1.0),
    };
    let pixel = |x: i64, y: i64, channel: usize| {
        let x = x.clamp(0, i64::from(image.width) - 1) as usize;
        let y = y.clamp(0, i64::from(image.height) - 1) as usize;
        i64::from(image.data[(y * image.width as usize + x) * 3 + channel])
    };
    let mut output = Vec::new();
    for y in 0..target_height {
        for x in 0..target_width {
            let u = (f64::from(x) / f64::from(target_width) - 0.5) * width;
            let v = (f64::from(y) / f64::from(target_height) - 0.5) * height;
            let source_x = centre_x + (cosine * u - sine * v);
            let source_y = centre_y + (sine * u + cosine * v);
            let fixed_x = (source_x * 32.0).round_ties_even() as i64;
            let fixed_y = (source_y * 32.0).round_ties_even() as i64;
            let (ax, ay) = (fixed_x & 31, fixed_y & 31);
            let (x0, y0) = (fixed_x >> 5, fixed_y >> 5);
            for channel in 0..3 {
                let top = pixel(x0, y0, channel) * (32 - ax) + pixel(x0 + 1, y0, channel) * ax;
                let bottom =
                    pixel(x0, y0 + 1, channel) * (32 - ax) + pixel(x0 + 1, y0 + 1, channel) * ax;
                output.push(((top * (32 - ay) + bottom * ay + 512) >> 10) as u8);
            }
        }
    }
    output
}

/// Red, green and blue of a sample, by the coefficients that the standards print.
fn rgb_from_yuv(color_space: YuvColorSpace, y: f64, u: f64, v: f64) -> [f64; 3] {
    // Red from V, green from U and from V, blue from U, for luma and chroma of equal range.
    let [red, green_u, green_v, blue] = match color_space.matrix {
        YuvMatrix::Bt601 => [1.402, -0.344_136, -0.714_136, 1.772],
        YuvMatrix::Bt709 => [1.5748, -0.187_324, -0.468_124, 1.8556],
        YuvMatrix::Bt2020 => [1.4746, -0.164_553, -0.571_353, 1.8814],
        other => panic!("no coefficients of {other}"),
    };
    let (u, v) = (u - 128.0, v - 128.0);
    let (luma, u, v) = match color_space.range {
        YuvRange::Limited => ((y - 16.0) * 255.0 / 219.0, u * 255.0 / 224.0, v * 255.0 / 224.0),
        _ => (y, u, v),
    };
    [luma + red * v, luma + green_u * u + green_v * v, luma + blue * u]
}

/// The resized region as real RGB numbers, by a triangle filter over the samples in the region.
fn triangle_filter(
    image: &Image,
    region: BoundingBox,
    target: (u32, u32),
    color_space: YuvColorSpace,
) -> Vec<f64> {
    // Samples first, first + 1, .. and their weights for output `index` of `count`.
    let weights =
        |origin: f64, extent: f64, first: usize, samples: usize, index: u32, count: u32| {
            let scale = extent / f64::from(count);
            let centre = origin + (f64::from(index) + 0.5) * scale;
            let support = scale.max(1.0);
            let weight = |sample: usize| {
                let distance = ((first + sample) as f64 + 0.5 - centre).abs() / support;
                (1.0 - distance).max(0.0)
            };
            let weights: Vec<f64> = (0..samples).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect::<Vec<_>>()
        };
    let frame = image.frame();
    let value = |plane: usize, channel: usize, x: u32, y: u32| -> f64 {
        let unit = if plane == 0 { 1 } else { 2 };
        let axis = |origin: u32, extent: u32, index: u32, count: u32| {
            let first = (origin / unit) as usize;
            let last = (origin + extent).div_ceil(unit) as usize;
            let (origin, extent) = (f64::from(origin), f64::from(extent));
            let unit = f64::from(unit);
            (first, weights(origin / unit, extent / unit, first, last - first, index, count))
        };
        let (left, columns) = axis(region.origin_x, region.width, x, target.0);
        let (top, rows) = axis(region.origin_y, region.height, y, target.1);
        let plane = frame.planes()[plane];
        let mut sum = 0.0;
        for (row, row_weight) in rows.iter().enumerate() {
            for (column, column_weight) in columns.iter().enumerate() {
                let sample = plane.data[(top + row) * plane.row_stride_bytes
                    + (left + column) * plane.pixel_stride_bytes
                    + channel];
                sum += row_weight * column_weight * f64::from(sample);
            }
        }
        sum
    };
    let mut output = Vec::new();
    for y in 0..target.1 {
        for x in 0..target.0 {
            if image.format.is_yuv() {
                let [luma, u, v] = [0, 1, 2].map(|plane| value(plane, 0, x, y));
                output.extend(rgb_from_yuv(color_space, luma, u, v));
            } else {
                output.extend((0..3).map(|channel| value(0, channel, x, y)));
            }
        }
    }
    output
}

#[test]
fn center_crop_is_the_middle_of_the_resized_whole() {
    let image = Image::new(PixelFormat::Rgb, 40, 20, 5);
    let mut options = PreprocessOptions::with_mode(PreprocessMode::Quality);
    let whole = preprocess(&image.frame(), None, (16, 8), &options).unwrap();
    options.resize_policy = ResizePolicy::CenterCrop;
    let middle = preprocess(&image.frame(), None, (8, 8), &options).unwrap();
    let rows = whole.chunks(16 * 3).zip(middle.chunks(8 * 3));
    assert_eq!(rows.len(), 8);
    for (whole, middle) in rows {
        assert_eq!(&whole[4 * 3..12 * 3], middle);
    }
}

#[test]
fn letterbox_is_the_whole_between_bars() {
    let image = Image::new(PixelFormat::Rgba, 40, 20, 5);
    let mut options = PreprocessOptions::with_mode(PreprocessMode::Quality);
    let whole = preprocess(&image.frame(), None, (16, 8), &options).unwrap();
    options.resize_policy = ResizePolicy::Letterbox { padding: [1, 2, 3] };
    let boxed = preprocess(&image.frame(), None, (16, 13), &options).unwrap();
    // Two rows above, three below.
    assert_eq!(boxed[..2 * 48], [1, 2, 3].repeat(32));
    assert_eq!(boxed[2 * 48..10 * 48], whole);
    assert_eq!(boxed[10 * 48..], [1, 2, 3].repeat(48));
}

#[test]
fn quality_averages_all_pixels_when_shrinking() {
    // Stripes of single columns: two taps would see one colour only.
    let pixels: Vec<u8> = (0..64 * 64).map(|index| if index % 2 == 0 { 0 } else { 200 }).collect();
    let frame = FrameBuffer::from_gray(&pixels, 64, 64).unwrap();
    let options = PreprocessOptions::with_mode(PreprocessMode::Quality);
    let output = preprocess(&frame, None, (4, 4), &options).unwrap();
    assert!(output.iter().all(|&level| (98..=102).contains(&level)), "{output:?}");
}

#[test]
fn other_modes_refuse_resize_policies() {
    let image = Image::new(PixelFormat::Rgb, 4, 4, 1);
    for mode in [PreprocessMode::TaskLibrary, PreprocessMode::MediaPipe] {
        for resize_policy in [ResizePolicy::CenterCrop, ResizePolicy::Letterbox { padding: [0; 3] }]
        {
            let mut options = PreprocessOptions::with_mode(mode);
            options.resize_policy = resize_policy;
            assert_eq!(
                preprocess(&image.frame(), None, (2, 2), &options),
                Err(PreprocessError::UnsupportedResizePolicy { mode, resize_policy })
            );
        }
    }
}

#[test]
fn task_library_knows_one_colour_space_of_yuv() {
    let image = Image::new(PixelFormat::Nv12, 4, 4, 1);
    let mode = PreprocessMode::TaskLibrary;
    let mut refused = 0;
    for found in YuvColorSpace::ALL {
        let mut options = PreprocessOptions::with_mode(mode);
        options.yuv_color_space = found;
        let result = preprocess(&image.frame(), None, (2, 2), &options);
        let expected = YuvColorSpace::default();
        if found == expected {
            assert!(result.is_ok());
        } else {
            let error = PreprocessError::UnsupportedYuvColorSpace { mode, expected, found };
            assert_eq!(result, Err(error));
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
}

#[test]
fn targets_must_have_a_sane_size() {
    let image = Image::new(PixelFormat::Rgb, 4, 4, 1);
    for mode in MODES {
        for (width, height) in [(0, 1), (1, 0), (8193, 1), (1, u32::MAX)] {
            assert_eq!(
                preprocess(
                    &image.frame(),
                    None,
                    (width, height),
                    &PreprocessOptions::with_mode(mode)
                ),
                Err(PreprocessError::TargetSize { maximum: 8192, width, height })
            );
        }
    }
}

#[test]
fn regions_must_lie_within_the_frame() {
    let image = Image::new(PixelFormat::Nv12, 5, 4, 1);
    let region = BoundingBox::new(1, 0, 5, 4);
    let error = preprocess(&image.frame(), Some(region), (2, 2), &PreprocessOptions::default());
    let cause = FrameError::RegionOutOfBounds { region, frame_width: 5, frame_height: 4 };
    assert_eq!(error, Err(PreprocessError::Frame(cause)));
}

#[test]
fn regions_must_not_be_too_long() {
    let cases = [(PreprocessMode::TaskLibrary, 32768), (PreprocessMode::Quality, 65535)];
    for (mode, maximum) in cases {
        let options = PreprocessOptions::with_mode(mode);
        for (width, height) in [(maximum, 1), (1, maximum)] {
            let image = Image::new(PixelFormat::Gray, width, height, 1);
            assert!(preprocess(&image.frame(), None, (1, 1), &options).is_ok());
            assert!(preprocess(&image.frame(), None, (3, 2), &options).is_ok());
        }
        for (width, height) in [(maximum + 1, 1), (1, maximum + 1)] {
            let image = Image::new(PixelFormat::Gray, width, height, 1);
            assert_eq!(
                preprocess(&image.frame(), None, (1, 1), &options),
                Err(PreprocessError::RegionSize { mode, maximum, width, height })
            );
        }
    }
}

#[test]
fn plans_serve_their_geometry_only_and_survive_errors() {
    let image = Image::new(PixelFormat::Rgb, 6, 4, 1);
    let frame = image.frame();
    let other_format = Image::new(PixelFormat::Rgba, 6, 4, 1);
    let other_size = Image::new(PixelFormat::Rgb, 4, 6, 1);
    for mode in MODES {
        let options = PreprocessOptions::with_mode(mode);
        let geometry = FrameGeometry::of_region(&frame, BoundingBox::new(1, 1, 3, 3)).unwrap();
        let mut plan = Plan::new(geometry, 2, 2, &options).unwrap();
        let mut output = [0; 12];
        let wrong = [
            other_format.frame(),
            other_size.frame(),
            frame.with_orientation(Orientation::TopRight),
        ];
        for wrong in wrong {
            assert_eq!(
                plan.rgb_into(&wrong, &mut output),
                Err(PreprocessError::FrameMismatch {
                    expected: geometry,
                    found: FrameGeometry::of(&wrong)
                })
            );
        }
        for found in [0, 11, 13] {
            let error = Err(PreprocessError::OutputLength { expected: 12, found });
            assert_eq!(plan.rgb_into(&frame, &mut vec![0; found]), error);
            let normalization = Normalization::default();
            assert_eq!(plan.normalized_into(&frame, &normalization, &mut vec![0.0; found]), error);
            let quantization = InputQuantization::new(&normalization, 1.0, 0).unwrap();
            assert_eq!(plan.int8_into(&frame, &quantization, &mut vec![0; found]), error);
            assert_eq!(plan.uint8_into(&frame, &quantization, &mut vec![0; found]), error);
        }
        assert_eq!(plan.rgb_into(&frame, &mut output), Ok(()));
    }
}
