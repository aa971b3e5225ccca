//! Running a plan.

use std::sync::Arc;

use image_embedder_backend::{
    BackendError, Session, TensorSpec, TensorView, TensorViewMut, check_inputs, check_outputs,
    resized_shapes,
};

use crate::aligned::AlignedVec;
use crate::graph::Graph;
use crate::plan::{Plan, Port, Step};
use crate::simd::Isa;
use crate::slots::{Inputs, Output, Place, Scratch, Slots, misplaced};

/// The memory of one inference at a time.
#[derive(Debug)]
pub(crate) struct NativeSession {
    graph: Arc<Graph>,
    isa: Isa,
    plan: Arc<Plan>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    slots: Slots,
    scratch: Scratch,
}

impl NativeSession {
    pub(crate) fn new(graph: Arc<Graph>, plan: Arc<Plan>, isa: Isa) -> Self {
        Self {
            graph,
            isa,
            inputs: plan.inputs.iter().map(|port| port.spec.clone()).collect(),
            outputs: plan.outputs.iter().map(|port| port.spec.clone()).collect(),
            slots: Slots {
                float32: plan.float32_slots.iter().map(|&len| AlignedVec::new(len)).collect(),
                bytes: plan.byte_slots.iter().map(|&len| AlignedVec::new(len)).collect(),
            },
            scratch: Scratch::new(plan.scratch),
            plan,
        }
    }

    fn fill(&mut self, index: usize, view: &TensorView<'_>) -> Result<(), BackendError> {
        let Port { place, .. } = &self.plan.inputs[index];
        match (place, view) {
            (Place::Float32 { index, len }, TensorView::Float32(values)) => {
                self.slots.float32[*index][..*len].copy_from_slice(values);
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

/// Runs one step: its output's slot leaves the others for as long as the kernel writes it.
fn run_step(step: &Step, slots: &mut Slots, scratch: &mut Scratch) -> Result<(), BackendError> {
    match step.output {
        Place::Float32 { index, len } => {
            let mut slot = std::mem::take(slots.float32.get_mut(index).ok_or_else(misplaced)?);
            let result = match slot.get_mut(..len) {
                Some(output) => step.kernel.run(
                    Inputs { slots, places: &step.inputs },
                    Output::Float32(output),
                    scratch,
                ),
                None => Err(misplaced()),
            };
            slots.float32[index] = slot;
            result
        }
        Place::Bytes { index, len } => {
            let mut slot = std::mem::take(slots.bytes.get_mut(index).ok_or_else(misplaced)?);
            let result = match slot.get_mut(..len) {
                Some(output) => step.kernel.run(
                    Inputs { slots, places: &step.inputs },
                    Output::Bytes(output),
                    scratch,
                ),
                None => Err(misplaced()),
            };
            slots.bytes[index] = slot;
            result
        }
        Place::ConstantFloat32(_) | Place::ConstantBytes(_) => Err(misplaced()),
    }
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
        let plan = Plan::new(&self.graph, &shapes, self.isa)?;
        *self = Self::new(self.graph.clone(), Arc::new(plan), self.isa);
        Ok(())
    }

    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError> {
        check_inputs(&self.inputs, inputs)?;
        check_outputs(&self.outputs, outputs)?;
        for (index, view) in inputs.iter().enumerate() {
            self.fill(index, view)?;
        }
        for step in &self.plan.steps {
            run_step(step, &mut self.slots, &mut self.scratch)?;
        }
        for (index, view) in outputs.iter_mut().enumerate() {
            self.read(index, view)?;
        }
        Ok(())
    }
}
