//! Preprocessing of one 8-megapixel RGB frame, beside an ordinary resize of the same frame.
//!
//! The hashes are what the original packages feed to a 224x224 model from this frame, so a bench
//! measures the same work. How long they take is told by `cargo xtask bench --peers --only
//! preprocess`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image_embedder_benches::large_frame::{FRAME, SIDE, pixels};
use image_embedder_frame::FrameBuffer;
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessMode, PreprocessOptions};
use sha2::{Digest, Sha256};

const WIDTH: u32 = FRAME.0;
const HEIGHT: u32 = FRAME.1;

/// What tflite-support 0.4.4 feeds to the model.
const TASK_LIBRARY: &str = "567d3ebeb2b9b4f4c967e03fe795a66d96821a2bca36b19677cbe90a3ab62178";
/// What mediapipe 1.2.2 feeds to the model.
const MEDIA_PIPE: &str = "ac0117a4829c9a5414bb8d477538f770262bd695dde9dcd3dd5e9298dd411815";

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn preprocess(criterion: &mut Criterion) {
    let pixels = pixels(WIDTH, HEIGHT);
    let frame = FrameBuffer::from_rgb(&pixels, WIDTH, HEIGHT).expect("the size is that of pixels");
    let mut group = criterion.benchmark_group("preprocess_rgb_3264x2448_to_224x224");

    for (name, mode, expected) in [
        ("task_library", PreprocessMode::TaskLibrary, Some(TASK_LIBRARY)),
        ("media_pipe", PreprocessMode::MediaPipe, Some(MEDIA_PIPE)),
        ("quality", PreprocessMode::Quality, None),
    ] {
        let options = PreprocessOptions::with_mode(mode);
        let mut plan = Plan::new(FrameGeometry::of(&frame), SIDE, SIDE, &options)
            .expect("the modes take every upright frame");
        let mut output = vec![0; plan.output_len()];
        plan.rgb_into(&frame, &mut output).expect("the frame is the plan's");
        match expected {
            Some(expected) => assert_eq!(hexadecimal(&output), expected, "{name}"),
            None => {
                // Noise around 127.5, averaged over some 200 pixels each.
                let far = output.iter().filter(|level| level.abs_diff(128) > 40).count();
                assert_eq!(far, 0, "{name}");
            }
        }
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                plan.rgb_into(black_box(&frame), &mut output).expect("it worked before");
            });
        });
    }

    for (name, algorithm) in [
        ("fast_image_resize_convolution", ResizeAlg::Convolution(FilterType::Bilinear)),
        ("fast_image_resize_interpolation", ResizeAlg::Interpolation(FilterType::Bilinear)),
        ("fast_image_resize_nearest", ResizeAlg::Nearest),
    ] {
        let source = ImageRef::new(WIDTH, HEIGHT, &pixels, PixelType::U8x3).expect("as above");
        let mut target = Image::new(SIDE, SIDE, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(algorithm);
        let mut resizer = Resizer::new();
        resizer.resize(&source, &mut target, &options).expect("both are RGB");
        let levels: u64 = target.buffer().iter().map(|level| u64::from(*level)).sum();
        let mean = levels as f64 / target.buffer().len() as f64;
        assert!((120.0..135.0).contains(&mean), "{name}: {mean}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                resizer
                    .resize(black_box(&source), &mut target, &options)
                    .expect("it worked before");
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = preprocess
}
criterion_main!(benches);
