//! The cases, a file per family.

mod activation;
mod bundled;
mod conversion;
mod converted;
mod convolution;
mod elementwise;
mod integer;
mod layer;
mod layout;
mod matrix;
mod network;
mod pooling;
mod reduction;
mod resize;

pub use bundled::for_model;
pub use layer::{Layer, layers};

use crate::Case;

/// Every case, with random data of the seed: small ones of every operator, and whole models.
///
/// # Panics
///
/// Panics if a committed model cannot be read.
#[must_use]
pub fn all(seed: u64) -> Vec<Case> {
    [
        convolution::cases,
        matrix::cases,
        pooling::cases,
        elementwise::cases,
        activation::cases,
        layout::cases,
        reduction::cases,
        resize::cases,
        conversion::cases,
        integer::cases,
        network::cases,
        converted::cases,
        bundled::cases,
    ]
    .iter()
    .flat_map(|family| family(seed))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_models_are_unlike() {
        let cases = all(1);
        let names: BTreeSet<&str> = cases.iter().map(|case| &case.name[..]).collect();
        assert_eq!(names.len(), cases.len());
        let digests: BTreeSet<u64> = cases.iter().map(Case::digest).collect();
        assert_eq!(digests.len(), cases.len());
    }

    #[test]
    fn a_seed_gives_the_same_cases_again() {
        let digests = |seed| -> Vec<u64> { all(seed).iter().map(Case::digest).collect() };
        assert_eq!(digests(1), digests(1));
        assert_ne!(digests(1), digests(2));
    }
}
