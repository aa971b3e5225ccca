//! Work on constants alone, done when a plan is made: the shape arithmetic of dynamic models, and
//! weights that are widened or moved by operators.

use image_embedder_backend::BackendError;

use crate::graph::{Data, Holder, checked_element_count};
use crate::ops::{Kernel, Lowered, Operands, Work};
use crate::slots::{Held, Inputs, Output, Place, Scratch, Slots};

/// The work, or its result if everything that it reads is known.
pub(crate) fn run_on_constants(
    lowered: Lowered,
    operands: &Operands<'_>,
) -> Result<Lowered, BackendError> {
    let Work::Step { kernel, operands: sources } = &lowered.work else {
        return Ok(lowered);
    };
    let places: Option<Vec<Place>> = sources
        .iter()
        .map(|&source| operands.tensors[source].data.clone().map(Place::Constant))
        .collect();
    let Some(places) = places else {
        return Ok(lowered);
    };
    let output = operands.output()?;
    let count = checked_element_count(&output.name, &lowered.shape)?;
    let data = match output.element.holder() {
        Some(Holder::Float32) => Data::Float32(run::<f32>(&**kernel, &places, count)?.into()),
        Some(Holder::Bytes) => Data::Bytes(run::<u8>(&**kernel, &places, count)?.into()),
        Some(Holder::Integers) => Data::Integers(run::<i64>(&**kernel, &places, count)?.into()),
        None => return Ok(lowered),
    };
    Ok(Lowered::constant(lowered.shape, data))
}

fn run<T: Held>(
    kernel: &dyn Kernel,
    places: &[Place],
    count: usize,
) -> Result<Vec<T>, BackendError> {
    let mut values = vec![T::default(); count];
    let inputs = Inputs { slots: &Slots::default(), places };
    let output = Output::whole(T::elements(&mut values));
    kernel.run(inputs, output, &mut Scratch::new(kernel.scratch()))?;
    Ok(values)
}
