//! Whole numbers, truth values and 16-bit floats at run time.

use image_embedder_backend::f16;
use image_embedder_schema::tflite::{
    ActivationFunctionType, AddOptionsT, ArgMaxOptionsT, ArgMinOptionsT, BuiltinOperator,
    BuiltinOptionsT, CastOptionsT, ConcatenationOptionsT, DivOptionsT, GatherOptionsT, MulOptionsT,
    PackOptionsT, ReducerOptionsT, ShapeOptionsT, StridedSliceOptionsT, SubOptionsT, TensorType,
};

use crate::graph::{Format, Graph, Value, ZeroPoint};
use crate::layers::Convolution;
use crate::{Case, Elements};

const NONE: BuiltinOptionsT = BuiltinOptionsT::None;

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut suite = Suite { seed, cases: Vec::new() };
    suite.arithmetic();
    suite.casts();
    suite.extremes();
    suite.gathers();
    suite.comparisons();
    suite.selections();
    suite.moves();
    suite.reductions();
    suite.narrow_floats();
    suite.shape_arithmetic();
    suite.cases
}

struct Suite {
    seed: u64,
    cases: Vec<Case>,
}

fn name(element: TensorType) -> &'static str {
    match element {
        TensorType::Float32 => "f32",
        TensorType::Float16 => "f16",
        TensorType::Int32 => "i32",
        TensorType::Int64 => "i64",
        TensorType::UInt8 => "u8",
        TensorType::Int8 => "i8",
        _ => "bool",
    }
}

/// The format of tensors of that element type.
fn format(graph: &mut Graph, element: TensorType) -> Format {
    let scale = graph.random.float(0.01, 0.03);
    let zero_point = ZeroPoint::Middle.pick(&mut graph.random);
    match element {
        TensorType::UInt8 => Format::uint8(scale, zero_point),
        TensorType::Int8 => Format::int8(scale, zero_point),
        _ => Format::plain(element),
    }
}

/// An input of random elements of the type; whole numbers from `least` to `largest`.
fn input(
    graph: &mut Graph,
    format: Format,
    shape: &[usize],
    (least, largest): (i32, i32),
) -> Value {
    let count = shape.iter().product();
    let integers: Vec<i32> = (0..count).map(|_| graph.random.integer(least, largest)).collect();
    let elements = match format.element {
        TensorType::Int32 => Elements::Int32(integers),
        TensorType::Int64 => Elements::Int64(integers.into_iter().map(i64::from).collect()),
        TensorType::Float16 => {
            let values = graph.random.floats(count, 2.0);
            Elements::Float16(values.into_iter().map(f16::from_f32).collect())
        }
        _ => return graph.input(format, shape),
    };
    graph.input_of(format, shape, elements, 1.0)
}

const RANGE: (i32, i32) = (-1000, 1000);

impl Suite {
    fn case(&mut self, name: &str, build: impl FnOnce(&mut Graph) -> Vec<Value>) {
        let mut graph = Graph::new(name, self.seed);
        let outputs = build(&mut graph);
        let outputs: Vec<&Value> = outputs.iter().collect();
        self.cases.push(graph.finish("integer", &outputs));
    }

    fn arithmetic(&mut self) {
        use BuiltinOperator as Code;
        use TensorType::{Float32, Int32, Int64};
        let relu6 = ActivationFunctionType::Relu6.raw();
        let add = |fused_activation_function| {
            BuiltinOptionsT::AddOptions(AddOptionsT { fused_activation_function })
        };
        let sub = BuiltinOptionsT::SubOptions(SubOptionsT { fused_activation_function: 0 });
        let mul = BuiltinOptionsT::MulOptions(MulOptionsT { fused_activation_function: 0 });
        let div = BuiltinOptionsT::DivOptions(DivOptionsT { fused_activation_function: 0 });
        let operators = [
            ("add", Code::Add, add(0), &[Int32, Int64][..]),
            ("add_relu6", Code::Add, add(relu6), &[Int32]),
            ("sub", Code::Sub, sub, &[Int32, Int64]),
            ("mul", Code::Mul, mul, &[Int32, Int64]),
            ("div", Code::Div, div, &[Int32]),
            ("floor_div", Code::FloorDiv, NONE, &[Int32, Float32]),
            ("floor_mod", Code::FloorMod, NONE, &[Int32, Int64, Float32]),
            ("maximum", Code::Maximum, NONE, &[Int32, Int64]),
            ("minimum", Code::Minimum, NONE, &[Int32, Int64]),
            ("squared_difference", Code::SquaredDifference, NONE, &[Int32]),
        ];
        let shapes: [(&str, &[usize]); 3] =
            [("same", &[2, 3, 4]), ("channel", &[4]), ("scalar", &[])];
        for (operator, code, options, elements) in operators {
            for &element in elements {
                for (what, shape) in shapes {
                    let case_name = format!("{operator}_{}_{what}", name(element));
                    self.case(&case_name, |graph| {
                        let left = input(graph, Format::plain(element), &[2, 3, 4], RANGE);
                        // Divisors of both signs without zero.
                        let count = shape.iter().product();
                        let values: Vec<i32> = (0..count)
                            .map(|index| {
                                let size = graph.random.integer(1, 30);
                                if index % 2 == 0 { size } else { -size }
                            })
                            .collect();
                        let values = match element {
                            Int32 => Elements::Int32(values),
                            Int64 => Elements::Int64(values.into_iter().map(i64::from).collect()),
                            _ => Elements::Float32(
                                values.into_iter().map(|value| value as f32 / 7.0).collect(),
                            ),
                        };
                        let right = graph.input_of(Format::plain(element), shape, values, 1.0);
                        let output = graph.tensor(Format::plain(element), &[2, 3, 4], 1.0);
                        graph.operator(code, options.clone(), &[&left, &right], &[&output]);
                        vec![output]
                    });
                }
            }
        }
        for (operator, code, element) in
            [("abs", Code::Abs, Int32), ("neg", Code::Neg, Int32), ("neg", Code::Neg, Int64)]
        {
            self.case(&format!("{operator}_{}_sweep", name(element)), |graph| {
                let value = input(graph, Format::plain(element), &[3, 7], RANGE);
                vec![graph.unary(code, NONE, &value, Format::plain(element), 1.0)]
            });
        }
        for element in [Float32, Int32] {
            self.case(&format!("add_n_{}_three", name(element)), |graph| {
                let parts: Vec<Value> =
                    (0..3).map(|_| input(graph, Format::plain(element), &[2, 5], RANGE)).collect();
                let output = graph.tensor(Format::plain(element), &[2, 5], 1.0);
                let parts: Vec<&Value> = parts.iter().collect();
                graph.operator(Code::AddN, NONE, &parts, &[&output]);
                vec![output]
            });
        }
    }

    fn casts(&mut self) {
        use TensorType::{Bool, Float16, Float32, Int8, Int32, Int64, UInt8};
        let mut pairs = vec![(Float16, Float32), (Float32, Float16)];
        for element in [Float32, UInt8, Int8, Int32] {
            pairs.extend([(element, Int64), (Int64, element)]);
        }
        for (from, to) in pairs {
            self.case(&format!("cast_{}_to_{}", name(from), name(to)), |graph| {
                let value = input(graph, Format::plain(from), &[3, 5, 7], (0, 100));
                vec![cast(graph, &value, to)]
            });
        }
        for (from, to) in [(Float32, Int32), (Int32, Float32), (UInt8, Int8), (Int64, UInt8)] {
            self.case(&format!("cast_{}_to_bool_to_{}", name(from), name(to)), |graph| {
                let value = input(graph, Format::plain(from), &[3, 5, 7], (-1, 1));
                let truth = cast(graph, &value, Bool);
                vec![cast(graph, &truth, to)]
            });
        }
    }

    fn extremes(&mut self) {
        use TensorType::{Float32, Int8, Int32, Int64, UInt8};
        for (operator, code) in
            [("arg_max", BuiltinOperator::ArgMax), ("arg_min", BuiltinOperator::ArgMin)]
        {
            for element in [Float32, UInt8, Int8, Int32] {
                for (what, axis, to, shape) in [
                    ("channels", 3, Int32, [2, 3, 4]),
                    ("channels_negative", -1, Int64, [2, 3, 4]),
                    ("height", 1, Int32, [2, 4, 33]),
                ] {
                    self.case(&format!("{operator}_{}_{what}", name(element)), |graph| {
                        let format = format(graph, element);
                        // A narrow range, so that some are alike.
                        let value = input(graph, format, &[2, 3, 4, 33], (-9, 9));
                        let axis = graph.integers(&[axis]);
                        let output = graph.tensor(Format::plain(to), &shape, 1.0);
                        let output_type = to.raw();
                        let options = if code == BuiltinOperator::ArgMax {
                            BuiltinOptionsT::ArgMaxOptions(ArgMaxOptionsT { output_type })
                        } else {
                            BuiltinOptionsT::ArgMinOptions(ArgMinOptionsT { output_type })
                        };
                        graph.operator(code, options, &[&value, &axis], &[&output]);
                        vec![output]
                    });
                }
            }
        }
    }

    fn gathers(&mut self) {
        use TensorType::{Float32, Int8, Int32, Int64, UInt8};
        type Gather<'a> = (&'a str, i32, i32, &'a [usize], &'a [usize]);
        let gathers: [Gather<'_>; 5] = [
            ("computed_rows", 0, 0, &[5], &[5, 3, 4]),
            ("computed_columns", 1, 0, &[2, 2], &[2, 2, 2, 4]),
            ("computed_last", -1, 0, &[3], &[2, 3, 3]),
            ("batch", 1, 1, &[2, 6], &[2, 6, 4]),
            ("batch_of_last", 2, 1, &[2, 2], &[2, 3, 2]),
        ];
        for element in [Float32, UInt8, Int8, Int32] {
            for (what, axis, batch_dims, indices, output) in gathers {
                for to in [Int32, Int64] {
                    let case_name = format!("gather_{}_{what}_{}", name(element), name(to));
                    self.case(&case_name, |graph| {
                        let format = format(graph, element);
                        let value = input(graph, format, &[2, 3, 4], RANGE);
                        let size = value.shape[(axis + 3) as usize % 3] as i32;
                        let places = input(graph, Format::plain(to), indices, (0, size - 1));
                        let result = graph.tensor(value.format.clone(), output, 1.0);
                        let options = GatherOptionsT { axis, batch_dims };
                        let options = BuiltinOptionsT::GatherOptions(options);
                        let operands = [&value, &places];
                        graph.operator(BuiltinOperator::Gather, options, &operands, &[&result]);
                        vec![result]
                    });
                }
            }
        }
    }

    fn comparisons(&mut self) {
        use BuiltinOperator as Code;
        use TensorType::{Float32, Int8, Int32, Int64, UInt8};
        let operators = [
            ("equal", Code::Equal),
            ("not_equal", Code::NotEqual),
            ("less", Code::Less),
            ("less_equal", Code::LessEqual),
            ("greater", Code::Greater),
            ("greater_equal", Code::GreaterEqual),
        ];
        for (operator, code) in operators {
            for element in [Float32, Int32, Int64, UInt8, Int8] {
                for (what, shape) in [("same", &[2, 3, 4, 5][..]), ("channel", &[5])] {
                    self.case(&format!("{operator}_{}_{what}", name(element)), |graph| {
                        let a = format(graph, element);
                        let b = format(graph, element);
                        let a = input(graph, a, &[2, 3, 4, 5], (-3, 3));
                        let b = input(graph, b, shape, (-3, 3));
                        let truth = relation(graph, code, &a, &b);
                        vec![cast(graph, &truth, Float32)]
                    });
                }
            }
        }
        self.case("logical_bool_all", |graph| {
            let a = input(graph, Format::plain(Int32), &[2, 3, 4], (-3, 3));
            let b = input(graph, Format::plain(Int32), &[2, 3, 4], (-3, 3));
            let less = relation(graph, Code::Less, &a, &b);
            let equal = relation(graph, Code::Equal, &a, &b);
            let truth = || Format::plain(TensorType::Bool);
            let either = graph.tensor(truth(), &[2, 3, 4], 1.0);
            graph.operator(Code::LogicalOr, NONE, &[&less, &equal], &[&either]);
            let not_equal = graph.unary(Code::LogicalNot, NONE, &equal, truth(), 1.0);
            let both = graph.tensor(truth(), &[2, 3, 4], 1.0);
            graph.operator(Code::LogicalAnd, NONE, &[&either, &not_equal], &[&both]);
            [&either, &not_equal, &both].map(|value| cast(graph, value, Int32)).to_vec()
        });
    }

    fn selections(&mut self) {
        use TensorType::{Float32, Int8, Int32, UInt8};
        type Shapes<'a> = (&'a str, BuiltinOperator, [&'a [usize]; 3], &'a [usize]);
        let selections: [Shapes<'_>; 5] = [
            ("same", BuiltinOperator::Select, [&[2, 3, 4]; 3], &[2, 3, 4]),
            ("rows", BuiltinOperator::Select, [&[2], &[2, 3, 4], &[2, 3, 4]], &[2, 3, 4]),
            ("same", BuiltinOperator::SelectV2, [&[2, 3, 4]; 3], &[2, 3, 4]),
            ("channel", BuiltinOperator::SelectV2, [&[2, 3, 1], &[4], &[2, 3, 4]], &[2, 3, 4]),
            ("outer", BuiltinOperator::SelectV2, [&[4], &[2, 1, 4], &[3, 1]], &[2, 3, 4]),
        ];
        for (what, code, [condition, a, b], output) in selections {
            let operator = if code == BuiltinOperator::Select { "select" } else { "select_v2" };
            for element in [Float32, UInt8, Int8, Int32] {
                self.case(&format!("{operator}_{}_{what}", name(element)), |graph| {
                    let values = input(graph, Format::plain(Int32), condition, (-3, 3));
                    let zero = graph.integers_of(&[], &[0]);
                    let truth = relation(graph, BuiltinOperator::Greater, &values, &zero);
                    let format = format(graph, element);
                    let a = input(graph, format.clone(), a, RANGE);
                    let b = input(graph, format.clone(), b, RANGE);
                    let result = graph.tensor(format, output, 1.0);
                    graph.operator(code, NONE, &[&truth, &a, &b], &[&result]);
                    vec![result]
                });
            }
        }
    }

    fn moves(&mut self) {
        use BuiltinOperator as Code;
        use TensorType::{Float32, Int8, Int32, UInt8};
        for element in [Float32, UInt8, Int8, Int32] {
            for (what, code, integers, output) in [
                ("tile", Code::Tile, &[2, 1, 3][..], &[4, 3, 12][..]),
                ("tile_once", Code::Tile, &[1, 1, 1], &[2, 3, 4]),
                ("reverse_v2", Code::ReverseV2, &[1], &[2, 3, 4]),
                ("broadcast_to", Code::BroadcastTo, &[3, 2, 3, 4], &[3, 2, 3, 4]),
            ] {
                self.case(&format!("{what}_{}_plain", name(element)), |graph| {
                    let format = format(graph, element);
                    let value = input(graph, format.clone(), &[2, 3, 4], RANGE);
                    let list = graph.integers(integers);
                    let result = graph.tensor(format, output, 1.0);
                    graph.operator(code, NONE, &[&value, &list], &[&result]);
                    vec![result]
                });
            }
            self.case(&format!("broadcast_to_{}_channel", name(element)), |graph| {
                let format = format(graph, element);
                let value = input(graph, format.clone(), &[3, 1], RANGE);
                let list = graph.integers(&[2, 3, 5]);
                let result = graph.tensor(format, &[2, 3, 5], 1.0);
                graph.operator(Code::BroadcastTo, NONE, &[&value, &list], &[&result]);
                vec![result]
            });
        }
        let integers = || Format::plain(Int32);
        self.case("transpose_i32_120", |graph| {
            let value = input(graph, integers(), &[2, 3, 4], RANGE);
            let list = graph.integers(&[1, 2, 0]);
            let result = graph.tensor(integers(), &[3, 4, 2], 1.0);
            graph.operator(Code::Transpose, NONE, &[&value, &list], &[&result]);
            vec![result]
        });
        self.case("pad_i32_matrix", |graph| {
            let value = input(graph, integers(), &[3, 4], RANGE);
            let list = graph.integers_of(&[2, 2], &[1, 0, 2, 1]);
            let result = graph.tensor(integers(), &[4, 7], 1.0);
            graph.operator(Code::Pad, NONE, &[&value, &list], &[&result]);
            vec![result]
        });
        self.case("strided_slice_i32_every_second", |graph| {
            let value = input(graph, integers(), &[5, 7], RANGE);
            let lists = [[0, 1], [5, 7], [2, 3]].map(|list| graph.integers(&list));
            let result = graph.tensor(integers(), &[3, 2], 1.0);
            let options = BuiltinOptionsT::StridedSliceOptions(StridedSliceOptionsT::default());
            let operands = [&value, &lists[0], &lists[1], &lists[2]];
            graph.operator(Code::StridedSlice, options, &operands, &[&result]);
            vec![result]
        });
        self.case("concatenation_i32_last", |graph| {
            let a = input(graph, integers(), &[2, 3], RANGE);
            let b = input(graph, integers(), &[2, 4], RANGE);
            let result = graph.tensor(integers(), &[2, 7], 1.0);
            let options = ConcatenationOptionsT { axis: -1, fused_activation_function: 0 };
            let options = BuiltinOptionsT::ConcatenationOptions(options);
            graph.operator(Code::Concatenation, options, &[&a, &b], &[&result]);
            vec![result]
        });
        self.case("pack_i32_last", |graph| {
            let a = input(graph, integers(), &[2, 3], RANGE);
            let b = input(graph, integers(), &[2, 3], RANGE);
            let result = graph.tensor(integers(), &[2, 3, 2], 1.0);
            let options = BuiltinOptionsT::PackOptions(PackOptionsT { values_count: 2, axis: 2 });
            graph.operator(Code::Pack, options, &[&a, &b], &[&result]);
            vec![result]
        });
    }

    fn reductions(&mut self) {
        use BuiltinOperator as Code;
        use TensorType::{Float32, Int32};
        for (operator, code, element) in [
            ("sum", Code::Sum, Int32),
            ("mean", Code::Mean, Int32),
            ("reduce_max", Code::ReduceMax, Int32),
            ("reduce_min", Code::ReduceMin, Int32),
            ("reduce_prod", Code::ReduceProd, Int32),
            ("reduce_prod", Code::ReduceProd, Float32),
        ] {
            for (what, axes, output) in
                [("channels", &[2][..], &[2, 3][..]), ("outer", &[0, 2], &[3])]
            {
                self.case(&format!("{operator}_{}_{what}", name(element)), |graph| {
                    let value = input(graph, Format::plain(element), &[2, 3, 4], (-6, 6));
                    let axes = graph.integers(axes);
                    let result = graph.tensor(Format::plain(element), output, 1.0);
                    let options = ReducerOptionsT { keep_dims: false };
                    let options = BuiltinOptionsT::ReducerOptions(options);
                    graph.operator(code, options, &[&value, &axes], &[&result]);
                    vec![result]
                });
            }
        }
    }

    /// Models that are fed with 16-bit floats, or give them.
    fn narrow_floats(&mut self) {
        use TensorType::{Float16, Float32};
        let filtered = |graph: &mut Graph, value: &Value| {
            let options = Convolution::new(5).window(3, 3);
            graph.convolution(crate::graph::Numbers::Float32, value, &options)
        };
        self.case("network_f16_input", |graph| {
            let value = input(graph, Format::plain(Float16), &[1, 5, 6, 3], RANGE);
            let code = BuiltinOperator::Dequantize;
            let wide = graph.unary(code, NONE, &value, Format::float32(), 1.0);
            vec![filtered(graph, &wide)]
        });
        self.case("network_f16_output", |graph| {
            let value = input(graph, Format::plain(Float32), &[1, 5, 6, 3], RANGE);
            let result = filtered(graph, &value);
            vec![cast(graph, &result, Float16)]
        });
        self.case("network_f16_both", |graph| {
            let value = input(graph, Format::plain(Float16), &[1, 5, 6, 3], RANGE);
            let wide = cast(graph, &value, Float32);
            let result = filtered(graph, &wide);
            vec![cast(graph, &result, Float16)]
        });
    }
}

impl Suite {
    /// A model of open height and width that computes with its own shape.
    fn shape_arithmetic(&mut self) {
        use BuiltinOperator as Code;
        use TensorType::{Float32, Int32};
        self.case("network_f32_shape_arithmetic", |graph| {
            let integers = || Format::plain(Int32);
            let value = input(graph, Format::plain(Float32), &[1, 5, 6, 3], RANGE);
            let shape = graph.tensor(integers(), &[4], 1.0);
            let options = ShapeOptionsT { out_type: Int32.raw() };
            let options = BuiltinOptionsT::ShapeOptions(options);
            graph.operator(Code::Shape, options, &[&value], &[&shape]);
            let mut part = |begin: i32, end: i32| {
                let lists = [begin, end, 1].map(|place| graph.integers(&[place]));
                let is_one = end == begin + 1;
                let sizes: &[usize] = if is_one { &[] } else { &[2] };
                let result = graph.tensor(integers(), sizes, 1.0);
                let options = StridedSliceOptionsT {
                    shrink_axis_mask: i32::from(is_one),
                    ..StridedSliceOptionsT::default()
                };
                let options = BuiltinOptionsT::StridedSliceOptions(options);
                let operands = [&shape, &lists[0], &lists[1], &lists[2]];
                graph.operator(Code::StridedSlice, options, &operands, &[&result]);
                result
            };
            let (batch, size) = (part(0, 1), part(1, 3));
            let axis = graph.integers(&[0]);
            let pixels = graph.tensor(integers(), &[], 1.0);
            let options = BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims: false });
            graph.operator(Code::ReduceProd, options, &[&size, &axis], &[&pixels]);
            let channels = graph.integers_of(&[], &[3]);
            let sizes = graph.tensor(integers(), &[3], 1.0);
            let options = BuiltinOptionsT::PackOptions(PackOptionsT { values_count: 3, axis: 0 });
            graph.operator(Code::Pack, options, &[&batch, &pixels, &channels], &[&sizes]);
            let flat = graph.tensor(Format::float32(), &[1, 30, 3], 1.0);
            graph.operator(Code::Reshape, NONE, &[&value, &sizes], &[&flat]);
            let axes = graph.integers(&[1]);
            let mean = graph.tensor(Format::float32(), &[1, 3], 1.0);
            let options = BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims: false });
            graph.operator(Code::Mean, options, &[&flat, &axes], &[&mean]);
            graph.open(&value, &[1, 8, 8, 3], &[1, -1, -1, 3]);
            graph.open(&flat, &[1, 64, 3], &[1, -1, 3]);
            vec![mean]
        });
    }
}

fn cast(graph: &mut Graph, value: &Value, to: TensorType) -> Value {
    let options =
        CastOptionsT { in_data_type: value.format.element.raw(), out_data_type: to.raw() };
    let options = BuiltinOptionsT::CastOptions(options);
    graph.unary(BuiltinOperator::Cast, options, value, Format::plain(to), 1.0)
}

/// The truth of a relation, of the first operand's shape.
fn relation(graph: &mut Graph, code: BuiltinOperator, a: &Value, b: &Value) -> Value {
    let truth = graph.tensor(Format::plain(TensorType::Bool), &a.shape, 1.0);
    graph.operator(code, NONE, &[a, b], &[&truth]);
    truth
}
