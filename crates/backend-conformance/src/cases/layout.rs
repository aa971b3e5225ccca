//! Operators that move elements without computing.

use image_embedder_schema::tflite::{
    BuiltinOperator, BuiltinOptionsT, ConcatenationOptionsT, DepthToSpaceOptionsT, GatherOptionsT,
    MirrorPadOptionsT, PackOptionsT, ReshapeOptionsT, SpaceToDepthOptionsT, SplitOptionsT,
    SplitVOptionsT, SqueezeOptionsT, StridedSliceOptionsT, UnpackOptionsT,
};

use crate::Case;
use crate::graph::{Graph, Numbers, Value, ZeroPoint};

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    Numbers::PLAIN
        .iter()
        .flat_map(|&numbers| {
            let mut suite = Suite { numbers, seed, cases: Vec::new() };
            suite.reshaping();
            suite.padding();
            suite.slicing();
            suite.strided_slicing();
            suite.splitting();
            suite.splitting_unevenly();
            suite.joining();
            suite.blocks();
            suite.cases
        })
        .collect()
}

/// The cases of one kind of numbers.
struct Suite {
    numbers: Numbers,
    seed: u64,
    cases: Vec<Case>,
}

impl Suite {
    /// A graph with one input.
    fn start(&self, name: &str, shape: &[usize]) -> (Graph, Value) {
        let (operator, variant) = name.split_once(' ').unwrap_or((name, "plain"));
        let name = format!("{operator}_{}_{variant}", self.numbers.name());
        let mut graph = Graph::new(&name, self.seed);
        let format = graph.input_format(self.numbers, ZeroPoint::Middle);
        let input = graph.input(format, shape);
        (graph, input)
    }

    fn finish(&mut self, graph: Graph, outputs: &[&Value]) {
        self.cases.push(graph.finish("layout", outputs));
    }

    /// A case of one input, a list of integers if there is one, and one output.
    fn simple(
        &mut self,
        name: &str,
        operator: BuiltinOperator,
        options: BuiltinOptionsT,
        shape: &[usize],
        integers: Option<(&[usize], &[i32])>,
        output: &[usize],
    ) {
        let (mut graph, input) = self.start(name, shape);
        let list = integers.map(|(shape, values)| graph.integers_of(shape, values));
        let output = graph.tensor(input.format.clone(), output, input.spread);
        let mut operands = vec![&input];
        operands.extend(&list);
        graph.operator(operator, options, &operands, &[&output]);
        self.finish(graph, &[&output]);
    }

    fn reshaping(&mut self) {
        let reshape = |shape: &[i32]| {
            BuiltinOptionsT::ReshapeOptions(ReshapeOptionsT { new_shape: Some(shape.to_vec()) })
        };
        let code = BuiltinOperator::Reshape;
        let four = [1, 2, 3, 4];
        self.simple(
            "reshape flat",
            code,
            reshape(&[1, 24]),
            &four,
            Some((&[2], &[1, 24])),
            &[1, 24],
        );
        self.simple(
            "reshape open",
            code,
            reshape(&[-1, 8]),
            &four,
            Some((&[2], &[-1, 8])),
            &[3, 8],
        );
        self.simple("reshape options_only", code, reshape(&[4, 6]), &four, None, &[4, 6]);
        self.simple(
            "reshape to_five",
            code,
            reshape(&[1, 2, 2, 3, 2]),
            &four,
            Some((&[5], &[1, 2, 2, 3, 2])),
            &[1, 2, 2, 3, 2],
        );
        let squeeze = |dims: &[i32]| {
            BuiltinOptionsT::SqueezeOptions(SqueezeOptionsT { squeeze_dims: Some(dims.to_vec()) })
        };
        let code = BuiltinOperator::Squeeze;
        self.simple("squeeze all", code, squeeze(&[]), &[1, 1, 1, 5], None, &[5]);
        self.simple("squeeze image", code, squeeze(&[1, 2]), &[2, 1, 1, 5], None, &[2, 5]);
        self.simple("squeeze last", code, squeeze(&[-1]), &[1, 4, 1, 1], None, &[1, 4, 1]);
        for (what, axis, output) in
            [("first", 0, [1, 3, 4]), ("middle", 1, [3, 1, 4]), ("last", -1, [3, 4, 1])]
        {
            self.simple(
                &format!("expand_dims {what}"),
                BuiltinOperator::ExpandDims,
                BuiltinOptionsT::None,
                &[3, 4],
                Some((&[], &[axis])),
                &output,
            );
        }
        let transposes: [(&[usize], &[i32]); 7] = [
            (&[3, 5], &[1, 0]),
            (&[2, 3, 4], &[0, 2, 1]),
            (&[2, 3, 4], &[2, 0, 1]),
            (&[1, 3, 4, 5], &[0, 3, 1, 2]),
            (&[1, 3, 4, 5], &[0, 2, 3, 1]),
            (&[2, 3, 4, 5], &[3, 2, 1, 0]),
            (&[2, 3, 2, 2, 3], &[0, 3, 1, 4, 2]),
        ];
        for (shape, permutation) in transposes {
            let output: Vec<usize> =
                permutation.iter().map(|&source| shape[source as usize]).collect();
            let digits: Vec<String> = permutation.iter().map(ToString::to_string).collect();
            self.simple(
                &format!("transpose {}", digits.join("")),
                BuiltinOperator::Transpose,
                BuiltinOptionsT::None,
                shape,
                Some((&[permutation.len()], permutation)),
                &output,
            );
        }
    }

    fn padding(&mut self) {
        type Margins<'a> = (&'a str, &'a [usize], &'a [i32]);
        let margins: [Margins<'_>; 5] = [
            ("image", &[1, 3, 4, 5], &[0, 0, 1, 1, 1, 1, 0, 0]),
            ("right_and_below", &[1, 4, 4, 3], &[0, 0, 0, 1, 0, 1, 0, 0]),
            ("channels", &[1, 2, 3, 5], &[0, 0, 0, 0, 0, 0, 2, 1]),
            ("matrix", &[3, 4], &[1, 0, 2, 2]),
            ("vector", &[5], &[2, 1]),
        ];
        for (what, shape, pads) in margins {
            let output: Vec<usize> = shape
                .iter()
                .zip(pads.chunks(2))
                .map(|(size, pair)| size + (pair[0] + pair[1]) as usize)
                .collect();
            let list = [shape.len(), 2];
            self.simple(
                &format!("pad {what}"),
                BuiltinOperator::Pad,
                BuiltinOptionsT::None,
                shape,
                Some((&list, pads)),
                &output,
            );
            let (mut graph, input) = self.start(&format!("padv2 {what}"), shape);
            let pads_value = graph.integers_of(&list, pads);
            let value = graph.random_constant(input.format.clone(), &[1]);
            let result = graph.tensor(input.format.clone(), &output, 1.0);
            let options = BuiltinOptionsT::None;
            let operands = [&input, &pads_value, &value];
            graph.operator(BuiltinOperator::PadV2, options, &operands, &[&result]);
            self.finish(graph, &[&result]);
            for (mode, mode_name) in [(0, "reflect"), (1, "symmetric")] {
                if pads
                    .iter()
                    .zip(shape.iter().flat_map(|size| [size, size]))
                    .any(|(&pad, &size)| pad as usize >= size)
                {
                    continue;
                }
                self.simple(
                    &format!("mirror_pad {what}_{mode_name}"),
                    BuiltinOperator::MirrorPad,
                    BuiltinOptionsT::MirrorPadOptions(MirrorPadOptionsT { mode }),
                    shape,
                    Some((&list, pads)),
                    &output,
                );
            }
        }
    }

    fn slicing(&mut self) {
        type Slice<'a> = (&'a str, &'a [usize], &'a [i32], &'a [i32], &'a [usize]);
        let slices: [Slice<'_>; 4] = [
            ("image", &[1, 5, 6, 3], &[0, 1, 2, 0], &[1, 3, 2, 3], &[1, 3, 2, 3]),
            ("rest", &[2, 3, 4, 5], &[1, 1, 0, 2], &[-1, -1, 4, -1], &[1, 2, 4, 3]),
            ("matrix", &[4, 7], &[0, 3], &[4, 4], &[4, 4]),
            ("vector", &[9], &[2], &[5], &[5]),
        ];
        for (what, shape, begin, size, output) in slices {
            let (mut graph, input) = self.start(&format!("slice {what}"), shape);
            let begin = graph.integers(begin);
            let size = graph.integers(size);
            let result = graph.tensor(input.format.clone(), output, 1.0);
            let options = BuiltinOptionsT::None;
            graph.operator(BuiltinOperator::Slice, options, &[&input, &begin, &size], &[&result]);
            self.finish(graph, &[&result]);
        }
        type Gather<'a> = (&'a str, i32, &'a [usize], &'a [i32], &'a [usize]);
        let gathers: [Gather<'_>; 5] = [
            ("rows", 0, &[3], &[2, 0, 2], &[3, 4, 3]),
            ("columns", 1, &[2], &[3, 1], &[5, 2, 3]),
            ("last", -1, &[4], &[0, 2, 1, 1], &[5, 4, 4]),
            ("scalar", 1, &[], &[2], &[5, 3]),
            ("matrix_of_indices", 0, &[2, 2], &[0, 1, 4, 3], &[2, 2, 4, 3]),
        ];
        for (what, axis, indices_shape, indices, output) in gathers {
            self.simple(
                &format!("gather {what}"),
                BuiltinOperator::Gather,
                BuiltinOptionsT::GatherOptions(GatherOptionsT { axis, batch_dims: 0 }),
                &[5, 4, 3],
                Some((indices_shape, indices)),
                output,
            );
        }
    }

    fn strided_slicing(&mut self) {
        struct Strided<'a> {
            what: &'a str,
            shape: &'a [usize],
            begin: &'a [i32],
            end: &'a [i32],
            strides: &'a [i32],
            /// Of begin, end, dimensions to drop, new dimensions, and the ellipsis.
            masks: [i32; 5],
            output: &'a [usize],
        }
        let slices = [
            Strided {
                what: "image",
                shape: &[1, 5, 6, 3],
                begin: &[0, 1, 2, 0],
                end: &[1, 4, 6, 3],
                strides: &[1, 1, 1, 1],
                masks: [0, 0, 0, 0, 0],
                output: &[1, 3, 4, 3],
            },
            Strided {
                what: "every_second",
                shape: &[1, 5, 6, 3],
                begin: &[0, 0, 1, 0],
                end: &[0, 0, 0, 0],
                strides: &[1, 2, 2, 1],
                masks: [0b1011, 0b1111, 0, 0, 0],
                output: &[1, 3, 3, 3],
            },
            Strided {
                what: "one_row",
                shape: &[2, 4, 3],
                begin: &[0, 2, 0],
                end: &[2, 3, 3],
                strides: &[1, 1, 1],
                masks: [0, 0, 0b010, 0, 0],
                output: &[2, 3],
            },
            Strided {
                what: "negative",
                shape: &[4, 7],
                begin: &[-3, -5],
                end: &[-1, 7],
                strides: &[1, 3],
                masks: [0, 0, 0, 0, 0],
                output: &[2, 2],
            },
            Strided {
                what: "reversed",
                shape: &[3, 5],
                begin: &[0, -1],
                end: &[3, -6],
                strides: &[1, -1],
                masks: [0, 0, 0, 0, 0],
                output: &[3, 5],
            },
        ];
        let more = [
            Strided {
                what: "new_axis",
                shape: &[3, 4],
                begin: &[1, 0, 0],
                end: &[3, 0, 4],
                strides: &[1, 1, 2],
                masks: [0, 0, 0, 0b010, 0],
                output: &[2, 1, 2],
            },
            Strided {
                what: "ellipsis",
                shape: &[2, 3, 4],
                begin: &[0, 1],
                end: &[0, 4],
                strides: &[1, 2],
                masks: [0, 0, 0, 0, 0b01],
                output: &[2, 3, 2],
            },
            Strided {
                what: "first_token",
                shape: &[2, 5, 8],
                begin: &[0, 0, 0],
                end: &[0, 1, 0],
                strides: &[1, 1, 1],
                masks: [0b101, 0b101, 0b010, 0, 0],
                output: &[2, 8],
            },
        ];
        for slice in slices.into_iter().chain(more) {
            let (mut graph, input) =
                self.start(&format!("strided_slice {}", slice.what), slice.shape);
            let begin = graph.integers(slice.begin);
            let end = graph.integers(slice.end);
            let strides = graph.integers(slice.strides);
            let result = graph.tensor(input.format.clone(), slice.output, 1.0);
            let [begin_mask, end_mask, shrink_axis_mask, new_axis_mask, ellipsis_mask] =
                slice.masks;
            graph.operator(
                BuiltinOperator::StridedSlice,
                BuiltinOptionsT::StridedSliceOptions(StridedSliceOptionsT {
                    begin_mask,
                    end_mask,
                    shrink_axis_mask,
                    new_axis_mask,
                    ellipsis_mask,
                    ..StridedSliceOptionsT::default()
                }),
                &[&input, &begin, &end, &strides],
                &[&result],
            );
            self.finish(graph, &[&result]);
        }
    }

    fn splitting(&mut self) {
        let splits: [(&str, &[usize], i32, usize); 4] = [
            ("channels", &[1, 3, 4, 8], 3, 2),
            ("channels_in_four", &[1, 3, 2, 8], -1, 4),
            ("rows", &[1, 6, 4, 3], 1, 3),
            ("matrix", &[4, 6], 1, 2),
        ];
        for (what, shape, axis, count) in splits {
            let (mut graph, input) = self.start(&format!("split {what}"), shape);
            let axis_value = graph.integers_of(&[], &[axis]);
            let dimension = (axis + shape.len() as i32) as usize % shape.len();
            let mut part = shape.to_vec();
            part[dimension] /= count;
            let parts: Vec<Value> =
                (0..count).map(|_| graph.tensor(input.format.clone(), &part, 1.0)).collect();
            let parts: Vec<&Value> = parts.iter().collect();
            let options = BuiltinOptionsT::SplitOptions(SplitOptionsT { num_splits: count as i32 });
            graph.operator(BuiltinOperator::Split, options, &[&axis_value, &input], &parts);
            self.finish(graph, &parts);
        }
        for (what, axis, part) in
            [("first", 0, [4, 5]), ("middle", 1, [3, 5]), ("last", -1, [3, 4])]
        {
            let shape = [3, 4, 5];
            let (mut graph, input) = self.start(&format!("unpack {what}"), &shape);
            let num = shape[(axis + 3) as usize % 3] as i32;
            let parts: Vec<Value> =
                (0..num).map(|_| graph.tensor(input.format.clone(), &part, 1.0)).collect();
            let parts: Vec<&Value> = parts.iter().collect();
            let options = BuiltinOptionsT::UnpackOptions(UnpackOptionsT { num, axis });
            graph.operator(BuiltinOperator::Unpack, options, &[&input], &parts);
            self.finish(graph, &parts);
        }
    }

    fn splitting_unevenly(&mut self) {
        for (what, shape, axis, sizes) in [
            ("channels", [1, 3, 4, 8], 3, [1, 5, 2]),
            ("rows", [1, 6, 4, 3], 1, [2, 1, 3]),
            ("rest", [1, 3, 2, 9], -1, [4, -1, 3]),
        ] {
            let (mut graph, input) = self.start(&format!("split_v {what}"), &shape);
            let list = graph.integers(&sizes);
            let axis_value = graph.integers_of(&[], &[axis]);
            let dimension = (axis + 4) as usize % 4;
            let known: i32 = sizes.iter().filter(|&&size| size > 0).sum();
            let parts: Vec<Value> = sizes
                .iter()
                .map(|&size| {
                    let mut part = shape.to_vec();
                    part[dimension] = match usize::try_from(size) {
                        Ok(size) => size,
                        Err(_) => shape[dimension] - known as usize,
                    };
                    graph.tensor(input.format.clone(), &part, 1.0)
                })
                .collect();
            let parts: Vec<&Value> = parts.iter().collect();
            let operands = [&input, &list, &axis_value];
            let options = BuiltinOptionsT::SplitVOptions(SplitVOptionsT { num_splits: 3 });
            graph.operator(BuiltinOperator::SplitV, options, &operands, &parts);
            self.finish(graph, &parts);
        }
    }

    fn joining(&mut self) {
        type Parts<'a> = (&'a str, i32, &'a [&'a [usize]], &'a [usize]);
        let joins: [Parts<'_>; 7] = [
            ("channels", 3, &[&[1, 3, 4, 5], &[1, 3, 4, 3]], &[1, 3, 4, 8]),
            ("last", -1, &[&[1, 2, 2, 7], &[1, 2, 2, 1], &[1, 2, 2, 16]], &[1, 2, 2, 24]),
            ("rows", 1, &[&[1, 2, 3, 4], &[1, 3, 3, 4]], &[1, 5, 3, 4]),
            ("batch", 0, &[&[1, 2, 3, 4], &[2, 2, 3, 4]], &[3, 2, 3, 4]),
            ("matrix", 1, &[&[2, 3], &[2, 1], &[2, 5], &[2, 2], &[2, 4]], &[2, 15]),
            ("vectors", 0, &[&[3], &[4]], &[7]),
            ("alone", 0, &[&[3, 2]], &[3, 2]),
        ];
        for (what, axis, shapes, output) in joins {
            let (mut graph, first) = self.start(&format!("concatenation {what}"), shapes[0]);
            let mut parts = vec![first.clone()];
            for shape in &shapes[1..] {
                parts.push(graph.input(first.format.clone(), shape));
            }
            let result = graph.tensor(first.format.clone(), output, 1.0);
            let parts: Vec<&Value> = parts.iter().collect();
            let options = ConcatenationOptionsT { axis, fused_activation_function: 0 };
            let options = BuiltinOptionsT::ConcatenationOptions(options);
            graph.operator(BuiltinOperator::Concatenation, options, &parts, &[&result]);
            self.finish(graph, &[&result]);
        }
        if self.numbers == Numbers::UInt8 {
            // Only unsigned parts may be quantised otherwise than the whole.
            let (mut graph, first) = self.start("concatenation requantizing", &[1, 3, 4, 5]);
            let format = graph.input_format(self.numbers, ZeroPoint::Low);
            let second = graph.input(format, &[1, 3, 4, 8]);
            let format = graph.input_format(self.numbers, ZeroPoint::Middle);
            let result = graph.tensor(format, &[1, 3, 4, 13], 1.0);
            let options = ConcatenationOptionsT { axis: 3, fused_activation_function: 0 };
            let options = BuiltinOptionsT::ConcatenationOptions(options);
            let code = BuiltinOperator::Concatenation;
            graph.operator(code, options, &[&first, &second], &[&result]);
            self.finish(graph, &[&result]);
        }
        for (what, axis, output) in
            [("first", 0, [3, 4, 5]), ("middle", 1, [4, 3, 5]), ("last", -1, [4, 5, 3])]
        {
            let (mut graph, first) = self.start(&format!("pack {what}"), &[4, 5]);
            let second = graph.input(first.format.clone(), &[4, 5]);
            let third = graph.input(first.format.clone(), &[4, 5]);
            let result = graph.tensor(first.format.clone(), &output, 1.0);
            let options = BuiltinOptionsT::PackOptions(PackOptionsT { values_count: 3, axis });
            let code = BuiltinOperator::Pack;
            graph.operator(code, options, &[&first, &second, &third], &[&result]);
            self.finish(graph, &[&result]);
        }
    }

    fn blocks(&mut self) {
        for (block_size, large, small) in
            [(2, [1, 4, 6, 3], [1, 2, 3, 12]), (3, [2, 3, 6, 1], [2, 1, 2, 9])]
        {
            self.simple(
                &format!("space_to_depth block{block_size}"),
                BuiltinOperator::SpaceToDepth,
                BuiltinOptionsT::SpaceToDepthOptions(SpaceToDepthOptionsT { block_size }),
                &large,
                None,
                &small,
            );
            self.simple(
                &format!("depth_to_space block{block_size}"),
                BuiltinOperator::DepthToSpace,
                BuiltinOptionsT::DepthToSpaceOptions(DepthToSpaceOptionsT { block_size }),
                &small,
                None,
                &large,
            );
        }
        type Blocks<'a> = (&'a str, [usize; 4], [i32; 2], [i32; 4], [usize; 4]);
        let blocks: [Blocks<'_>; 3] = [
            ("even", [1, 4, 6, 3], [2, 2], [0, 0, 0, 0], [4, 2, 3, 3]),
            ("margins", [1, 5, 7, 3], [2, 2], [1, 2, 1, 0], [4, 4, 4, 3]),
            ("uneven_block", [2, 3, 4, 2], [3, 2], [1, 2, 0, 0], [12, 2, 2, 2]),
        ];
        for (what, large, block, margins, small) in blocks {
            for to_batch in [true, false] {
                let (operator, code, from, to) = if to_batch {
                    ("space_to_batch_nd", BuiltinOperator::SpaceToBatchNd, large, small)
                } else {
                    ("batch_to_space_nd", BuiltinOperator::BatchToSpaceNd, small, large)
                };
                let (mut graph, input) = self.start(&format!("{operator} {what}"), &from);
                let block = graph.integers(&block);
                let margins = graph.integers_of(&[2, 2], &margins);
                let result = graph.tensor(input.format.clone(), &to, 1.0);
                let options = BuiltinOptionsT::None;
                graph.operator(code, options, &[&input, &block, &margins], &[&result]);
                self.finish(graph, &[&result]);
            }
        }
    }
}
