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

    proptest::proptest! {
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
