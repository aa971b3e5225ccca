//! YUV in the mode of the Task Library, beside a second implementation that computes each pixel by
//! itself from what libyuv 1773 does on x86-64, and says which way the pixel went.
//!
//! The recorded pixels of `tests/golden.rs` come from the original but do not take every way; the
//! cases here do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use image_embedder_frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessOptions};

/// Columns and rows.
type Size = (i64, i64);

const ONE: i64 = 1 << 16;

/// A sample of a plane by column and row.
type Samples<'a> = &'a dyn Fn(i64, i64) -> i64;

/// `(a (256 - f) + b f + 128) / 256`, of neighbouring rows.
fn between_rows(samples: Samples<'_>, x: i64, row: i64, f: i64) -> i64 {
    if f == 0 {
        return samples(x, row);
    }
    (samples(x, row) * (256 - f) + samples(x, row + 1) * f + 128) >> 8
}

/// The sample at `x` in 16.16 fixed point between two columns of a planar row.
fn between_columns(row: impl Fn(i64) -> i64, x: i64, columns: i64) -> i64 {
    let (left, f) = (x >> 16, (x >> 9) & 127);
    let (a, b) = (row(left), row((left + 1).min(columns - 1)));
    a + ((f * (b - a) + 64) >> 7)
}

/// The same of a row of pairs: the weights add up to 127.
fn between_pairs(row: impl Fn(i64) -> i64, x: i64, columns: i64) -> i64 {
    let (left, f) = (x >> 16, (x >> 9) & 127);
    let (a, b) = (row(left), row((left + 1).min(columns - 1)));
    (a * (127 - f) + b * f) >> 7
}

/// Whether rows and columns are interpolated.
fn interpolated(source: Size, target: Size) -> (bool, bool) {
    let ((sw, sh), (dw, dh)) = (source, target);
    let rows = !(sh == 1 || sw == 1 || dh == sh || 3 * dh == sh);
    let columns = sw != 1 && (rows || !(dw == sw || 3 * dw == sw));
    (rows, columns)
}

/// Start and step of an axis in 16.16 fixed point.
fn slope(interpolated: bool, s: i64, d: i64) -> (i64, i64) {
    match (interpolated, d <= s) {
        (false, _) => {
            let step = (s << 16) / d;
            (step >> 1, step)
        }
        (true, true) => {
            let step = (s << 16) / d;
            ((step >> 1) - ONE / 2, step)
        }
        (true, false) => (0, ((s << 16) - 0x1_0001) / (d - 1)),
    }
}

/// The mean of two samples, halves rounded up.
fn mean(a: i64, b: i64) -> i64 {
    (a + b + 1) >> 1
}

/// The pixel in column `x` and row `y` of a plane shrunk to three quarters.
fn three_quarters(samples: Samples<'_>, target: Size, x: i64, y: i64) -> (i64, &'static str) {
    let (near, far) = [(0, 1), (1, 2), (3, 2)][(y % 3) as usize];
    let (near, far) = (y / 3 * 4 + near, y / 3 * 4 + far);
    let is_middle = y % 3 == 1;
    let across = |row: &dyn Fn(i64) -> i64| {
        let s = |offset: i64| row(x / 3 * 4 + offset);
        match x % 3 {
            0 => (3 * s(0) + s(1) + 2) >> 2,
            1 => (s(1) + s(2) + 1) >> 1,
            _ => (s(2) + 3 * s(3) + 2) >> 2,
        }
    };
    if x < target.0 - target.0 % 24 {
        let down = |column: i64| {
            let (s, t) = (samples(column, near), samples(column, far));
            if is_middle { mean(s, t) } else { mean(s, mean(s, t)) }
        };
        (across(&down), "three quarters, 24 columns at a time")
    } else {
        let a = across(&|column| samples(column, near));
        let b = across(&|column| samples(column, far));
        let value = if is_middle { mean(a, b) } else { (3 * a + b + 2) >> 2 };
        (value, "three quarters, single columns")
    }
}

/// The pixel in column `x` and row `y` of a plane shrunk to three eighths.
fn three_eighths(samples: Samples<'_>, target: Size, x: i64, y: i64) -> (i64, &'static str) {
    // First sample and number of samples of a block of three, three or two.
    let span = |index: i64| {
        let (first, count) = [(0, 3), (3, 3), (6, 2)][(index % 3) as usize];
        (index / 3 * 8 + first, count)
    };
    let ((left, width), (top, height)) = (span(x), span(y));
    if height == 2 && x < target.0 - target.0 % 6 {
        let columns = left..left + width;
        let sum: i64 = columns.map(|x| mean(samples(x, top), samples(x, top + 1))).sum();
        let factor = if width == 2 { 32768 } else { 21845 };
        return ((sum * factor) >> 16, "three eighths, means of two rows");
    }
    let mut sum = 0;
    for y in top..top + height {
        for x in left..left + width {
            sum += samples(x, y);
        }
    }
    let way = if height == 2 {
        "three eighths, two rows in single columns"
    } else {
        "three eighths, three rows"
    };
    ((sum * (65536 / (width * height))) >> 16, way)
}

/// The pixel in column `x` and row `y` of a plane of its own, and the way it took.
fn planar(
    samples: Samples<'_>,
    source: Size,
    target: Size,
    (x, y): (i64, i64),
) -> (i64, &'static str) {
    let ((sw, sh), (dw, dh)) = (source, target);
    if source == target {
        return (samples(x, y), "copied");
    }
    let (rows, columns) = interpolated(source, target);
    if dw == sw {
        // Rows are not centred here.
        let position = (y * ((sh << 16) / dh)).min(if sh > 1 { ((sh - 1) << 16) - 1 } else { 0 });
        let (f, way) = match (rows, columns) {
            (false, false) => (0, "rows only, nearest"),
            _ => ((position >> 8) & 255, "rows only"),
        };
        return (between_rows(samples, x, position >> 16, f), way);
    }
    if dw <= sw && dh <= sh {
        if 4 * dw == 3 * sw && 4 * dh == 3 * sh {
            return three_quarters(samples, target, x, y);
        }
        if 2 * dw == sw && 2 * dh == sh {
            let sum: i64 = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .into_iter()
                .map(|(right, down)| samples(2 * x + right, 2 * y + down))
                .sum();
            return ((sum + 2) >> 2, "halved");
        }
        if 8 * dw == 3 * sw && 8 * dh == 3 * sh {
            return three_eighths(samples, target, x, y);
        }
    }
    let ((x0, dx), (y0, dy)) = (slope(columns, sw, dw), slope(rows, sh, dh));
    let (x, y) = (x0 + x * dx, (y0 + y * dy).min((sh - 1) << 16));
    let (row, f) = (y >> 16, if rows { (y >> 8) & 255 } else { 0 });
    match (rows, columns) {
        (_, false) => (samples(x >> 16, row), "nearest"),
        (true, true) if dh > sh => {
            let filtered = |_: i64, row: i64| between_columns(|x| samples(x, row), x, sw);
            (between_rows(&filtered, 0, row, f), "columns, then rows")
        }
        (true, true) => {
            let blended = |x: i64| between_rows(samples, x, row, f);
            (between_columns(blended, x, sw), "rows, then columns")
        }
        (false, true) => {
            let way = if dh > sh { "columns only, of a single row" } else { "columns only" };
            (between_columns(|x| samples(x, row), x, sw), way)
        }
    }
}

/// The pixel in column `x` and row `y` of one half of pairs, and the way it took.
fn paired(
    samples: Samples<'_>,
    source: Size,
    target: Size,
    (x, y): (i64, i64),
) -> (i64, &'static str) {
    let ((sw, sh), (dw, dh)) = (source, target);
    if source == target {
        return (samples(x, y), "copied");
    }
    let (mut rows, mut columns) = interpolated(source, target);
    let ((x0, dx), (y0, dy)) = (slope(columns, sw, dw), slope(rows, sh, dh));
    let is_nearest = !rows && !columns;
    if (dx | dy) & 0xffff == 0 {
        match (dx & ONE != 0, dy & ONE != 0) {
            (false, false) => {
                let (left, top) = ((x0 + x * dx) >> 16, (y0 + y * dy) >> 16);
                let sum: i64 = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .into_iter()
                    .map(|(right, down)| samples(left + right, top + down))
                    .sum();
                return ((sum + 2) >> 2, "means of blocks");
            }
            (true, true) => (rows, columns) = (false, false),
            _ => {}
        }
    }
    if dx == ONE && x0 & 0xffff == 0 {
        let last = if sh > 1 { ((sh - 1) << 16) - 1 } else { 0 };
        let position = (y0 + y * dy).min(last);
        let f = if is_nearest { 0 } else { (position >> 8) & 255 };
        return (between_rows(samples, (x0 >> 16) + x, position >> 16, f), "rows only");
    }
    let (x, y) = (x0 + x * dx, (y0 + y * dy).min((sh - 1) << 16));
    let (row, f) = (y >> 16, if rows { (y >> 8) & 255 } else { 0 });
    match (rows, columns) {
        (_, false) => (samples(x >> 16, row), if is_nearest { "nearest" } else { "odd steps" }),
        (true, true) if dy < ONE => {
            let filtered = |_: i64, row: i64| between_pairs(|x| samples(x, row), x, sw);
            (between_rows(&filtered, 0, row, f), "columns, then rows")
        }
        (true, true) => {
            let blended = |x: i64| between_rows(samples, x, row, f);
            (between_pairs(blended, x, sw), "rows, then columns")
        }
        (false, true) => {
            let way = if dy < ONE { "columns only, of a single row" } else { "columns only" };
            (between_pairs(|x| samples(x, row), x, sw), way)
        }
    }
}

/// Red, green and blue of a sample.
fn rgb(y: i64, u: i64, v: i64) -> [u8; 3] {
    let luma = (y * 0x0101 * 18997) >> 16;
    [luma + 102 * v - 14216, luma - 25 * u - 52 * v + 8696, luma + 128 * u - 17544]
        .map(|level| (level >> 6).clamp(0, 255) as u8)
}

/// A frame, the part of it that is taken, and the size that this part gets.
#[derive(Clone, Copy, Debug)]
struct Case {
    format: PixelFormat,
    orientation: Orientation,
    frame: (u32, u32),
    region: BoundingBox,
    target: (u32, u32),
    seed: u32,
}

impl Case {
    fn pixels(&self) -> Vec<u8> {
        let size = self.format.contiguous_size(self.frame.0, self.frame.1).unwrap();
        let mut random = Random(self.seed);
        (0..size).map(|_| (random.next() >> 24) as u8).collect()
    }

    /// What the library makes of it.
    fn computed(&self, pixels: &[u8]) -> Vec<u8> {
        let (width, height) = self.frame;
        let frame = FrameBuffer::from_contiguous(self.format, pixels, width, height)
            .unwrap()
            .with_orientation(self.orientation);
        let geometry = FrameGeometry::of_region(&frame, self.region).unwrap();
        let options = PreprocessOptions::default();
        let mut plan = Plan::new(geometry, self.target.0, self.target.1, &options).unwrap();
        let mut output = vec![0; plan.output_len()];
        plan.rgb_into(&frame, &mut output).unwrap();
        output
    }

    /// What each pixel must be, and the ways that planes and pairs took.
    fn expected(&self, pixels: &[u8]) -> (Vec<u8>, BTreeSet<(&'static str, &'static str)>) {
        let mut ways = BTreeSet::new();
        let (width, height) = (i64::from(self.frame.0), i64::from(self.frame.1));
        let chroma_stride = (width + 1) / 2;
        let chroma = width * height;
        let chroma_size = chroma_stride * ((height + 1) / 2);
        // Where the samples of Y, U and V lie.
        let index = |plane: usize, x: i64, y: i64| {
            let sample = y * chroma_stride + x;
            match (self.format, plane) {
                (_, 0) => y * width + x,
                (PixelFormat::Nv12, 1) | (PixelFormat::Nv21, 2) => chroma + 2 * sample,
                (PixelFormat::Nv12 | PixelFormat::Nv21, _) => chroma + 2 * sample + 1,
                (PixelFormat::Yv21, 1) | (PixelFormat::Yv12, 2) => chroma + sample,
                _ => chroma + chroma_size + sample,
            }
        };
        let is_turned = self.orientation.exif() >= 5;
        let (tw, th) = (i64::from(self.target.0), i64::from(self.target.1));
        let resized = if is_turned { (th, tw) } else { (tw, th) };
        let half = |(w, h): Size| ((w + 1) / 2, (h + 1) / 2);
        let region = self.region;
        let source = (i64::from(region.width), i64::from(region.height));
        let origin = (i64::from(region.origin_x), i64::from(region.origin_y));
        let is_paired = matches!(self.format, PixelFormat::Nv12 | PixelFormat::Nv21);

        let mut sample = |plane: usize, x: i64, y: i64| {
            let (source, target, origin) = if plane == 0 {
                (source, resized, origin)
            } else {
                (half(source), half(resized), (origin.0 / 2, origin.1 / 2))
            };
            // The place in the resized plane before it was turned.
            let (w, h) = target;
            let place = match self.orientation.exif() {
                1 => (x, y),
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                _ => (w - 1 - y, x),
            };
            let read = |x: i64, y: i64| {
                assert!((0..source.0).contains(&x) && (0..source.1).contains(&y), "{x}, {y}");
                i64::from(pixels[index(plane, origin.0 + x, origin.1 + y) as usize])
            };
            let (kind, (value, way)) = match plane {
                0 => ("plane", planar(&read, source, target, place)),
                _ if is_paired => ("pairs", paired(&read, source, target, place)),
                _ => ("plane", planar(&read, source, target, place)),
            };
            ways.insert((kind, way));
            value
        };
        let mut output = Vec::new();
        for y in 0..th {
            for x in 0..tw {
                let [u, v] = [1, 2].map(|plane| sample(plane, x / 2, y / 2));
                output.extend(rgb(sample(0, x, y), u, v));
            }
        }
        (output, ways)
    }
}

/// Numbers that are the same in each run.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut x = self.0;
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        x ^ (x >> 16)
    }

    fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.next() % (last - first + 1)
    }
}

/// The relations of one axis: by the number, its source and target size.
fn axis(relation: u32, random: &mut Random) -> (u32, u32) {
    let mut shrunk = |source: u32, target: u32, last: u32| {
        let count = random.between(1, last);
        (source * count, target * count)
    };
    match relation {
        0 => shrunk(1, 1, 40),
        1 => shrunk(2, 1, 20),
        2 => shrunk(3, 1, 14),
        3 => shrunk(4, 1, 9),
        4 => shrunk(5, 1, 8),
        5 => shrunk(4, 3, 18),
        6 => shrunk(8, 3, 9),
        7 => {
            let target = random.between(2, 20);
            (random.between(target + 1, 4 * target), target)
        }
        8 => {
            let source = random.between(2, 20);
            (source, random.between(source + 1, 3 * source))
        }
        9 => (1, random.between(1, 9)),
        _ => (random.between(1, 40), 1),
    }
}

const RELATIONS: u32 = 11;

#[test]
fn every_way_of_yuv_gives_the_described_pixels() {
    const FORMATS: [PixelFormat; 4] =
        [PixelFormat::Nv12, PixelFormat::Nv21, PixelFormat::Yv12, PixelFormat::Yv21];
    let mut random = Random(7);
    let mut ways = BTreeMap::new();
    let mut cases = 0;
    for format in FORMATS {
        for across in 0..RELATIONS {
            for down in 0..RELATIONS {
                // The special filters ask for one relation in both directions.
                for _ in 0..if across == down { 12 } else { 2 } {
                    let (sw, dw) = axis(across, &mut random);
                    let (sh, dh) = axis(down, &mut random);
                    let orientation = Orientation::ALL[(random.next() % 8) as usize];
                    let (left, top) = (random.between(0, 3), random.between(0, 3));
                    let target = if orientation.swaps_dimensions() { (dh, dw) } else { (dw, dh) };
                    let case = Case {
                        format,
                        orientation,
                        frame: (left + sw + random.between(0, 2), top + sh + random.between(0, 2)),
                        region: BoundingBox::new(left, top, sw, sh),
                        target,
                        seed: random.next(),
                    };
                    let pixels = case.pixels();
                    let (expected, taken) = case.expected(&pixels);
                    assert!(case.computed(&pixels) == expected, "{case:?}");
                    for way in taken {
                        *ways.entry(way).or_insert(0) += 1;
                    }
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 4 * (11 * 12 + 11 * 10 * 2));
    let ways: Vec<_> = ways.into_iter().collect();
    let expected = [
        (("pairs", "columns only"), 76),
        (("pairs", "columns only, of a single row"), 29),
        (("pairs", "columns, then rows"), 48),
        (("pairs", "copied"), 31),
        (("pairs", "means of blocks"), 30),
        (("pairs", "nearest"), 94),
        (("pairs", "odd steps"), 35),
        (("pairs", "rows only"), 37),
        (("pairs", "rows, then columns"), 324),
        (("plane", "columns only"), 175),
        (("plane", "columns only, of a single row"), 62),
        (("plane", "columns, then rows"), 111),
        (("plane", "copied"), 57),
        (("plane", "halved"), 49),
        (("plane", "nearest"), 187),
        (("plane", "rows only"), 66),
        (("plane", "rows only, nearest"), 54),
        (("plane", "rows, then columns"), 702),
        (("plane", "three eighths, means of two rows"), 38),
        (("plane", "three eighths, three rows"), 49),
        (("plane", "three eighths, two rows in single columns"), 35),
        (("plane", "three quarters, 24 columns at a time"), 35),
        (("plane", "three quarters, single columns"), 42),
    ];
    assert_eq!(ways, expected);
}
