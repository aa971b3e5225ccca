//! Operators on whole numbers, indices and truth values, with results worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, ModelData, TensorView, TensorViewMut,
};
use image_embedder_backend_tract::TractBackend;
use image_embedder_schema::tflite::{
    BufferT, BuiltinOperator, BuiltinOptionsT, GatherOptionsT, ModelT, OperatorCodeT, OperatorT,
    ReducerOptionsT, SubGraphT, TensorT, TensorType,
};

/// Operations one after the other on 32-bit whole numbers.
struct Chain {
    model: ModelT,
    graph: SubGraphT,
}

impl Chain {
    fn new() -> Self {
        let model = ModelT {
            version: 3,
            operator_codes: Some(Vec::new()),
            buffers: Some(vec![BufferT::default()]),
            ..ModelT::default()
        };
        let graph = SubGraphT {
            tensors: Some(Vec::new()),
            operators: Some(Vec::new()),
            inputs: Some(Vec::new()),
            ..SubGraphT::default()
        };
        Self { model, graph }
    }

    fn tensor(&mut self, kind: TensorType, shape: &[i32], data: Option<&[i32]>) -> i32 {
        let buffers = self.model.buffers.as_mut().unwrap();
        let buffer = if data.is_some() { buffers.len() as u32 } else { 0 };
        if let Some(data) = data {
            let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            buffers.push(BufferT { data: Some(bytes), ..BufferT::default() });
        }
        let tensors = self.graph.tensors.as_mut().unwrap();
        tensors.push(TensorT {
            shape: Some(shape.to_vec()),
            type_: kind.raw(),
            buffer,
            name: Some(format!("tensor {}", tensors.len())),
            ..TensorT::default()
        });
        tensors.len() as i32 - 1
    }

    fn constant(&mut self, shape: &[i32], data: &[i32]) -> i32 {
        self.tensor(TensorType::Int32, shape, Some(data))
    }

    fn input(&mut self, shape: &[i32]) -> i32 {
        let index = self.tensor(TensorType::Int32, shape, None);
        self.graph.inputs.as_mut().unwrap().push(index);
        index
    }

    fn apply(
        &mut self,
        operator: BuiltinOperator,
        options: BuiltinOptionsT,
        inputs: &[i32],
        output: (TensorType, &[i32]),
    ) -> i32 {
        let output = self.tensor(output.0, output.1, None);
        let codes = self.model.operator_codes.as_mut().unwrap();
        codes.push(OperatorCodeT {
            builtin_code: operator.raw(),
            deprecated_builtin_code: i8::try_from(operator.raw().min(127)).unwrap(),
            ..OperatorCodeT::default()
        });
        self.graph.operators.as_mut().unwrap().push(OperatorT {
            opcode_index: codes.len() as u32 - 1,
            inputs: Some(inputs.to_vec()),
            outputs: Some(vec![output]),
            builtin_options: options,
            ..OperatorT::default()
        });
        output
    }

    /// What the last tensor is for the given inputs.
    fn run(mut self, last: i32, inputs: &[&[i32]]) -> Result<Vec<i32>, BackendError> {
        self.graph.outputs = Some(vec![last]);
        self.model.subgraphs = Some(vec![self.graph]);
        let bytes = ModelData::from(self.model.to_bytes());
        let model = TractBackend.compile(bytes, &CompileOptions::default())?;
        let mut output = vec![0; model.outputs()[0].element_count().unwrap()];
        let views: Vec<_> = inputs.iter().map(|input| TensorView::Int32(input)).collect();
        let mut session = model.session()?;
        session.run(&views, &mut [TensorViewMut::Int32(&mut output)])?;
        Ok(output)
    }
}

const INT32: TensorType = TensorType::Int32;
const NONE: BuiltinOptionsT = BuiltinOptionsT::None;

#[test]
fn the_larger_of_two_is_selected() {
    let mut chain = Chain::new();
    let (a, b) = (chain.input(&[2, 2]), chain.input(&[2]));
    let shape = (TensorType::Bool, &[2, 2][..]);
    let greater = chain.apply(BuiltinOperator::Greater, NONE, &[a, b], shape);
    let not = chain.apply(BuiltinOperator::LogicalNot, NONE, &[greater], shape);
    let either = chain.apply(BuiltinOperator::LogicalOr, NONE, &[greater, not], shape);
    let both = chain.apply(BuiltinOperator::LogicalAnd, NONE, &[either, greater], shape);
    let larger = chain.apply(BuiltinOperator::SelectV2, NONE, &[both, a, b], (INT32, &[2, 2]));
    assert_eq!(chain.run(larger, &[&[1, 5, 9, 2], &[4, 3]]).unwrap(), [4, 5, 9, 3]);
}

#[test]
fn places_of_extremes_are_found() {
    for (operator, expected) in
        [(BuiltinOperator::ArgMax, [1, 0]), (BuiltinOperator::ArgMin, [2, 1])]
    {
        let mut chain = Chain::new();
        let input = chain.input(&[2, 3]);
        let axis = chain.constant(&[], &[-1]);
        let places = chain.apply(operator, NONE, &[input, axis], (INT32, &[2]));
        assert_eq!(chain.run(places, &[&[4, 7, 1, 8, 3, 8]]).unwrap(), expected);
    }
}

#[test]
fn elements_are_gathered_by_image() {
    let gather = |indices: [i32; 4]| {
        let mut chain = Chain::new();
        let (input, places) = (chain.input(&[2, 3, 1]), chain.input(&[2, 2]));
        let options = BuiltinOptionsT::GatherOptions(GatherOptionsT { axis: 1, batch_dims: 1 });
        let shape = (INT32, &[2, 2, 1][..]);
        let picked = chain.apply(BuiltinOperator::Gather, options, &[input, places], shape);
        chain.run(picked, &[&[1, 2, 3, 10, 20, 30], &indices])
    };
    assert_eq!(gather([2, 0, 1, 1]).unwrap(), [3, 1, 20, 20]);
    let error = gather([2, 0, 3, 1]).unwrap_err().to_string();
    assert!(error.contains("expected indices below 3, found 3"), "{error}");
}

#[test]
fn elements_are_turned_and_repeated() {
    let mut chain = Chain::new();
    let input = chain.input(&[1, 3]);
    let axes = chain.constant(&[1], &[1]);
    let turned = chain.apply(BuiltinOperator::ReverseV2, NONE, &[input, axes], (INT32, &[1, 3]));
    let times = chain.constant(&[2], &[2, 1]);
    let tiled = chain.apply(BuiltinOperator::Tile, NONE, &[turned, times], (INT32, &[2, 3]));
    let zeros = chain.apply(BuiltinOperator::ZerosLike, NONE, &[tiled], (INT32, &[2, 3]));
    let sum = chain.apply(BuiltinOperator::AddN, NONE, &[tiled, zeros, tiled], (INT32, &[2, 3]));
    let negated = chain.apply(BuiltinOperator::Neg, NONE, &[sum], (INT32, &[2, 3]));
    let expected = [-6, -4, -2, -6, -4, -2];
    assert_eq!(chain.run(negated, &[&[1, 2, 3]]).unwrap(), expected);
}

#[test]
fn ranges_and_shapes_are_known() {
    let mut chain = Chain::new();
    let input = chain.input(&[2, 3]);
    let rank = chain.apply(BuiltinOperator::Rank, NONE, &[input], (INT32, &[]));
    let (start, step) = (chain.constant(&[], &[7]), chain.constant(&[], &[-2]));
    let inputs = [start, rank, step];
    let range = chain.apply(BuiltinOperator::Range, NONE, &inputs, (INT32, &[3]));
    let wide = chain.constant(&[2], &[2, 3]);
    let inputs = [range, wide];
    let spread = chain.apply(BuiltinOperator::BroadcastTo, NONE, &inputs, (INT32, &[2, 3]));
    let sum = chain.apply(BuiltinOperator::Add, NONE, &[input, spread], (INT32, &[2, 3]));
    assert_eq!(chain.run(sum, &[&[0, 0, 0, 1, 1, 1]]).unwrap(), [7, 5, 3, 8, 6, 4]);
}

#[test]
fn means_are_cut_off_and_sums_wrap_around() {
    let mut chain = Chain::new();
    let input = chain.input(&[2, 2]);
    let axis = chain.constant(&[1], &[1]);
    let options = || BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims: false });
    let inputs = [input, axis];
    let means = chain.apply(BuiltinOperator::Mean, options(), &inputs, (INT32, &[2]));
    let sums = chain.apply(BuiltinOperator::Sum, options(), &inputs, (INT32, &[2]));
    let both = chain.apply(BuiltinOperator::Maximum, NONE, &[means, sums], (INT32, &[2]));
    // The mean of -1 and -2 is -1.5; the sum of the others is beyond 32 bits.
    let half = i32::MAX / 2 + 1;
    assert_eq!(chain.run(both, &[&[-1, -2, half, half]]).unwrap(), [-1, half]);
}

#[test]
fn division_by_zero_ends_a_run_not_the_session() {
    let divide = |divisor: i32| {
        let mut chain = Chain::new();
        let (a, b) = (chain.input(&[1]), chain.input(&[1]));
        let quotient = chain.apply(BuiltinOperator::FloorDiv, NONE, &[a, b], (INT32, &[1]));
        chain.run(quotient, &[&[-7], &[divisor]])
    };
    assert_eq!(divide(2).unwrap(), [-4]);
    let error = divide(0).unwrap_err().to_string();
    assert!(error.contains("division by zero"), "{error}");
}
