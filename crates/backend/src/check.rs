//! The checks that every session makes, so that all backends refuse the same misuse alike.

use crate::{BackendError, Dimension, TensorSpec, TensorView, TensorViewMut};

/// Checks that as many tensors were given as the model has.
///
/// # Errors
///
/// [`BackendError::TensorCount`].
pub fn check_count(side: &'static str, expected: usize, found: usize) -> Result<(), BackendError> {
    if expected == found {
        Ok(())
    } else {
        Err(BackendError::TensorCount { side, expected, found })
    }
}

/// Checks the inputs of a run.
///
/// # Errors
///
/// [`BackendError::TensorCount`], [`BackendError::DTypeMismatch`] or
/// [`BackendError::ByteSizeMismatch`].
pub fn check_inputs(specs: &[TensorSpec], views: &[TensorView<'_>]) -> Result<(), BackendError> {
    check_count("inputs", specs.len(), views.len())?;
    let mut pairs = specs.iter().zip(views);
    pairs.try_for_each(|(spec, view)| spec.check_view(view.dtype(), view.byte_size()))
}

/// Checks the outputs of a run whose shapes are all known.
///
/// # Errors
///
/// [`BackendError::TensorCount`], [`BackendError::DTypeMismatch`] or
/// [`BackendError::ByteSizeMismatch`].
pub fn check_outputs(
    specs: &[TensorSpec],
    views: &[TensorViewMut<'_>],
) -> Result<(), BackendError> {
    check_count("outputs", specs.len(), views.len())?;
    let mut pairs = specs.iter().zip(views);
    pairs.try_for_each(|(spec, view)| spec.check_view(view.dtype(), view.byte_size()))
}

/// The shapes of all inputs once input `index` has the given one, or `None` if it has it already.
///
/// # Errors
///
/// - [`BackendError::NoSuchTensor`] if there is no input `index`.
/// - [`BackendError::ShapeMismatch`] if a fixed dimension would change or a size is zero.
pub fn resized_shapes(
    inputs: &[TensorSpec],
    index: usize,
    shape: &[usize],
) -> Result<Option<Vec<Vec<usize>>>, BackendError> {
    let count = inputs.len();
    let input = inputs.get(index).ok_or(BackendError::NoSuchTensor { index, count })?;
    let fits = input.dimensions.len() == shape.len()
        && input.dimensions.iter().zip(shape).all(|(dimension, &size)| match dimension {
            Dimension::Fixed(fixed) => *fixed == size,
            Dimension::Dynamic(_) => size > 0,
        });
    if !fits {
        return Err(BackendError::ShapeMismatch {
            tensor: input.name.clone(),
            expected: input.shape_text(),
            found: shape.to_vec(),
        });
    }
    if input.shape() == shape {
        return Ok(None);
    }
    let resized = |(other, spec): (usize, &TensorSpec)| {
        if other == index { shape.to_vec() } else { spec.shape() }
    };
    Ok(Some(inputs.iter().enumerate().map(resized).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn only_open_dimensions_change() {
        let dimensions = vec![
            Dimension::Fixed(1),
            Dimension::Dynamic(8),
            Dimension::Dynamic(8),
            Dimension::Fixed(3),
        ];
        let inputs = [TensorSpec::new("image", DType::UInt8, dimensions, None)];
        assert_eq!(resized_shapes(&inputs, 0, &[1, 8, 8, 3]), Ok(None));
        assert_eq!(resized_shapes(&inputs, 0, &[1, 5, 9, 3]), Ok(Some(vec![vec![1, 5, 9, 3]])));
        for shape in [&[1, 0, 9, 3][..], &[2, 8, 8, 3], &[8, 8, 3]] {
            let expected = "1x?x?x3".to_owned();
            let error = BackendError::ShapeMismatch {
                tensor: "image".into(),
                expected,
                found: shape.to_vec(),
            };
            assert_eq!(resized_shapes(&inputs, 0, shape), Err(error));
        }
        assert_eq!(
            resized_shapes(&inputs, 1, &[1]),
            Err(BackendError::NoSuchTensor { index: 1, count: 1 })
        );
    }
}
