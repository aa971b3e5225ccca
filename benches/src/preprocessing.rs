//! From a large frame to the pixels that a model sees, beside the packages that are our model.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use image_embedder::frame::FrameBuffer;
use image_embedder::preprocess::{FrameGeometry, Plan, PreprocessMode, PreprocessOptions};
use image_embedder_backend_conformance::Elements;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

use crate::Result;
use crate::comparison::Times;
use crate::interleave::{Contender, Schedule, Timed, interleave};
use crate::large_frame::{FRAME, SIDE, pixels};
use crate::model::ModelFile;
use crate::peers::{Entrant, Worker};
use crate::report::Preprocessing;

/// Checks that the package feeds the same pixels to a model as our mode does, then times both in
/// turns.
///
/// `model` takes uint8 pixels of 224 x 224 and should be quick.
///
/// # Errors
///
/// If the package does not run, or feeds other pixels.
pub fn measure(
    peer: &str,
    mode: PreprocessMode,
    worker: &mut Worker,
    model: &ModelFile,
    schedule: &Schedule,
) -> Result<Preprocessing> {
    let (width, height) = FRAME;
    let large = Image::new(width, height);
    let small = Image::new(SIDE, SIDE);
    let frame = FrameBuffer::from_rgb(&large.pixels, width, height)?;
    let options = PreprocessOptions::with_mode(mode);
    let mut plan = Plan::new(FrameGeometry::of(&frame), SIDE, SIDE, &options)?;
    let mut output = vec![0; plan.output_len()];
    plan.rgb_into(&frame, &mut output)?;

    let fed = fed_pixels(worker, &large)?;
    let different = fed.iter().zip(&output).filter(|(a, b)| a != b).count();
    if fed.len() != output.len() || different > 0 {
        return Err(format!(
            "{peer} feeds other pixels to the model than the mode {mode:?}: {different} of {} \
             differ; nothing was timed",
            output.len()
        )
        .into());
    }

    worker.load(&model.path, 1)?;
    let worker = RefCell::new(worker);
    let mut call = OnImage { worker: &worker, image: &large };
    let mut model_sized_call = OnImage { worker: &worker, image: &small };
    let mut ours = Timed(|| Ok(plan.rgb_into(&frame, &mut output)?));
    let contenders: &mut [&mut dyn Contender] = &mut [&mut ours, &mut call, &mut model_sized_call];
    let mut turns = interleave(contenders, schedule)?.into_iter();
    let mut next = || Times::new(turns.next().unwrap_or_default());
    let (ours, call, model_sized_call) = (next()?, next()?, next()?);
    let theirs_milliseconds = call.milliseconds.median - model_sized_call.milliseconds.median;
    let ratio = theirs_milliseconds / ours.milliseconds.median;
    let peer = peer.to_owned();
    Ok(Preprocessing { peer, ours, call, model_sized_call, theirs_milliseconds, ratio })
}

/// RGB of a size.
struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Image {
    fn new(width: u32, height: u32) -> Self {
        let pixels = pixels(width, height);
        Self { width: width as usize, height: height as usize, pixels }
    }
}

/// A worker that is given an image before each turn.
struct OnImage<'a, 'b> {
    worker: &'a RefCell<&'b mut Worker>,
    image: &'a Image,
}

impl Contender for OnImage<'_, '_> {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        let mut worker = self.worker.borrow_mut();
        worker.give_image(self.image.width, self.image.height, &self.image.pixels)?;
        Contender::time(&mut **worker, untimed, timed)
    }
}

/// The pixels that a model sees, which a model that only reshapes gives back as its embedding.
fn fed_pixels(worker: &mut Worker, image: &Image) -> Result<Vec<u8>> {
    let side = i32::try_from(SIDE)?;
    let model = PassThrough::new(
        TensorKind::uint8(&[1, side, side, 3]),
        vec![TensorKind::uint8(&[1, side * side * 3])],
    );
    let path = std::env::temp_dir().join(format!("pass-through-{}.tflite", std::process::id()));
    fs::write(&path, model.to_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
    let fed = fed_to(worker, &path, image);
    fs::remove_file(&path)?;
    fed
}

fn fed_to(mut worker: &mut Worker, model: &Path, image: &Image) -> Result<Vec<u8>> {
    worker.load(model, 1)?;
    worker.give_image(image.width, image.height, &image.pixels)?;
    match &worker.results()?[..] {
        [only] => match &only.elements {
            Elements::Float32(values) => Ok(values.iter().map(|&value| value as u8).collect()),
            other => Err(format!("expected floats, found {}", other.dtype()).into()),
        },
        outputs => Err(format!("expected 1 output, found {}", outputs.len()).into()),
    }
}
