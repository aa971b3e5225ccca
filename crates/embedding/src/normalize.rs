//! L2 normalisation.

/// Scales a vector to a Euclidean length of one; a vector of zeros stays as it is.
///
/// ```text
/// v[i] = v[i] * (1 / sqrt(sum of v[k] * v[k]))
/// ```
///
/// All in 32-bit floats; the sum runs from the first element to the last.
pub fn l2_normalize(values: &mut [f32]) {
    let mut squares = 0.0f32;
    for value in &*values {
        squares += value * value;
    }
    if squares == 0.0 {
        return;
    }
    let factor = 1.0 / squares.sqrt();
    for value in values {
        *value *= factor;
    }
}

/// Keeps the first `dimension` elements and scales them to a Euclidean length of one, as
/// [`l2_normalize`] does.
///
/// ```text
/// v[i] = v[i] * (1 / sqrt(sum of v[k] * v[k] for k < dimension)) for i < dimension
/// ```
///
/// Models trained for it (Matryoshka representation learning) have most of what they know in
/// their first elements. A vector that is not longer is only scaled.
pub fn truncate_normalized(values: &mut Vec<f32>, dimension: usize) {
    values.truncate(dimension);
    l2_normalize(values);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_stay() {
        let mut values = [0.0, -0.0];
        l2_normalize(&mut values);
        assert_eq!(values, [0.0, 0.0]);
        l2_normalize(&mut []);
    }

    #[test]
    fn truncated_vectors_have_length_one() {
        let mut values = vec![3.0, 4.0, 12.0];
        truncate_normalized(&mut values, 2);
        assert_eq!(values, [0.6, 0.8]);
        truncate_normalized(&mut values, 5);
        assert_eq!(values.len(), 2);
        truncate_normalized(&mut values, 0);
        assert_eq!(values, []);
    }

    proptest::proptest! {
        #[test]
        fn truncation_does_not_depend_on_the_length_before(
            values in proptest::collection::vec(0.1f32..100.0, 2..100),
            dimension in 1usize..100,
        ) {
            let mut raw = values.clone();
            truncate_normalized(&mut raw, dimension);
            let mut unit = values;
            l2_normalize(&mut unit);
            truncate_normalized(&mut unit, dimension);
            assert_eq!(raw.len(), unit.len());
            for (a, b) in raw.iter().zip(&unit) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }

        #[test]
        fn length_becomes_one(
            mut values in proptest::collection::vec(-100.0f32..100.0, 1..300),
        ) {
            values[0] += 200.0;
            l2_normalize(&mut values);
            let length: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            assert!((length - 1.0).abs() < 1e-4, "{length}");
        }
    }
}
