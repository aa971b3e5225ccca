//! One case on one backend.

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData, TensorView};

use crate::{Case, Elements, Tensor};

/// Compiles the case's model, opens a session, gives it the inputs' shapes, and runs it twice.
///
/// The second run must repeat the first, which finds sessions that leave something behind.
///
/// # Errors
///
/// Whatever the backend reports; [`BackendError::Runtime`] if the two runs differ or an output has
/// elements of a type that no session fills.
pub fn execute(backend: &dyn Backend, case: &Case) -> Result<Vec<Tensor>, BackendError> {
    let failed =
        |message: String| BackendError::Runtime { backend: backend.name().to_owned(), message };
    let model = backend.compile(ModelData::from(case.model.clone()), &CompileOptions::default())?;
    let mut session = model.session()?;
    for (index, input) in case.inputs.iter().enumerate() {
        let present = session.inputs().get(index).map(|spec| spec.shape());
        if present.as_ref() != Some(&input.shape) {
            session.resize_input(index, &input.shape)?;
        }
    }
    let inputs: Vec<TensorView<'_>> =
        case.inputs.iter().map(|input| input.elements.view()).collect();
    let mut run = || {
        let mut outputs = Vec::new();
        for spec in session.outputs() {
            let elements = spec
                .element_count()
                .and_then(|count| Elements::zeros(spec.dtype, count))
                .ok_or_else(|| failed(format!("output {spec} cannot be read")))?;
            outputs.push(Tensor { shape: spec.shape(), elements });
        }
        let mut views: Vec<_> =
            outputs.iter_mut().map(|output| output.elements.view_mut()).collect();
        session.run(&inputs, &mut views)?;
        Ok(outputs)
    };
    let first = run()?;
    let second = run()?;
    let bytes = |outputs: &[Tensor]| -> Vec<Vec<u8>> {
        outputs.iter().map(|output| output.elements.to_le_bytes()).collect()
    };
    if bytes(&first) != bytes(&second) {
        return Err(failed("the second run of a session differs from the first".to_owned()));
    }
    Ok(first)
}
