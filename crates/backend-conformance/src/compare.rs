//! Whether results are what they must be.

use image_embedder_backend::f16;

use crate::{Elements, Tensor};

/// How far results may be from those expected.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The largest difference of quantised and of whole-number elements, in steps.
    pub steps: u32,
    /// The largest difference of floats, as a fraction of the largest expected magnitude.
    pub float32: f32,
}

impl Tolerance {
    /// Whole numbers alike; floats within 1e-5 of the largest.
    pub const EXACT: Self = Self { steps: 0, float32: 1e-5 };

    /// Whole numbers within that many steps, floats within that fraction of the largest.
    #[must_use]
    pub const fn new(steps: u32, float32: f32) -> Self {
        Self { steps, float32 }
    }
}

/// Compares the outputs of a run with those expected.
///
/// # Errors
///
/// What differs, with the number of elements out of tolerance and the worst of them.
pub fn compare(expected: &[Tensor], found: &[Tensor], tolerance: Tolerance) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("expected {} outputs, found {}", expected.len(), found.len()));
    }
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        if expected.shape != found.shape {
            return Err(format!(
                "output {index}: expected shape {:?}, found {:?}",
                expected.shape, found.shape
            ));
        }
        compare_elements(&expected.elements, &found.elements, tolerance)
            .map_err(|difference| format!("output {index}: {difference}"))?;
    }
    Ok(())
}

fn compare_elements(
    expected: &Elements,
    found: &Elements,
    tolerance: Tolerance,
) -> Result<(), String> {
    if expected.count() != found.count() {
        return Err(format!("expected {} elements, found {}", expected.count(), found.count()));
    }
    match (expected, found) {
        (Elements::Float32(expected), Elements::Float32(found)) => {
            compare_floats(expected, found, tolerance.float32)
        }
        (Elements::Float16(expected), Elements::Float16(found)) => {
            let widened = |values: &[f16]| -> Vec<f32> {
                values.iter().map(|value| value.to_f32()).collect()
            };
            compare_floats(&widened(expected), &widened(found), tolerance.float32)
        }
        (Elements::Int8(a), Elements::Int8(b)) => compare_integers(a, b, tolerance.steps),
        (Elements::UInt8(a), Elements::UInt8(b)) => compare_integers(a, b, tolerance.steps),
        (Elements::Int16(a), Elements::Int16(b)) => compare_integers(a, b, tolerance.steps),
        (Elements::Int32(a), Elements::Int32(b)) => compare_integers(a, b, tolerance.steps),
        (Elements::Int64(a), Elements::Int64(b)) => compare_integers(a, b, tolerance.steps),
        _ => Err(format!("expected elements of {}, found {}", expected.dtype(), found.dtype())),
    }
}

fn compare_integers<T: Copy + Into<i64>>(
    expected: &[T],
    found: &[T],
    steps: u32,
) -> Result<(), String> {
    let mut wrong = 0;
    let mut worst = (0, 0);
    for (index, (&expected, &found)) in expected.iter().zip(found).enumerate() {
        let difference = expected.into().abs_diff(found.into());
        wrong += usize::from(difference > u64::from(steps));
        if difference > worst.0 {
            worst = (difference, index);
        }
    }
    if wrong == 0 {
        return Ok(());
    }
    let (difference, index) = worst;
    Err(format!(
        "{wrong} of {} elements differ by more than {steps}, most by {difference}: element {index}, \
         expected {}, found {}",
        expected.len(),
        expected[index].into(),
        found[index].into()
    ))
}

fn compare_floats(expected: &[f32], found: &[f32], fraction: f32) -> Result<(), String> {
    let largest = expected
        .iter()
        .filter(|value| value.is_finite())
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let allowed = largest * fraction;
    let mut wrong = 0;
    let mut worst = (-1.0, 0);
    for (index, (&expected, &found)) in expected.iter().zip(found).enumerate() {
        let alike = expected == found || (expected.is_nan() && found.is_nan());
        let difference = match (expected - found).abs() {
            _ if alike => 0.0,
            difference if difference.is_nan() => f32::INFINITY,
            difference => difference,
        };
        wrong += usize::from(difference > allowed);
        if difference > worst.0 {
            worst = (difference, index);
        }
    }
    if wrong == 0 {
        return Ok(());
    }
    let (difference, index) = worst;
    Err(format!(
        "{wrong} of {} elements differ by more than {fraction:e} of the largest ({largest}), most \
         by {difference}: element {index}, expected {}, found {}",
        expected.len(),
        expected[index],
        found[index]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor { shape: vec![values.len()], elements: Elements::Float32(values.to_vec()) }]
    }

    fn bytes(values: &[u8]) -> Vec<Tensor> {
        vec![Tensor { shape: vec![values.len()], elements: Elements::UInt8(values.to_vec()) }]
    }

    #[test]
    fn floats_are_held_to_the_largest() {
        let expected = floats(&[100.0, 0.0, f32::NAN]);
        let exact = Tolerance::EXACT;
        assert_eq!(compare(&expected, &floats(&[100.0, 0.0009, f32::NAN]), exact), Ok(()));
        let difference = compare(&expected, &floats(&[100.0, 0.0011, f32::NAN]), exact);
        assert!(difference.unwrap_err().contains("1 of 3"));
        assert!(compare(&expected, &floats(&[f32::NAN, 0.0, f32::NAN]), exact).is_err());
        assert!(compare(&expected, &floats(&[100.0, 0.0, 1.0]), exact).is_err());
        assert!(compare(&expected, &floats(&[f32::INFINITY, 0.0, f32::NAN]), exact).is_err());
    }

    #[test]
    fn bytes_are_held_to_the_step() {
        let expected = bytes(&[1, 2, 255]);
        assert_eq!(compare(&expected, &bytes(&[1, 2, 255]), Tolerance::EXACT), Ok(()));
        assert!(compare(&expected, &bytes(&[1, 3, 255]), Tolerance::EXACT).is_err());
        assert_eq!(compare(&expected, &bytes(&[1, 3, 254]), Tolerance::new(1, 0.0)), Ok(()));
        assert!(compare(&expected, &bytes(&[1, 2, 0]), Tolerance::new(1, 0.0)).is_err());
    }

    #[test]
    fn counts_shapes_and_types_must_agree() {
        let expected = bytes(&[1, 2]);
        assert!(compare(&expected, &[], Tolerance::EXACT).is_err());
        assert!(compare(&expected, &bytes(&[1, 2, 3]), Tolerance::EXACT).is_err());
        assert!(compare(&expected, &floats(&[1.0, 2.0]), Tolerance::EXACT).is_err());
        let mut other = bytes(&[1, 2]);
        other[0].shape = vec![1, 2];
        assert!(compare(&expected, &other, Tolerance::EXACT).is_err());
    }
}
