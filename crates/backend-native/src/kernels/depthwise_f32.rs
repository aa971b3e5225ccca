//! Depthwise convolutions of floats, packed once for an instruction set.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::kernels::comparison::clamp;
use crate::kernels::depthwise_bytes::{DepthwiseGeometry, Tap};
use crate::kernels::fused::multiply_add;
#[cfg(target_arch = "aarch64")]
use crate::simd::aarch64::NeonDotprod;
use crate::simd::{Isa, Rounding};

/// A depthwise convolution of floats.
///
/// ```text
/// result[c] = clamp(bias[c] + sum of value[tap][c] * weight[tap][c] over taps, in order)
/// ```
#[derive(Debug)]
pub(crate) struct DepthwiseFloats {
    geometry: DepthwiseGeometry,
    isa: Isa,
    /// Tap by tap.
    weights: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
}

impl DepthwiseFloats {
    pub(crate) fn new(
        isa: Isa,
        geometry: DepthwiseGeometry,
        weights: &[f32],
        bias: &[f32],
        range: (f32, f32),
    ) -> Self {
        Self { geometry, isa, weights: weights.to_vec(), bias: bias.to_vec(), range }
    }

    /// Floats of working memory.
    pub(crate) fn scratch_float32(&self) -> usize {
        self.geometry.output_channels()
    }

    /// The geometry of the whole output.
    pub(crate) fn geometry(&self) -> &DepthwiseGeometry {
        &self.geometry
    }

    /// Computes the part of the output from element `first` on, in whole rows.
    pub(crate) fn run(&self, input: &[f32], first: usize, output: &mut [f32], scratch: &mut [f32]) {
        self.geometry.for_each_band(input, first, output, |geometry, input, output| {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(token) if x86_64::avx2::takes(geometry) => {
                    x86_64::avx2::run(token, self, geometry, input, output);
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni(token) if x86_64::avx512::takes(geometry) => {
                    x86_64::avx512::run(token, self, geometry, input, output);
                }
                #[cfg(target_arch = "aarch64")]
                Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon })
                    if neon::takes(geometry) =>
                {
                    neon::run(neon, self, geometry, input, output);
                }
                Isa::Scalar(Rounding::Twice) => {
                    self.run_scalar(geometry, input, output, scratch, |a, b, c| a * b + c);
                }
                _ => self.run_scalar(geometry, input, output, scratch, multiply_add),
            }
        });
    }

    fn run_scalar(
        &self,
        geometry: &DepthwiseGeometry,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
        add: impl Fn(f32, f32, f32) -> f32,
    ) {
        let channels = geometry.output_channels();
        let multiplier = geometry.multiplier;
        let sums = &mut scratch[..channels];
        geometry.for_each_pixel(input, &self.weights, |tap| match tap {
            Tap::Start => sums.copy_from_slice(&self.bias),
            Tap::Add { values, weights } if multiplier == 1 => {
                for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
                    *sum = add(value, weight, *sum);
                }
            }
            Tap::Add { values, weights } => {
                let groups =
                    sums.chunks_exact_mut(multiplier).zip(weights.chunks_exact(multiplier));
                for ((sums, weights), &value) in groups.zip(values) {
                    for (sum, &weight) in sums.iter_mut().zip(weights) {
                        *sum = add(value, weight, *sum);
                    }
                }
            }
            Tap::Finish { pixel } => {
                let results = &mut output[pixel * channels..][..channels];
                for (result, sum) in results.iter_mut().zip(&*sums) {
                    *result = clamp(*sum, self.range);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use image_embedder_schema::tflite::Padding;

    use super::*;
    use crate::ops::window::Axis;
    use crate::simd::SimdLevel;

    #[test]
    fn every_level_equals_scalar() {
        let mut seed = 5u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut cases = 0;
        for level in SimdLevel::available() {
            for (window, stride, dilation) in
                [(1, 1, 1), (3, 1, 1), (3, 2, 1), (5, 1, 1), (5, 2, 1), (3, 1, 2), (7, 3, 1)]
            {
                for channels in [1, 8, 16, 17, 40, 64] {
                    for (height, width) in [(1, 1), (5, 4), (7, 7), (8, 13), (14, 33)] {
                        for padding in [Padding::Same, Padding::Valid] {
                            let axis = |input| Axis::new(padding, input, window, stride, dilation);
                            let (Some(rows), Some(columns)) = (axis(height), axis(width)) else {
                                continue;
                            };
                            let geometry = DepthwiseGeometry {
                                batch: 2,
                                rows,
                                columns,
                                input_channels: channels,
                                multiplier: 1,
                            };
                            let weights: Vec<f32> =
                                (0..window * window * channels).map(|_| noise()).collect();
                            let bias: Vec<f32> = (0..channels).map(|_| noise()).collect();
                            let input: Vec<f32> =
                                (0..2 * geometry.image_elements()).map(|_| noise()).collect();
                            let run = |isa| {
                                let range = (-1.0, 1.0);
                                let kernel =
                                    DepthwiseFloats::new(isa, geometry, &weights, &bias, range);
                                let mut output = vec![0.0; 2 * geometry.result_elements()];
                                let mut scratch = vec![9.0; kernel.scratch_float32()];
                                kernel.run(&input, 0, &mut output, &mut scratch);
                                output
                            };
                            let bits = |isa| run(isa).into_iter().map(f32::to_bits);
                            assert!(
                                bits(Isa::new(level).unwrap()).eq(bits(Isa::SCALAR)),
                                "{level} window {window} stride {stride} channels {channels} \
                                 {height} x {width}"
                            );
                            cases += 1;
                        }
                    }
                }
            }
        }
        assert!(cases >= SimdLevel::available().len() * 300, "only {cases} cases ran");
    }
}
