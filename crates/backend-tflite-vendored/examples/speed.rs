//! Times a model in TensorFlow Lite 1.15, in a TensorFlow Lite library with XNNPACK if the
//! environment names one, and on the native engine, in turn, on one thread.
//!
//! ```sh
//! cargo run --release --example speed -- model.tflite
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program for the command line")]

use std::env;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use image_embedder::backend::{
    Backend, CompileOptions, ModelData, Session, TensorView, TensorViewMut,
};
use image_embedder::native::NativeBackend;
use image_embedder::tflite::{LIBRARY_VARIABLE, TfliteBackend, TfliteOptions};
use image_embedder_backend_tflite_vendored::VendoredTfliteBackend;

/// How often each backend runs the model, after one run that is not counted.
const ROUNDS: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: speed <model of bytes>")?;
    let bytes = ModelData::from(fs::read(path)?);
    let mut backends: Vec<Arc<dyn Backend>> =
        vec![Arc::new(VendoredTfliteBackend::new()), Arc::new(NativeBackend::new())];
    if env::var_os(LIBRARY_VARIABLE).is_some() {
        backends.push(Arc::new(TfliteBackend::new(TfliteOptions::default())));
    }
    let mut sessions = Vec::new();
    for backend in &backends {
        let model = backend.compile(bytes.clone(), &CompileOptions::default())?;
        sessions.push(model.session()?);
    }
    let mut times = vec![Vec::new(); sessions.len()];
    for round in 0..=ROUNDS {
        for (session, times) in sessions.iter_mut().zip(&mut times) {
            let milliseconds = time(&mut **session)?;
            if round > 0 {
                times.push(milliseconds);
            }
        }
    }
    for (backend, times) in backends.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!(
            "{}: median {:.2} ms, least {:.2} ms",
            backend.name(),
            times[ROUNDS / 2],
            times[0]
        );
    }
    Ok(())
}

/// The milliseconds of one run on a picture of waves.
fn time(session: &mut dyn Session) -> Result<f64, Box<dyn Error>> {
    let count = |specs: &[image_embedder::backend::TensorSpec]| {
        specs.first().and_then(|spec| spec.element_count()).ok_or("expected one tensor")
    };
    let input: Vec<u8> = (0..count(session.inputs())?).map(|i| (i * i / 97) as u8).collect();
    let mut output = vec![0; count(session.outputs())?];
    let start = Instant::now();
    session.run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut output)])?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
