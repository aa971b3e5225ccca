//! The product with AVX-512 VNNI: four unsigned by signed products a lane and instruction.

use std::arch::x86_64::*;

use super::{ToBytes, ToFloats};
use crate::kernels::panels::{Windows, deal_panels};
use crate::simd::x86_64::{
    Avx512Vnni, FloatLine, Line, load_f32x16, load_i32x16, load_line, load_u8x16, load_u8x64_part,
    store_f32x16, store_f32x16_part, store_i32x16, store_line, store_u8x16_part,
};

/// Columns of one vector.
const LANES: usize = 16;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 4;

/// The most sums of a tile.
const MAX_SUMS: usize = 24;

/// Values that meet one lane of weights in one step.
const STEP: usize = 4;

/// Weights as signed bytes in panels of up to four vectors of columns, four rows to a lane.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    columns: usize,
    /// What was added to each weight of a column to make it a signed byte; empty if nothing.
    offsets: Vec<i32>,
}

/// The vectors of one panel, for each step of four rows in turn. What a run of rows lacks of whole
/// steps are weights of zero, with their offsets.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<Line>,
}

impl Weights {
    /// Packs columns of `depth` weights, which meet runs of `run` values.
    pub(super) fn new(transposed: &[i16], depth: usize, run: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        // Weights of bytes less their zero point, and zero, span at most 256 values.
        let offset = |column: &[i16]| {
            let range = column.iter().fold((0, 0), |(least, largest): (i16, i16), &weight| {
                (least.min(weight), largest.max(weight))
            });
            match range {
                (-128.., ..=127) => 0,
                (least, _) => -128 - i32::from(least),
            }
        };
        let mut offsets: Vec<i32> = transposed.chunks_exact(depth.max(1)).map(offset).collect();
        if offsets.iter().all(|&offset| offset == 0) {
            offsets.clear();
        }
        offsets.resize(offsets.len().next_multiple_of(LANES), 0);
        let vectors = columns.div_ceil(LANES);
        let mut panels = Vec::new();
        for (first, width) in deal_panels(vectors, MAX_VECTORS) {
            let mut lines =
                vec![Line::ZERO; depth.div_ceil(run.max(1)) * run.div_ceil(STEP) * width];
            for column in first * LANES..((first + width) * LANES).min(columns) {
                let (vector, lane) = (column / LANES - first, column % LANES);
                let offset = offsets.get(column).copied().unwrap_or(0);
                let weights = transposed[column * depth..][..depth].chunks(run.max(1));
                let steps = weights.flat_map(|run| run.chunks(STEP));
                for (line, weights) in lines.iter_mut().skip(vector).step_by(width).zip(steps) {
                    for (place, byte) in line.0[lane * STEP..][..STEP].iter_mut().enumerate() {
                        let weight = weights.get(place).copied().map_or(0, i32::from);
                        // The offset makes every weight of the column a signed byte.
                        *byte = (weight + offset) as u8;
                    }
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors: width, lines });
        }
        Self { panels, columns, offsets }
    }

    pub(super) fn multiply_to_bytes(
        &self,
        _token: Avx512Vnni,
        rows: Windows<'_, u8>,
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
        rows: Windows<'_, u8>,
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

/// The most values of rows that are added up beside the products of the first panel; those of longer
/// rows are added up before.
const FEW_VALUES: usize = 64;

/// The most rows that go through all panels together: their bytes stay in the nearer caches.
const ROW_BLOCK: usize = 256;

/// The functions of one kind of result. The way from sums to results is written into the tile, so
/// that sums stay in registers.
macro_rules! products {
    ($multiply:ident, $multiply_panel:ident, $multiply_tile:ident, $accumulate:ident, $End:ident, $Result:ty, $begin:ident, $finish:ident) => {
        /// Multiplies block by block of rows, panel by panel, in tiles of as many rows as
        /// registers allow.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn $multiply(
            weights: &Weights,
            rows: Windows<'_, u8>,
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            let mut row_sums = [0; ROW_BLOCK];
            let are_few = rows.offsets.len() * rows.run <= FEW_VALUES;
            let block = rows.count.div_ceil(rows.count.div_ceil(ROW_BLOCK).max(1)).max(1);
            for first in (0..rows.count).step_by(block) {
                let block = Block {
                    rows,
                    first,
                    count: block.min(rows.count - first),
                    offsets: &weights.offsets,
                };
                let sums = &mut row_sums;
                let (first, rest) = match weights.panels.split_first() {
                    Some((first, rest)) if are_few && !weights.offsets.is_empty() => {
                        (Some(first), rest)
                    }
                    _ => (None, &weights.panels[..]),
                };
                if let Some(panel) = first {
                    match panel.vectors {
                        1 => $multiply_panel::<12, 11, 1, true>(panel, &block, sums, end, output),
                        2 => $multiply_panel::<8, 7, 2, true>(panel, &block, sums, end, output),
                        3 => $multiply_panel::<6, 5, 3, true>(panel, &block, sums, end, output),
                        _ => $multiply_panel::<5, 4, 4, true>(panel, &block, sums, end, output),
                    }
                } else if !weights.offsets.is_empty() {
                    sum_rows(&block, sums);
                }
                for panel in rest {
                    match panel.vectors {
                        1 => $multiply_panel::<12, 11, 1, false>(panel, &block, sums, end, output),
                        2 => $multiply_panel::<12, 11, 2, false>(panel, &block, sums, end, output),
                        3 => $multiply_panel::<8, 7, 3, false>(panel, &block, sums, end, output),
                        _ => $multiply_panel::<6, 5, 4, false>(panel, &block, sums, end, output),
                    }
                }
            }
        }

        /// Multiplies a panel in tiles of `MORE` rows and of one `LESS`, or where no such tiles
        /// come out even, of `MORE` rows, some of which are computed again.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn $multiply_panel<
            const MORE: usize,
            const LESS: usize,
            const VECTORS: usize,
            const ADDS: bool,
        >(
            panel: &Panel,
            block: &Block<'_>,
            row_sums: &mut [i32; ROW_BLOCK],
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            if block.count < LESS {
                for row in 0..block.count {
                    $multiply_tile::<1, VECTORS, ADDS>(panel, block, row_sums, row, end, output);
                }
                return;
            }
            let tiles = block.count.div_ceil(MORE);
            let (mut next, less) = (0, tiles * MORE - block.count);
            if less <= tiles {
                for _ in 0..less {
                    $multiply_tile::<LESS, VECTORS, ADDS>(
                        panel, block, row_sums, next, end, output,
                    );
                    next += LESS;
                }
            }
            while next < block.count {
                let first = next.min(block.count - MORE);
                $multiply_tile::<MORE, VECTORS, ADDS>(panel, block, row_sums, first, end, output);
                next += MORE;
            }
        }

        /// Computes some rows of a panel, from row `first` of the block on. Either `ADDS` up the
        /// values of rows as well, or has the sums that weights with offsets need.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        #[inline]
        fn $multiply_tile<const ROWS: usize, const VECTORS: usize, const ADDS: bool>(
            panel: &Panel,
            block: &Block<'_>,
            row_sums: &mut [i32; ROW_BLOCK],
            first: usize,
            end: &$End<'_>,
            output: &mut [$Result],
        ) {
            $begin!(begin, panel.first_column, end, VECTORS);
            let starts = block.rows.starts(block.first + first);
            let (mut sums, added) =
                $accumulate::<ROWS, VECTORS, ADDS>(panel, block.rows, starts, [begin; ROWS]);
            if ADDS || !block.offsets.is_empty() {
                let offsets =
                    &block.offsets[panel.first_column..].as_chunks::<LANES>().0[..VECTORS];
                let row_sums = &mut row_sums[first..][..ROWS];
                for row in 0..ROWS {
                    let mut sum = added[row];
                    if ADDS {
                        row_sums[row] = _mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
                    } else {
                        sum = _mm512_set1_epi32(row_sums[row]);
                    }
                    for vector in 0..VECTORS {
                        let excess = _mm512_mullo_epi32(sum, load_i32x16(&offsets[vector]));
                        sums[row][vector] = _mm512_sub_epi32(sums[row][vector], excess);
                    }
                }
            }
            let first = block.first + first;
            $finish!(sums, first, panel.first_column, end, output, ROWS, VECTORS);
        }

        /// Adds the products of rows and a panel to sums; returns the sum of each row too, in every
        /// lane, if it `ADDS` up their values.
        ///
        /// A function of its own, in which every index of a sum is a constant: sums that are indexed by a
        /// variable anywhere are kept in memory, and stored at every step.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        #[inline]
        fn $accumulate<const ROWS: usize, const VECTORS: usize, const ADDS: bool>(
            panel: &Panel,
            rows: Windows<'_, u8>,
            starts: [usize; ROWS],
            mut sums: [[__m512i; VECTORS]; ROWS],
        ) -> ([[__m512i; VECTORS]; ROWS], [__m512i; ROWS]) {
            let ones = _mm512_set1_epi8(1);
            let mut added = [_mm512_setzero_si512(); ROWS];
            let steps = rows.run.div_ceil(STEP);
            let runs = panel.lines.as_chunks::<VECTORS>().0.chunks_exact(steps.max(1));
            for (&offset, lines) in rows.offsets.iter().zip(runs) {
                let mut bytes: [&[[u8; STEP]]; ROWS] = [&[]; ROWS];
                for (bytes, start) in bytes.iter_mut().zip(starts) {
                    let run = &rows.values[start + offset..][..steps * STEP];
                    *bytes = &run.as_chunks::<STEP>().0[..steps];
                }
                for step in 0..steps {
                    let mut factors = [_mm512_setzero_si512(); VECTORS];
                    for vector in 0..VECTORS {
                        factors[vector] = load_line(&lines[step][vector]);
                    }
                    for row in 0..ROWS {
                        let value = _mm512_set1_epi32(i32::from_le_bytes(bytes[row][step]));
                        if ADDS {
                            added[row] = _mm512_dpbusd_epi32(added[row], value, ones);
                        }
                        for vector in 0..VECTORS {
                            sums[row][vector] =
                                _mm512_dpbusd_epi32(sums[row][vector], value, factors[vector]);
                        }
                    }
                }
            }
            (sums, added)
        }
    };
}

/// Rows that go through all panels together.
struct Block<'a> {
    rows: Windows<'a, u8>,
    first: usize,
    count: usize,
    /// The offsets of all weights.
    offsets: &'a [i32],
}

/// Sums that become bytes begin with the bias.
macro_rules! begin_bytes {
    ($begin:ident, $column:expr, $bytes:ident, $vectors:ident) => {
        let bias = &$bytes.end.bias[$column..].as_chunks::<LANES>().0[..$vectors];
        let mut $begin = [_mm512_setzero_si512(); $vectors];
        for vector in 0..$vectors {
            $begin[vector] = load_i32x16(&bias[vector]);
        }
    };
}

/// Sums that become floats begin with what the zero point makes too much.
macro_rules! begin_floats {
    ($begin:ident, $column:expr, $floats:ident, $vectors:ident) => {
        let column_sums = &$floats.end.column_sums[$column..].as_chunks::<LANES>().0[..$vectors];
        let less = _mm512_set1_epi32($floats.zero_point.wrapping_neg());
        let mut $begin = [_mm512_setzero_si512(); $vectors];
        for vector in 0..$vectors {
            $begin[vector] = _mm512_mullo_epi32(less, load_i32x16(&column_sums[vector]));
        }
    };
}

/// Requantises sums and stores them.
macro_rules! finish_bytes {
    ($sums:ident, $first:expr, $column:expr, $bytes:ident, $output:ident, $rows:ident, $vectors:ident) => {
        let (end, column) = ($bytes.end, $column);
        let scales = &end.scales[column..].as_chunks::<LANES>().0[..$vectors];
        let (_, limit, zero_point) = end.output.parts();
        let limit = _mm512_set1_ps(limit);
        // A zero point of bytes is a byte.
        let zero_point = _mm512_set1_epi16(zero_point as i16);
        let (least, largest) = end.output.bytes();
        let clamps = (least, largest) != (0, 255);
        let (least, largest) =
            (_mm512_set1_epi8(least.cast_signed()), _mm512_set1_epi8(largest.cast_signed()));
        // Packing works within quarters of a vector: gather what belongs together.
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        let width = $bytes.columns - column;
        let target = &mut $output[$first * $bytes.columns + column..];
        // Four vectors are packed at a time, of one row or of several. Loops over sums are short, so
        // that they are unrolled, and no index of a sum is a variable.
        let mut packed = PackedTile([[0; 64]; MAX_SUMS / 4]);
        for group in 0..($rows * $vectors).div_ceil(4) {
            let mut results = [_mm512_setzero_si512(); 4];
            for place in 0..4 {
                let index = group * 4 + place;
                if index < $rows * $vectors {
                    let sum = _mm512_cvtepi32_ps($sums[index / $vectors][index % $vectors]);
                    let mut scaled = _mm512_mul_ps(sum, load_f32x16(&scales[index % $vectors]));
                    if end.overflows {
                        scaled = _mm512_min_ps(scaled, limit);
                    }
                    results[place] = _mm512_cvtps_epi32(scaled);
                }
            }
            let low = _mm512_packs_epi32(results[0], results[1]);
            let high = _mm512_packs_epi32(results[2], results[3]);
            let mut bytes = _mm512_packus_epi16(
                _mm512_adds_epi16(low, zero_point),
                _mm512_adds_epi16(high, zero_point),
            );
            if clamps {
                bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, least), largest);
            }
            let bytes = _mm512_permutexvar_epi32(order, bytes);
            store_line(&mut packed.0[group], bytes);
        }
        let rows = target.chunks_mut($bytes.columns).take($rows);
        for (target, bytes) in rows.zip(packed.0.as_flattened().chunks_exact($vectors * LANES)) {
            if width >= $vectors * LANES {
                target[..$vectors * LANES].copy_from_slice(bytes);
                continue;
            }
            for (target, bytes) in target[..width].chunks_mut(LANES).zip(bytes.as_chunks().0) {
                store_u8x16_part(target, load_u8x16(bytes));
            }
        }
    };
}

/// The results of a tile as bytes, on cache lines of their own.
#[repr(C, align(64))]
struct PackedTile([[u8; 64]; MAX_SUMS / 4]);

/// Scales sums to floats and stores them.
macro_rules! finish_floats {
    ($sums:ident, $first:expr, $column:expr, $floats:ident, $output:ident, $rows:ident, $vectors:ident) => {
        let (end, column) = ($floats.end, $column);
        let scales = &end.scales[column..].as_chunks::<LANES>().0[..$vectors];
        let bias = &end.bias[column..].as_chunks::<LANES>().0[..$vectors];
        let (least, largest) = (_mm512_set1_ps(end.range.0), _mm512_set1_ps(end.range.1));
        let scale = _mm512_set1_ps($floats.scale);
        let mut results = [FloatLine::ZERO; MAX_SUMS];
        for row in 0..$rows {
            for vector in 0..$vectors {
                let sum = _mm512_cvtepi32_ps($sums[row][vector]);
                let factor = _mm512_mul_ps(scale, load_f32x16(&scales[vector]));
                let value = _mm512_add_ps(_mm512_mul_ps(sum, factor), load_f32x16(&bias[vector]));
                let value = _mm512_min_ps(_mm512_max_ps(value, least), largest);
                store_f32x16(&mut results[row * $vectors + vector].0, value);
            }
        }
        let width = $floats.columns - column;
        let target = &mut $output[$first * $floats.columns + column..];
        let rows = target.chunks_mut($floats.columns).take($rows);
        for (target, results) in rows.zip(results.chunks_exact($vectors)) {
            for (index, result) in results.iter().enumerate() {
                let width = LANES.min(width - index * LANES);
                let target = &mut target[index * LANES..];
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => *target = result.0,
                    _ => store_f32x16_part(&mut target[..width], load_f32x16(&result.0)),
                }
            }
        }
    };
}

products!(
    multiply_to_bytes,
    multiply_panel_to_bytes,
    multiply_tile_to_bytes,
    accumulate_for_bytes,
    Bytes,
    u8,
    begin_bytes,
    finish_bytes
);
products!(
    multiply_to_floats,
    multiply_panel_to_floats,
    multiply_tile_to_floats,
    accumulate_for_floats,
    Floats,
    f32,
    begin_floats,
    finish_floats
);

/// The sum of each row's bytes, what is read behind its runs included.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sum_rows(block: &Block<'_>, sums: &mut [i32; ROW_BLOCK]) {
    let ones = _mm512_set1_epi8(1);
    let (groups, _) = sums.as_chunks_mut::<LANES>();
    let rows = block.rows;
    let read = rows.run.next_multiple_of(STEP);
    for (group, results) in groups.iter_mut().enumerate().take(block.count.div_ceil(LANES)) {
        let mut starts: [usize; LANES] = rows.starts(block.first + group * LANES);
        let count = block.count - group * LANES;
        if count < LANES {
            let last = starts[count - 1];
            starts[count..].fill(last);
        }
        let mut sums = [_mm512_setzero_si512(); LANES];
        for &offset in rows.offsets {
            for part in (0..read).step_by(64) {
                let len = (read - part).min(64);
                for lane in 0..LANES {
                    let bytes = &rows.values[starts[lane] + offset + part..][..len];
                    sums[lane] = _mm512_dpbusd_epi32(sums[lane], load_u8x64_part(bytes), ones);
                }
            }
        }
        store_i32x16(results, add_lanes(sums));
    }
}

/// The sum of the lanes of each vector.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_lanes(vectors: [__m512i; LANES]) -> __m512i {
    // For every four vectors, the sums of each quarter of them, side by side.
    let mut fours = [_mm512_setzero_si512(); 4];
    for (four, vectors) in fours.iter_mut().zip(vectors.as_chunks::<4>().0) {
        let [a, b, c, d] = *vectors;
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        *four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    let [a, b, c, d] = fours;
    let ab = add_quarters(a, b);
    let cd = add_quarters(c, d);
    add_quarters(ab, cd)
}

/// The sums of neighbouring quarters, those of the first vector in front.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_quarters(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
}
