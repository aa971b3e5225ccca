//! The convolution with AVX2: pairs of taps of sixteen channels at a time.
//!
//! The bytes of two taps are widened and interleaved; one instruction then multiplies and adds a
//! pair in each lane. Interleaving within halves of a vector deals sixteen channels to two
//! vectors, and packing results undoes it.

use std::arch::x86_64::*;

use super::{DepthwiseConstants, DepthwiseGeometry};
use crate::kernels::requantize::OutputRange;
use crate::simd::x86_64::{
    Avx2, PairLine, load_f32x8, load_i32x8, load_pairs, load_u8x16, store_u8x16,
};

/// Channels of one block.
const LANES: usize = 16;

/// Weights in blocks of sixteen channels.
#[derive(Debug)]
pub(super) struct Weights {
    blocks: Vec<Block>,
    output: OutputRange,
}

/// The constants of sixteen channels, in two halves as interleaving deals them.
#[derive(Debug)]
struct Block {
    /// For each pair of taps, the weights of both halves.
    lines: Vec<[PairLine; 2]>,
    bias: [[i32; 8]; 2],
    scales: [[f32; 8]; 2],
}

impl Weights {
    pub(super) fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let channels = geometry.input_channels;
        let taps = geometry.rows.window * geometry.columns.window;
        let blocks = (0..channels)
            .step_by(LANES)
            .map(|first| {
                let mut block = Block {
                    lines: vec![[PairLine::ZERO; 2]; taps.div_ceil(2)],
                    bias: [[0; 8]; 2],
                    scales: [[0.0; 8]; 2],
                };
                for lane in 0..LANES.min(channels - first) {
                    // Channels 0 to 3 and 8 to 11 make the first half.
                    let (half, place) = (lane / 4 % 2, lane / 8 * 4 + lane % 4);
                    let channel = first + lane;
                    let mut bias = constants.bias[channel];
                    for tap in 0..taps {
                        let weight = constants.weights[tap * channels + channel];
                        block.lines[tap / 2][half].0[place * 2 + tap % 2] = weight;
                        bias = bias.wrapping_sub(i32::from(weight) * i32::from(zero_point));
                    }
                    block.bias[half][place] = bias;
                    block.scales[half][place] = constants.scales[channel];
                }
                block
            })
            .collect();
        Self { blocks, output: constants.output }
    }

    pub(super) fn run(
        &self,
        _token: Avx2,
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        input: &[u8],
        output: &mut [u8],
    ) {
        let images = input.chunks_exact(geometry.image_elements().max(1));
        let results = output.chunks_exact_mut(geometry.result_elements().max(1));
        for (image, result) in images.zip(results) {
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve(self, geometry, zero_point, image, result) }
        }
    }
}

/// Convolves one image.
#[target_feature(enable = "avx2,fma")]
fn convolve(
    weights: &Weights,
    geometry: &DepthwiseGeometry,
    zero_point: u8,
    image: &[u8],
    result: &mut [u8],
) {
    let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
    let (least, largest, output_zero_point) = weights.output.parts();
    let (least, largest) = (_mm256_set1_ps(least), _mm256_set1_ps(largest));
    let output_zero_point = _mm256_set1_epi32(output_zero_point);
    let outside = _mm256_set1_epi16(i16::from(zero_point));
    let taps = rows.window * columns.window;
    for row in 0..rows.output {
        for (index, block) in weights.blocks.iter().enumerate() {
            let channel = index * LANES;
            let width = LANES.min(channels - channel);
            let (low_bias, high_bias) = (load_i32x8(&block.bias[0]), load_i32x8(&block.bias[1]));
            for column in 0..columns.output {
                let load = |tap: usize| {
                    let source = rows
                        .source(row, tap / columns.window)
                        .zip(columns.source(column, tap % columns.window));
                    let Some((y, x)) = source else { return outside };
                    let from = &image[(y * columns.input + x) * channels + channel..];
                    match from.first_chunk::<LANES>() {
                        Some(bytes) => _mm256_cvtepu8_epi16(load_u8x16(bytes)),
                        None => {
                            let mut bytes = [0; LANES];
                            bytes[..width].copy_from_slice(&from[..width]);
                            _mm256_cvtepu8_epi16(load_u8x16(&bytes))
                        }
                    }
                };
                let (mut low, mut high) = (low_bias, high_bias);
                for (pair, lines) in block.lines.iter().enumerate() {
                    let first = load(2 * pair);
                    // Beside the last tap of an odd number the weights are zero.
                    let second = if 2 * pair + 1 < taps { load(2 * pair + 1) } else { outside };
                    let products = _mm256_madd_epi16(
                        _mm256_unpacklo_epi16(first, second),
                        load_pairs(&lines[0]),
                    );
                    low = _mm256_add_epi32(low, products);
                    let products = _mm256_madd_epi16(
                        _mm256_unpackhi_epi16(first, second),
                        load_pairs(&lines[1]),
                    );
                    high = _mm256_add_epi32(high, products);
                }
                let mut results = [low, high];
                for (result, scales) in results.iter_mut().zip(&block.scales) {
                    let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(*result), load_f32x8(scales));
                    let clamped = _mm256_min_ps(_mm256_max_ps(scaled, least), largest);
                    *result = _mm256_add_epi32(_mm256_cvtps_epi32(clamped), output_zero_point);
                }
                let halves = _mm256_packs_epi32(results[0], results[1]);
                let bytes = _mm_packus_epi16(
                    _mm256_castsi256_si128(halves),
                    _mm256_extracti128_si256::<1>(halves),
                );
                let at = (row * columns.output + column) * channels + channel;
                let target = &mut result[at..];
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_u8x16(target, bytes),
                    _ => {
                        let mut whole = [0; LANES];
                        store_u8x16(&mut whole, bytes);
                        target[..width].copy_from_slice(&whole[..width]);
                    }
                }
            }
        }
    }
}
