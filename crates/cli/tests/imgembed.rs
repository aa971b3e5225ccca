//! The program `imgembed` as its users run it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use image_embedder_test_support::model_builder::{PassThrough, TensorKind, normalized_rgb};
use image_embedder_test_support::{
    fixture, litert_library, model, program, shared_library, tflite_library, workspace_root,
};
use tempfile::TempDir;

fn imgembed() -> Command {
    program(env!("CARGO_BIN_EXE_imgembed"))
}

fn run(arguments: &[&str]) -> Output {
    imgembed().args(arguments).output().unwrap()
}

/// Standard output of a run that must succeed.
fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line on standard error of a run that must fail with code 1.
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    assert_eq!(errors.matches('\n').count(), 1, "{errors}");
    assert!(errors.ends_with('\n'), "{errors}");
    assert!(errors.starts_with("imgembed: error: "), "{errors}");
    errors.trim_end().to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn image(name: &str) -> String {
    path(&fixture(format!("images/{name}"))).to_owned()
}

/// What the last line of `compare` says.
fn similarity(arguments: &[&str]) -> f64 {
    let output = stdout(&[&["compare"], arguments].concat());
    let last = output.lines().last().unwrap();
    let number = last.strip_prefix("Cosine similarity: ").unwrap();
    assert_eq!(number.split_once('.').unwrap().1.len(), 6, "{last}");
    number.parse().unwrap()
}

/// A folder with the models that tests build.
struct Models(TempDir);

impl Models {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// A model that gives the 8 x 8 pixels of its input back.
fn pass_through() -> PassThrough {
    PassThrough::new(TensorKind::uint8(&[1, 8, 8, 3]), vec![TensorKind::uint8(&[1, 192])])
}

#[test]
fn crops_of_one_photo_are_nearer_than_other_subjects() {
    let (left, right) = (image("cat_left.jpg"), image("cat_right.jpg"));
    let near = similarity(&[&left, &right]);
    let others = ["astronaut.jpg", "coffee.jpg", "rocket.jpg"];
    for other in others {
        let far = similarity(&[&left, &image(other)]);
        assert!(far < near - 0.3, "{other}: {far} and {near}");
    }
    // The digits are the same on every processor.
    assert_eq!(near, 0.967_307);
    let same = similarity(&[&left, &left]);
    assert!((same - 1.0).abs() < 1e-6, "{same}");
}

#[test]
fn compare_tells_what_it_did() {
    let (left, right) = (image("cat.jpg"), image("cat_orientation6.jpg"));
    let output = stdout(&["compare", &left, &right, "--l2-normalize", "--threads", "2"]);
    let parts = [
        "efficientnet_lite0_feature_vector_uint8.tflite (bundled), 3941862 bytes",
        "native, threads 2",
        "224x224 pixels as UINT8, mode task library, stretch",
        "1280 elements, length one, fingerprint ",
        "451x300 RGB, orientation TopLeft (Exif 1), decoded in ",
        "300x451 RGB, orientation RightTop (Exif 6), decoded in ",
    ];
    for part in parts {
        assert!(output.contains(part), "{part:?} is not in {output}");
    }
    assert_eq!(output.lines().count(), 7, "{output}");
}

#[test]
fn options_change_the_result_as_they_should() {
    let (left, right) = (image("cat_left.jpg"), image("cat_right.jpg"));
    let plain = similarity(&[&left, &right]);
    let unit = similarity(&[&left, &right, "--l2-normalize"]);
    assert!((plain - unit).abs() < 1e-5, "{plain} and {unit}");
    let quantized = similarity(&[&left, &right, "--l2-normalize", "--quantize"]);
    assert!((plain - quantized).abs() < 0.05, "{plain} and {quantized}");
    assert_ne!(plain, quantized);

    let (upright, turned) = (image("cat.jpg"), image("cat_orientation6.jpg"));
    let heeded = similarity(&[&upright, &turned]);
    let ignored = similarity(&[&upright, &turned, "--ignore-exif"]);
    assert!(heeded > ignored + 0.05, "{heeded} and {ignored}");
}

#[test]
fn embed_prints_the_vector() {
    let photo = image("coffee.jpg");
    let line = stdout(&["embed", &photo]);
    assert_eq!(line.lines().count(), 1);
    let values: Vec<f32> = line.split_whitespace().map(|value| value.parse().unwrap()).collect();
    assert_eq!(values.len(), 1280);

    let json = stdout(&["embed", &photo, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["backend"], "native");
    assert_eq!(json["dimension"], 1280);
    assert_eq!(json["fingerprint"].as_str().unwrap().len(), 32);
    assert_eq!(json["embeddings"][0]["kind"], "float");
    assert!(json["model"].as_str().unwrap().starts_with("efficientnet_lite0"));
    let embedding = &json["embeddings"][0];
    assert_eq!(embedding["output_index"], 0);
    let from_json: Vec<f32> = embedding["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap() as f32)
        .collect();
    assert_eq!(from_json, values);

    let quantized = stdout(&["embed", &photo, "--l2-normalize", "--quantize"]);
    let quantized: Vec<i8> =
        quantized.split_whitespace().map(|value| value.parse().unwrap()).collect();
    assert_eq!(quantized.len(), 1280);
}

#[test]
fn embed_takes_a_region_and_another_model() {
    let models = Models::new();
    let model = models.add("pixels.tflite", &pass_through().to_bytes());
    let photo = image("coffee_rgb.png");
    let values = |region: &str| {
        let line = stdout(&["embed", &photo, "--model", path(&model), "--region", region]);
        line.split_whitespace().map(|value| value.parse::<u8>().unwrap()).collect::<Vec<_>>()
    };
    // Two regions that share four columns.
    let (left, right) = (values("10,5,8,8"), values("14,5,8,8"));
    assert_eq!(left.len(), 192);
    assert_ne!(left, right);
    for row in 0..8 {
        assert_eq!(left[row * 24 + 12..row * 24 + 24], right[row * 24..row * 24 + 12]);
    }
}

#[test]
fn regions_are_pixels_or_fractions() {
    let models = Models::new();
    let model = models.add("pixels.tflite", &pass_through().to_bytes());
    let photo = image("cat.jpg");
    let embed = |region: &[&str]| {
        stdout(&[&["embed", &photo, "--model", path(&model), "--region"], region].concat())
    };
    // The photo has 451 x 300 pixels.
    assert_eq!(embed(&["0.0,0.0,1.0,1.0"]), embed(&["0,0,451,300"]));
    assert_eq!(embed(&["0.5,0.5,0.5,0.5"]), embed(&["226,150,225,150"]));
    assert_eq!(embed(&["-10,-10,110,110", "--clamp-region"]), embed(&["0,0,100,100"]));
    assert_eq!(embed(&["0.75,0,0.5,1", "--clamp-region"]), embed(&["338,0,113,300"]));
    let arguments = ["embed", &photo, "--region", "-10,-10,110,110"];
    assert!(refusal(&arguments).contains("110x110 at (-10, -10)"));
    let line = refusal(&["embed", &photo, "--region", "0.75,0,0.5,1"]);
    assert!(line.contains("0.5x1 at (0.75, 0) of the frame"), "{line}");
}

#[test]
fn vectors_come_in_every_size() {
    let photo = image("coffee.jpg");
    let embed = |arguments: &[&str]| -> serde_json::Value {
        let json = stdout(&[&["embed", &photo, "--json"], arguments].concat());
        serde_json::from_str(&json).unwrap()
    };
    let floats = |json: &serde_json::Value| -> Vec<f64> {
        let embedding = &json["embeddings"][0];
        let scale = embedding["scale"].as_f64().unwrap_or(1.0);
        let values = embedding["values"].as_array().unwrap();
        values.iter().map(|value| scale * value.as_f64().unwrap()).collect()
    };
    let plain = embed(&["--l2-normalize"]);
    let plain_values = floats(&plain);
    let cases: [(&[&str], &str, f64); 2] = [
        (&["--l2-normalize", "--quantize", "--quantize-scale", "per-vector"], "scaled", 2e-3),
        (&["--l2-normalize", "--float16"], "float16", 1e-4),
    ];
    for (arguments, kind, tolerance) in cases {
        let json = embed(arguments);
        assert_eq!(json["embeddings"][0]["kind"], kind);
        assert_ne!(json["fingerprint"], plain["fingerprint"]);
        let values = floats(&json);
        assert_eq!(values.len(), 1280);
        for (value, expected) in values.iter().zip(&plain_values) {
            assert!((value - expected).abs() < tolerance, "{kind}: {value} and {expected}");
        }
    }
    let short = embed(&["--l2-normalize", "--dimension", "64"]);
    assert_eq!(short["dimension"], 64);
    let length: f64 = floats(&short).iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let line = refusal(&["embed", &photo, "--dimension", "1281"]);
    assert!(line.contains("options.dimension of at most 1280"), "{line}");
}

#[test]
fn modes_and_resize_policies() {
    let photo = image("cat.jpg");
    let embed = |arguments: &[&str]| stdout(&[&["embed", &photo], arguments].concat());
    let plain = embed(&[]);
    assert_eq!(embed(&["--mode", "task-library", "--resize", "stretch"]), plain);
    let quality = embed(&["--mode", "quality"]);
    let letterbox = embed(&["--mode", "quality", "--resize", "letterbox"]);
    let crop = embed(&["--mode", "quality", "--resize", "center-crop"]);
    let media_pipe = embed(&["--mode", "media-pipe"]);
    let all = [&plain, &quality, &letterbox, &crop, &media_pipe];
    for (index, one) in all.iter().enumerate() {
        assert!(all[..index].iter().all(|other| other != one), "{index}");
    }
    let line = refusal(&["embed", &photo, "--resize", "letterbox"]);
    assert!(line.contains("does not support resize policy letterbox"), "{line}");
    let output = stdout(&["compare", &photo, &photo, "--mode", "quality", "--resize", "letterbox"]);
    assert!(output.contains("mode quality, letterbox"), "{output}");
}

#[test]
fn mean_and_std_make_up_for_metadata() {
    let models = Models::new();
    let float =
        PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])]);
    let model = models.add("float.tflite", &float.to_bytes());
    let photo = image("coffee.jpg");
    let embed = |arguments: &[&str]| -> Vec<f32> {
        let line = stdout(&[&["embed", &photo, "--model", path(&model)], arguments].concat());
        line.split_whitespace().map(|value| value.parse().unwrap()).collect()
    };
    let bytes = embed(&["--mean", "0", "--std", "1"]);
    let uniform = embed(&["--mean", "-1", "--std", "2"]);
    let channels = embed(&["--mean", "1,2,3", "--std", "1,2,4"]);
    assert_eq!(bytes.len(), 192);
    for (index, byte) in bytes.iter().enumerate() {
        assert_eq!(uniform[index], (byte + 1.0) / 2.0);
        let (mean, std) = [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)][index % 3];
        assert_eq!(channels[index], (byte - mean) / std);
    }
    let two = ["embed", &photo, "--model", path(&model), "--mean", "1,2", "--std", "1,2"];
    let line = refusal(&two);
    assert!(line.contains("unusable options.normalization"), "{line}");
    let zero = ["embed", &photo, "--model", path(&model), "--mean", "1", "--std", "0"];
    assert!(refusal(&zero).contains("std"));
}

#[test]
fn truncated_jpegs_are_taken_if_allowed() {
    let truncated = path(&fixture("hostile/truncated.jpg")).to_owned();
    let line = stdout(&["embed", &truncated, "--allow-truncated"]);
    assert_eq!(line.split_whitespace().count(), 1280);
    assert!(refusal(&["embed", &truncated]).contains("end marker"));
}

#[test]
fn explain_shows_every_stage() {
    let folder = Models::new();
    let picture = folder.0.path().join("tensor.png");
    let photo = image("cat_orientation6.jpg");
    let output = stdout(&["explain", &photo, "--dump", path(&picture)]);
    let parts = [
        "model:     efficientnet_lite0_feature_vector_uint8.tflite (bundled)",
        "decode:    ",
        "300x451 RGB",
        "orient:    RightTop (Exif 6), upright 451x300",
        "region:    300x451 at (0, 0) of the stored image",
        "resize:    451x300 to 224x224, stretch: width times 0.4967, height times 0.7467",
        "tensor:    UINT8, pixels as they are, from ",
        " ms to preprocess, ",
        "in mode MediaPipe: cosine similarity 0.",
        "in mode quality: cosine similarity 0.",
        "224x224",
    ];
    for part in parts {
        assert!(output.contains(part), "{part:?} is not in {output}");
    }
    let pixels = image::open(&picture).unwrap().into_rgb8();
    assert_eq!(pixels.dimensions(), (224, 224));
    // What the model sees, resized already, gives the same vector.
    let (original, again) = (stdout(&["embed", &photo]), stdout(&["embed", path(&picture)]));
    assert_eq!(original, again);

    let mirrored = ["explain", &photo, "--mode", "quality", "--resize", "center-crop"];
    let output = stdout(&mirrored);
    assert!(output.contains("center crop: both times 0.7467, the overhang cut off"), "{output}");
    assert!(output.contains("in mode task library: cosine similarity 0."), "{output}");
    let line = refusal(&["explain", &photo, "--dump", "/no/such/folder/tensor.png"]);
    assert!(line.contains("cannot write /no/such/folder/tensor.png"), "{line}");
}

#[test]
fn inspect_describes_the_bundled_model() {
    let output = stdout(&["inspect"]);
    let parts = [
        "UINT8 1x224x224x3",
        "UINT8 1x1280",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "RGB",
        "mean [127.0], std [128.0]",
        "associated files: none",
        "native: runs the model",
        "tract: ",
        "tflite: ",
        "litert: ",
    ];
    for part in parts {
        assert!(output.contains(part), "{part:?} is not in {output}");
    }
    let json: serde_json::Value = serde_json::from_str(&stdout(&["inspect", "--json"])).unwrap();
    assert_eq!(json["bytes"], 3_941_862);
    assert_eq!(json["inputs"][0]["shape"], serde_json::json!([1, 224, 224, 3]));
    assert_eq!(json["operators"]["CONV_2D"], 33);
    assert_eq!(json["metadata"]["inputs"][0]["mean"], serde_json::json!([127.0]));
    let backends = json["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 4);
    assert_eq!(backends[0], serde_json::json!({"name": "native", "runs": true, "reason": null}));
}

#[test]
fn inspect_tells_why_a_backend_cannot() {
    let models = Models::new();
    let mut map = pass_through();
    map.outputs = vec![TensorKind::uint8(&[1, 8, 8, 3])];
    let model = models.add("map.tflite", &map.to_bytes());
    let output = stdout(&["inspect", path(&model)]);
    let line = output.lines().find(|line| line.contains("native: ")).unwrap();
    assert!(line.contains("cannot: not an embedder: output 0"), "{line}");

    let labels = fixture("models/mobilenet_v1_0.25_224_quant.tflite");
    assert!(stdout(&["inspect", path(&labels)]).contains("associated files: labels.txt"));

    let missing = models.0.path().join("no_such_library.so");
    let output = stdout(&["inspect", "--tflite-library", path(&missing)]);
    let line = output.lines().find(|line| line.contains("tflite: ")).unwrap();
    assert!(line.contains("cannot: ") && line.contains("no_such_library.so"), "{line}");
}

#[test]
fn inspect_shows_a_model_whose_metadata_is_damaged() {
    let models = Models::new();
    let damaged = PassThrough { metadata: Some(b"0123M002".to_vec()), ..pass_through() };
    let model = models.add("damaged.tflite", &damaged.to_bytes());
    let output = stdout(&["inspect", path(&model)]);
    let part = "metadata: unusable: invalid TFLite Metadata: expected the file identifier M001";
    assert!(output.contains(part), "{output}");
    assert!(output.contains("RESHAPE"), "{output}");
}

#[test]
fn bad_images() {
    let good = image("cat.jpg");
    let hostile = |name: &str| path(&fixture(format!("hostile/{name}"))).to_owned();
    let cases = [
        ("no/such/photo.jpg".to_owned(), "cannot read the image no/such/photo.jpg: "),
        (hostile("not_an_image.jpg"), "expected a JPEG, PNG, WebP, BMP, GIF or TIFF image, found"),
        (hostile("truncated.jpg"), "expected a JPEG image with an end marker, found"),
        (hostile("truncated.png"), "expected an intact PNG image, found"),
        (hostile("empty.png"), "found an empty file"),
        (hostile("huge_dimensions.png"), "expected"),
        (path(&fixture("images")).to_owned(), "cannot read the image"),
    ];
    for (bad, part) in &cases {
        for arguments in [&["compare", &good, bad][..], &["compare", bad, &good], &["embed", bad]] {
            let line = refusal(arguments);
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }
}

#[test]
fn bad_models() {
    let models = Models::new();
    let photo = image("cat.jpg");
    let bytes = pass_through().with_metadata(&normalized_rgb(127.0, 128.0)).to_bytes();
    let float =
        PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])]);
    let wrong = PassThrough { metadata: Some(b"0123M002".to_vec()), ..pass_through() };
    let two = PassThrough { input_count: 2, ..pass_through() };
    let cases = [
        (models.0.path().join("missing.tflite"), "cannot read the model"),
        (models.add("text", b"this is a text"), "expected the file identifier TFL3, found"),
        (models.add("empty", b""), "expected at least 8 bytes, found 0"),
        (models.add("short", &bytes[..bytes.len() / 2]), "not a valid TensorFlow Lite model"),
        (models.add("wrong", &wrong.to_bytes()), "expected the file identifier M001, found M002"),
        (models.add("two", &two.to_bytes()), "expected a model with 1 input, found 2"),
        (
            models.add("float", &float.to_bytes()),
            "found none: add them to the model's metadata or set options.normalization, that is, \
             give --mean and --std",
        ),
        (fixture("hostile/root_out_of_range.tflite"), "not a valid TensorFlow Lite model"),
    ];
    for (model, part) in &cases {
        let line = refusal(&["embed", &photo, "--model", path(model)]);
        assert!(line.contains(part), "{part:?} is not in {line:?}");
        let line = refusal(&["compare", &photo, &photo, "--model", path(model)]);
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    for (model, part) in cases.iter().take(4) {
        let line = refusal(&["inspect", path(model)]);
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn regions_and_libraries_that_are_not_there() {
    let photo = image("cat.jpg");
    let line = refusal(&["embed", &photo, "--region", "400,0,100,100"]);
    assert!(line.contains("100x100 at (400, 0)"), "{line}");
    assert!(line.contains("451x300"), "{line}");
    let line = refusal(&["embed", &photo, "--region", "0,0,0,10"]);
    assert!(line.contains("0x10"), "{line}");
    let arguments =
        ["embed", &photo, "--backend", "tflite", "--tflite-library", "/no/such/library.so"];
    let line = refusal(&arguments);
    assert!(line.contains("/no/such/library.so"), "{line}");
}

/// The line with six digits that `compare` prints on a backend.
fn similarity_on(backend: &[&str], model: &Path) -> f64 {
    let library = tflite_library();
    let (left, right) = (image("cat_left.jpg"), image("rocket.jpg"));
    let common = [&left, &right, "--model", path(model), "--tflite-library", path(&library)];
    similarity(&[&common, backend].concat())
}

fn assert_alike(model: &Path) {
    let tflite = similarity_on(&["--backend", "tflite"], model);
    assert_eq!(similarity_on(&["--backend", "native"], model), tflite, "{}", model.display());
    assert!(tflite.abs() < 1.0, "{}: {tflite}", model.display());
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "XNNPACK rounds otherwise on this processor")]
fn backends_print_the_same_six_digits() {
    let names =
        ["efficientnet_lite0_feature_vector_uint8.tflite", "mobilenet_v1_0.25_224_quant.tflite"];
    for name in names {
        assert_alike(&model(name));
    }
    assert_eq!(names.len(), 2);
}

#[test]
#[cfg_attr(
    target_arch = "x86_64",
    ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"
)]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "XNNPACK rounds otherwise on this processor")]
fn backends_print_the_same_six_digits_for_every_quantised_model() {
    let names = [
        "efficientnet_lite0_feature_vector_int8.tflite",
        "efficientnet_lite0_feature_vector_uint8.tflite",
        "efficientnet_lite0_feature_vector_uint8_f32out.tflite",
        "mobilenet_v1_0.25_224_quant.tflite",
        "mobilenet_v1_0.25_224_quant_without_subgraph_metadata.tflite",
        "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
        "mobilenet_v2_1.0_224_quant.tflite",
    ];
    for name in names {
        assert_alike(&model(name));
    }
    assert_eq!(names.len(), 7);
}

#[test]
#[cfg_attr(target_arch = "arm", ignore = "TensorFlow Lite's library is not to be had for it")]
fn threads_and_xnnpack_are_a_choice() {
    let model = fixture("models/mobilenet_v1_0.25_224_quant.tflite");
    let tflite = ["--backend", "tflite"];
    let expected = similarity_on(&tflite, &model);
    let threads = similarity_on(&[&tflite[..], &["--threads", "2"]].concat(), &model);
    assert_eq!(threads, expected);
    let builtin = similarity_on(&[&tflite[..], &["--no-xnnpack"]].concat(), &model);
    assert!((builtin - expected).abs() < 0.01, "{builtin} and {expected}");
    let photo = image("cat.jpg");
    let library = tflite_library();
    let fingerprint = |arguments: &[&str]| -> String {
        let common = ["embed", &photo, "--json", "--tflite-library", path(&library)];
        let json = stdout(&[&common, arguments].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["fingerprint"].as_str().unwrap().to_owned()
    };
    let with = fingerprint(&tflite);
    assert_ne!(fingerprint(&[&tflite[..], &["--no-xnnpack"]].concat()), with);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(fingerprint(&["--backend", "native"]), with);
    }
}

#[test]
#[cfg_attr(target_arch = "arm", ignore = "LiteRT's library is not to be had for it")]
fn litert_is_a_backend_of_its_own() {
    let library = litert_library();
    let (left, right) = (image("cat_left.jpg"), image("cat_right.jpg"));
    let common = ["compare", &left, &right, "--backend", "litert", "--litert-library"];
    let arguments = [&common[..], &[path(&library)]].concat();
    let output = stdout(&arguments);
    assert!(output.contains("backend:   litert, threads 1"), "{output}");
    let litert = similarity(&arguments[1..]);
    let native = similarity(&[&left, &right]);
    assert!((litert - native).abs() < 1e-3, "{litert} and {native}");
    let builtin = similarity(&[&arguments[1..], &["--no-xnnpack"]].concat());
    assert!((builtin - native).abs() < 0.01, "{builtin} and {native}");
    let inspected = stdout(&["inspect", "--litert-library", path(&library)]);
    assert!(inspected.contains("litert: runs the model"), "{inspected}");
    let photo = image("cat.jpg");
    let line =
        refusal(&["embed", &photo, "--backend", "litert", "--litert-library", "/no/such.so"]);
    assert!(line.contains("/no/such.so"), "{line}");
}

/// How the line begins that tells why a delegate was given up.
#[cfg(unix)]
const WENT_ON: &str = "imgembed: warning: went on without the delegate: ";

#[test]
#[cfg(unix)]
#[cfg_attr(target_arch = "arm", ignore = "TensorFlow Lite's library is not to be had for it")]
fn delegates_are_given_by_library_and_options() {
    let folder = Models::new();
    let source = workspace_root().join("crates/backend-tflite/tests/external_delegate.c");
    let delegate = shared_library(&source, &[], folder.0.path());
    let library = tflite_library();
    let in_use = format!("library={}", path(&library));
    let model = folder.add("pixels.tflite", &pass_through().to_bytes());
    let photo = image("coffee_rgb.png");
    let arguments = |options: &[&'static str]| -> Vec<String> {
        let common = [
            "embed",
            &photo,
            "--model",
            path(&model),
            "--backend",
            "tflite",
            "--tflite-library",
            path(&library),
            "--delegate",
            path(&delegate),
            "--delegate-option",
            &in_use,
            // It writes a notice to standard error.
            "--no-xnnpack",
        ];
        common.iter().chain(options).map(|&argument| argument.to_owned()).collect()
    };
    let run = |options: &[&'static str]| {
        let arguments = arguments(options);
        stdout(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let with_warning = |options: &[&'static str]| {
        let arguments = arguments(options);
        let output = self::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{options:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).into()
    };
    let accepting = ["--delegate-option", "mode=accept", "--delegate-fallback"];
    let (plain, warning): (String, String) = with_warning(&accepting);
    assert!(!warning.contains(WENT_ON), "{warning}");
    let filled = run(&["--delegate-option", "mode=fill", "--delegate-option", "byte=5"]);
    assert_ne!(plain, filled);
    assert!(filled.split_whitespace().all(|value| value == "5"), "{filled}");
    for mode in ["mode=refuse", "mode=break", "mode=none"] {
        let (without, reason) = with_warning(&["--delegate-option", mode, "--delegate-fallback"]);
        assert_eq!(without, plain, "{mode}");
        assert!(reason.starts_with(WENT_ON) && reason.contains("device"), "{mode}: {reason}");
        let arguments = arguments(&["--delegate-option", mode]);
        let line = refusal(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(line.contains("device"), "{line}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let photo = image("cat.jpg");
    let cases: [&[&str]; 18] = [
        &[],
        &["compare", &photo],
        &["embed", &photo, "--region", "1,2,3"],
        &["embed", &photo, "--threads", "0"],
        &["embed", &photo, "--backend", "none"],
        &["embed", &photo, "--no-such-option"],
        &["frobnicate"],
        &["embed", &photo, "--mode", "none"],
        &["embed", &photo, "--mean", "1"],
        &["embed", &photo, "--quantize-scale", "per-vector"],
        &["embed", &photo, "--quantize", "--float16"],
        &["embed", &photo, "--clamp-region"],
        &["embed", &photo, "--dimension", "0"],
        &["embed", &photo, "--no-xnnpack"],
        &["embed", &photo, "--delegate", "lib.so"],
        &["embed", &photo, "--backend", "tflite", "--delegate-option", "a=b"],
        &["embed", &photo, "--backend", "tflite", "--delegate", "x", "--delegate-option", "a"],
        &["embed", &photo, "--backend", "tflite", "--delegate-fallback"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    assert!(stdout(&["--version"]).starts_with("imgembed "));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = imgembed()
        .args(["embed", &image("cat.jpg"), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

/// The vector that `embed` prints with the pass-through model: the 8 x 8 pixels that it is fed.
fn fed_pixels(model: &Path, frame: &Path, arguments: &[&str]) -> Vec<u8> {
    let line =
        stdout(&[&["embed", path(frame), "--model", path(model), "--raw"], arguments].concat());
    line.split_whitespace().map(|value| value.parse::<f32>().unwrap() as u8).collect()
}

#[test]
fn raw_frames_are_read_as_they_are_described() {
    let models = Models::new();
    let model = models.add("pass_through.tflite", &pass_through().to_bytes());
    let pixels: Vec<u8> = (0..192).collect();
    let frame = models.add("frame.rgb", &pixels);
    assert_eq!(fed_pixels(&model, &frame, &["rgb", "8x8"]), pixels);

    let turned = fed_pixels(&model, &frame, &["RGB", "8x8", "--orientation", "3"]);
    let reversed: Vec<u8> = pixels.chunks(3).rev().flatten().copied().collect();
    assert_eq!(turned, reversed);

    // Seven bytes of something else, then rows of 40 bytes.
    let mut padded = vec![99; 7];
    for row in pixels.chunks(24) {
        padded.extend_from_slice(row);
        padded.extend_from_slice(&[77; 16]);
    }
    let frame = models.add("padded.rgb", &padded);
    assert_eq!(fed_pixels(&model, &frame, &["rgb", "8x8", "--plane", "7,40,3"]), pixels);
}

#[test]
fn raw_yuv_frames_have_the_colours_that_are_named() {
    let models = Models::new();
    let model = models.add("pass_through.tflite", &pass_through().to_bytes());
    // Four levels of gray in rows of 10 bytes, and pairs of colourless chroma in rows of 12.
    let mut bytes = Vec::new();
    for row in 0..8 {
        bytes.extend([0, 16, 128, 235].map(|level| [level; 2]).concat());
        bytes.extend([row; 2]);
    }
    let chroma = bytes.len();
    bytes.extend([128; 4 * 12]);
    let frame = models.add("frame.nv12", &bytes);
    let (luma, pairs) = ("0,10,1".to_owned(), format!("{chroma},12,2"));
    let mut arguments = vec!["nv12", "8x8", "--plane", &luma, "--plane", &pairs];
    let levels = |arguments: &[&str]| -> Vec<u8> {
        let pixels = fed_pixels(&model, &frame, arguments);
        // Every row is alike, and every pixel gray.
        assert!(pixels.chunks(24).all(|row| row == &pixels[..24]), "{pixels:?}");
        assert!(pixels.chunks(6).all(|pair| pair == [pair[0]; 6]), "{pixels:?}");
        pixels[..24].iter().step_by(6).copied().collect()
    };
    assert_eq!(levels(&arguments), [0, 0, 130, 255]);
    arguments.extend(["--mode", "quality", "--yuv"]);
    for (name, expected) in [
        ("bt601-limited", [0, 0, 130, 255]),
        ("bt601-full", [0, 16, 128, 235]),
        ("bt709-limited", [0, 0, 130, 255]),
        ("bt2020-full", [0, 16, 128, 235]),
    ] {
        assert_eq!(levels(&[&arguments[..], &[name]].concat()), expected, "{name}");
    }

    let explained = stdout(
        &[&["explain", path(&frame), "--model", path(&model), "--raw"], &arguments[..]]
            .concat()
            .into_iter()
            .chain(["bt709-full"])
            .collect::<Vec<_>>(),
    );
    let parts = ["8x8 NV12 (BT.709, full range)", "in mode task library: cosine similarity"];
    for part in parts {
        assert!(explained.contains(part), "{part:?} is not in {explained}");
    }
}

#[test]
fn raw_frames_that_do_not_fit_are_refused() {
    let models = Models::new();
    let frame = models.add("frame.bin", &[0; 100]);
    let refused = |arguments: &[&str]| refusal(&[&["embed", path(&frame)], arguments].concat());
    for (arguments, part) in [
        (&["--raw", "rgb", "8x8"][..], "expected 192 bytes of RGB, found 100"),
        (&["--raw", "rgb", "0x8"], "found 0x8"),
        (&["--raw", "8x8", "rgb"], "expected a format and then a size after --raw"),
        (&["--raw", "rgb", "2x2", "--plane", "101,6,3"], "within the 100 bytes of the file"),
        (&["--raw", "rgb", "2x2", "--plane", "0,5,3"], "found 5"),
        (&["--raw", "yv12", "2x2", "--plane", "0,2,1", "--plane", "4,1,1"], "found 2"),
        (
            &["--raw", "nv21", "2x2", "--yuv", "bt709-limited"],
            "expected YUV of BT.601, limited range, found BT.709, limited range",
        ),
    ] {
        let message = refused(arguments);
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    for wrong in [
        &["--orientation", "6"][..],
        &["--plane", "0,1,1"],
        &["--raw", "rgb", "2x2", "--ignore-exif"],
        &["--raw", "jpeg", "2x2"],
        &["--raw", "rgb", "2x2", "--orientation", "9"],
        &["--raw", "rgb"],
    ] {
        let output = run(&[&["embed", path(&frame)], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn profile_times_every_step() {
    let text = stdout(&["profile", "--runs", "2"]);
    assert!(text.starts_with("model: efficientnet_lite0_feature_vector_uint8.tflite (bundled)\n"));
    assert_eq!(text.matches("DEPTHWISE_CONV_2D").count(), 16, "{text}");
    // Where what is between them is large, operators are one step.
    let chains =
        text.lines().filter(|line| line.starts_with("CONV_2D, DEPTHWISE_CONV_2D, CONV_2D "));
    assert_eq!(chains.count(), 1, "{text}");
    assert!(text.lines().last().unwrap().starts_with("total: "), "{text}");

    let arguments =
        ["profile", "--runs", "1", "--threads", "2", "--numeric-mode", "fast", "--json"];
    let report: serde_json::Value = serde_json::from_str(&stdout(&arguments)).unwrap();
    assert_eq!(report["threads"], 2);
    assert_eq!(report["numeric_mode"], "fast");
    assert!(report["milliseconds"].as_f64().unwrap() > 0.0);
    assert!(report["peak"]["byte_gigamacs_per_second"].as_f64().unwrap() > 0.0);
    let steps = report["steps"].as_array().unwrap();
    let products: u64 = steps.iter().map(|step| step["multiply_adds"].as_u64().unwrap()).sum();
    assert_eq!(report["multiply_adds"], products);
    // The published figure of EfficientNet-Lite0 is 407 million.
    assert!((300_000_000..450_000_000).contains(&products), "{products}");

    assert!(refusal(&["profile", path(&fixture("hostile/not_a_model.tflite"))]).contains("model"));
}
