//! The product with AVX-512 VNNI: four unsigned by signed products a lane and instruction.

use std::arch::x86_64::*;

use super::{ToBytes, ToFloats};
use crate::kernels::panels::{Rows, deal_panels};
use crate::simd::x86_64::{
    Avx512Vnni, Line, load_f32x16, load_i32x16, load_line, load_u8x64, store_f32x16,
    store_f32x16_part, store_line, store_u8x16, store_u8x16_part,
};

/// Columns of one vector.
const LANES: usize = 16;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 4;

/// Weights as signed bytes in panels of up to four vectors of columns, four rows to a lane.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    depth: usize,
    columns: usize,
    /// What was added to each weight of a column to make it a signed byte; empty if nothing.
    offsets: Vec<i32>,
}

/// The vectors of one panel, for each step of four rows in turn.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<Line>,
}

impl Weights {
    pub(super) fn new(transposed: &[i16], depth: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        let fits = |weights: &[i16]| weights.iter().all(|&weight| i8::try_from(weight).is_ok());
        let offsets = if fits(transposed) {
            Vec::new()
        } else {
            // Weights of bytes less their zero point, and zero, span at most 256 values.
            let shift = |column: &[i16]| match column.iter().min() {
                Some(&least) if !fits(column) => -128 - i32::from(least.min(0)),
                _ => 0,
            };
            let mut offsets: Vec<i32> = transposed.chunks_exact(depth.max(1)).map(shift).collect();
            offsets.resize(columns.next_multiple_of(LANES), 0);
            offsets
        };
        let weight = |row: usize, column: usize| {
            if column >= columns {
                return 0;
            }
            let centred = if row < depth { i32::from(transposed[column * depth + row]) } else { 0 };
            // The shift makes every weight of the column, and zero, a signed byte.
            (centred + offsets.get(column).copied().unwrap_or(0)) as i8
        };
        let vectors = columns.div_ceil(LANES);
        let mut panels = Vec::new();
        for (first, width) in deal_panels(vectors, MAX_VECTORS) {
            let mut lines = Vec::with_capacity(depth.div_ceil(4) * width);
            for step in 0..depth.div_ceil(4) {
                for vector in first..first + width {
                    let mut line = Line::ZERO;
                    for lane in 0..LANES {
                        for part in 0..4 {
                            line.0[lane * 4 + part] =
                                weight(step * 4 + part, vector * LANES + lane).cast_unsigned();
                        }
                    }
                    lines.push(line);
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors: width, lines });
        }
        Self { panels, depth, columns, offsets }
    }

    pub(super) fn multiply_to_bytes(
        &self,
        _token: Avx512Vnni,
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
        _token: Avx512Vnni,
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

/// Rows that go through all panels together: their bytes stay in the nearest cache.
const ROW_BLOCK: usize = 192;

/// The functions of one kind of result. The way from sums to results is written into the tile, so
/// that sums stay in registers.
macro_rules! products {
    ($multiply:ident, $multiply_panel:ident, $multiply_tile:ident, $End:ident, $Result:ty, $finish:ident) => {
        /// Multiplies block by block of rows, panel by panel, in tiles of as many rows as
        /// registers allow.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn $multiply(
            weights: &Weights,
            rows: Rows<'_, u8>,
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            for first in (0..rows.count).step_by(ROW_BLOCK) {
                let block = Rows {
                    values: &rows.values[first * rows.stride..],
                    count: ROW_BLOCK.min(rows.count - first),
                    ..rows
                };
                let output = &mut output[first * weights.columns..];
                let mut row_sums = [0; ROW_BLOCK];
                if !weights.offsets.is_empty() {
                    sum_rows(block, weights.depth.div_ceil(4), &mut row_sums);
                }
                for panel in &weights.panels {
                    match panel.vectors {
                        1 => {
                            $multiply_panel::<12, 1>(weights, panel, block, &row_sums, end, output)
                        }
                        2 => {
                            $multiply_panel::<12, 2>(weights, panel, block, &row_sums, end, output)
                        }
                        3 => $multiply_panel::<8, 3>(weights, panel, block, &row_sums, end, output),
                        _ => $multiply_panel::<6, 4>(weights, panel, block, &row_sums, end, output),
                    }
                }
            }
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn $multiply_panel<const ROWS: usize, const VECTORS: usize>(
            weights: &Weights,
            panel: &Panel,
            rows: Rows<'_, u8>,
            row_sums: &[i32; ROW_BLOCK],
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            if rows.count < ROWS {
                for row in 0..rows.count {
                    $multiply_tile::<1, VECTORS>(weights, panel, rows, row_sums, row, end, output);
                }
                return;
            }
            let mut first = 0;
            while first < rows.count {
                // The last tile begins early enough to be whole; it computes some rows again.
                let start = first.min(rows.count - ROWS);
                $multiply_tile::<ROWS, VECTORS>(weights, panel, rows, row_sums, start, end, output);
                first += ROWS;
            }
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        #[inline]
        fn $multiply_tile<const ROWS: usize, const VECTORS: usize>(
            weights: &Weights,
            panel: &Panel,
            rows: Rows<'_, u8>,
            row_sums: &[i32; ROW_BLOCK],
            first: usize,
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            let steps = weights.depth.div_ceil(4);
            let mut bytes: [&[[u8; 4]]; ROWS] = [&[]; ROWS];
            for (row, bytes) in bytes.iter_mut().enumerate() {
                *bytes = &rows.row(first + row, steps * 4).as_chunks::<4>().0[..steps];
            }
            let lines = &panel.lines.as_chunks::<VECTORS>().0[..steps];
            let mut sums = [[_mm512_setzero_si512(); VECTORS]; ROWS];
            for step in 0..steps {
                let mut factors = [_mm512_setzero_si512(); VECTORS];
                for vector in 0..VECTORS {
                    factors[vector] = load_line(&lines[step][vector]);
                }
                for row in 0..ROWS {
                    let value = _mm512_set1_epi32(i32::from_le_bytes(bytes[row][step]));
                    for vector in 0..VECTORS {
                        sums[row][vector] =
                            _mm512_dpbusd_epi32(sums[row][vector], value, factors[vector]);
                    }
                }
            }
            if !weights.offsets.is_empty() {
                let offsets =
                    &weights.offsets[panel.first_column..].as_chunks::<LANES>().0[..VECTORS];
                for row in 0..ROWS {
                    let sum = _mm512_set1_epi32(row_sums[first + row]);
                    for vector in 0..VECTORS {
                        let excess = _mm512_mullo_epi32(sum, load_i32x16(&offsets[vector]));
                        sums[row][vector] = _mm512_sub_epi32(sums[row][vector], excess);
                    }
                }
            }
            $finish!(sums, first, panel.first_column, end, output, ROWS, VECTORS);
        }
    };
}

/// Requantises sums and stores them.
macro_rules! finish_bytes {
    ($sums:ident, $first:expr, $column:expr, $bytes:ident, $output:ident, $rows:ident, $vectors:ident) => {
        let (end, column) = ($bytes.end, $column);
        let scales = &end.scales[column..].as_chunks::<LANES>().0[..$vectors];
        let bias = &end.bias[column..].as_chunks::<LANES>().0[..$vectors];
        let (least, largest, zero_point) = end.output.parts();
        let (least, largest) = (_mm512_set1_ps(least), _mm512_set1_ps(largest));
        let zero_point = _mm512_set1_epi32(zero_point);
        let width = $bytes.columns - column;
        for row in 0..$rows {
            let mut results = [_mm512_setzero_si512(); $vectors];
            for vector in 0..$vectors {
                let sum = _mm512_add_epi32($sums[row][vector], load_i32x16(&bias[vector]));
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), load_f32x16(&scales[vector]));
                let clamped = _mm512_min_ps(_mm512_max_ps(scaled, least), largest);
                results[vector] = _mm512_add_epi32(_mm512_cvtps_epi32(clamped), zero_point);
            }
            let target = &mut $output[($first + row) * $bytes.columns + column..];
            if $vectors == 4 && width >= 4 * LANES {
                let halves = (
                    _mm512_packs_epi32(results[0], results[1 % $vectors]),
                    _mm512_packs_epi32(results[2 % $vectors], results[3 % $vectors]),
                );
                let packed = _mm512_packus_epi16(halves.0, halves.1);
                // Packing works within quarters of a vector: gather what belongs together.
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                if let Some(target) = target.first_chunk_mut::<64>() {
                    store_line(target, _mm512_permutexvar_epi32(order, packed));
                }
                continue;
            }
            for vector in 0..$vectors {
                let narrow = _mm512_cvtepi32_epi8(results[vector]);
                let target = &mut target[vector * LANES..];
                let width = LANES.min(width - vector * LANES);
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_u8x16(target, narrow),
                    _ => store_u8x16_part(&mut target[..width], narrow),
                }
            }
        }
    };
}

/// Scales sums to floats and stores them.
macro_rules! finish_floats {
    ($sums:ident, $first:expr, $column:expr, $floats:ident, $output:ident, $rows:ident, $vectors:ident) => {
        let (end, column) = ($floats.end, $column);
        let scales = &end.scales[column..].as_chunks::<LANES>().0[..$vectors];
        let bias = &end.bias[column..].as_chunks::<LANES>().0[..$vectors];
        let column_sums = &end.column_sums[column..].as_chunks::<LANES>().0[..$vectors];
        let (least, largest) = (_mm512_set1_ps(end.range.0), _mm512_set1_ps(end.range.1));
        let scale = _mm512_set1_ps($floats.scale);
        let zero_point = _mm512_set1_epi32($floats.zero_point);
        for row in 0..$rows {
            for vector in 0..$vectors {
                let excess = _mm512_mullo_epi32(zero_point, load_i32x16(&column_sums[vector]));
                let sum = _mm512_cvtepi32_ps(_mm512_sub_epi32($sums[row][vector], excess));
                let factor = _mm512_mul_ps(scale, load_f32x16(&scales[vector]));
                let value = _mm512_add_ps(_mm512_mul_ps(sum, factor), load_f32x16(&bias[vector]));
                let value = _mm512_min_ps(_mm512_max_ps(value, least), largest);
                let start = column + vector * LANES;
                let target = &mut $output[($first + row) * $floats.columns + start..];
                let width = LANES.min($floats.columns - start);
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_f32x16(target, value),
                    _ => store_f32x16_part(&mut target[..width], value),
                }
            }
        }
    };
}

products!(
    multiply_to_bytes,
    multiply_panel_to_bytes,
    multiply_tile_to_bytes,
    Bytes,
    u8,
    finish_bytes
);
products!(
    multiply_to_floats,
    multiply_panel_to_floats,
    multiply_tile_to_floats,
    Floats,
    f32,
    finish_floats
);

/// The sum of each row's bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sum_rows(rows: Rows<'_, u8>, steps: usize, sums: &mut [i32; ROW_BLOCK]) {
    let ones = _mm512_set1_epi8(1);
    for (row, result) in sums.iter_mut().enumerate().take(rows.count) {
        let (lines, rest) = rows.row(row, steps * 4).as_chunks::<64>();
        let mut sum = _mm512_setzero_si512();
        for line in lines {
            sum = _mm512_dpbusd_epi32(sum, load_u8x64(line), ones);
        }
        let rest: i32 = rest.iter().map(|&byte| i32::from(byte)).sum();
        *result = _mm512_reduce_add_epi32(sum) + rest;
    }
}
