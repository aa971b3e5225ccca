//! Sessions for any number of threads.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use image_embedder_backend::{Cancellation, Model, Session, TensorSpec};
use image_embedder_frame::FrameBuffer;
use image_embedder_metadata::ImageSize;
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessOptions};

use crate::input::ModelInput;
use crate::tensor_buffer::TensorBuffer;
use crate::{Error, ErrorKind};

/// Sessions that are not in use, each with its buffers.
///
/// A thread takes one out and puts it back when its call has succeeded; one that failed is
/// dropped, and the next call opens another. The lock is not held while a model runs.
pub(crate) struct Pool {
    model: Arc<dyn Model>,
    idle: Mutex<Vec<Worker>>,
    /// How every worker that there is can be stopped; it does nothing to one that is idle.
    cancellations: Mutex<Vec<Weak<Cancellation>>>,
}

/// A session with everything that a call needs.
pub(crate) struct Worker {
    session: Box<dyn Session>,
    /// Whether the pool can still stop the session is whether this is alive.
    cancellation: Option<Arc<Cancellation>>,
    /// The preparation for the last frame; most often the next one is of the same kind.
    plan: Option<Plan>,
    input: TensorBuffer,
    outputs: Vec<TensorBuffer>,
}

impl Pool {
    pub(crate) fn new(model: Arc<dyn Model>) -> Self {
        Self { model, idle: Mutex::new(Vec::new()), cancellations: Mutex::new(Vec::new()) }
    }

    /// A worker for a session of the model.
    pub(crate) fn worker(&self, session: Box<dyn Session>) -> Result<Worker, Error> {
        let worker = Worker::new(session)?;
        if let Some(cancellation) = &worker.cancellation {
            let mut all = self.cancellations.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(cancellation));
        }
        Ok(worker)
    }

    /// Stops what is running.
    pub(crate) fn cancel(&self) {
        let all = self.cancellations.lock().unwrap_or_else(PoisonError::into_inner);
        for cancellation in all.iter().filter_map(Weak::upgrade) {
            cancellation.cancel();
        }
    }

    /// A worker, if possible one that is prepared for such frames.
    pub(crate) fn take(&self, geometry: &FrameGeometry) -> Result<Worker, Error> {
        // Idle workers are whole even if a thread panicked: it pushes and removes, no more.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = idle.iter().position(|worker| worker.is_prepared_for(geometry));
        let worker = match prepared {
            Some(index) => Some(idle.swap_remove(index)),
            None => idle.pop(),
        };
        drop(idle);
        match worker {
            Some(worker) => Ok(worker),
            None => self.worker(self.model.session().map_err(Error::session)?),
        }
    }

    pub(crate) fn put_back(&self, worker: Worker) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }
}

impl Worker {
    fn new(session: Box<dyn Session>) -> Result<Self, Error> {
        let input = TensorBuffer::new(input_of(session.as_ref())?)?;
        let outputs = outputs_of(session.as_ref())?;
        let cancellation = session.cancellation().map(Arc::new);
        Ok(Self { session, cancellation, plan: None, input, outputs })
    }

    /// Embeds a region; the results are in [`outputs`](Self::outputs).
    pub(crate) fn run(
        &mut self,
        frame: &FrameBuffer<'_>,
        geometry: FrameGeometry,
        input: &ModelInput,
        options: &PreprocessOptions,
    ) -> Result<(), Error> {
        self.prepare(frame, geometry, input, options)?;
        self.preprocess(frame, input)?;
        self.infer()
    }

    /// As [`run`](Self::run), with the times of the three stages.
    pub(crate) fn run_timed(
        &mut self,
        frame: &FrameBuffer<'_>,
        geometry: FrameGeometry,
        input: &ModelInput,
        options: &PreprocessOptions,
    ) -> Result<[Duration; 3], Error> {
        let start = Instant::now();
        self.prepare(frame, geometry, input, options)?;
        let prepared = Instant::now();
        self.preprocess(frame, input)?;
        let preprocessed = Instant::now();
        self.infer()?;
        let inferred = Instant::now();
        Ok([prepared - start, preprocessed - prepared, inferred - preprocessed])
    }

    /// The pixels that the model gets, as upright RGB, and their size; of a prepared worker.
    pub(crate) fn pixels(
        &mut self,
        frame: &FrameBuffer<'_>,
    ) -> Result<(Vec<u8>, ImageSize), Error> {
        let plan = self.plan.as_mut().ok_or_else(unprepared)?;
        let mut pixels = vec![0; plan.output_len()];
        plan.rgb_into(frame, &mut pixels)?;
        let size = ImageSize { width: plan.target_width(), height: plan.target_height() };
        Ok((pixels, size))
    }

    /// The least and the greatest element of the input tensor.
    pub(crate) fn input_range(&self) -> (f64, f64) {
        self.input.range()
    }

    /// Gives the session the size that the region needs, and makes the plan.
    fn prepare(
        &mut self,
        frame: &FrameBuffer<'_>,
        geometry: FrameGeometry,
        input: &ModelInput,
        options: &PreprocessOptions,
    ) -> Result<(), Error> {
        let size = input.target_size(frame, &geometry.region());
        self.resize(size)?;
        if !self.is_prepared_for(&geometry) {
            self.plan = None;
        }
        if self.plan.is_none() {
            self.plan = Some(Plan::new(geometry, size.width, size.height, options)?);
        }
        Ok(())
    }

    fn preprocess(&mut self, frame: &FrameBuffer<'_>, input: &ModelInput) -> Result<(), Error> {
        let plan = self.plan.as_mut().ok_or_else(unprepared)?;
        input.fill(plan, frame, &mut self.input)
    }

    fn infer(&mut self) -> Result<(), Error> {
        let mut outputs: Vec<_> = self.outputs.iter_mut().map(TensorBuffer::view_mut).collect();
        self.session.run(&[self.input.view()], &mut outputs).map_err(Error::run)
    }

    /// The output tensors of the last run.
    pub(crate) fn outputs(&self) -> &[TensorBuffer] {
        &self.outputs
    }

    fn resize(&mut self, size: ImageSize) -> Result<(), Error> {
        if resize_session(self.session.as_mut(), size)? {
            self.input = TensorBuffer::new(input_of(self.session.as_ref())?)?;
            self.outputs = outputs_of(self.session.as_ref())?;
        }
        Ok(())
    }

    /// A plan depends on the geometry, and with a given model its target size does too.
    fn is_prepared_for(&self, geometry: &FrameGeometry) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.geometry() == geometry)
    }
}

fn unprepared() -> Error {
    Error::new(ErrorKind::Bug, "expected a prepared worker, found one without a plan")
}

/// Gives the input this size and tells whether it had another.
pub(crate) fn resize_session(session: &mut dyn Session, size: ImageSize) -> Result<bool, Error> {
    let shape = [1, size.height as usize, size.width as usize, 3];
    if input_of(session)?.shape() == shape {
        return Ok(false);
    }
    session.resize_input(0, &shape).map_err(|error| Error::resize(size, error))?;
    Ok(true)
}

fn input_of(session: &dyn Session) -> Result<&TensorSpec, Error> {
    session
        .inputs()
        .first()
        .ok_or_else(|| Error::new(ErrorKind::Bug, "expected a session with 1 input, found 0"))
}

fn outputs_of(session: &dyn Session) -> Result<Vec<TensorBuffer>, Error> {
    session.outputs().iter().map(TensorBuffer::new).collect()
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pool").field("model", &self.model).field("idle", &idle).finish()
    }
}
