//! The command `metadata` of `imgembed` as its users run it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use image_embedder_test_support::model_builder::{PassThrough, TensorKind};
use image_embedder_test_support::{fixture, model, program};
use tempfile::TempDir;

const POOL: &str = "MobilenetV1/Logits/AvgPool_1a/AvgPool";

fn run(arguments: &[&str]) -> Output {
    program(env!("CARGO_BIN_EXE_imgembed")).args(arguments).output().unwrap()
}

/// Standard output of a run that must succeed.
fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail with this code.
fn refusal(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    errors
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn classifier() -> String {
    path(&model("mobilenet_v1_0.25_224_quant.tflite"))
}

/// A float model without metadata, and a place for what is written.
fn float_model() -> (TempDir, String, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let output = TensorKind::float32(&[1, 192]);
    let model = PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![output]);
    let bare = folder.path().join("bare.tflite");
    fs::write(&bare, model.to_bytes()).unwrap();
    let written = folder.path().join("written.tflite");
    (folder, path(&bare), written)
}

#[test]
fn a_float_model_becomes_usable() {
    let (_folder, bare, written) = float_model();
    let photo = path(&fixture("images/coffee.jpg"));
    let errors = refusal(&["embed", &photo, "--model", &bare], 1);
    assert!(errors.contains("NormalizationOptions"), "{errors}");

    let written = path(&written);
    let arguments = ["metadata", "set", &bare, "-o", &written, "--mean", "127.5", "--std", "127.5"];
    assert_eq!(stdout(&arguments), "");
    assert!(stdout(&["embed", &photo, "--model", &written]).split(' ').count() == 192);
    // The model itself may be written to.
    let arguments = ["metadata", "strip", &written, "-o", &written];
    assert_eq!(stdout(&arguments), "");
    assert_eq!(fs::read(&written).unwrap(), fs::read(&bare).unwrap());
}

#[test]
fn set_is_shown() {
    let (folder, bare, written) = float_model();
    let notes = folder.path().join("notes.txt");
    fs::write(&notes, "notes").unwrap();
    let (notes, written) = (path(&notes), path(&written));
    let texts = [
        ("--name", "an embedder"),
        ("--description", "embeds"),
        ("--version", "v2"),
        ("--author", "someone"),
        ("--license", "Apache-2.0"),
        ("--input-name", "photo"),
        ("--output-name", "feature"),
        ("--color-space", "rgb"),
        ("--mean", "-1,2,3.5"),
        ("--std", "4,5,-6"),
        ("--file", &notes),
    ];
    let mut arguments = vec!["metadata", "set", &bare, "--output", &written];
    arguments.extend(texts.iter().flat_map(|(name, value)| [*name, *value]));
    stdout(&arguments);

    let shown = stdout(&["metadata", "show", &written]);
    let parts = [
        "  name: an embedder\n",
        "  description: embeds\n",
        "  version: v2\n",
        "  author: someone\n",
        "  license: Apache-2.0\n",
        "  min_parser_version: 1.0.0\n",
        "  input photo: RGB; mean [-1.0, 2.0, 3.5], std [4.0, 5.0, -6.0]\n",
        "  output feature: \n",
        "associated files: notes.txt\n",
        "can be cut at:\n",
        " output0: 1x192\n",
    ];
    for part in parts {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&["metadata", "show", &written, "--json"])).unwrap();
    assert_eq!(json["metadata"]["license"], "Apache-2.0");
    assert_eq!(json["associated_files"][0], "notes.txt");
    assert_eq!(json["cut_points"][0]["name"], "output0");
    assert_eq!(json["cut_points"][0]["shape"], serde_json::json!([1, 192]));

    // What is not named is kept, and an empty text takes one out.
    stdout(&["metadata", "set", &written, "-o", &written, "--author", "", "--name", "other"]);
    let shown = stdout(&["metadata", "show", &written]);
    assert!(shown.contains("  name: other\n  description: embeds\n  version: v2\n  license"));
}

#[test]
fn a_classifier_is_cut() {
    let (_folder, _, written) = float_model();
    let (classifier, written) = (classifier(), path(&written));
    let photo = path(&fixture("images/cat.jpg"));
    let mut vectors = Vec::new();
    let shown = stdout(&["metadata", "show", &classifier]);
    let line = shown.lines().find(|line| line.contains(POOL)).unwrap();
    assert!(line.ends_with("AvgPool: 1x1x1x256"), "{line}");
    let index = line.split_whitespace().next().unwrap();
    for tensor in [POOL, index] {
        stdout(&["metadata", "cut", &classifier, "--at", tensor, "-o", &written]);
        vectors.push(stdout(&["embed", &photo, "--model", &written]));
    }
    assert_eq!(vectors[0].split(' ').count(), 256);
    assert_eq!(vectors[0], vectors[1]);
    assert!(stdout(&["metadata", "show", &written]).contains("associated files: none\n"));
}

#[test]
fn refusals_say_why() {
    let (folder, bare, written) = float_model();
    let written = path(&written);
    let errors = refusal(&["metadata", "cut", &classifier(), "--at", "avgpool", "-o", &written], 1);
    assert!(errors.contains(&format!("such as {POOL}; found avgpool")), "{errors}");
    let errors = refusal(&["metadata", "set", &bare, "-o", &written, "--mean=1", "--std=0"], 1);
    assert!(errors.contains("expected a finite std other than 0"), "{errors}");
    let errors = refusal(&["metadata", "set", &bare, "-o", &written, "--file", "no/notes"], 1);
    assert!(errors.starts_with("imgembed: error: cannot read no/notes: "), "{errors}");
    assert!(!Path::new(&written).exists());

    let nowhere = path(&folder.path().join("no_folder/written.tflite"));
    let errors = refusal(&["metadata", "strip", &bare, "-o", &nowhere], 1);
    assert!(errors.contains(&format!("cannot write {nowhere}: ")), "{errors}");

    // Nothing to change, and half a normalisation.
    refusal(&["metadata", "set", &bare, "-o", &written], 2);
    refusal(&["metadata", "set", &bare, "-o", &written, "--mean", "1"], 2);
    refusal(&["metadata", "strip", &bare], 2);
}
