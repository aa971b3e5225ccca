//! The portable convolution, oracle of the others.

use super::{DepthwiseConstants, DepthwiseGeometry, Tap};
use crate::kernels::requantize::OutputRange;

/// Weights tap by tap.
#[derive(Debug)]
pub(super) struct Weights {
    weights: Vec<i16>,
    scales: Vec<f32>,
    bias: Vec<i32>,
    output: OutputRange,
}

impl Weights {
    pub(super) fn new(constants: DepthwiseConstants<'_>) -> Self {
        Self {
            weights: constants.weights.to_vec(),
            scales: constants.scales.to_vec(),
            bias: constants.bias.to_vec(),
            output: constants.output,
        }
    }

    pub(super) fn run(
        &self,
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        input: &[u8],
        output: &mut [u8],
        sums: &mut [i32],
    ) {
        let channels = geometry.output_channels();
        let sums = &mut sums[..channels];
        let centre = |value: u8| i16::from(value) - i16::from(zero_point);
        geometry.for_each_pixel(input, &self.weights, |tap| match tap {
            Tap::Start => sums.copy_from_slice(&self.bias),
            Tap::Add { values, weights } => {
                add_products(sums, values, centre, weights, geometry.multiplier);
            }
            Tap::Finish { pixel } => {
                let results = &mut output[pixel * channels..][..channels];
                for ((result, &sum), &scale) in results.iter_mut().zip(&*sums).zip(&self.scales) {
                    *result = self.output.requantize(sum, scale);
                }
            }
        });
    }
}

/// Adds the product of each centred value with its weights to the sums.
pub(super) fn add_products(
    sums: &mut [i32],
    values: &[u8],
    centre: impl Fn(u8) -> i16,
    weights: &[i16],
    multiplier: usize,
) {
    if multiplier == 1 {
        for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
            *sum = sum.wrapping_add(i32::from(centre(value)) * i32::from(weight));
        }
        return;
    }
    let groups = sums.chunks_exact_mut(multiplier).zip(weights.chunks_exact(multiplier));
    for ((sums, weights), &value) in groups.zip(values) {
        let centred = i32::from(centre(value));
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(centred * i32::from(weight));
        }
    }
}
