//! The plan: steps over slots, for one set of input shapes.

use std::sync::Arc;

use image_embedder_backend::{BackendError, TensorSpec};

use crate::graph::{Element, Graph, Holder, Tensor, checked_element_count, invalid, unsupported};
use crate::ops::chain::{Chain, LONGEST};
use crate::ops::{self, Kernel, Operands, Work};
use crate::parts::{Cost, Division};
use crate::simd::Isa;
use crate::slots::{Place, ScratchSizes};

/// Everything that a session needs to run, shared by the sessions of a model.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Why the graph cannot run for its present input shapes, if it cannot.
    pub(crate) misfit: Option<BackendError>,
    pub(crate) steps: Vec<Step>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// Elements of each slot of floats.
    pub(crate) float32_slots: Vec<usize>,
    /// Elements of each slot of bytes.
    pub(crate) byte_slots: Vec<usize>,
    /// Elements of each slot of whole numbers.
    pub(crate) integer_slots: Vec<usize>,
    pub(crate) scratch: ScratchSizes,
}

/// What plans are made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) isa: Isa,
    /// Whether steps are divided between threads however little work they are.
    pub(crate) shares_everything: bool,
}

/// One kernel with where its operands live.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) inputs: Vec<Place>,
    pub(crate) output: Place,
    /// The operator that the step is from, or part of.
    pub(crate) operator: String,
    /// The shapes of what is read, constants left out, and of the output.
    pub(crate) input_shapes: Vec<Vec<usize>>,
    pub(crate) output_shape: Vec<usize>,
    /// The output's name in the model.
    pub(crate) tensor: String,
    /// How the output is computed in parts, if it can be.
    pub(crate) division: Option<Division>,
    /// The most threads that are worth it.
    pub(crate) threads: usize,
}

/// An input or output of the model.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) spec: TensorSpec,
    pub(crate) place: Place,
}

/// A step before its operands have places.
struct Draft {
    kernel: Arc<dyn Kernel>,
    operands: Vec<usize>,
    output: usize,
    /// The operator that the step is from.
    operator: String,
}

impl Plan {
    /// The plan of a graph before an input has got a size that the graph can take: inputs and
    /// outputs as the model declares them, and no steps.
    fn without_steps(graph: &Graph, misfit: BackendError) -> Result<Self, BackendError> {
        let ports = |indices: &[usize]| -> Result<Vec<Port>, BackendError> {
            let port = |&index: &usize| {
                Ok(Port { spec: graph.tensors[index].spec()?, place: Place::Nowhere })
            };
            indices.iter().map(port).collect()
        };
        Ok(Self {
            misfit: Some(misfit),
            steps: Vec::new(),
            inputs: ports(&graph.inputs)?,
            outputs: ports(&graph.outputs)?,
            float32_slots: Vec::new(),
            byte_slots: Vec::new(),
            integer_slots: Vec::new(),
            scratch: ScratchSizes::default(),
        })
    }

    /// Plans the graph for the input shapes that the model declares.
    ///
    /// A model of open sizes whose declared ones do not fit a shape inside it, such as `1x1`
    /// where an operator flattens `48x33` pixels, gets a plan that cannot run.
    pub(crate) fn declared(graph: &Graph, target: Target) -> Result<Self, BackendError> {
        let shapes: Vec<_> =
            graph.inputs.iter().map(|&index| graph.tensors[index].shape.clone()).collect();
        match Self::new(graph, &shapes, target) {
            Err(misfit @ BackendError::ShapeMismatch { .. }) if graph.has_open_inputs() => {
                Self::without_steps(graph, misfit)
            }
            Err(misfit @ BackendError::ShapeMismatch { .. }) => Err(invalid(misfit.to_string())),
            plan => plan,
        }
    }

    /// Plans the graph for the given input shapes, in the order of its inputs.
    ///
    /// [`BackendError::ShapeMismatch`] means that the graph may take other shapes.
    pub(crate) fn new(
        graph: &Graph,
        input_shapes: &[Vec<usize>],
        target: Target,
    ) -> Result<Self, BackendError> {
        let mut tensors = graph.tensors.clone();
        for (&index, shape) in graph.inputs.iter().zip(input_shapes) {
            checked_element_count(&tensors[index].name, shape)?;
            tensors[index].shape.clone_from(shape);
        }
        // Where a tensor's elements are: its own place or that of the tensor it is an alias of.
        let mut home: Vec<usize> = (0..tensors.len()).collect();
        let mut known: Vec<bool> = tensors.iter().map(|tensor| tensor.data.is_some()).collect();
        for &input in &graph.inputs {
            known[input] = true;
        }
        let mut drafts = Vec::new();
        for node in &graph.nodes {
            let Some(operator) = node.operator else {
                return Err(crate::graph::unsupported(&node.name, "unknown options"));
            };
            for (position, &output) in node.outputs.iter().enumerate() {
                let operands = Operands { node, tensors: &tensors, position, isa: target.isa };
                let lowered = ops::lower(operator, &operands)?;
                checked_element_count(&tensors[output].name, &lowered.shape)?;
                tensors[output].shape = lowered.shape;
                let reads: &[usize] = match &lowered.work {
                    Work::Constant(_) => &[],
                    Work::Alias(source) => std::slice::from_ref(source),
                    Work::Step { operands, .. } => operands,
                    Work::ThroughBytes { operand, .. } => std::slice::from_ref(operand),
                };
                if let Some(&early) = reads.iter().find(|&&tensor| !known[tensor]) {
                    return Err(invalid(format!(
                        "{}: expected tensor {} to be computed before it is read",
                        node.name, tensors[early].name
                    )));
                }
                known[output] = true;
                match lowered.work {
                    Work::Constant(data) => tensors[output].data = Some(data),
                    Work::Alias(source) => {
                        home[output] = home[source];
                        let data = tensors[source].data.clone();
                        tensors[output].data = data;
                    }
                    Work::Step { kernel, operands } => {
                        let operator = node.name.clone();
                        drafts.push(Draft { kernel, operands, output, operator });
                    }
                    Work::ThroughBytes { first, len, then, operand } => {
                        let between = tensors.len();
                        tensors.push(bytes_between(&tensors[operand].name, len)?);
                        home.push(between);
                        known.push(true);
                        let draft = |kernel, operand, output| {
                            let operator = node.name.clone();
                            Draft { kernel, operands: vec![operand], output, operator }
                        };
                        drafts.push(draft(first, operand, between));
                        drafts.push(draft(then, between, output));
                    }
                }
            }
        }
        let drafts = chain(drafts, graph, &home);
        Layout::new(graph, &tensors, &home, &drafts)?.finish(graph, &tensors, drafts, target)
    }
}

/// The tensor between the two steps of an operator that computes through bytes.
fn bytes_between(source: &str, len: usize) -> Result<Tensor, BackendError> {
    let (name, shape) = (format!("{source}, quantised"), vec![len]);
    checked_element_count(&name, &shape)?;
    let element = Element::UInt8;
    Ok(Tensor { name, element, shape, dynamic: Vec::new(), quantization: None, data: None })
}

/// Joins steps that compute rows of images from rows of images, where nothing else reads what is
/// between them.
fn chain(drafts: Vec<Draft>, graph: &Graph, home: &[usize]) -> Vec<Draft> {
    let mut readers = vec![0; home.len()];
    for &tensor in drafts.iter().flat_map(|draft| &draft.operands).chain(&graph.outputs) {
        readers[home[tensor]] += 1;
    }
    let follows = |pair: &[Draft]| {
        let between = home[pair[0].output];
        pair[1].operands.len() == 1 && home[pair[1].operands[0]] == between && readers[between] == 1
    };
    let mut chained = Vec::with_capacity(drafts.len());
    let mut rest = drafts;
    while !rest.is_empty() {
        let linked = 1 + rest.windows(2).take(LONGEST - 1).take_while(|pair| follows(pair)).count();
        let joined = (2..=linked).rev().find_map(|count| {
            let kernels: Vec<_> = rest[..count].iter().map(|draft| draft.kernel.clone()).collect();
            let kernel: Arc<dyn Kernel> = match Chain::<f32>::new(&kernels) {
                Some(chain) => Arc::new(chain),
                None => Arc::new(Chain::<u8>::new(&kernels)?),
            };
            Some((count, kernel))
        });
        let Some((count, kernel)) = joined else {
            chained.push(rest.remove(0));
            continue;
        };
        let stages: Vec<_> = rest.drain(..count).collect();
        let operator =
            stages.iter().map(|stage| &stage.operator[..]).collect::<Vec<_>>().join(", ");
        let mut stages = stages.into_iter();
        if let Some((first, last)) = stages.next().zip(stages.last()) {
            let (operands, output) = (first.operands, last.output);
            chained.push(Draft { kernel, operands, output, operator });
        }
    }
    chained
}

/// Which tensor lives in which slot.
struct Layout<'a> {
    home: &'a [usize],
    places: Vec<Option<Place>>,
    float32_slots: Vec<usize>,
    byte_slots: Vec<usize>,
    integer_slots: Vec<usize>,
}

impl<'a> Layout<'a> {
    /// Gives every computed tensor a slot; a slot is used again when its tensor is read last.
    fn new(
        graph: &Graph,
        tensors: &[Tensor],
        home: &'a [usize],
        drafts: &[Draft],
    ) -> Result<Self, BackendError> {
        let mut last_use = vec![0; tensors.len()];
        for (step, draft) in drafts.iter().enumerate() {
            for &operand in &draft.operands {
                last_use[home[operand]] = step;
            }
        }
        for &output in &graph.outputs {
            last_use[home[output]] = usize::MAX;
        }
        let mut layout = Self {
            home,
            places: vec![None; tensors.len()],
            float32_slots: Vec::new(),
            byte_slots: Vec::new(),
            integer_slots: Vec::new(),
        };
        let mut free = Free::default();
        for &input in &graph.inputs {
            layout.place(&tensors[input], input, &mut free)?;
        }
        let mut living: Vec<usize> = graph.inputs.clone();
        for (step, draft) in drafts.iter().enumerate() {
            if layout.places[draft.output].is_some() {
                return Err(invalid(format!(
                    "tensor {}: expected to be computed once",
                    tensors[draft.output].name
                )));
            }
            layout.place(&tensors[draft.output], draft.output, &mut free)?;
            living.push(draft.output);
            living.retain(|&tensor| {
                let lives = last_use[tensor] > step;
                if !lives {
                    free.release(layout.places[tensor].as_ref());
                }
                lives
            });
        }
        Ok(layout)
    }

    fn place(
        &mut self,
        tensor: &Tensor,
        index: usize,
        free: &mut Free,
    ) -> Result<(), BackendError> {
        let len = tensor.element_count();
        let place = match tensor.element.holder() {
            Some(Holder::Float32) => {
                let index = take(&mut self.float32_slots, &mut free.float32, len);
                Place::Float32 { index, len }
            }
            Some(Holder::Bytes) => {
                let index = take(&mut self.byte_slots, &mut free.bytes, len);
                Place::Bytes { index, len }
            }
            Some(Holder::Integers) => {
                let index = take(&mut self.integer_slots, &mut free.integers, len);
                Place::Integers { index, len }
            }
            None => return Err(unsupported(&tensor.name, "elements of that type")),
        };
        self.places[index] = Some(place);
        Ok(())
    }

    fn find(&self, tensors: &[Tensor], index: usize) -> Result<Place, BackendError> {
        let tensor = &tensors[index];
        if let Some(data) = &tensor.data {
            return Ok(Place::Constant(data.clone()));
        }
        self.places[self.home[index]].clone().ok_or_else(|| {
            invalid(format!("tensor {}: expected to be computed before it is read", tensor.name))
        })
    }

    fn finish(
        self,
        graph: &Graph,
        tensors: &[Tensor],
        drafts: Vec<Draft>,
        target: Target,
    ) -> Result<Plan, BackendError> {
        let ports = |indices: &[usize]| {
            indices
                .iter()
                .map(|&index| {
                    let tensor = &tensors[index];
                    if tensor.element == Element::Bool {
                        return Err(unsupported(&tensor.name, "a BOOL input or output"));
                    }
                    Ok(Port { spec: tensor.spec()?, place: self.find(tensors, index)? })
                })
                .collect::<Result<Vec<_>, BackendError>>()
        };
        let (inputs, outputs) = (ports(&graph.inputs)?, ports(&graph.outputs)?);
        let mut scratch = ScratchSizes::default();
        let mut steps = Vec::with_capacity(drafts.len());
        for draft in drafts {
            scratch = scratch.max(draft.kernel.scratch());
            let count = |&tensor: &usize| tensors[tensor].element_count();
            let elements: usize = draft
                .operands
                .iter()
                .chain([&draft.output])
                .map(count)
                .fold(0, usize::saturating_add);
            let cost = if target.shares_everything {
                Cost::BOUNDLESS
            } else {
                Cost::new(&*draft.kernel, elements, target.isa)
            };
            let division = draft
                .kernel
                .grain()
                .map(|grain| Division::new(count(&draft.output), grain, cost.parts()));
            steps.push(Step {
                inputs: draft
                    .operands
                    .iter()
                    .map(|&operand| self.find(tensors, operand))
                    .collect::<Result<_, _>>()?,
                output: self.find(tensors, draft.output)?,
                operator: draft.operator,
                input_shapes: draft
                    .operands
                    .iter()
                    .map(|&operand| &tensors[operand])
                    .filter(|tensor| tensor.data.is_none())
                    .map(|tensor| tensor.shape.clone())
                    .collect(),
                output_shape: tensors[draft.output].shape.clone(),
                tensor: tensors[draft.output].name.clone(),
                threads: division.map_or(1, |division| cost.threads().min(division.units())),
                division,
                kernel: draft.kernel,
            });
        }
        Ok(Plan {
            misfit: None,
            steps,
            inputs,
            outputs,
            float32_slots: self.float32_slots,
            byte_slots: self.byte_slots,
            integer_slots: self.integer_slots,
            scratch,
        })
    }
}

/// Slots whose tensor has been read last.
#[derive(Default)]
struct Free {
    float32: Vec<usize>,
    bytes: Vec<usize>,
    integers: Vec<usize>,
}

impl Free {
    fn release(&mut self, place: Option<&Place>) {
        match place {
            Some(Place::Float32 { index, .. }) => self.float32.push(*index),
            Some(Place::Bytes { index, .. }) => self.bytes.push(*index),
            Some(Place::Integers { index, .. }) => self.integers.push(*index),
            Some(Place::Constant(_) | Place::Nowhere) | None => {}
        }
    }
}

/// The free slot that fits best, grown if it must be, or else a new one.
fn take(sizes: &mut Vec<usize>, free: &mut Vec<usize>, len: usize) -> usize {
    let fitting = |slot: usize| {
        let size = sizes[slot];
        // Prefer the least of those large enough, then the largest of the others.
        if size >= len { (0, size - len) } else { (1, len - size) }
    };
    match (0..free.len()).min_by_key(|&position| fitting(free[position])) {
        Some(position) => {
            let slot = free.swap_remove(position);
            sizes[slot] = sizes[slot].max(len);
            slot
        }
        None => {
            sizes.push(len);
            sizes.len() - 1
        }
    }
}
