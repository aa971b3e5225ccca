//! The archive behind a model: intact, missing, damaged and hostile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Cursor, Write};

use image_embedder_metadata::{AssociatedFiles, MetadataError, ModelMetadata};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, normalized_rgb};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

fn bare_model() -> Vec<u8> {
    PassThrough::default().with_metadata(&normalized_rgb(127.5, 127.5)).to_bytes()
}

/// The file `base` with an archive behind it, whose offsets count from the start of `base`.
fn append(base: Vec<u8>, files: &[(&str, CompressionMethod, &[u8])]) -> Vec<u8> {
    let end = base.len() as u64;
    let mut file = Cursor::new(base);
    file.set_position(end);
    let mut archive = ZipWriter::new(file);
    for (name, method, content) in files {
        let options = SimpleFileOptions::default().compression_method(*method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn standalone(files: &[(&str, CompressionMethod, &[u8])]) -> Vec<u8> {
    append(Vec::new(), files)
}

const LABELS: &[u8] = b"cat\ndog\n";

fn two_files() -> Vec<u8> {
    standalone(&[
        ("labels.txt", CompressionMethod::Stored, LABELS),
        ("vocabulary.txt", CompressionMethod::Deflated, &[b'a'; 10_000]),
    ])
}

fn model_with(archive: &[u8]) -> Vec<u8> {
    [bare_model().as_slice(), archive].concat()
}

#[test]
fn stored_and_deflated_files_are_read() {
    let files: &[(&str, CompressionMethod, &[u8])] = &[
        ("labels.txt", CompressionMethod::Stored, LABELS),
        ("vocabulary.txt", CompressionMethod::Deflated, &[b'a'; 10_000]),
    ];
    // Offsets may count from the start of the model or of the archive; junk may follow.
    let appended = append(bare_model(), files);
    let concatenated = model_with(&standalone(files));
    let with_junk = [concatenated.as_slice(), b"junk"].concat();
    for model in [appended, concatenated, with_junk] {
        let archive = AssociatedFiles::open(&model).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["labels.txt", "vocabulary.txt"]);
        assert_eq!(archive.len(), 2);
        assert_eq!(archive.read("labels.txt").unwrap(), LABELS);
        assert_eq!(archive.read("vocabulary.txt").unwrap(), [b'a'; 10_000]);
        assert!(ModelMetadata::from_model(&model).unwrap().is_some());
    }
}

#[test]
fn the_labels_of_a_real_model() {
    let bytes = fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let archive = AssociatedFiles::open(&bytes).unwrap();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["labels.txt"]);
    let labels = String::from_utf8(archive.read("labels.txt").unwrap()).unwrap();
    assert_eq!(labels.lines().count(), 1001);
    assert_eq!(labels.lines().next(), Some("background"));
}

#[test]
fn no_archive_has_no_files() {
    for bytes in [bare_model(), Vec::new(), b"PK".to_vec()] {
        let archive = AssociatedFiles::open(&bytes).unwrap();
        assert!(archive.is_empty());
        assert_eq!(
            archive.read("labels.txt"),
            Err(MetadataError::FileNotFound { name: "labels.txt".to_owned(), found: vec![] })
        );
    }
}

#[test]
fn a_missing_name_lists_the_others() {
    let model = model_with(&two_files());
    let error = AssociatedFiles::open(&model).unwrap().read("label.txt").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an associated file label.txt, found labels.txt, vocabulary.txt"
    );
}

#[test]
fn a_damaged_directory_hides_nothing_else() {
    let mut archive = two_files();
    // The directory's size and position in the end record.
    let end = archive.len() - 22;
    archive[end + 12..end + 20].fill(0xee);
    let model = model_with(&archive);
    assert!(matches!(AssociatedFiles::open(&model), Err(MetadataError::Archive { .. })));
    let metadata = ModelMetadata::from_model(&model).unwrap().unwrap();
    assert!(metadata.image_input().is_ok());
}

#[test]
fn a_damaged_file_hides_no_other() {
    let mut archive = two_files();
    let content = archive.windows(LABELS.len()).position(|bytes| bytes == LABELS).unwrap();
    archive[content] ^= 1;
    let model = model_with(&archive);
    let archive = AssociatedFiles::open(&model).unwrap();
    assert!(matches!(
        archive.read("labels.txt"),
        Err(MetadataError::UnreadableFile { name, .. }) if name == "labels.txt"
    ));
    assert_eq!(archive.read("vocabulary.txt").unwrap().len(), 10_000);
}

#[test]
fn a_decompression_bomb_is_refused() {
    let zeros = vec![0; 8 << 20];
    let bomb = standalone(&[("bomb", CompressionMethod::Deflated, &zeros)]);
    assert!(bomb.len() < 100_000);
    let model = model_with(&bomb);
    let archive = AssociatedFiles::open(&model).unwrap().with_max_file_size(1 << 20);
    let error = MetadataError::FileTooLarge { name: "bomb".to_owned(), limit: 1 << 20 };
    assert_eq!(archive.read("bomb"), Err(error));
    assert_eq!(archive.with_max_file_size(8 << 20).read("bomb").unwrap().len(), 8 << 20);
}

#[test]
fn a_size_that_lies_does_not_lift_the_limit() {
    let zeros = vec![0; 8 << 20];
    let mut bomb = standalone(&[("bomb", CompressionMethod::Deflated, &zeros)]);
    // The uncompressed size in the local header and in the directory.
    let size = (8u32 << 20).to_le_bytes();
    let mut lies = 0;
    for at in 0..bomb.len() - 4 {
        if bomb[at..at + 4] == size {
            bomb[at..at + 4].copy_from_slice(&16u32.to_le_bytes());
            lies += 1;
        }
    }
    assert_eq!(lies, 2);
    let model = model_with(&bomb);
    let archive = AssociatedFiles::open(&model).unwrap().with_max_file_size(1 << 20);
    assert!(matches!(
        archive.read("bomb"),
        Err(MetadataError::FileTooLarge { .. } | MetadataError::UnreadableFile { .. })
    ));
}

#[test]
fn damaged_archives_never_panic() {
    let model = model_with(&two_files());
    let start = bare_model().len();
    let mut read = 0;
    for at in start..model.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = model.clone();
            damaged[at] = value;
            if let Ok(archive) = AssociatedFiles::open(&damaged) {
                for name in archive.names().collect::<Vec<_>>() {
                    let _ = archive.read(&name);
                    read += 1;
                }
            }
        }
        // And the same archive cut short.
        let _ = AssociatedFiles::open(&model[..at]).map(|archive| archive.read("labels.txt"));
    }
    assert!(read > 100, "only {read} files could be tried");
}
