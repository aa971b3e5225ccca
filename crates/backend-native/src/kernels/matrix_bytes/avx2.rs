//! The product with AVX2: pairs of 16-bit products, exact for any bytes.

use std::arch::x86_64::*;

use super::{ToBytes, ToFloats};
use crate::kernels::panels::{Rows, deal_panels};
use crate::simd::x86_64::{
    Avx2, PairLine, load_f32x8, load_i32x8, load_pairs, load_u8x16, store_f32x8, store_i16x16,
    store_u8x8,
};

/// Columns of one vector.
const LANES: usize = 8;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 3;

/// Rows of a tile.
const ROWS: usize = 4;

/// 16-bit numbers that rows are widened to at a time.
const WIDENED: usize = 16 * 1024;

/// Whether a tile of rows of that depth can be widened at a time.
pub(super) fn takes(depth: usize) -> bool {
    depth.next_multiple_of(LANES * 2) * ROWS <= WIDENED
}

/// Weights as 16-bit numbers in panels of up to three vectors of columns, two rows to a lane.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    depth: usize,
    columns: usize,
}

/// The vectors of one panel, for each step of two rows in turn.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<PairLine>,
}

impl Weights {
    pub(super) fn new(transposed: &[i16], depth: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        let vectors = columns.div_ceil(LANES);
        let mut panels = Vec::new();
        for (first, width) in deal_panels(vectors, MAX_VECTORS) {
            let mut lines = vec![PairLine::ZERO; depth.div_ceil(2) * width];
            for column in first * LANES..((first + width) * LANES).min(columns) {
                let (vector, lane) = (column / LANES - first, column % LANES);
                for (row, &weight) in transposed[column * depth..][..depth].iter().enumerate() {
                    lines[row / 2 * width + vector].0[lane * 2 + row % 2] = weight;
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors: width, lines });
        }
        Self { panels, depth, columns }
    }

    pub(super) fn multiply_to_bytes(
        &self,
        _token: Avx2,
        rows: Rows<'_, u8>,
        end: &ToBytes,
        output: &mut [u8],
    ) {
        let end = Bytes { end, columns: self.columns };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { multiply_to_bytes(self, rows, &end, output) }
    }

    pub(super) fn multiply_to_floats(
        &self,
        _token: Avx2,
        rows: Rows<'_, u8>,
        (scale, zero_point): (f32, i32),
        end: &ToFloats,
        output: &mut [f32],
    ) {
        let end = Floats { end, scale, zero_point, columns: self.columns };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { multiply_to_floats(self, rows, &end, output) }
    }
}

/// What turns sums into bytes.
struct Bytes<'a> {
    end: &'a ToBytes,
    columns: usize,
}

/// What turns sums into floats.
struct Floats<'a> {
    end: &'a ToFloats,
    scale: f32,
    zero_point: i32,
    columns: usize,
}

/// The functions of one kind of result. The way from sums to results is written into the tile, so
/// that sums stay in registers.
macro_rules! products {
    ($multiply:ident, $multiply_tile:ident, $End:ident, $Result:ty, $finish:ident) => {
        /// Widens a block of rows and multiplies it panel by panel, tile by tile. A last tile of
        /// fewer rows repeats its last row.
        #[target_feature(enable = "avx2,fma")]
        fn $multiply(
            weights: &Weights,
            rows: Rows<'_, u8>,
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            let stride = weights.depth.next_multiple_of(LANES * 2);
            let mut widened = [0i16; WIDENED];
            let block = WIDENED / stride / ROWS * ROWS;
            for first in (0..rows.count).step_by(block) {
                let count = block.min(rows.count - first);
                for row in 0..count {
                    widen(
                        rows.row(first + row, weights.depth),
                        &mut widened[row * stride..][..stride],
                    );
                }
                for panel in &weights.panels {
                    for tile in (0..count).step_by(ROWS) {
                        let mut values: [&[[i16; 2]]; ROWS] = [&[]; ROWS];
                        for (row, values) in values.iter_mut().enumerate() {
                            let row = (tile + row).min(count - 1);
                            *values = widened[row * stride..][..stride].as_chunks::<2>().0;
                        }
                        let count = ROWS.min(count - tile);
                        let place = (first + tile, count);
                        match panel.vectors {
                            1 => $multiply_tile::<1>(weights, panel, values, place, end, output),
                            2 => $multiply_tile::<2>(weights, panel, values, place, end, output),
                            _ => $multiply_tile::<3>(weights, panel, values, place, end, output),
                        }
                    }
                }
            }
        }

        #[target_feature(enable = "avx2,fma")]
        #[inline]
        fn $multiply_tile<const VECTORS: usize>(
            weights: &Weights,
            panel: &Panel,
            values: [&[[i16; 2]]; ROWS],
            (first, count): (usize, usize),
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            let steps = weights.depth.div_ceil(2);
            let [a, b, c, d] = values;
            let values = [&a[..steps], &b[..steps], &c[..steps], &d[..steps]];
            let lines = &panel.lines.as_chunks::<VECTORS>().0[..steps];
            let mut sums = [[_mm256_setzero_si256(); VECTORS]; ROWS];
            for step in 0..steps {
                let mut factors = [_mm256_setzero_si256(); VECTORS];
                for vector in 0..VECTORS {
                    factors[vector] = load_pairs(&lines[step][vector]);
                }
                for row in 0..ROWS {
                    let [low, high] = values[row][step];
                    let pair = i32::from(low) & 0xFFFF | i32::from(high) << 16;
                    let value = _mm256_set1_epi32(pair);
                    for vector in 0..VECTORS {
                        let products = _mm256_madd_epi16(value, factors[vector]);
                        sums[row][vector] = _mm256_add_epi32(sums[row][vector], products);
                    }
                }
            }
            $finish!(sums, first, count, panel.first_column, end, output, VECTORS);
        }
    };
}

/// Requantises sums and stores them.
macro_rules! finish_bytes {
    ($sums:ident, $first:expr, $count:expr, $column:expr, $bytes:ident, $output:ident, $vectors:ident) => {
        let end = $bytes.end;
        let (least, largest, zero_point) = end.output.parts();
        let (least, largest) = (_mm256_set1_ps(least), _mm256_set1_ps(largest));
        let zero_point = _mm256_set1_epi32(zero_point);
        for vector in 0..$vectors {
            let column = $column + vector * LANES;
            let width = LANES.min($bytes.columns - column);
            let (Some(scales), Some(bias)) =
                (end.scales[column..].first_chunk(), end.bias[column..].first_chunk())
            else {
                return;
            };
            let (scales, bias) = (load_f32x8(scales), load_i32x8(bias));
            for row in 0..$count {
                let sum = _mm256_add_epi32($sums[row][vector], bias);
                let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scales);
                let clamped = _mm256_min_ps(_mm256_max_ps(scaled, least), largest);
                let result = _mm256_add_epi32(_mm256_cvtps_epi32(clamped), zero_point);
                let halves = _mm_packs_epi32(
                    _mm256_castsi256_si128(result),
                    _mm256_extracti128_si256::<1>(result),
                );
                let bytes = _mm_packus_epi16(halves, halves);
                let target = &mut $output[($first + row) * $bytes.columns + column..];
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_u8x8(target, bytes),
                    _ => {
                        let mut whole = [0; LANES];
                        store_u8x8(&mut whole, bytes);
                        target[..width].copy_from_slice(&whole[..width]);
                    }
                }
            }
        }
    };
}

/// Scales sums to floats and stores them.
macro_rules! finish_floats {
    ($sums:ident, $first:expr, $count:expr, $column:expr, $floats:ident, $output:ident, $vectors:ident) => {
        let end = $floats.end;
        let (least, largest) = (_mm256_set1_ps(end.range.0), _mm256_set1_ps(end.range.1));
        let scale = _mm256_set1_ps($floats.scale);
        let zero_point = _mm256_set1_epi32($floats.zero_point);
        for vector in 0..$vectors {
            let column = $column + vector * LANES;
            let width = LANES.min($floats.columns - column);
            let (Some(scales), Some(bias), Some(column_sums)) = (
                end.scales[column..].first_chunk(),
                end.bias[column..].first_chunk(),
                end.column_sums[column..].first_chunk(),
            ) else {
                return;
            };
            let factor = _mm256_mul_ps(scale, load_f32x8(scales));
            let excess = _mm256_mullo_epi32(zero_point, load_i32x8(column_sums));
            let bias = load_f32x8(bias);
            for row in 0..$count {
                let sum = _mm256_cvtepi32_ps(_mm256_sub_epi32($sums[row][vector], excess));
                let value = _mm256_add_ps(_mm256_mul_ps(sum, factor), bias);
                let value = _mm256_min_ps(_mm256_max_ps(value, least), largest);
                let target = &mut $output[($first + row) * $floats.columns + column..];
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_f32x8(target, value),
                    _ => {
                        let mut whole = [0.0; LANES];
                        store_f32x8(&mut whole, value);
                        target[..width].copy_from_slice(&whole[..width]);
                    }
                }
            }
        }
    };
}

products!(multiply_to_bytes, multiply_tile_to_bytes, Bytes, u8, finish_bytes);
products!(multiply_to_floats, multiply_tile_to_floats, Floats, f32, finish_floats);

/// Widens bytes to 16-bit numbers; the target is as long, in whole vectors.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn widen(bytes: &[u8], target: &mut [i16]) {
    let (vectors, rest) = bytes.as_chunks::<16>();
    let (targets, _) = target.as_chunks_mut::<16>();
    for (target, bytes) in targets.iter_mut().zip(vectors) {
        store_i16x16(target, _mm256_cvtepu8_epi16(load_u8x16(bytes)));
    }
    if let (Some(target), false) = (targets.get_mut(vectors.len()), rest.is_empty()) {
        *target = [0; 16];
        for (target, &byte) in target.iter_mut().zip(rest) {
            *target = i16::from(byte);
        }
    }
}
