//! The search for the library, in processes of their own because it reads the environment.

#![allow(clippy::print_stdout, reason = "the child tells its parent what it found")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::process::Output;

use image_embedder_backend::{Backend, BackendError};
use image_embedder_backend_tflite::{LIBRARY_VARIABLE, TfliteBackend, TfliteOptions};
use image_embedder_test_support::{program, tflite_library};

/// Tells a copy of this program which part to play.
const CHILD: &str = "IMAGE_EMBEDDER_TEST_CHILD";

/// Runs `test` of this program alone, with the variable set to `library` or not set.
fn child(test: &str, library: Option<&str>) -> Output {
    let mut command = program(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    match library {
        Some(library) => command.env(LIBRARY_VARIABLE, library),
        None => command.env_remove(LIBRARY_VARIABLE),
    };
    command.output().unwrap()
}

/// In the child, prints what a search without a path gives; returns whether this is the child.
fn played_child() -> bool {
    if env::var_os(CHILD).is_none() {
        return false;
    }
    let backend = TfliteBackend::new(TfliteOptions::default());
    match backend.check() {
        Ok(()) => println!("found {}", backend.library_path().unwrap().display()),
        Err(BackendError::Unavailable { reason, .. }) => println!("{reason}"),
        Err(other) => panic!("{other:?}"),
    }
    true
}

#[test]
fn the_environment_names_the_library() {
    if played_child() {
        return;
    }
    let library = tflite_library();
    let output = child("the_environment_names_the_library", library.to_str());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("found {}", library.display())), "{output:?}");
}

#[test]
fn a_place_in_the_environment_is_the_only_one_searched() {
    if played_child() {
        return;
    }
    let output =
        child("a_place_in_the_environment_is_the_only_one_searched", Some("/nowhere/lib.so"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("  /nowhere/lib.so: "), "{output:?}");
    assert!(!text.contains("/usr/lib"), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_hint_the_usual_places_are_searched() {
    if played_child() {
        return;
    }
    let output = child("without_a_hint_the_usual_places_are_searched", None);
    let text = String::from_utf8_lossy(&output.stdout);
    // On a machine that has the library installed the search succeeds instead.
    if text.contains("found ") {
        assert!(text.contains("libtensorflowlite_c.so"), "{output:?}");
        return;
    }
    let beside = env::current_exe().unwrap().with_file_name("libtensorflowlite_c.so");
    let places = [
        "  libtensorflowlite_c.so: ",
        &format!("  {}: ", beside.display()),
        "  /usr/local/lib/libtensorflowlite_c.so: ",
        "  /usr/lib/libtensorflowlite_c.so: ",
    ];
    let listed = places.iter().filter(|place| text.contains(**place)).count();
    assert_eq!(listed, places.len(), "{text}");
    assert!(text.contains("cargo xtask fetch tflite"), "{text}");
}
