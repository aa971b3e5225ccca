//! The support table of the README is what the backends do.
//!
//! TensorFlow Lite's results are those of x86-64; XNNPACK rounds some 8-bit results otherwise on
//! other processors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::fs;

use image_embedder_benches::model::{self, ModelFile};
use image_embedder_benches::support::{COMMAND, DOCUMENT, RECORD, SupportTable, columns, measure};
use image_embedder_test_support::{REFERENCE_VARIABLE, model, workspace_root};

/// The models that are committed.
const COMMITTED: [&str; 2] =
    ["efficientnet_lite0_feature_vector_uint8", "mobilenet_v1_0.25_224_quant"];

#[test]
fn the_document_has_the_recorded_table() {
    let table = SupportTable::read().unwrap();
    let names: Vec<&str> = table.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["native", "tflite", "litert", "tract"]);
    let found = fs::read_to_string(workspace_root().join(DOCUMENT)).unwrap();
    assert!(
        found == table.document().unwrap(),
        "{DOCUMENT} does not have the table of {RECORD}; run: {COMMAND} --keep-times"
    );
}

/// Runs the models on every backend, and returns how many there were.
fn check(models: &[ModelFile]) -> usize {
    let (table, columns) = (SupportTable::read().unwrap(), columns().unwrap());
    let mut contradictions = Vec::new();
    for model in models {
        contradictions.extend(table.contradictions(&measure(&columns, model, None).unwrap()));
    }
    assert!(
        contradictions.is_empty(),
        "the support table is not up to date; run: {COMMAND} --keep-times\n  {}",
        contradictions.join("\n  ")
    );
    models.len()
}

fn read(name: &str) -> ModelFile {
    ModelFile::read(&model(&format!("{name}.tflite"))).unwrap()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn committed_models_do_what_is_recorded() {
    assert_eq!(check(&COMMITTED.map(read)), 2);
}

#[test]
#[ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"]
fn every_model_does_what_is_recorded() {
    let table = SupportTable::read().unwrap();
    let models: Vec<ModelFile> = table.models.iter().map(|row| read(&row.model)).collect();
    assert_eq!(check(&models), 15);
    for known in model::select(&[], env::var_os(REFERENCE_VARIABLE)).unwrap() {
        let is_there = table.models.iter().any(|row| row.model == known.name);
        assert!(is_there, "{} is not in the table; run: {COMMAND}", known.name);
    }
}
