//! A model that ends earlier computes the same up to there, and holds no more than that.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
use image_embedder_backend_native::NativeBackend;
use image_embedder_metadata::{
    AssociatedFiles, Content, MetadataError, ModelMetadata, NormalizationOptions, cut_at,
    cut_points, edit_metadata, strip_metadata,
};
use image_embedder_metadata::{MetadataChanges, TensorChanges};
use image_embedder_schema::tflite::{ModelT, SignatureDefT, SubGraphT, TensorMapT, read_model};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{
    PassThrough, TensorKind, image_tensor, metadata, normalized_rgb,
};

const POOL: &str = "MobilenetV1/Logits/AvgPool_1a/AvgPool";

fn classifier() -> Vec<u8> {
    fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap()
}

fn tables(file: &[u8]) -> ModelT {
    read_model(file).unwrap().unpack()
}

fn graph(model: &ModelT) -> &SubGraphT {
    &model.subgraphs.as_ref().unwrap()[0]
}

/// A picture without meaning: every byte differs from its neighbours.
fn picture() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..224 * 224 * 3).map(|_| next()).collect()
}

/// The one output of a quantised model.
fn run(file: &[u8], input: &[u8]) -> Vec<u8> {
    let model = NativeBackend::new()
        .compile(ModelData::from(file.to_vec()), &CompileOptions::default())
        .unwrap();
    let [output] = model.outputs() else { panic!("one output") };
    let mut values = vec![0; output.element_count().unwrap()];
    let mut session = model.session().unwrap();
    session.run(&[TensorView::UInt8(input)], &mut [TensorViewMut::UInt8(&mut values)]).unwrap();
    values
}

#[test]
fn a_classifier_becomes_an_embedder() {
    let classifier = classifier();
    let embedder = cut_at(&classifier, POOL).unwrap();

    let cut = tables(&embedder);
    let graph = graph(&cut);
    let output = &graph.tensors.as_ref().unwrap()[graph.outputs.as_ref().unwrap()[0] as usize];
    assert_eq!(output.name.as_deref(), Some(POOL));
    assert_eq!(output.shape.as_deref(), Some(&[1, 1, 1, 256][..]));
    // 31 operators less the last convolution, RESHAPE and SOFTMAX.
    assert_eq!(graph.operators.as_ref().unwrap().len(), 28);
    let codes = read_model(&embedder).unwrap().operator_codes();
    let codes: Vec<String> = codes.iter().map(|code| code.name()).collect();
    assert_eq!(codes, ["AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D"]);
    // The last convolution's 256 x 1001 weights and the labels are gone.
    assert!(embedder.len() + 256 * 1001 + 10_000 < classifier.len());
    assert!(AssociatedFiles::open(&embedder).unwrap().is_empty());

    let read = ModelMetadata::from_model(&embedder).unwrap().unwrap();
    let before = ModelMetadata::from_model(&classifier).unwrap().unwrap();
    assert_eq!(read.image_input(), before.image_input());
    assert_eq!(read.name, before.name);
    let [output] = &read.subgraph.unwrap().outputs[..] else { panic!("one output") };
    assert_eq!(output.name.as_deref(), Some(POOL));
    assert_eq!(output.content, Content::Feature);
    assert_eq!(output.associated_files, []);
}

#[test]
fn a_cut_model_computes_the_same() {
    let classifier = classifier();
    let input = picture();
    let embedding = run(&cut_at(&classifier, POOL).unwrap(), &input);
    assert!(embedding.iter().any(|value| *value != embedding[0]));

    // What the pooling reads, averaged by hand: 7 x 7 positions of 256 channels, halves up.
    let view = read_model(&classifier).unwrap();
    let graph = view.subgraphs().first().unwrap();
    let index = |name| graph.tensors().iter().position(|t| t.name() == Some(name)).unwrap();
    let pool = index(POOL) as i32;
    let pooling =
        graph.operators().iter().find(|operator| operator.outputs().first() == Some(pool)).unwrap();
    let features = pooling.inputs().first().unwrap() as usize;
    let features = run(&cut_at(&classifier, features).unwrap(), &input);
    assert_eq!(features.len(), 7 * 7 * 256);
    let averages: Vec<u8> = (0..256)
        .map(|channel| {
            let sum: u32 = features.iter().skip(channel).step_by(256).map(|v| u32::from(*v)).sum();
            ((sum + 24) / 49) as u8
        })
        .collect();
    assert_eq!(embedding, averages);
}

#[test]
fn a_cut_at_the_output_keeps_everything() {
    let classifier = classifier();
    let last = cut_points(&classifier).unwrap().pop().unwrap();
    let same = cut_at(&classifier, last.index).unwrap();
    assert_eq!(run(&same, &picture()), run(&classifier, &picture()));
    let before = ModelMetadata::from_model(&classifier).unwrap().unwrap();
    let after = ModelMetadata::from_model(&same).unwrap().unwrap();
    assert_eq!(after.subgraph, before.subgraph);
    assert_eq!(AssociatedFiles::open(&same).unwrap().len(), 1);
}

#[test]
fn cut_points_have_the_shape_of_a_vector() {
    let points = cut_points(&classifier()).unwrap();
    let shapes: Vec<(&str, &[i32])> =
        points.iter().map(|point| (point.name.as_str(), point.shape.as_slice())).collect();
    assert_eq!(shapes.len(), 4);
    assert_eq!(shapes[0], (POOL, &[1, 1, 1, 256][..]));
    assert_eq!(shapes[3].1, [1, 1001]);
    for point in &points {
        assert!(cut_at(&classifier(), point.index).is_ok());
        assert!(cut_at(&classifier(), point.name.as_str()).is_ok());
    }
}

#[test]
fn a_model_without_metadata_gets_none() {
    let bare = strip_metadata(&classifier()).unwrap();
    let cut = cut_at(&bare, POOL).unwrap();
    assert_eq!(ModelMetadata::from_model(&cut), Ok(None));
    let mut expected = tables(&strip_metadata(&cut_at(&classifier(), POOL).unwrap()).unwrap());
    expected.metadata = expected.metadata.filter(|entries| !entries.is_empty());
    assert_eq!(tables(&cut), expected);
}

#[test]
fn unneeded_inputs_go_with_their_metadata() {
    let tensor = |name: &str| {
        let mut tensor =
            image_tensor(image_embedder_schema::metadata::ColorSpaceType::Rgb, Vec::new());
        tensor.name = Some(name.to_owned());
        tensor
    };
    let built = PassThrough {
        input_count: 2,
        outputs: vec![TensorKind::uint8(&[1, 192]), TensorKind::float32(&[1, 192])],
        ..PassThrough::default()
    }
    .with_metadata(&metadata(
        vec![tensor("first"), tensor("second")],
        vec![tensor("bytes"), tensor("floats")],
    ));
    let mut model = built.model();
    let map = |name: &str, tensor_index: i32| TensorMapT {
        name: Some(name.to_owned()),
        tensor_index: tensor_index as u32,
    };
    let outputs = graph(&model).outputs.clone().unwrap();
    model.signature_defs = Some(vec![SignatureDefT {
        inputs: Some(vec![map("a", 0), map("b", 1)]),
        outputs: Some(vec![map("x", outputs[0]), map("y", outputs[1])]),
        signature_key: Some("serve".to_owned()),
        subgraph_index: 0,
    }]);
    let cut = cut_at(&model.to_bytes(), outputs[1] as usize).unwrap();

    let read = ModelMetadata::from_model(&cut).unwrap().unwrap();
    assert_eq!(read.image_input().unwrap().name.as_deref(), Some("first"));
    assert_eq!(read.output_name(0), Some("floats"));
    let cut = tables(&cut);
    let graph = graph(&cut);
    // Input, cast, shape, output.
    assert_eq!(graph.tensors.as_ref().unwrap().len(), 4);
    assert_eq!(graph.inputs.as_deref(), Some(&[0][..]));
    let output = graph.outputs.as_ref().unwrap()[0];
    let signature = &cut.signature_defs.unwrap()[0];
    assert_eq!(signature.inputs, Some(vec![map("a", 0)]));
    assert_eq!(signature.outputs, Some(vec![map("y", output)]));
}

#[test]
fn a_float_classifier_without_normalization_gets_both() {
    let built = PassThrough::new(
        TensorKind::float32(&[1, 8, 8, 3]),
        vec![TensorKind::float32(&[1, 1, 1, 192])],
    );
    let cut = cut_at(&built.to_bytes(), "output0").unwrap();
    let mut input = TensorChanges::default();
    input.normalization = Some(NormalizationOptions::uniform(0.0, 255.0));
    let mut changes = MetadataChanges::default();
    changes.inputs = vec![input];
    let file = edit_metadata(&cut, &changes).unwrap();
    let read = ModelMetadata::from_model(&file).unwrap().unwrap();
    assert!(read.image_input().unwrap().normalization.is_some());
}

mod refused {
    use super::*;

    fn near(name: &str) -> (Vec<String>, String) {
        let error = cut_at(&classifier(), name).unwrap_err();
        let text = error.to_string();
        let MetadataError::TensorNotFound { tensor, near, count } = error else {
            panic!("{error}")
        };
        assert_eq!(tensor, name);
        assert_eq!(
            count,
            tables(&classifier()).subgraphs.unwrap()[0].tensors.as_ref().unwrap().len()
        );
        (near, text)
    }

    #[test]
    fn an_unknown_name_lists_near_ones() {
        let (names, text) = near("avgpool");
        assert_eq!(names, [POOL]);
        assert!(text.ends_with(&format!("such as {POOL}; found avgpool")), "{text}");
        assert_eq!(near("MobilenetV1/Logits/AvgPool_1a/AvgPol").0, [POOL]);
        assert_eq!(near("AvgPoool").0, [POOL]);
        assert_eq!(near("nothing like it at all").0, [] as [&str; 0]);
        assert_eq!(near("depthwise").0.len(), 5);
    }

    #[test]
    fn an_index_out_of_range() {
        let error = cut_at(&classifier(), 10_000).unwrap_err();
        assert!(matches!(
            error,
            MetadataError::TensorNotFound { tensor, near, .. }
                if tensor == "index 10000" && near.is_empty()
        ));
    }

    #[test]
    fn an_ambiguous_name() {
        let mut model = PassThrough::default().model();
        for tensor in model.subgraphs.as_mut().unwrap()[0].tensors.as_mut().unwrap() {
            tensor.name = Some("same".to_owned());
        }
        let error =
            MetadataError::TensorAmbiguous { tensor: "same".to_owned(), found: vec![0, 1, 2] };
        assert_eq!(cut_at(&model.to_bytes(), "same"), Err(error));
    }

    #[test]
    fn an_input_or_a_constant() {
        let file = PassThrough::default().to_bytes();
        let mut refused = 0;
        for name in ["input0", "shape0"] {
            let error = MetadataError::TensorNotComputed { tensor: name.to_owned() };
            assert_eq!(cut_at(&file, name), Err(error));
            refused += 1;
        }
        assert_eq!(refused, 2);
    }

    #[test]
    fn a_tensor_that_depends_on_no_input() {
        let mut model = PassThrough::default().model();
        let graph = &mut model.subgraphs.as_mut().unwrap()[0];
        // The reshape reads its own shape.
        graph.operators.as_mut().unwrap()[0].inputs = Some(vec![1, 1]);
        let error = MetadataError::TensorWithoutInput { tensor: "output0".to_owned() };
        assert_eq!(cut_at(&model.to_bytes(), "output0"), Err(error));
    }

    #[test]
    fn references_that_lead_nowhere() {
        let cut = |change: &dyn Fn(&mut ModelT)| {
            let mut model = PassThrough::default().with_metadata(&normalized_rgb(1.0, 2.0)).model();
            change(&mut model);
            cut_at(&model.to_bytes(), "output0").unwrap_err()
        };
        let operator = |model: &mut ModelT, index| {
            let graph = &mut model.subgraphs.as_mut().unwrap()[0];
            graph.operators.as_mut().unwrap()[0].inputs = Some(vec![index, 1]);
        };
        let tensor = |found| MetadataError::Reference { kind: "tensor", found, count: 3 };
        assert_eq!(cut(&|model| operator(model, 3)), tensor(3));
        assert_eq!(cut(&|model| operator(model, -2)), tensor(-2));
        let error = cut(&|model| {
            model.subgraphs.as_mut().unwrap()[0].tensors.as_mut().unwrap()[1].buffer = 77;
        });
        assert_eq!(error, MetadataError::Reference { kind: "buffer", found: 77, count: 3 });
        let error = cut(&|model| model.operator_codes = None);
        assert_eq!(error, MetadataError::Reference { kind: "operator code", found: 0, count: 0 });
        let error = cut(&|model| model.subgraphs = None);
        assert_eq!(error, MetadataError::Reference { kind: "subgraph", found: 0, count: 0 });
    }
}
