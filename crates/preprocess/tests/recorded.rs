//! Bit-exact agreement with tflite-support and MediaPipe on generated frames.
//!
//! `cargo xtask golden` records the hashes of what the two packages compute.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use image_embedder_frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessMode, PreprocessOptions};
use image_embedder_test_support::fixture;
use serde_json::Value;
use sha2::{Digest, Sha256};

type Size = (u32, u32);

/// A recorded frame and what became of it.
struct Case {
    format: PixelFormat,
    frame: Size,
    region: Option<BoundingBox>,
    target: Size,
    orientation: Orientation,
    seed: u32,
    sha256: String,
}

impl Case {
    fn read(case: &Value) -> Self {
        let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
        let numbers =
            |value: &Value| -> Vec<u32> { value.as_array().unwrap().iter().map(number).collect() };
        let size = |value: &Value| match numbers(value)[..] {
            [width, height] => (width, height),
            _ => panic!("expected two numbers: {value}"),
        };
        let region = |value: &Value| match numbers(value)[..] {
            [x, y, width, height] => BoundingBox::new(x, y, width, height),
            _ => panic!("expected four numbers: {value}"),
        };
        Self {
            format: match case["format"].as_str().unwrap() {
                "RGB" => PixelFormat::Rgb,
                "RGBA" => PixelFormat::Rgba,
                other => panic!("unknown format {other}"),
            },
            frame: size(&case["frame"]),
            region: (!case["region"].is_null()).then(|| region(&case["region"])),
            target: size(&case["target"]),
            orientation: match case["rotation"].as_u64() {
                None | Some(0) => Orientation::TopLeft,
                Some(90) => Orientation::RightTop,
                Some(180) => Orientation::BottomRight,
                Some(270) => Orientation::LeftBottom,
                Some(other) => panic!("unknown rotation {other}"),
            },
            seed: number(&case["seed"]),
            sha256: case["sha256"].as_str().unwrap().to_owned(),
        }
    }

    /// The size of what is resized.
    fn source(&self) -> Size {
        self.region.map_or(self.frame, |region| (region.width, region.height))
    }

    fn check(&self, mode: PreprocessMode) -> Result<(), String> {
        let (width, height) = self.frame;
        let pixels = pattern(self.seed, self.format.contiguous_size(width, height).unwrap());
        let frame = FrameBuffer::from_contiguous(self.format, &pixels, width, height)
            .unwrap()
            .with_orientation(self.orientation);
        let geometry = match self.region {
            Some(region) => FrameGeometry::of_region(&frame, region).unwrap(),
            None => FrameGeometry::of(&frame),
        };
        let options = PreprocessOptions::with_mode(mode);
        let mut plan = Plan::new(geometry, self.target.0, self.target.1, &options).unwrap();
        let mut output = vec![0; plan.output_len()];
        plan.rgb_into(&frame, &mut output).unwrap();
        let found: String =
            Sha256::digest(&output).iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.sha256 {
            Ok(())
        } else {
            Err(format!("{geometry} to {:?}, seed {}", self.target, self.seed))
        }
    }
}

/// The bytes of the frame with a seed: see "input" in the recorded files.
fn pattern(seed: u32, count: usize) -> Vec<u8> {
    let byte = |index: u32| {
        let mut x = index.wrapping_mul(0x9E37_79B1).wrapping_add(seed);
        x = (x ^ x >> 16).wrapping_mul(0x85EB_CA6B);
        x = (x ^ x >> 13).wrapping_mul(0xC2B2_AE35);
        ((x ^ x >> 16) >> 24) as u8
    };
    (0..u32::try_from(count).unwrap()).map(byte).collect()
}

/// Checks every case of a recorded file and returns them.
fn check(name: &str, mode: PreprocessMode) -> Vec<Case> {
    let text = std::fs::read_to_string(fixture(format!("golden/preprocess/{name}.json"))).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let cases: Vec<Case> = recorded["cases"].as_array().unwrap().iter().map(Case::read).collect();
    let failures: Vec<String> = cases.iter().filter_map(|case| case.check(mode).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    cases
}

/// Where a plan for RGB or RGBA goes in the original's code, from sizes alone.
///
/// Source: the decisions of `ImagePreprocessor` and of libyuv 1773 (`ScaleFilterReduce`,
/// `ScaleSlope`, `ScaleARGB`), written down independently of the library's own choice.
fn branches(case: &Case) -> Vec<String> {
    const ONE: i64 = 1 << 16;
    let (source, target) = (case.source(), case.target);
    if source == target {
        let is_untouched = case.format == PixelFormat::Rgb && case.region.is_none();
        let way = if is_untouched { "taken as it is" } else { "copied" };
        return vec![format!("scale: {way}")];
    }
    let (sw, sh) = (i64::from(source.0), i64::from(source.1));
    let (dw, dh) = (i64::from(target.0), i64::from(target.1));
    let mut taken = Vec::new();

    // Which axes are interpolated.
    let (mut rows, mut columns) = (true, true);
    let mut reduce = |reason: &str| taken.push(format!("filter: {reason}"));
    if sh == 1 {
        reduce("one row");
        rows = false;
    }
    if dh == sh {
        reduce("same height");
        rows = false;
    }
    if 3 * dh == sh {
        reduce("third of the height");
        rows = false;
    }
    if sw == 1 {
        reduce("one column");
        (rows, columns) = (false, false);
    }
    if !rows && columns && dw == sw {
        reduce("same width");
        columns = false;
    }
    if !rows && columns && 3 * dw == sw {
        reduce("third of the width");
        columns = false;
    }

    // Start and step of each axis.
    let mut slope = |axis: &str, interpolated: bool, s: i64, d: i64| {
        let guarded = if d == 1 && s >= 32768 {
            taken.push(format!("slope: guarded {axis}"));
            s
        } else {
            d
        };
        if !interpolated {
            taken.push(format!("slope: nearest {axis}"));
            let step = (s << 16) / guarded;
            (step >> 1, step)
        } else if guarded <= s {
            taken.push(format!("slope: centred {axis}"));
            let step = (s << 16) / guarded;
            ((step >> 1) - ONE / 2, step)
        } else {
            taken.push(format!("slope: from corner to corner {axis}"));
            (0, ((s << 16) - 0x1_0001) / (guarded - 1))
        }
    };
    let (x, dx) = slope("columns", columns, sw, dw);
    let (_, dy) = slope("rows", rows, sh, dh);

    // The scaler.
    let integer = (dx | dy) & 0xffff == 0;
    let (odd_x, odd_y) = (dx & ONE != 0, dy & ONE != 0);
    if integer && (dx == 0 || dy == 0) {
        taken.push("scale: a step of zero".to_owned());
        columns = false;
    } else if integer && !odd_x && !odd_y {
        let way = match (dw / 4, dw % 4) {
            (0, _) => "box, fewer than four columns",
            (_, 0) => "box, four columns at a time",
            _ => "box, four columns at a time and the rest",
        };
        taken.push(format!("scale: {way}"));
        return taken;
    } else if integer && odd_x && odd_y && columns {
        taken.push("scale: odd steps".to_owned());
        (rows, columns) = (false, false);
    } else if integer && odd_x != odd_y {
        taken.push("scale: one odd, one even step".to_owned());
    }
    if dx == ONE && x & 0xffff == 0 {
        let direction = if dh > sh { "more" } else { "fewer" };
        taken.push(format!("scale: rows only, {direction}"));
        return taken;
    }
    let way = match (rows, columns) {
        (_, false) => "nearest",
        (true, true) if dy < ONE => "columns, then rows",
        (true, true) => "rows, then columns",
        (false, true) if dy < ONE => "columns only, of a single row",
        (false, true) => "columns only",
    };
    taken.push(format!("scale: {way}"));
    taken
}

#[test]
fn task_library_is_exact_on_every_branch() {
    let cases = check("task_library", PreprocessMode::TaskLibrary);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for branch in cases.iter().flat_map(branches) {
        *counts.entry(branch).or_default() += 1;
    }
    let counts: Vec<(&str, usize)> =
        counts.iter().map(|(branch, count)| (branch.as_str(), *count)).collect();
    // A step of zero is not among them: it takes a target of more than 65536 pixels.
    let expected = [
        ("filter: one column", 90),
        ("filter: one row", 99),
        ("filter: same height", 84),
        ("filter: same width", 20),
        ("filter: third of the height", 87),
        ("filter: third of the width", 36),
        ("scale: box, fewer than four columns", 4),
        ("scale: box, four columns at a time", 6),
        ("scale: box, four columns at a time and the rest", 4),
        ("scale: columns only", 81),
        ("scale: columns only, of a single row", 37),
        ("scale: columns, then rows", 61),
        ("scale: copied", 12),
        ("scale: nearest", 201),
        ("scale: odd steps", 67),
        ("scale: one odd, one even step", 83),
        ("scale: rows only, fewer", 34),
        ("scale: rows only, more", 12),
        ("scale: rows, then columns", 142),
        ("scale: taken as it is", 2),
        ("slope: centred columns", 350),
        ("slope: centred rows", 216),
        ("slope: from corner to corner columns", 86),
        ("slope: from corner to corner rows", 73),
        ("slope: guarded columns", 2),
        ("slope: guarded rows", 2),
        ("slope: nearest columns", 146),
        ("slope: nearest rows", 293),
    ];
    assert_eq!(counts, expected);
    assert_eq!(cases.len(), 596);
}

#[test]
fn media_pipe_is_exact_in_every_rotation_of_frames_and_regions() {
    let cases = check("media_pipe", PreprocessMode::MediaPipe);
    let mut counts = BTreeMap::new();
    for case in &cases {
        *counts.entry((case.region.is_some(), case.orientation.exif())).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    let (frames, regions) = (48, 18);
    let expected = [
        ((false, 1), frames),
        ((false, 3), frames),
        ((false, 6), frames),
        ((false, 8), frames),
        ((true, 1), regions),
        ((true, 3), regions),
        ((true, 6), regions),
        ((true, 8), regions),
    ];
    assert_eq!(counts, expected);
}
