//! What changes a fingerprint, and what does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use image_embedder::backend::{
    Arithmetic, Backend, BackendError, CompileOptions, Model, ModelData,
};
use image_embedder::embedding::{EmbeddingError, Fingerprint, QuantizeMode};
use image_embedder::frame::FrameBuffer;
use image_embedder::metadata::NormalizationOptions;
use image_embedder::preprocess::{PreprocessMode, PreprocessOptions, ResizePolicy, YuvColorSpace};
use image_embedder::{
    EmbeddingResult, ErrorKind, ImageEmbedder, ImageEmbedderOptions, bundled_model,
};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind, normalized_rgb};

use crate::echo::Echo;
use crate::models::options;

/// The backend of the tests under another name.
#[derive(Debug)]
struct Named(&'static str);

impl Backend for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn arithmetic(&self) -> Arithmetic {
        let own = Arithmetic::own(self.0);
        match self.0 {
            "native" | "tflite" => own.with_integers(Arithmetic::XNNPACK_INTEGERS),
            _ => own,
        }
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        Echo::default().compile(model, options)
    }
}

fn fingerprint(model: &PassThrough, options: ImageEmbedderOptions) -> Fingerprint {
    ImageEmbedder::from_bytes(model.to_bytes(), options).unwrap().fingerprint()
}

fn float_model() -> PassThrough {
    PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])])
}

fn embed(options: ImageEmbedderOptions, seed: u8) -> EmbeddingResult {
    let embedder = ImageEmbedder::from_bytes(PassThrough::default().to_bytes(), options).unwrap();
    let pixels: Vec<u8> = (0..192u8).map(|index| index.wrapping_mul(seed)).collect();
    embedder.embed(&FrameBuffer::from_rgb(&pixels, 8, 8).unwrap()).unwrap()
}

#[test]
fn everything_that_moves_the_numbers_changes_it() {
    let model = PassThrough::default();
    let mut changed: Vec<(&str, Fingerprint)> = vec![("nothing", fingerprint(&model, options()))];
    let mut change = |what, edit: &dyn Fn(&mut ImageEmbedderOptions)| {
        let mut options = options();
        edit(&mut options);
        changed.push((what, fingerprint(&model, options)));
    };
    change("l2_normalize", &|options| options.l2_normalize = true);
    change("fixed", &|options| options.quantize = QuantizeMode::Fixed);
    change("per vector", &|options| options.quantize = QuantizeMode::PerVector);
    change("float16", &|options| options.quantize = QuantizeMode::Float16);
    change("dimension", &|options| options.dimension = Some(100));
    for (name, mode) in
        [("media pipe", PreprocessMode::MediaPipe), ("quality", PreprocessMode::Quality)]
    {
        change(name, &|options| options.preprocess = PreprocessOptions::with_mode(mode));
    }
    for (name, policy) in [
        ("crop", ResizePolicy::CenterCrop),
        ("black bars", ResizePolicy::Letterbox { padding: [0; 3] }),
        ("gray bars", ResizePolicy::Letterbox { padding: [128; 3] }),
    ] {
        change(name, &|options| {
            options.preprocess = PreprocessOptions::with_mode(PreprocessMode::Quality);
            options.preprocess.resize_policy = policy;
        });
    }
    for color_space in YuvColorSpace::ALL.into_iter().skip(1) {
        change("colours", &|options| {
            options.preprocess = PreprocessOptions::with_mode(PreprocessMode::Quality);
            options.preprocess.yuv_color_space = color_space;
        });
    }
    change("normalization", &|options| {
        options.normalization = Some(NormalizationOptions::uniform(1.0, 2.0));
    });
    change("another backend", &|options| options.backend = Arc::new(Named("other")));
    change("a backend of quantised arithmetic", &|options| {
        options.backend = Arc::new(Named("native"));
    });
    let mut other = model.clone();
    other.outputs[0].quantization = Some((0.5, 0));
    changed.push(("the model", fingerprint(&other, options())));

    let distinct: BTreeSet<Fingerprint> =
        changed.iter().map(|(_, fingerprint)| *fingerprint).collect();
    assert_eq!(distinct.len(), changed.len(), "{changed:#?}");
    assert_eq!(changed.len(), 20);
}

#[test]
fn what_gives_the_same_numbers_does_not() {
    let model = PassThrough::default();
    let plain = fingerprint(&model, options());
    let mut threads = options();
    threads.num_threads = 4;
    assert_eq!(fingerprint(&model, threads), plain);
    let mut whole = options();
    whole.dimension = Some(192);
    assert_eq!(fingerprint(&model, whole), plain);

    // The normalisation of the metadata, given again in another notation.
    let model = float_model().with_metadata(&normalized_rgb(127.0, 128.0));
    let own = fingerprint(&model, options());
    let mut given = options();
    given.normalization = Some(NormalizationOptions::per_channel([127.0; 3], [128.0; 3]));
    assert_eq!(fingerprint(&model, given), own);
    let (mut zero, mut minus_zero) = (options(), options());
    zero.normalization = Some(NormalizationOptions::uniform(0.0, 1.0));
    minus_zero.normalization = Some(NormalizationOptions::uniform(-0.0, 1.0));
    assert_eq!(fingerprint(&model, zero), fingerprint(&model, minus_zero));
}

#[test]
fn integers_are_shared_between_backends_and_floats_are_not() {
    let on = |model: &PassThrough, name| {
        let mut options = ImageEmbedderOptions::with_backend(Arc::new(Named(name)));
        options.normalization = Some(NormalizationOptions::uniform(0.0, 1.0));
        fingerprint(model, options)
    };
    let quantized = PassThrough::default();
    assert_eq!(on(&quantized, "native"), on(&quantized, "tflite"));
    assert_ne!(on(&quantized, "native"), on(&quantized, "tract"));
    let float = float_model();
    assert_ne!(on(&float, "native"), on(&float, "tflite"));
    assert_ne!(on(&float, "tract"), on(&float, "tflite"));
    // A cast to floats is float arithmetic.
    let cast = PassThrough { outputs: vec![TensorKind::float32(&[1, 192])], ..quantized };
    assert_ne!(on(&cast, "native"), on(&cast, "tflite"));
}

/// Stored vectors carry the number: it must not change unless what it stands for does. It was
/// computed apart from this crate, with Python's `hashlib`.
#[test]
fn it_is_the_same_in_every_build() {
    let options = ImageEmbedderOptions::with_backend(Arc::new(Named("native")));
    let embedder = ImageEmbedder::from_bytes(bundled_model(), options).unwrap();
    assert_eq!(embedder.fingerprint().to_string(), "8688c05a4e6dee60cfad6f0ae725e2a4");
}

#[test]
fn results_are_compared_only_if_they_agree() {
    let mut unit = options();
    unit.l2_normalize = true;
    let (a, b, other) = (embed(options(), 1), embed(options(), 3), embed(unit, 3));
    let similarity = a.cosine_similarity(&b, 0).unwrap();
    assert!(similarity > 0.0 && similarity < 1.0, "{similarity}");

    let error = a.cosine_similarity(&other, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(error.task_library_status(), None);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<EmbeddingError>();
    let (expected, found) = (a.fingerprint, other.fingerprint);
    assert_eq!(source, Some(&EmbeddingError::FingerprintMismatch { expected, found }));

    let anyway = a.cosine_similarity_ignoring_fingerprints(&other, 0).unwrap();
    assert!((anyway - similarity).abs() < 1e-6, "{anyway} and {similarity}");

    let error = a.cosine_similarity(&b, 1).unwrap_err();
    assert_eq!(error.to_string(), "expected an output index below 1, found 1");
    assert!(a.embedding(0).is_some() && a.embedding(1).is_none());
}
