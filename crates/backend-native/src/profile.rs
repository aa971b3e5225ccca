//! How long each step of a model takes.

use std::time::{Duration, Instant};

use image_embedder_backend::BackendError;

use crate::kernels::matrix_bytes::ByteMatrix;
use crate::kernels::matrix_f32::FloatMatrix;
use crate::kernels::panels::Windows;
use crate::kernels::requantize::OutputRange;
use crate::model::NativeModel;
use crate::operator::Activation;
use crate::plan::Step;
use crate::simd::{Isa, SimdLevel};
use crate::slots::Place;

/// The time of a model, step by step.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Profile {
    /// The instruction-set level of the kernels.
    pub level: SimdLevel,
    /// The threads of the runs.
    pub threads: usize,
    /// How many runs were timed.
    pub runs: usize,
    /// The median time of a whole run.
    pub total: Duration,
    /// The most that one thread can do, measured in passing.
    pub peak: Peak,
    /// The steps in the order in which they run.
    pub steps: Vec<StepProfile>,
}

/// The time of one step.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct StepProfile {
    /// The name of the operator that the step is from, such as `CONV_2D`; of operators that run in
    /// turn, a few rows at a time, the names in order with commas between them.
    pub operator: String,
    /// The name of the tensor that it computes; steps inside an operator share its output's.
    pub tensor: String,
    /// The shapes of the tensors that it reads, constants left out.
    pub input_shapes: Vec<Vec<usize>>,
    /// The shape of the tensor that it computes.
    pub output_shape: Vec<usize>,
    /// Products that are added up; zero for steps that consist of something else.
    pub multiply_adds: u64,
    /// The median time.
    pub time: Duration,
    /// What the step does, as a share of what all threads together can do (see [`Peak`]); `None`
    /// for steps without products.
    pub share_of_peak: Option<f64>,
}

impl StepProfile {
    /// Products in 10^9 a second.
    pub fn gigamacs_per_second(&self) -> f64 {
        rate(self.multiply_adds, self.time)
    }
}

/// The most products that one thread can add up, in 10^9 a second: measured as the best rate of
/// the engine's own product of matrices that stay in the first-level cache.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Of floats.
    pub float32: f64,
    /// Of bytes.
    pub bytes: f64,
}

impl Profile {
    pub(crate) fn new(
        model: &NativeModel,
        level: SimdLevel,
        isa: Isa,
        runs: usize,
    ) -> Result<Self, BackendError> {
        let runs = runs.max(1);
        let mut session = model.native_session();
        let threads = model.threads();
        session.fill_with_noise();
        // Once for caches, page tables and threads.
        session.run_steps(|_| {})?;
        let mut times = vec![Vec::with_capacity(runs); session.steps().len()];
        let mut totals = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            let mut last = start;
            session.run_steps(|step| {
                let now = Instant::now();
                times[step].push(now - last);
                last = now;
            })?;
            totals.push(last - start);
        }
        let peak = Peak::measure(isa);
        let steps = session
            .steps()
            .iter()
            .zip(times)
            .map(|(step, times)| StepProfile::new(step, median(times), peak, threads))
            .collect();
        Ok(Self { level, threads, runs, total: median(totals), peak, steps })
    }
}

impl StepProfile {
    fn new(step: &Step, time: Duration, peak: Peak, threads: usize) -> Self {
        let multiply_adds = step.kernel.multiply_adds();
        let of_bytes = matches!(step.inputs.first(), Some(Place::Bytes { .. }));
        let peak = if of_bytes { peak.bytes } else { peak.float32 } * threads as f64;
        let has_share = multiply_adds > 0 && peak > 0.0;
        Self {
            operator: step.operator.clone(),
            tensor: step.tensor.clone(),
            input_shapes: step.input_shapes.clone(),
            output_shape: step.output_shape.clone(),
            multiply_adds,
            time,
            share_of_peak: has_share.then(|| rate(multiply_adds, time) / peak),
        }
    }
}

/// In 10^9 a second.
fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() * 1e-9 }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Peak {
    /// Rows and columns of the products: whole tiles and panels of every level.
    const COUNT: usize = 24;
    const COLUMNS: usize = 64;

    /// The depth of the product of floats and of that of bytes: weights of sixteen kilobytes, a part
    /// of the first-level cache.
    const FLOAT_DEPTH: usize = 64;
    const BYTE_DEPTH: usize = 256;

    fn measure(isa: Isa) -> Self {
        let (count, columns) = (Self::COUNT, Self::COLUMNS);
        let depth = Self::FLOAT_DEPTH;
        let floats = vec![1.0; count * depth];
        let weights = vec![0.5; depth * columns];
        let range = (f32::NEG_INFINITY, f32::INFINITY);
        let matrix = FloatMatrix::from_transposed(isa, &weights, depth, &vec![0.0; columns], range);
        let mut results = vec![0.0; count * columns];
        let float32 = Self::best(depth, || {
            matrix.multiply(Windows::rows(&floats, depth, count), &mut results);
        });
        let depth = Self::BYTE_DEPTH;
        let bytes = vec![1; count * depth];
        let matrix = ByteMatrix::from_transposed(isa, &vec![1; depth * columns], depth, depth);
        let output = OutputRange::new(1.0, 0, 0, Activation::None);
        let end = matrix.to_bytes(0, &vec![0.5; columns], &vec![0; columns], output);
        let mut results = vec![0; count * columns];
        let mut scratch = vec![0; matrix.scratch_bytes(count)];
        let bytes = Self::best(depth, || {
            let rows = Windows::rows(&bytes[..], depth, count);
            matrix.multiply_to_bytes(rows, &end, &mut results, &mut scratch);
        });
        Self { float32, bytes }
    }

    /// The best rate of some milliseconds of products of that depth.
    fn best(depth: usize, mut multiply: impl FnMut()) -> f64 {
        const REPEATS: usize = 16;
        const PATIENCE: Duration = Duration::from_millis(20);
        let products = Self::COUNT * depth * Self::COLUMNS * REPEATS;
        let begin = Instant::now();
        let mut best = 0.0f64;
        while begin.elapsed() < PATIENCE {
            let start = Instant::now();
            (0..REPEATS).for_each(|_| multiply());
            best = best.max(rate(products as u64, start.elapsed()));
        }
        best
    }
}
