//! Models from files, parts of files and memory maps.

use std::fs::{self, File};

use image_embedder::frame::FrameBuffer;
use image_embedder::model_file;
use image_embedder::{ErrorKind, ImageEmbedder, ImageEmbedderOptions, bundled_model};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::PassThrough;

use crate::backends::backends;
use crate::models::options;

#[test]
fn a_mapped_file_is_the_file() {
    let path = model("efficientnet_lite0_feature_vector_uint8.tflite");
    let read = model_file::read(&path).unwrap();
    // SAFETY: nothing writes to fixtures.
    let mapped = unsafe { model_file::map(&path) }.unwrap();
    assert_eq!(read[..], mapped[..]);
    assert_eq!(read[..], bundled_model()[..]);
}

#[test]
fn a_mapped_model_runs_on_every_backend() {
    let model = PassThrough::default().to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tflite");
    fs::write(&path, &model).unwrap();
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let expected: Vec<f32> = pixels.iter().copied().map(f32::from).collect();
    for backend in backends() {
        // SAFETY: the file is not written to again.
        let mapped = unsafe { model_file::map(&path) }.unwrap();
        let options = ImageEmbedderOptions::with_backend(backend);
        let embedder = ImageEmbedder::from_bytes(mapped, options).unwrap();
        let result = embedder.embed(&frame).unwrap();
        assert_eq!(result.feature_vector().as_float(), Some(&expected[..]));
    }
}

#[test]
fn files_that_cannot_be_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.tflite");
    fs::write(&empty, b"").unwrap();
    let missing = folder.path().join("missing.tflite");
    for (path, code) in [(missing.as_path(), 100), (&empty, 102), (folder.path(), 103)] {
        // SAFETY: nothing writes to the folder.
        let error = unsafe { model_file::map(path) }.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert_eq!(error.task_library_status().map(|status| status.code()), Some(code), "{error}");
    }
    assert_eq!(model_file::read(&missing).unwrap_err().task_library_status().unwrap().code(), 100);
}

#[cfg(unix)]
#[test]
fn a_part_of_an_open_file() {
    let model = PassThrough::default().to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("package.bin");
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let mut cases = 0;
    // Neither a page nor a word.
    for before in [0, 1, 4096, 5003] {
        fs::write(&path, [vec![0xaa; before], model.clone(), vec![0xbb; 77]].concat()).unwrap();
        let file = File::open(&path).unwrap();
        let (offset, length) = (before as u64, Some(model.len() as u64));
        let read = model_file::read_descriptor(&file, offset, length).unwrap();
        // SAFETY: the file is not written to again before the map is gone.
        let mapped = unsafe { model_file::map_descriptor(&file, offset, length) }.unwrap();
        assert_eq!(mapped[..], model[..]);
        assert_eq!(read[..], model[..]);
        for data in [read, mapped] {
            let embedder = ImageEmbedder::from_bytes(data, options()).unwrap();
            let result = embedder.embed(&frame).unwrap();
            assert_eq!(result.feature_vector().len(), 192);
            cases += 1;
        }
        // No length, or one of zero, means everything to the end of the file.
        for length in [None, Some(0)] {
            let rest = model_file::read_descriptor(&file, offset, length).unwrap();
            assert_eq!(rest.len(), model.len() + 77);
        }
    }
    assert_eq!(cases, 8);
}

#[cfg(unix)]
#[test]
fn parts_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ten.bin");
    fs::write(&path, b"0123456789").unwrap();
    let file = File::open(&path).unwrap();
    let cases = [
        (10, None, "offset within the model file of 10 bytes, found 10"),
        (u64::MAX, Some(1), "offset within"),
        (3, Some(8), "at most 7 bytes from offset 3"),
        (3, Some(u64::MAX), "at most 7 bytes"),
    ];
    for (offset, length, part) in cases {
        let error = model_file::read_descriptor(&file, offset, length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert_eq!(error.task_library_status().unwrap().code(), 2);
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(model_file::read_descriptor(&file, 3, Some(7)).unwrap()[..], b"3456789"[..]);
}
