//! `QUANTIZE`, `DEQUANTIZE` and `CAST`.

use image_embedder_schema::tflite::{BuiltinOperator, BuiltinOptionsT, CastOptionsT, TensorType};

use crate::graph::{Format, Graph, Numbers, ZeroPoint, held_bytes};
use crate::{Case, Elements};

const SHAPE: [usize; 4] = [1, 4, 8, 8];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    let bytes = [Numbers::UInt8, Numbers::Int8];
    for to in bytes {
        for (what, scale, zero_point) in [
            ("middle", 0.0317, 117),
            ("low", 0.01, 0),
            ("high", 0.02, 255),
            ("ties", 1.0 / 32.0, 128),
            ("tiny_scale", 1e-4, 128),
        ] {
            let name = format!("quantize_f32_to_{}_{what}", to.name());
            let mut graph = Graph::new(&name, seed);
            let mut values = graph.random.floats(256, 5.0);
            for (index, value) in values.iter_mut().take(128).enumerate() {
                // Half-way between steps of the scale, and far beyond the range.
                *value = (index as f32 - 63.5) * scale;
            }
            values[200..206].copy_from_slice(&[1e9, -1e9, 0.0, -0.0, 3e38, -3e38]);
            let values = Elements::Float32(values);
            let input = graph.input_of(Format::float32(), &SHAPE, values, 1.0);
            let output = graph.tensor(to.format(scale, zero_point), &SHAPE, 1.0);
            let options = BuiltinOptionsT::None;
            graph.operator(BuiltinOperator::Quantize, options, &[&input], &[&output]);
            cases.push(graph.finish("conversion", &[&output]));
        }
        for from in bytes {
            for (what, from_scale, to_scale, zero_point) in [
                ("finer", 0.031, 0.0123, 140),
                ("coarser", 0.0123, 0.031, 90),
                ("same_scale", 0.02, 0.02, 128),
                ("ties", 1.0 / 128.0, 1.0 / 64.0, 127),
                ("low", 0.02, 0.025, 0),
                ("much_finer", 0.5, 0.01, 128),
                ("much_coarser", 0.0123, 0.2, 100),
                ("coarser_by_four", 0.0111, 0.0417, 120),
            ] {
                let name = format!("quantize_{}_to_{}_{what}", from.name(), to.name());
                let mut graph = Graph::new(&name, seed);
                let from = from.format(from_scale, 128);
                let input = sweep(&mut graph, from);
                let output = graph.tensor(to.format(to_scale, zero_point), &SHAPE, 1.0);
                let options = BuiltinOptionsT::None;
                graph.operator(BuiltinOperator::Quantize, options, &[&input], &[&output]);
                cases.push(graph.finish("conversion", &[&output]));
            }
        }
        for from in bytes {
            // Neither a multiple of 16 nor below it: kernels treat the rest otherwise.
            let name = format!("quantize_{}_to_{}_odd_count", from.name(), to.name());
            let mut graph = Graph::new(&name, seed);
            let input = graph.input(from.format(0.0123, 128), &[3, 3, 5]);
            let output = graph.tensor(to.format(0.031, 90), &[3, 3, 5], 1.0);
            let options = BuiltinOptionsT::None;
            graph.operator(BuiltinOperator::Quantize, options, &[&input], &[&output]);
            cases.push(graph.finish("conversion", &[&output]));
        }
        for zero_point in [ZeroPoint::Low, ZeroPoint::Middle, ZeroPoint::High] {
            let name = format!("dequantize_{}_{zero_point:?}", to.name()).to_lowercase();
            let mut graph = Graph::new(&name, seed);
            let format = graph.input_format(to, zero_point);
            let input = sweep(&mut graph, format);
            let output = graph.tensor(Format::float32(), &SHAPE, 1.0);
            let options = BuiltinOptionsT::None;
            graph.operator(BuiltinOperator::Dequantize, options, &[&input], &[&output]);
            cases.push(graph.finish("conversion", &[&output]));
        }
    }
    let types = [TensorType::Float32, TensorType::UInt8, TensorType::Int8, TensorType::Int32];
    for from in types {
        for to in types {
            if from != to {
                cases.push(cast(from, to, seed));
            }
        }
    }
    cases
}

/// An input that holds every byte once.
fn sweep(graph: &mut Graph, format: Format) -> crate::graph::Value {
    let bytes: Vec<u8> = (0..=255).collect();
    let elements = held_bytes(format.element, &bytes);
    graph.input_of(format, &SHAPE, elements, 1.0)
}

/// A cast of values that the target type holds; what others become is not defined.
fn cast(from: TensorType, to: TensorType, seed: u64) -> Case {
    let name = |element| match element {
        TensorType::UInt8 => "u8",
        TensorType::Int8 => "i8",
        TensorType::Int32 => "i32",
        _ => "f32",
    };
    let mut graph = Graph::new(&format!("cast_{}_to_{}", name(from), name(to)), seed);
    let bounds = |element| match element {
        TensorType::UInt8 => (0, 255),
        TensorType::Int8 => (-128, 127),
        _ => (-1000, 1000),
    };
    let (least, largest) = (bounds(from).0.max(bounds(to).0), bounds(from).1.min(bounds(to).1));
    let integers: Vec<i32> = (0..256).map(|_| graph.random.integer(least, largest)).collect();
    let elements = match from {
        TensorType::UInt8 => Elements::UInt8(integers.iter().map(|&value| value as u8).collect()),
        TensorType::Int8 => Elements::Int8(integers.iter().map(|&value| value as i8).collect()),
        TensorType::Int32 => Elements::Int32(integers),
        _ => {
            let (least, largest) = (least as f32, largest as f32);
            Elements::Float32((0..256).map(|_| graph.random.float(least, largest)).collect())
        }
    };
    let input = graph.input_of(Format::plain(from), &SHAPE, elements, 1.0);
    let output = graph.tensor(Format::plain(to), &SHAPE, 1.0);
    let options = CastOptionsT { in_data_type: from.raw(), out_data_type: to.raw() };
    let options = BuiltinOptionsT::CastOptions(options);
    graph.operator(BuiltinOperator::Cast, options, &[&input], &[&output]);
    graph.finish("conversion", &[&output])
}
