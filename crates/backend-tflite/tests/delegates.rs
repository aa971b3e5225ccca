//! Delegates from libraries of their own: taken, refused, broken, and done without.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, ModelData, Session, TensorView, TensorViewMut,
};
use image_embedder_backend_tflite::{ExternalDelegate, TfliteBackend, TfliteOptions};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};
use image_embedder_test_support::{shared_library, tflite_library, workspace_root};
use tempfile::TempDir;

/// A delegate library of a test's own: the C file keeps its state in globals.
struct DelegateLibrary {
    _folder: TempDir,
    path: PathBuf,
}

impl DelegateLibrary {
    fn new() -> Self {
        let source = workspace_root().join("crates/backend-tflite/tests/external_delegate.c");
        let folder = tempfile::tempdir().unwrap();
        let path = shared_library(&source, &[], folder.path());
        Self { _folder: folder, path }
    }

    fn delegate(&self, mode: &str) -> ExternalDelegate {
        ExternalDelegate::new(&self.path)
            .with_option("library", tflite_library().to_str().unwrap())
            .with_option("mode", mode)
    }
}

fn options(delegate: ExternalDelegate) -> TfliteOptions {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    options.delegates = vec![delegate];
    options
}

fn compile(backend: &TfliteBackend) -> Result<Box<dyn Session>, BackendError> {
    let builder = PassThrough {
        input_signature: Some(vec![1, -1, 8, 3]),
        ..PassThrough::new(TensorKind::uint8(&[1, 8, 8, 3]), vec![TensorKind::uint8(&[1, 192])])
    };
    let mut model = builder.model();
    // The output is what is left of any height.
    let graph = &model.subgraphs.as_ref().unwrap()[0];
    let sizes = graph.operators.as_ref().unwrap()[0].inputs.as_ref().unwrap()[1] as usize;
    let buffer = graph.tensors.as_ref().unwrap()[sizes].buffer as usize;
    let open = [1_i32, -1].map(i32::to_le_bytes).concat();
    model.buffers.as_mut().unwrap()[buffer].data = Some(open);
    let model = ModelData::from(model.to_bytes());
    backend.compile(model, &CompileOptions::default())?.session()
}

fn run(session: &mut dyn Session, rows: usize) -> Result<Vec<u8>, BackendError> {
    let input = input(rows);
    let mut output = vec![0; input.len()];
    session
        .run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut output)])
        .map(|()| output)
}

fn input(rows: usize) -> Vec<u8> {
    (0..rows * 8 * 3).map(|index| index as u8).collect()
}

fn runtime_message(error: BackendError) -> String {
    match error {
        BackendError::Runtime { backend, message } if backend == "tflite" => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delegate_runs_what_it_takes() {
    let library = DelegateLibrary::new();
    let filling = library.delegate("fill").with_option("byte", "7");
    let backend = TfliteBackend::new(options(filling));
    backend.check().unwrap();
    let mut session = compile(&backend).unwrap();
    assert_eq!(run(&mut *session, 8).unwrap(), [7; 192]);
    session.resize_input(0, &[1, 5, 8, 3]).unwrap();
    assert_eq!(run(&mut *session, 5).unwrap(), [7; 120]);
    assert_eq!(backend.last_fallback(), None);
}

#[test]
fn what_a_delegate_leaves_runs_as_ever() {
    let library = DelegateLibrary::new();
    let backend = TfliteBackend::new(options(library.delegate("accept")));
    let mut session = compile(&backend).unwrap();
    assert_eq!(run(&mut *session, 8).unwrap(), input(8));
}

#[test]
fn a_delegate_that_refuses_the_model_is_an_error_or_done_without() {
    let library = DelegateLibrary::new();
    let mut options = options(library.delegate("refuse"));
    let strict = TfliteBackend::new(options.clone());
    let message = runtime_message(compile(&strict).err().unwrap());
    assert!(message.contains("the device does not take this model"), "{message}");
    assert_eq!(strict.last_fallback(), None);

    options.fallback_on_execution_error = true;
    assert!(compile(&TfliteBackend::new(options.clone())).is_err());

    options.fallback_on_compilation_error = true;
    let lenient = TfliteBackend::new(options);
    let mut session = compile(&lenient).unwrap();
    assert_eq!(run(&mut *session, 8).unwrap(), input(8));
    let message = runtime_message(lenient.last_fallback().unwrap());
    assert!(message.contains("the device does not take this model"), "{message}");
}

#[test]
fn a_delegate_that_cannot_be_made_says_why_or_is_done_without() {
    let library = DelegateLibrary::new();
    for (delegate, part) in [
        (library.delegate("sleep"), "no device for mode 'sleep'"),
        (library.delegate("fill").with_option("colour", "red"), "unknown option colour"),
    ] {
        let mut options = options(delegate);
        let message = runtime_message(compile(&TfliteBackend::new(options.clone())).err().unwrap());
        assert!(message.contains(part), "{message}");
        assert!(message.contains("external_delegate"), "{message}");
        options.fallback_on_compilation_error = true;
        let mut session = compile(&TfliteBackend::new(options)).unwrap();
        assert_eq!(run(&mut *session, 8).unwrap(), input(8));
    }
}

#[test]
fn a_delegate_that_breaks_fails_the_run_or_is_done_without() {
    let library = DelegateLibrary::new();
    let breaking = library.delegate("break").with_option("run", "2").with_option("byte", "9");
    let mut options = options(breaking);
    options.fallback_on_compilation_error = true;
    let strict = TfliteBackend::new(options.clone());
    let mut session = compile(&strict).unwrap();
    assert_eq!(run(&mut *session, 8).unwrap(), [9; 192]);
    let message = runtime_message(run(&mut *session, 8).unwrap_err());
    assert!(message.contains("the device is gone in run 2"), "{message}");
    assert_eq!(strict.last_fallback(), None);

    options.fallback_on_execution_error = true;
    let lenient = TfliteBackend::new(options);
    let mut session = compile(&lenient).unwrap();
    session.resize_input(0, &[1, 3, 8, 3]).unwrap();
    assert_eq!(run(&mut *session, 3).unwrap(), [9; 72]);
    assert_eq!(run(&mut *session, 3).unwrap(), input(3), "the run is repeated");
    let message = runtime_message(lenient.last_fallback().unwrap());
    assert!(message.contains("the device is gone in run 2"), "{message}");
    session.resize_input(0, &[1, 4, 8, 3]).unwrap();
    assert_eq!(run(&mut *session, 4).unwrap(), input(4), "the session goes on so");
}

#[test]
fn a_library_that_is_no_delegate_is_refused_by_name() {
    let missing = Path::new("/nowhere/libdevice.so");
    let other = tflite_library();
    let mut refused = 0;
    for (path, part) in [
        (missing, "/nowhere/libdevice.so: "),
        (&other, "symbol tflite_plugin_create_delegate is missing"),
    ] {
        let mut options = options(ExternalDelegate::new(path));
        options.fallback_on_compilation_error = true;
        let backend = TfliteBackend::new(options);
        for error in [backend.check().unwrap_err(), compile(&backend).err().unwrap()] {
            let BackendError::Unavailable { backend, reason } = error else { panic!("{error:?}") };
            assert_eq!(backend, "tflite");
            assert!(reason.contains(part), "{reason}");
            refused += 1;
        }
    }
    let backend =
        TfliteBackend::new(options(ExternalDelegate::new(&other).with_option("a\0", "b")));
    let error = backend.check().unwrap_err().to_string();
    assert!(error.contains("option a\\u{0}: expected text without zero bytes"), "{error}");
    refused += 1;
    assert_eq!(refused, 5);
}

#[test]
fn every_option_that_moves_the_numbers_has_its_own_arithmetic() {
    let library = DelegateLibrary::new();
    let mut plain = TfliteOptions::default();
    plain.library_path = Some(tflite_library());
    let mut builtin = plain.clone();
    builtin.xnnpack = false;
    let filling = options(library.delegate("fill"));
    let accepting = options(library.delegate("accept"));
    let all = [plain, builtin, filling, accepting].map(|options| {
        let backend = TfliteBackend::new(options);
        drop(compile(&backend).unwrap());
        backend.arithmetic()
    });
    for (index, one) in all.iter().enumerate() {
        for other in &all[..index] {
            assert_ne!(one.float, other.float);
            assert_ne!(one.integer, other.integer);
        }
    }
    assert_eq!(all[0].integer == "quantised", cfg!(target_arch = "x86_64"));
}
