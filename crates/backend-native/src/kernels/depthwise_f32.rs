//! Depthwise convolutions of floats, packed once for an instruction set.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod blocks;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;

use crate::kernels::comparison::clamp;
use crate::kernels::depthwise_bytes::DepthwiseGeometry;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::kernels::depthwise_f32::blocks::Blocks;
use crate::kernels::fused::multiply_add;
#[cfg(target_arch = "aarch64")]
use crate::simd::aarch64::{Neon, NeonDotprod};
#[cfg(target_arch = "x86_64")]
use crate::simd::x86_64::{Avx2, Avx512Vnni};
use crate::simd::{Isa, Rounding};

/// A depthwise convolution of floats.
///
/// ```text
/// result[c] = clamp(bias[c] + sum of value[tap][c] * weight[tap][c] over taps, in order)
/// ```
///
/// Taps are added column by column, and those outside the input are zeros that are added too, as
/// in XNNPACK, so that sums round alike.
#[derive(Debug)]
pub(crate) struct DepthwiseFloats {
    geometry: DepthwiseGeometry,
    range: (f32, f32),
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Scalar(Constants, Rounding),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2, Blocks),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512Vnni, Blocks),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon, Blocks),
}

/// Weights and bias as the model has them.
#[derive(Debug)]
struct Constants {
    /// Tap by tap, row by row.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl DepthwiseFloats {
    /// Packs `weights`, tap by tap, for the instruction set.
    pub(crate) fn new(
        isa: Isa,
        geometry: DepthwiseGeometry,
        weights: &[f32],
        bias: &[f32],
        range: (f32, f32),
    ) -> Self {
        let scalar = |rounding| {
            let constants = Constants { weights: weights.to_vec(), bias: bias.to_vec() };
            Packed::Scalar(constants, rounding)
        };
        let packed = match isa {
            Isa::Scalar(rounding) => scalar(rounding),
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            _ if !Blocks::take(&geometry) => scalar(Rounding::Once),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => Packed::Avx2(token, Blocks::new(&geometry, weights, bias)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) => Packed::Avx512(token, Blocks::new(&geometry, weights, bias)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon }) => {
                Packed::Neon(neon, Blocks::new(&geometry, weights, bias))
            }
        };
        Self { geometry, range, packed }
    }

    /// Floats of working memory.
    pub(crate) fn scratch_float32(&self) -> usize {
        match self.packed {
            Packed::Scalar(..) => self.geometry.output_channels() + self.geometry.input_channels,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            _ => Blocks::scratch_float32(&self.geometry),
        }
    }

    /// The geometry of the whole output.
    pub(crate) fn geometry(&self) -> &DepthwiseGeometry {
        &self.geometry
    }

    /// Computes the part of the output from element `first` on, in whole rows.
    pub(crate) fn run(&self, input: &[f32], first: usize, output: &mut [f32], scratch: &mut [f32]) {
        self.geometry.for_each_band(input, first, output, |geometry, input, output| {
            self.run_band(geometry, input, output, scratch);
        });
    }

    /// Computes the rows of a band from the input elements from its first on.
    pub(crate) fn run_band(
        &self,
        geometry: &DepthwiseGeometry,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let range = self.range;
        match &self.packed {
            Packed::Scalar(constants, Rounding::Twice) => {
                let add = |a, b, c| a * b + c;
                constants.run(geometry, input, output, range, scratch, add);
            }
            Packed::Scalar(constants, Rounding::Once) => {
                constants.run(geometry, input, output, range, scratch, multiply_add);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(token, blocks) => {
                vectors::avx2::run(*token, blocks, geometry, input, output, range, scratch);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, blocks) => {
                vectors::avx512::run(*token, blocks, geometry, input, output, range, scratch);
            }
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(token, blocks) => {
                vectors::neon::run(*token, blocks, geometry, input, output, range, scratch);
            }
        }
    }
}

impl Constants {
    /// Convolves one image; `add` is the product of its first two operands plus the third.
    fn run(
        &self,
        geometry: &DepthwiseGeometry,
        image: &[f32],
        result: &mut [f32],
        range: (f32, f32),
        scratch: &mut [f32],
        add: impl Fn(f32, f32, f32) -> f32,
    ) {
        let DepthwiseGeometry { rows, columns, input_channels, multiplier, .. } = *geometry;
        let channels = geometry.output_channels();
        let (sums, zeros) = scratch.split_at_mut(channels);
        let outside = &mut zeros[..input_channels];
        outside.fill(0.0);
        let mut results = result.chunks_exact_mut(channels);
        for row in 0..rows.output {
            for column in 0..columns.output {
                sums.copy_from_slice(&self.bias);
                for column_tap in 0..columns.window {
                    for row_tap in 0..rows.window {
                        let x = columns.source(column, column_tap);
                        let values = match (rows.source(row, row_tap), x) {
                            (Some(y), Some(x)) => {
                                &image[(y * columns.input + x) * input_channels..]
                            }
                            _ => &*outside,
                        };
                        let tap = row_tap * columns.window + column_tap;
                        let weights = &self.weights[tap * channels..][..channels];
                        if multiplier == 1 {
                            for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights)
                            {
                                *sum = add(value, weight, *sum);
                            }
                            continue;
                        }
                        let groups =
                            sums.chunks_exact_mut(multiplier).zip(weights.chunks_exact(multiplier));
                        for ((sums, weights), &value) in groups.zip(values) {
                            for (sum, &weight) in sums.iter_mut().zip(weights) {
                                *sum = add(value, weight, *sum);
                            }
                        }
                    }
                }
                if let Some(results) = results.next() {
                    for (result, sum) in results.iter_mut().zip(&*sums) {
                        *result = clamp(*sum, range);
                    }
                }
            }
        }
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
