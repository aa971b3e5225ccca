//! Whether a peer computes the same: only then do its times say something about ours.

use std::fmt;

use image_embedder_backend_conformance::{Elements, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What two results must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every report tells all of them apart")]
pub enum Rule {
    /// Every element.
    Equal,
    /// Every element up to this share of the largest magnitude.
    WithinOfLargest(f64),
    /// The direction: the cosine of the angle between the vectors is at least this.
    Cosine(f64),
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => formatter.write_str("equal"),
            Self::WithinOfLargest(share) => write!(formatter, "within {share:e} of the largest"),
            Self::Cosine(bound) => write!(formatter, "cosine at least {bound}"),
        }
    }
}

/// How alike two results are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Likeness {
    /// How many elements were compared.
    pub elements: usize,
    /// How many of them differ.
    pub different: usize,
    /// The largest difference, as a share of the largest expected magnitude.
    pub largest_difference: f64,
    /// The least cosine of the angle between a pair of vectors.
    pub cosine: f64,
}

impl Likeness {
    /// The likeness of numbers in the order of the elements.
    ///
    /// # Errors
    ///
    /// If there are no elements, their counts differ, or one is not a finite number.
    pub fn of(expected: &[f64], found: &[f64]) -> Result<Self> {
        if expected.len() != found.len() || expected.is_empty() {
            let (expected, found) = (expected.len(), found.len());
            return Err(format!("expected {expected} elements, found {found}").into());
        }
        if let Some(index) =
            expected.iter().zip(found).position(|(a, b)| !a.is_finite() || !b.is_finite())
        {
            let (expected, found) = (expected[index], found[index]);
            return Err(format!("element {index}: expected {expected}, found {found}").into());
        }
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let difference = expected
            .iter()
            .zip(found)
            .fold(0.0_f64, |difference, (a, b)| difference.max((a - b).abs()));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let different = expected.iter().zip(found).filter(|(a, b)| a != b).count();
        let norms = (dot(expected, expected) * dot(found, found)).sqrt();
        Ok(Self {
            elements: expected.len(),
            different,
            largest_difference: if difference == 0.0 { 0.0 } else { difference / largest },
            // Equal vectors have no angle, not even where their length is zero.
            cosine: if different == 0 { 1.0 } else { dot(expected, found) / norms },
        })
    }

    /// The likeness of all outputs together.
    ///
    /// # Errors
    ///
    /// If there are no outputs, or their counts, shapes or types differ, or as [`of`](Self::of).
    pub fn of_outputs(expected: &[Tensor], found: &[Tensor]) -> Result<Self> {
        if expected.len() != found.len() {
            let (expected, found) = (expected.len(), found.len());
            return Err(format!("expected {expected} outputs, found {found}").into());
        }
        let mut all: Option<Self> = None;
        for (expected, found) in expected.iter().zip(found) {
            let (dtype, other) = (expected.elements.dtype(), found.elements.dtype());
            if dtype != other || expected.shape != found.shape {
                return Err(format!(
                    "expected {dtype} {:?}, found {other} {:?}",
                    expected.shape, found.shape
                )
                .into());
            }
            let next = Self::of(&numbers(&expected.elements)?, &numbers(&found.elements)?)?;
            all = Some(all.map_or(next, |all| all.and(next)));
        }
        all.ok_or_else(|| "there are no outputs".into())
    }

    /// The likeness of both pairs together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            elements: self.elements + other.elements,
            different: self.different + other.different,
            largest_difference: self.largest_difference.max(other.largest_difference),
            cosine: self.cosine.min(other.cosine),
        }
    }

    /// Whether the rule holds.
    #[must_use]
    pub fn satisfies(&self, rule: Rule) -> bool {
        match rule {
            Rule::Equal => self.different == 0,
            Rule::WithinOfLargest(share) => self.largest_difference <= share,
            Rule::Cosine(bound) => self.cosine >= bound,
        }
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.different == 0 {
            return formatter.write_str("equal");
        }
        write!(
            formatter,
            "{} of {} differ, by {:.1e} of the largest, cosine {:.7}",
            self.different, self.elements, self.largest_difference, self.cosine
        )
    }
}

fn numbers(elements: &Elements) -> Result<Vec<f64>> {
    fn widen<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
        values.iter().map(|&value| value.into()).collect()
    }
    match elements {
        Elements::Float32(values) => Ok(widen(values)),
        Elements::Int8(values) => Ok(widen(values)),
        Elements::UInt8(values) => Ok(widen(values)),
        Elements::Int16(values) => Ok(widen(values)),
        Elements::Int32(values) => Ok(widen(values)),
        other => Err(format!("outputs of {} cannot be compared", other.dtype()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], elements: Elements) -> Tensor {
        Tensor { shape: shape.to_vec(), elements }
    }

    #[test]
    fn equal_results_satisfy_every_rule() {
        let likeness = Likeness::of(&[0.0, 3.0], &[-0.0, 3.0]).unwrap();
        for rule in [Rule::Equal, Rule::WithinOfLargest(0.0), Rule::Cosine(1.0)] {
            assert!(likeness.satisfies(rule), "{rule}");
        }
        assert_eq!(likeness.to_string(), "equal");
        assert!(Likeness::of(&[0.0], &[0.0]).unwrap().satisfies(Rule::Cosine(1.0)));
    }

    #[test]
    fn each_rule_has_its_limit() {
        let likeness = Likeness::of(&[4.0, 0.0], &[4.0, 0.04]).unwrap();
        assert_eq!((likeness.different, likeness.largest_difference), (1, 0.01));
        assert!(!likeness.satisfies(Rule::Equal));
        assert!(likeness.satisfies(Rule::WithinOfLargest(0.01)));
        assert!(!likeness.satisfies(Rule::WithinOfLargest(0.0099)));
        // The cosine of an angle of 0.01 is 0.99995.
        assert!(likeness.satisfies(Rule::Cosine(0.9999)));
        assert!(!likeness.satisfies(Rule::Cosine(0.99996)));
    }

    #[test]
    fn a_difference_from_nothing_satisfies_no_rule() {
        let likeness = Likeness::of(&[0.0, 0.0], &[0.0, 1.0]).unwrap();
        for rule in [Rule::Equal, Rule::WithinOfLargest(1e9), Rule::Cosine(-1.0)] {
            assert!(!likeness.satisfies(rule), "{rule}: {likeness:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        for (expected, found) in [
            (&[1.0][..], &[1.0, 2.0][..]),
            (&[], &[]),
            (&[1.0], &[f64::NAN]),
            (&[f64::NAN], &[1.0]),
        ] {
            assert!(Likeness::of(expected, found).is_err(), "{expected:?} {found:?}");
        }
        let bytes = |values: &[u8]| Elements::UInt8(values.to_vec());
        let one = tensor(&[1, 2], bytes(&[1, 2]));
        for other in [tensor(&[2], bytes(&[1, 2])), tensor(&[1, 2], Elements::Int8(vec![1, 2]))] {
            assert!(Likeness::of_outputs(std::slice::from_ref(&one), &[other]).is_err());
        }
        assert!(Likeness::of_outputs(std::slice::from_ref(&one), &[]).is_err());
        assert!(Likeness::of_outputs(&[], &[]).is_err());
    }

    #[test]
    fn every_output_counts() {
        let a =
            [tensor(&[1], Elements::UInt8(vec![9])), tensor(&[1], Elements::Float32(vec![2.0]))];
        let b =
            [tensor(&[1], Elements::UInt8(vec![9])), tensor(&[1], Elements::Float32(vec![1.0]))];
        let likeness = Likeness::of_outputs(&a, &b).unwrap();
        assert_eq!((likeness.elements, likeness.different), (2, 1));
        assert_eq!(likeness.largest_difference, 0.5);
    }
}
