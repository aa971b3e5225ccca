//! What this crate writes, read and run by tflite-support 0.4.4 and MediaPipe 1.2.2.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use image_embedder_metadata::{
    AssociatedFile, AssociatedFileKind, ColorSpace, MetadataChanges, ModelMetadata, NewFile,
    NormalizationOptions, TensorChanges, cut_at, edit_metadata, strip_metadata,
};
use image_embedder_schema::metadata::{
    AssociatedFileT, AudioPropertiesT, BertTokenizerOptionsT, ContentPropertiesT, ContentT,
    CustomMetadataT, ModelMetadataT, ProcessUnitOptionsT, ProcessUnitT, RegexTokenizerOptionsT,
    SentencePieceTokenizerOptionsT, SubGraphMetadataT, TensorGroupT, TensorMetadataT,
};
use image_embedder_schema::tflite::read_model;
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind, normalized_rgb};
use serde_json::Value;

/// The folders of the Python environments with the packages, below the one that
/// [`ENVIRONMENTS`] names.
const TFLITE_SUPPORT: &str = "tflite-support-0.4.4";
const MEDIAPIPE: &str = "mediapipe-1.2.2";

/// The environment variable that names the folder with the Python environments.
const ENVIRONMENTS: &str = "IMAGE_EMBEDDER_PYTHON_REFERENCE";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/read_models.py");

const POOL: &str = "MobilenetV1/Logits/AvgPool_1a/AvgPool";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A change of everything that both packages look at.
fn changes(normalization: NormalizationOptions) -> MetadataChanges {
    let mut input = TensorChanges::default();
    input.name = text("photo");
    input.color_space = Some(ColorSpace::Rgb);
    input.normalization = Some(normalization);
    let mut output = TensorChanges::default();
    output.name = text("feature");
    output.files = vec![NewFile {
        file: AssociatedFile::new("words.txt", AssociatedFileKind::TensorAxisLabels),
        content: b"a\nb\n".to_vec(),
    }];
    let mut changes = MetadataChanges::default();
    changes.name = text("an embedder");
    changes.description = text("Grüße");
    changes.version = text("v2");
    changes.author = text("someone");
    changes.license = text("Apache-2.0");
    changes.inputs = vec![input];
    changes.outputs = vec![output];
    changes
}

fn float_model() -> Vec<u8> {
    let output = TensorKind::float32(&[1, 192]);
    PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![output]).to_bytes()
}

/// A model whose RESHAPE has an options type that the schema does not read; the runtime takes the
/// shape from the second input.
fn unread_model() -> Vec<u8> {
    let file = float_model();
    let unread = |bytes: &[u8]| read_model(bytes).is_ok_and(|model| model.unread().len() == 1);
    let changed = (0..file.len()).filter(|at| file[*at] == 17).map(|at| {
        let mut changed = file.clone();
        changed[at] = 34;
        changed
    });
    let mut found: Vec<Vec<u8>> = changed.filter(|changed| unread(changed)).collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Metadata with each part that asks for a parser version, also as an empty list.
fn version_cases() -> Vec<(&'static str, ModelMetadataT)> {
    let file = |type_: i8, version: Option<&str>| AssociatedFileT {
        name: text("file"),
        type_,
        version: version.map(str::to_owned),
        ..AssociatedFileT::default()
    };
    let files = |files| ModelMetadataT { associated_files: Some(files), ..Default::default() };
    let graph = |graph: SubGraphMetadataT| ModelMetadataT {
        subgraph_metadata: Some(vec![graph]),
        ..Default::default()
    };
    let tensor = |tensor: TensorMetadataT| {
        graph(SubGraphMetadataT {
            output_tensor_metadata: Some(vec![tensor]),
            ..Default::default()
        })
    };
    let unit = |options| {
        let process_units = Some(vec![ProcessUnitT { options }]);
        tensor(TensorMetadataT { process_units, ..Default::default() })
    };
    let none = SubGraphMetadataT::default;
    let audio = ContentPropertiesT::AudioProperties(AudioPropertiesT::default());
    let content = Some(Box::new(ContentT { content_properties: audio, range: None }));
    let vocabulary = Some(vec![file(5, Some("1"))]);
    vec![
        ("base", normalized_rgb(1.0, 2.0)),
        ("labels", files(vec![file(2, None)])),
        ("vocabulary", files(vec![file(5, None)])),
        ("scann", files(vec![file(6, None), file(5, None)])),
        ("file_version", files(vec![file(2, Some("1"))])),
        (
            "subgraph_files",
            graph(SubGraphMetadataT { associated_files: Some(vec![file(5, None)]), ..none() }),
        ),
        (
            "tensor_files",
            tensor(TensorMetadataT {
                associated_files: Some(vec![file(6, None)]),
                ..Default::default()
            }),
        ),
        (
            "units",
            graph(SubGraphMetadataT {
                input_process_units: Some(vec![ProcessUnitT::default()]),
                ..none()
            }),
        ),
        ("no_units", graph(SubGraphMetadataT { output_process_units: Some(vec![]), ..none() })),
        (
            "groups",
            graph(SubGraphMetadataT {
                input_tensor_groups: Some(vec![TensorGroupT::default()]),
                ..none()
            }),
        ),
        ("no_groups", graph(SubGraphMetadataT { output_tensor_groups: Some(vec![]), ..none() })),
        (
            "custom",
            graph(SubGraphMetadataT {
                custom_metadata: Some(vec![CustomMetadataT {
                    name: text("x"),
                    data: Some(vec![1]),
                }]),
                ..none()
            }),
        ),
        ("no_custom", graph(SubGraphMetadataT { custom_metadata: Some(vec![]), ..none() })),
        ("audio", tensor(TensorMetadataT { content, ..Default::default() })),
        ("bert", unit(ProcessUnitOptionsT::BertTokenizerOptions(BertTokenizerOptionsT::default()))),
        (
            "bert_file",
            unit(ProcessUnitOptionsT::BertTokenizerOptions(BertTokenizerOptionsT {
                vocab_file: vocabulary.clone(),
            })),
        ),
        (
            "sentence_piece",
            unit(ProcessUnitOptionsT::SentencePieceTokenizerOptions(
                SentencePieceTokenizerOptionsT {
                    sentence_piece_model: None,
                    vocab_file: vocabulary,
                },
            )),
        ),
        (
            "regex",
            unit(ProcessUnitOptionsT::RegexTokenizerOptions(RegexTokenizerOptionsT::default())),
        ),
    ]
}

/// A picture of which every byte differs from its neighbours.
fn picture(side: usize) -> Vec<u8> {
    (0..side * side * 3).map(|index| (index * 37 % 251) as u8).collect()
}

fn write_picture(folder: &Path, name: &str, side: usize) {
    fs::write(folder.join(format!("{name}.rgb")), picture(side)).unwrap();
    fs::write(folder.join(format!("{name}.size")), format!("[{side}, {side}]")).unwrap();
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// What a package makes of the models in a folder.
fn read(environment: &str, package: &str, folder: &Path) -> Value {
    let environments = env::var_os(ENVIRONMENTS).unwrap_or_else(|| {
        panic!("{ENVIRONMENTS} must name the folder that cargo xtask golden --install makes")
    });
    let python = Path::new(&environments).join(environment).join("bin/python");
    let output = Command::new(&python)
        .args([SCRIPT, package])
        .arg(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", python.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
#[ignore = "needs tflite-support 0.4.4 and MediaPipe 1.2.2: cargo xtask ci reference installs them \
            and runs this"]
fn both_packages_read_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(format!("{name}.tflite")), bytes).unwrap();
    };

    let classifier = fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let bare = strip_metadata(&classifier).unwrap();
    let changes = |mean: &[f32], std: &[f32]| {
        changes(NormalizationOptions { mean: mean.to_vec(), std: std.to_vec() })
    };
    let changes = [changes(&[127.5], &[64.0]), changes(&[10.0, 20.0, 30.0], &[2.0, 4.0, 8.0])];
    let [uniform, per_channel] = &changes;
    let run = [
        ("float", edit_metadata(&float_model(), uniform).unwrap(), 8),
        ("per_channel", edit_metadata(&float_model(), per_channel).unwrap(), 8),
        ("float_unread", edit_metadata(&unread_model(), uniform).unwrap(), 8),
        ("classifier", edit_metadata(&classifier, uniform).unwrap(), 224),
        ("added", edit_metadata(&bare, uniform).unwrap(), 224),
        ("cut", cut_at(&classifier, POOL).unwrap(), 224),
    ];
    for (name, bytes, side) in &run {
        write(name, bytes);
        write_picture(folder, name, *side);
    }
    let cases = version_cases();
    for (name, metadata) in &cases {
        let model = PassThrough::default().with_metadata(metadata).to_bytes();
        write(name, &edit_metadata(&model, &MetadataChanges::default()).unwrap());
    }

    let mut results = read(TFLITE_SUPPORT, "task_library", folder);
    let mut by_media_pipe = read(MEDIAPIPE, "media_pipe", folder);
    assert_eq!(results.as_object().unwrap().len(), run.len() + cases.len());
    assert_eq!(by_media_pipe.as_object().unwrap().len(), run.len() + cases.len());
    for (name, _, _) in &run {
        results[*name]["mediapipe"] = by_media_pipe[*name]["mediapipe"].take();
    }

    for (name, metadata) in results.as_object().unwrap() {
        let written = &metadata["metadata"]["min_parser_version"];
        assert_eq!(written, &metadata["parser_version"], "{name}");
    }
    for name in ["float", "float_unread", "per_channel", "classifier", "added"] {
        let channels = usize::from(name == "per_channel");
        check_description(&results[name], &changes[channels], name == "classifier");
        if !matches!(name, "classifier" | "added") {
            check_pixels(&results[name]["task_library"], &changes[channels]);
        }
        if name != "per_channel" {
            assert_eq!(results[name]["mediapipe"]["head_name"], "feature", "{name}");
        }
    }
    for name in ["float", "float_unread"] {
        check_pixels(&results[name]["mediapipe"]["values"], uniform);
    }
    // The metadata is read, but MediaPipe has no such normalisation.
    let not_implemented = &results["per_channel"]["mediapipe"]["not_implemented"];
    assert_eq!(not_implemented, "Per-channel image normalization is not available.");
    let labels = ModelMetadata::from_model(&classifier).unwrap().unwrap();
    assert_eq!(results["cut"]["metadata"]["name"], labels.name.unwrap());
    assert_eq!(results["cut"]["files"], serde_json::json!({}));
    assert_eq!(results["cut"]["mediapipe"]["head_name"], POOL);
    for (name, length) in [("cut", 256), ("classifier", 1001), ("added", 1001)] {
        let task_library = numbers(&results[name]["task_library"]);
        assert_eq!(task_library.len(), length);
        assert!(task_library.iter().any(|value| *value != task_library[0]));
        assert_eq!(task_library, numbers(&results[name]["mediapipe"]["values"]), "{name}");
    }
    assert_eq!(results["added"]["task_library"], results["classifier"]["task_library"]);
}

fn written_normalization(changes: &MetadataChanges) -> &NormalizationOptions {
    changes.inputs[0].normalization.as_ref().unwrap()
}

fn check_description(result: &Value, changes: &MetadataChanges, has_labels: bool) {
    let metadata = &result["metadata"];
    let texts = [
        ("name", "an embedder"),
        ("description", "Grüße"),
        ("version", "v2"),
        ("author", "someone"),
        ("license", "Apache-2.0"),
    ];
    for (field, expected) in texts {
        assert_eq!(metadata[field], expected, "{field}");
    }
    let subgraph = &metadata["subgraph_metadata"][0];
    let input = &subgraph["input_tensor_metadata"][0];
    assert_eq!(input["name"], "photo");
    assert_eq!(input["content"]["content_properties"]["color_space"], "RGB");
    let options = &input["process_units"][0]["options"];
    let floats = |name: &str| -> Vec<f32> {
        numbers(&options[name]).into_iter().map(|number| number as f32).collect()
    };
    assert_eq!(&floats("mean"), &written_normalization(changes).mean);
    assert_eq!(&floats("std"), &written_normalization(changes).std);
    assert_eq!(subgraph["output_tensor_metadata"][0]["name"], "feature");
    let files = result["files"].as_object().unwrap();
    assert_eq!(files["words.txt"], "a\nb\n");
    assert_eq!(files.len(), 1 + usize::from(has_labels));
}

/// The model gives its input back: the normalisation that the packages read is the one written.
fn check_pixels(values: &Value, changes: &MetadataChanges) {
    let (mean, std) = written_normalization(changes).channels().unwrap();
    let pixels = picture(8);
    let values = numbers(values);
    assert_eq!(values.len(), pixels.len());
    for (index, (value, pixel)) in values.iter().zip(pixels).enumerate() {
        let channel = index % 3;
        let expected = (f64::from(pixel) - f64::from(mean[channel])) / f64::from(std[channel]);
        assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
    }
}
