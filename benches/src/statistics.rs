//! What many measurements say: order statistics, which a few disturbed ones do not move.

use serde::Serialize;

/// The order statistics of a sample.
///
/// Quartiles interpolate linearly between the two nearest elements, as NumPy does by default
/// (definition 7 of Hyndman and Fan, 1996).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Summary {
    /// How many measurements there are.
    pub count: usize,
    /// The least.
    pub least: f64,
    /// A quarter of the measurements are at most this.
    pub lower_quartile: f64,
    /// Half of the measurements are at most this.
    pub median: f64,
    /// Three quarters of the measurements are at most this.
    pub upper_quartile: f64,
    /// The median of the distances from the median.
    pub median_absolute_deviation: f64,
}

impl Summary {
    /// The statistics of measurements in any order, or `None` if there are none or one is not a
    /// number.
    #[must_use]
    pub fn of(measurements: &[f64]) -> Option<Self> {
        let sorted = sorted(measurements)?;
        let median = quantile(&sorted, 0.5);
        let distances: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
        let distances = self::sorted(&distances)?;
        Some(Self {
            count: sorted.len(),
            least: *sorted.first()?,
            lower_quartile: quantile(&sorted, 0.25),
            median,
            upper_quartile: quantile(&sorted, 0.75),
            median_absolute_deviation: quantile(&distances, 0.5),
        })
    }
}

/// The elements in ascending order, or `None` if there are none or one is not a number.
fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(sorted)
}

/// The value below which that share of the ascending, non-empty elements lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor();
    let (low, high) = (sorted[below as usize], sorted[position.ceil() as usize]);
    low + (high - low) * (position - below)
}

/// The geometric mean of positive numbers, or `None` if there are none or one is not positive.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan() || *value <= 0.0) {
        return None;
    }
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    Some((logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_interpolate() {
        // numpy.percentile([1, 2, 4, 8], [25, 50, 75]) is [1.75, 3, 5].
        let summary = Summary::of(&[8.0, 1.0, 4.0, 2.0]).unwrap();
        assert_eq!(
            summary,
            Summary {
                count: 4,
                least: 1.0,
                lower_quartile: 1.75,
                median: 3.0,
                upper_quartile: 5.0,
                // The distances are 1, 1, 2 and 5.
                median_absolute_deviation: 1.5,
            }
        );
    }

    #[test]
    fn one_disturbed_measurement_moves_nothing() {
        let quiet = Summary::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let disturbed = Summary::of(&[1.0, 2.0, 3.0, 4.0, 5000.0]).unwrap();
        assert_eq!(disturbed, Summary { upper_quartile: 4.0, ..quiet });
        assert_eq!(quiet.median_absolute_deviation, 1.0);
    }

    #[test]
    fn a_single_measurement_is_every_quartile() {
        let summary = Summary::of(&[7.0]).unwrap();
        assert_eq!([summary.least, summary.lower_quartile, summary.upper_quartile], [7.0; 3]);
        assert_eq!(summary.median_absolute_deviation, 0.0);
    }

    #[test]
    fn nothing_and_nonsense_have_no_statistics() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
        for values in [&[][..], &[1.0, 0.0], &[1.0, -2.0], &[f64::NAN]] {
            assert_eq!(geometric_mean(values), None, "{values:?}");
        }
    }

    #[test]
    fn geometric_means_of_ratios_are_independent_of_the_direction() {
        let mean = geometric_mean(&[1.0, 2.0, 4.0]).unwrap();
        assert!((mean - 2.0).abs() < 1e-12, "{mean}");
        let inverse = geometric_mean(&[1.0, 0.5, 0.25]).unwrap();
        assert!((mean * inverse - 1.0).abs() < 1e-12, "{inverse}");
    }
}
