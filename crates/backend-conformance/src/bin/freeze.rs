//! Writes the results of TensorFlow Lite with XNNPACK that backends are compared with, or with
//! `--check` compares the written ones with what TensorFlow Lite computes now.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the command line")]

use std::env;
use std::process::ExitCode;

use image_embedder_backend_conformance::golden::{FOLDER, Provenance};
use image_embedder_backend_conformance::{FROZEN_SEED, Golden, Tolerance, cases, run};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{tflite_library, workspace_root};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => freeze(),
        ["--check"] => check(),
        _ => Err("usage: freeze [--check]".to_owned()),
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// TensorFlow Lite with XNNPACK.
fn oracle() -> Result<TfliteBackend, String> {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    let backend = TfliteBackend::new(options);
    match backend.uses_xnnpack() {
        Ok(true) => Ok(backend),
        Ok(false) => Err("expected a library with XNNPACK, found one without".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn freeze() -> Result<String, String> {
    let backend = oracle()?;
    let cases = cases::all(FROZEN_SEED);
    let golden = Golden::compute(&backend, &cases)?;
    let version = backend.version().map_err(|error| error.to_string())?;
    let provenance = Provenance::new("TensorFlow Lite", version, "XNNPACK", FROZEN_SEED);
    let folder = workspace_root().join("fixtures").join(FOLDER);
    golden.write(&folder, &cases, &provenance)?;
    Ok(format!("{} cases frozen into {}", cases.len(), folder.display()))
}

fn check() -> Result<String, String> {
    let cases = cases::all(FROZEN_SEED);
    let golden = Golden::read(&workspace_root().join("fixtures").join(FOLDER))?;
    if golden.names().count() != cases.len() {
        return Err(format!(
            "expected {} frozen cases, found {}; run freeze",
            cases.len(),
            golden.names().count()
        ));
    }
    let report = run(&oracle()?, &cases, &golden, Tolerance::EXACT, &[]);
    if report.failures.is_empty() { Ok(report.to_string()) } else { Err(report.to_string()) }
}
