//! The fingerprint of an embedder.

use std::fmt::Write as _;

use image_embedder_embedding::Fingerprint;
use image_embedder_preprocess::{PreprocessMode, ResizePolicy, YuvColorSpace, YuvMatrix, YuvRange};
use image_embedder_schema::tflite::{Model, SubGraph, TensorType};
use sha2::{Digest, Sha256};

use crate::{Error, ImageEmbedderOptions, InputSpec, OutputSpec};

/// The fingerprint of everything that decides about the numbers of a feature vector.
///
/// It is the first half of the SHA-256 of a text with one fact a line. A change to what a mode
/// does with pixels, or to a formula, must change the number in the first line.
pub(crate) fn fingerprint(
    bytes: &[u8],
    model: &Model<'_>,
    input: &InputSpec,
    outputs: &[OutputSpec],
    options: &ImageEmbedderOptions,
) -> Result<Fingerprint, Error> {
    let mut text = String::from("image-embedder fingerprint 1\n");
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label} {value}");
    };
    line("model", &hexadecimal(&Sha256::digest(bytes)));
    line("mode", mode_name(options.preprocess.mode));
    line("resize", &policy_name(options.preprocess.resize_policy));
    let color_space = options.preprocess.yuv_color_space;
    if color_space != YuvColorSpace::default() {
        // Left out if it is the default: fingerprints were stored before there was a choice.
        line("yuv", &color_space_name(color_space));
    }
    match &input.normalization {
        None => line("normalization", "none"),
        Some(normalization) => {
            let (mean, std) = normalization.channels()?;
            line("normalization", &hexadecimal(&bits(mean.iter().chain(&std))));
        }
    }
    line("l2_normalize", if options.l2_normalize { "yes" } else { "no" });
    line("quantize", &options.quantize.to_string());
    for output in outputs {
        line("dimension", &output.dimension.to_string());
    }
    let arithmetic = options.backend.arithmetic();
    let arithmetic = if is_quantized(model) { arithmetic.integer } else { arithmetic.float };
    line("arithmetic", &arithmetic);

    let mut half = [0; 16];
    for (byte, digest) in half.iter_mut().zip(Sha256::digest(text)) {
        *byte = digest;
    }
    Ok(Fingerprint::from_bytes(half))
}

/// A name of its own for each mode, apart from its display.
fn mode_name(mode: PreprocessMode) -> &'static str {
    match mode {
        PreprocessMode::TaskLibrary => "task-library",
        PreprocessMode::MediaPipe => "media-pipe",
        PreprocessMode::Quality => "quality",
        _ => "other",
    }
}

fn policy_name(policy: ResizePolicy) -> String {
    match policy {
        ResizePolicy::Letterbox { padding } => format!("letterbox {}", hexadecimal(&padding)),
        other => other.to_string(),
    }
}

fn color_space_name(color_space: YuvColorSpace) -> String {
    let matrix = match color_space.matrix {
        YuvMatrix::Bt601 => "bt601",
        YuvMatrix::Bt709 => "bt709",
        YuvMatrix::Bt2020 => "bt2020",
        _ => "other",
    };
    let range = match color_space.range {
        YuvRange::Limited => "limited",
        YuvRange::Full => "full",
        _ => "other",
    };
    format!("{matrix} {range}")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The bits of numbers, with one zero.
fn bits<'a>(numbers: impl Iterator<Item = &'a f32>) -> Vec<u8> {
    numbers.flat_map(|number| (number + 0.0).to_bits().to_be_bytes()).collect()
}

/// Whether all operators but those that quantise and dequantise compute with integers.
fn is_quantized(model: &Model<'_>) -> bool {
    let codes = model.operator_codes();
    model.subgraphs().iter().all(|graph| {
        graph.operators().iter().all(|operator| {
            let code = usize::try_from(operator.opcode_index()).ok();
            let name = code.and_then(|index| codes.get(index)).map(|code| code.name());
            if matches!(name.as_deref(), Some("QUANTIZE" | "DEQUANTIZE")) {
                return true;
            }
            operator
                .inputs()
                .iter()
                .chain(operator.outputs().iter())
                // -1 stands for an operand that was left out.
                .filter(|&index| index != -1)
                .all(|index| is_integer(&graph, index))
        })
    })
}

fn is_integer(graph: &SubGraph<'_>, index: i32) -> bool {
    let tensor = usize::try_from(index).ok().and_then(|index| graph.tensors().get(index));
    let element = tensor.and_then(|tensor| TensorType::from_raw(tensor.type_()));
    matches!(
        element,
        Some(
            TensorType::Bool
                | TensorType::Int4
                | TensorType::Int8
                | TensorType::UInt8
                | TensorType::Int16
                | TensorType::UInt16
                | TensorType::Int32
                | TensorType::UInt32
                | TensorType::Int64
                | TensorType::UInt64
        )
    )
}
