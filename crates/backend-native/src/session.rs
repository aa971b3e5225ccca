//! Running a plan.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image_embedder_backend::{
    BackendError, Cancellation, CancellationFlag, Session, TensorSpec, TensorView, TensorViewMut,
    check_inputs, check_outputs, f16, resized_shapes,
};

use crate::NAME;
use crate::aligned::AlignedVec;
use crate::graph::Graph;
use crate::parts::Parts;
use crate::plan::{Plan, Port, Step, Target};
use crate::slots::{Elements, Held, Inputs, Output, Place, Scratch, Slots, misplaced};
use crate::threads::{Pool, Run};

/// The memory of one inference at a time.
#[derive(Debug)]
pub(crate) struct NativeSession {
    graph: Arc<Graph>,
    target: Target,
    plan: Arc<Plan>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    slots: Slots,
    /// For each thread.
    scratch: Vec<Mutex<Scratch>>,
    pool: Arc<Pool>,
    cancellation: CancellationFlag,
}

impl NativeSession {
    pub(crate) fn new(graph: Arc<Graph>, plan: Arc<Plan>, target: Target, pool: Arc<Pool>) -> Self {
        // No fewer than there are sessions.
        pool.make_room(Arc::strong_count(&pool));
        if plan.steps.iter().any(|step| step.threads > 1) {
            pool.start();
        }
        let scratch = (0..pool.threads()).map(|_| Mutex::new(Scratch::new(plan.scratch)));
        Self {
            graph,
            target,
            inputs: plan.inputs.iter().map(|port| port.spec.clone()).collect(),
            outputs: plan.outputs.iter().map(|port| port.spec.clone()).collect(),
            slots: Slots {
                float32: plan.float32_slots.iter().map(|&len| AlignedVec::new(len)).collect(),
                bytes: plan.byte_slots.iter().map(|&len| AlignedVec::new(len)).collect(),
                integers: plan.integer_slots.iter().map(|&len| AlignedVec::new(len)).collect(),
            },
            scratch: scratch.collect(),
            plan,
            pool,
            cancellation: CancellationFlag::default(),
        }
    }

    /// The steps of a run.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    /// Runs all steps on the inputs that are there, and calls `after(index)` behind each, unless
    /// the run is cancelled between two of them.
    pub(crate) fn run_steps(&mut self, mut after: impl FnMut(usize)) -> Result<(), BackendError> {
        if let Some(misfit) = &self.plan.misfit {
            return Err(cannot_run(misfit));
        }
        let run = self.pool.begin();
        for (index, step) in self.plan.steps.iter().enumerate() {
            if self.cancellation.is_cancelled() {
                break;
            }
            run_step(step, &mut self.slots, &self.scratch, &run)?;
            after(index);
        }
        Ok(())
    }

    /// Fills the inputs with noise that is the same every time: floats from -1 to 1, any bytes;
    /// whole numbers stay zero.
    pub(crate) fn fill_with_noise(&mut self) {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for port in &self.plan.inputs {
            match port.place {
                Place::Float32 { index, len } => {
                    let values = self.slots.float32[index].iter_mut().take(len);
                    values.for_each(|value| *value = noise() as f32 * 2f32.powi(-23) - 1.0);
                }
                Place::Bytes { index, len } => {
                    let values = self.slots.bytes[index].iter_mut().take(len);
                    values.for_each(|value| *value = noise() as u8);
                }
                Place::Integers { .. } | Place::Constant(_) | Place::Nowhere => {}
            }
        }
    }

    fn fill(&mut self, index: usize, view: &TensorView<'_>) -> Result<(), BackendError> {
        let Port { place, .. } = &self.plan.inputs[index];
        match (place, view) {
            (Place::Float32 { index, len }, TensorView::Float32(values)) => {
                self.slots.float32[*index][..*len].copy_from_slice(values);
            }
            (Place::Float32 { index, len }, TensorView::Float16(values)) => {
                for (held, value) in self.slots.float32[*index][..*len].iter_mut().zip(*values) {
                    *held = value.to_f32();
                }
            }
            (Place::Integers { index, len }, TensorView::Int64(values)) => {
                self.slots.integers[*index][..*len].copy_from_slice(values);
            }
            (Place::Integers { index, len }, TensorView::Int32(values)) => {
                for (held, value) in self.slots.integers[*index][..*len].iter_mut().zip(*values) {
                    *held = i64::from(*value);
                }
            }
            (Place::Bytes { index, len }, TensorView::UInt8(values)) => {
                self.slots.bytes[*index][..*len].copy_from_slice(values);
            }
            (Place::Bytes { index, len }, TensorView::Int8(values)) => {
                for (held, value) in self.slots.bytes[*index][..*len].iter_mut().zip(*values) {
                    *held = value.cast_unsigned() ^ 0x80;
                }
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }

    fn read(&self, index: usize, view: &mut TensorViewMut<'_>) -> Result<(), BackendError> {
        let port = &self.plan.outputs[index];
        let inputs = Inputs { slots: &self.slots, places: std::slice::from_ref(&port.place) };
        match view {
            TensorViewMut::Float32(values) => values.copy_from_slice(inputs.float32(0)?),
            TensorViewMut::Float16(values) => {
                for (value, held) in values.iter_mut().zip(inputs.float32(0)?) {
                    *value = f16::from_f32(*held);
                }
            }
            TensorViewMut::Int64(values) => values.copy_from_slice(inputs.integers(0)?),
            TensorViewMut::Int32(values) => {
                for (value, held) in values.iter_mut().zip(inputs.integers(0)?) {
                    // Held within the range of the tensor's type.
                    *value = *held as i32;
                }
            }
            TensorViewMut::UInt8(values) => values.copy_from_slice(inputs.bytes(0)?),
            TensorViewMut::Int8(values) => {
                for (value, held) in values.iter_mut().zip(inputs.bytes(0)?) {
                    *value = (held ^ 0x80).cast_signed();
                }
            }
            _ => return Err(misplaced()),
        }
        Ok(())
    }
}

fn run_step(
    step: &Step,
    slots: &mut Slots,
    scratch: &[Mutex<Scratch>],
    run: &Run<'_>,
) -> Result<(), BackendError> {
    match step.output {
        Place::Float32 { index, len } => run_into::<f32>(step, index, len, slots, scratch, run),
        Place::Bytes { index, len } => run_into::<u8>(step, index, len, slots, scratch, run),
        Place::Integers { index, len } => run_into::<i64>(step, index, len, slots, scratch, run),
        Place::Constant(_) | Place::Nowhere => Err(misplaced()),
    }
}

/// Runs one step: its output's slot leaves the others for as long as the kernel writes it.
fn run_into<T: Held>(
    step: &Step,
    index: usize,
    len: usize,
    slots: &mut Slots,
    scratch: &[Mutex<Scratch>],
    run: &Run<'_>,
) -> Result<(), BackendError> {
    let mut slot = std::mem::take(T::slots(slots).get_mut(index).ok_or_else(misplaced)?);
    let elements = slot.get_mut(..len).map(T::elements).ok_or_else(misplaced);
    let result = elements.and_then(|elements| compute(step, slots, elements, scratch, run));
    T::slots(slots)[index] = slot;
    result
}

/// The graph does not take the input's present size.
fn cannot_run(misfit: &BackendError) -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: format!("the model does not take this input size: {misfit}"),
    }
}

/// Computes a step's output on as many threads as are free and worth it.
fn compute(
    step: &Step,
    slots: &Slots,
    elements: Elements<'_>,
    scratch: &[Mutex<Scratch>],
    run: &Run<'_>,
) -> Result<(), BackendError> {
    let inputs = Inputs { slots, places: &step.inputs };
    let output = Output::whole(elements);
    let threads = if step.threads > 1 { step.threads.min(run.threads()) } else { 1 };
    let Some((division, true)) = step.division.zip(Some(threads > 1)) else {
        return step.kernel.run(inputs, output, &mut lock(scratch.first().ok_or_else(misplaced)?));
    };
    let parts = Parts::new(output, division, threads);
    let failure = Mutex::new(None);
    run.share(threads, &|index| {
        let work = || {
            let mut scratch = lock(scratch.get(index).ok_or_else(misplaced)?);
            while let Some(part) = parts.next(index) {
                step.kernel.run(inputs, part, &mut scratch)?;
            }
            Ok(())
        };
        if let Err(error) = work() {
            *lock(&failure) = Some(error);
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Locks what no thread holds while it panics, or what is overwritten before it is read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session for NativeSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError> {
        let Some(shapes) = resized_shapes(&self.inputs, index, shape)? else { return Ok(()) };
        let plan = Plan::new(&self.graph, &shapes, self.target).map_err(|error| match error {
            misfit @ BackendError::ShapeMismatch { .. } => cannot_run(&misfit),
            error => error,
        })?;
        let cancellation = self.cancellation.clone();
        let session = Self::new(self.graph.clone(), Arc::new(plan), self.target, self.pool.clone());
        *self = Self { cancellation, ..session };
        Ok(())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.inputs, inputs)?;
        check_outputs(&self.outputs, outputs)?;
        if let Some(misfit) = &self.plan.misfit {
            return Err(cannot_run(misfit));
        }
        for (index, view) in inputs.iter().enumerate() {
            self.fill(index, view)?;
        }
        self.cancellation.start();
        let outcome = self.run_steps(|_| {});
        if self.cancellation.finish() {
            return Err(BackendError::Cancelled { backend: NAME.to_owned() });
        }
        outcome?;
        for (index, view) in outputs.iter_mut().enumerate() {
            self.read(index, view)?;
        }
        Ok(())
    }

    fn cancellation(&self) -> Option<Cancellation> {
        Some(self.cancellation.cancellation())
    }
}
