//! The product with NEON: rows widened to 16 bits in registers, exact for any bytes; and what it
//! shares with the product by dot products.

use std::arch::aarch64::*;
use std::fmt::Debug;

use super::{ToBytes, ToFloats};
use crate::kernels::panels::{Rows, deal_panels};
use crate::simd::aarch64::{
    Neon, load_f32x4, load_i16x8, load_i32x4, load_u8x8, store_f32x4, store_f32x4_part, store_u8x8,
    store_u8x8_part,
};

/// Columns of one vector.
pub(super) const LANES: usize = 8;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 2;

/// Rows that go through all panels together: their bytes stay in the nearest cache.
const ROW_BLOCK: usize = 48;

/// The sums of one vector's columns.
pub(super) type Vector = [int32x4_t; 2];

/// How an instruction set multiplies; its proof.
pub(super) trait Products: Copy + Debug {
    /// The weights of some neighbouring vectors of columns.
    type Panel: Clone + Debug;

    /// Packs as many vectors of columns as `vectors`, from column `first` on.
    fn pack(transposed: &[i16], depth: usize, first: usize, vectors: usize) -> Self::Panel;

    /// Multiplies `ROWS` rows with the `VECTORS` vectors of a panel and ends their sums.
    fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
        self,
        panel: &Self::Panel,
        rows: [&[u8]; ROWS],
        place: Place,
        end: &E,
        output: &mut [E::Result],
    );
}

/// Where the results of a tile begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    row: usize,
    column: usize,
}

/// Weights in panels of up to two vectors of columns.
#[derive(Clone, Debug)]
pub(super) struct Weights<P: Products> {
    products: P,
    panels: Vec<Panel<P::Panel>>,
    depth: usize,
    columns: usize,
}

#[derive(Clone, Debug)]
struct Panel<W> {
    first_column: usize,
    vectors: usize,
    weights: W,
}

impl<P: Products> Weights<P> {
    pub(super) fn new(products: P, transposed: &[i16], depth: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        let panels = deal_panels(columns.div_ceil(LANES), MAX_VECTORS)
            .map(|(first, vectors)| Panel {
                first_column: first * LANES,
                vectors,
                weights: P::pack(transposed, depth, first * LANES, vectors),
            })
            .collect();
        Self { products, panels, depth, columns }
    }

    pub(super) fn multiply_to_bytes(
        &self,
        neon: Neon,
        rows: Rows<'_, u8>,
        end: &ToBytes,
        output: &mut [u8],
    ) {
        self.multiply(rows, &Bytes { neon, end, columns: self.columns }, output);
    }

    pub(super) fn multiply_to_floats(
        &self,
        neon: Neon,
        rows: Rows<'_, u8>,
        (scale, zero_point): (f32, i32),
        end: &ToFloats,
        output: &mut [f32],
    ) {
        let end = Floats { neon, end, scale, zero_point, columns: self.columns };
        self.multiply(rows, &end, output);
    }

    /// Multiplies block by block of rows, panel by panel, in tiles of as many rows as registers
    /// allow.
    fn multiply<E: End>(&self, rows: Rows<'_, u8>, end: &E, output: &mut [E::Result]) {
        for first in (0..rows.count).step_by(ROW_BLOCK) {
            let block_end = rows.count.min(first + ROW_BLOCK);
            for panel in &self.panels {
                let mut row = first;
                while row < block_end {
                    row += match (block_end - row, panel.vectors) {
                        (4.., 2) => self.multiply_tile::<E, 4, 2>(panel, rows, row, end, output),
                        (4.., _) => self.multiply_tile::<E, 4, 1>(panel, rows, row, end, output),
                        (2.., 2) => self.multiply_tile::<E, 2, 2>(panel, rows, row, end, output),
                        (2.., _) => self.multiply_tile::<E, 2, 1>(panel, rows, row, end, output),
                        (_, 2) => self.multiply_tile::<E, 1, 2>(panel, rows, row, end, output),
                        _ => self.multiply_tile::<E, 1, 1>(panel, rows, row, end, output),
                    };
                }
            }
        }
    }

    /// Returns the number of rows.
    fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
        &self,
        panel: &Panel<P::Panel>,
        rows: Rows<'_, u8>,
        row: usize,
        end: &E,
        output: &mut [E::Result],
    ) -> usize {
        let values = std::array::from_fn(|index| rows.row(row + index, self.depth));
        let place = Place { row, column: panel.first_column };
        self.products.multiply_tile::<E, ROWS, VECTORS>(&panel.weights, values, place, end, output);
        ROWS
    }
}

impl Products for Neon {
    /// The weights of each vector for each row of weights in turn.
    type Panel = Vec<[i16; LANES]>;

    fn pack(transposed: &[i16], depth: usize, first: usize, vectors: usize) -> Self::Panel {
        let mut lines = vec![[0; LANES]; depth * vectors];
        let columns = transposed.chunks_exact(depth.max(1)).skip(first).take(vectors * LANES);
        for (column, weights) in columns.enumerate() {
            for (row, &weight) in weights.iter().enumerate() {
                lines[row * vectors + column / LANES][column % LANES] = weight;
            }
        }
        lines
    }

    fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
        self,
        panel: &Self::Panel,
        rows: [&[u8]; ROWS],
        place: Place,
        end: &E,
        output: &mut [E::Result],
    ) {
        // SAFETY: the proof exists only on processors that have the function's features.
        unsafe { multiply_tile::<E, ROWS, VECTORS>(panel, rows, place, end, output) }
    }
}

/// Rows of weights that one load of eight bytes meets.
const STEPS: usize = 8;

#[target_feature(enable = "neon")]
fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
    panel: &[[i16; LANES]],
    rows: [&[u8]; ROWS],
    place: Place,
    end: &E,
    output: &mut [E::Result],
) {
    let start = [[[vdupq_n_s32(0); 2]; VECTORS]; ROWS];
    let sums = accumulate::<ROWS, VECTORS>(panel, rows, start);
    end.finish(place, &sums, output);
}

/// Adds the products of rows and a panel to sums.
///
/// A function of its own, in which every index of a sum is a constant: sums that are indexed by a
/// variable anywhere are kept in memory, and stored at every step.
#[inline]
#[target_feature(enable = "neon")]
fn accumulate<const ROWS: usize, const VECTORS: usize>(
    panel: &[[i16; LANES]],
    rows: [&[u8]; ROWS],
    mut sums: [[Vector; VECTORS]; ROWS],
) -> [[Vector; VECTORS]; ROWS] {
    /// Adds the products of one lane of each row's values with one row of weights.
    macro_rules! add_products {
        ($lane:literal, $line:expr, $values:ident) => {
            for vector in 0..VECTORS {
                let weights = load_i16x8(&$line[vector]);
                for row in 0..ROWS {
                    let ([low, high], values) = (sums[row][vector], $values[row]);
                    sums[row][vector] = [
                        vmlal_laneq_s16::<$lane>(low, vget_low_s16(weights), values),
                        vmlal_high_laneq_s16::<$lane>(high, weights, values),
                    ];
                }
            }
        };
    }
    let (blocks, rest) = panel.as_chunks::<VECTORS>().0.as_chunks::<STEPS>();
    let mut chunks: [&[[u8; STEPS]]; ROWS] = [&[]; ROWS];
    let mut ends: [&[u8]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks::<STEPS>().0[..blocks.len()];
        ends[row] = &rows[row][blocks.len() * STEPS..][..rest.len()];
    }
    for (index, block) in blocks.iter().enumerate() {
        let mut values = [vdupq_n_s16(0); ROWS];
        for row in 0..ROWS {
            values[row] = vreinterpretq_s16_u16(vmovl_u8(load_u8x8(&chunks[row][index])));
        }
        add_products!(0, block[0], values);
        add_products!(1, block[1], values);
        add_products!(2, block[2], values);
        add_products!(3, block[3], values);
        add_products!(4, block[4], values);
        add_products!(5, block[5], values);
        add_products!(6, block[6], values);
        add_products!(7, block[7], values);
    }
    for (index, line) in rest.iter().enumerate() {
        let mut values = [vdupq_n_s16(0); ROWS];
        for row in 0..ROWS {
            values[row] = vdupq_n_s16(i16::from(ends[row][index]));
        }
        add_products!(0, line, values);
    }
    sums
}

/// What becomes of sums.
pub(super) trait End {
    /// An element of the result.
    type Result;

    /// Ends the sums of a tile and stores the results.
    fn finish<const ROWS: usize, const VECTORS: usize>(
        &self,
        place: Place,
        sums: &[[Vector; VECTORS]; ROWS],
        output: &mut [Self::Result],
    );
}

/// What turns sums into bytes.
struct Bytes<'a> {
    neon: Neon,
    end: &'a ToBytes,
    columns: usize,
}

impl End for Bytes<'_> {
    type Result = u8;

    #[inline(always)]
    fn finish<const ROWS: usize, const VECTORS: usize>(
        &self,
        place: Place,
        sums: &[[Vector; VECTORS]; ROWS],
        output: &mut [u8],
    ) {
        let _: Neon = self.neon;
        // SAFETY: the proof exists only on processors that have the function's features.
        unsafe { finish_bytes(self, place, sums, output) }
    }
}

/// Requantises sums and stores them.
#[inline]
#[target_feature(enable = "neon")]
fn finish_bytes<const ROWS: usize, const VECTORS: usize>(
    bytes: &Bytes<'_>,
    place: Place,
    sums: &[[Vector; VECTORS]; ROWS],
    output: &mut [u8],
) {
    let (least, largest, zero_point) = bytes.end.output.parts();
    let (least, largest) = (vdupq_n_f32(least), vdupq_n_f32(largest));
    let zero_point = vdupq_n_s32(zero_point);
    for vector in 0..VECTORS {
        let column = place.column + vector * LANES;
        let (scales, bias) = (halves(&bytes.end.scales, column), halves(&bytes.end.bias, column));
        let width = LANES.min(bytes.columns - column);
        for (row, sums) in sums.iter().enumerate() {
            let end = |half: usize| {
                let sum = vaddq_s32(sums[vector][half], load_i32x4(&bias[half]));
                let scaled = vmulq_f32(vcvtq_f32_s32(sum), load_f32x4(&scales[half]));
                let clamped = vminnmq_f32(vmaxnmq_f32(scaled, least), largest);
                vqmovn_s32(vaddq_s32(vcvtnq_s32_f32(clamped), zero_point))
            };
            let results = vqmovun_s16(vcombine_s16(end(0), end(1)));
            let target = &mut output[(place.row + row) * bytes.columns + column..];
            match target.first_chunk_mut() {
                Some(target) if width == LANES => store_u8x8(target, results),
                _ => store_u8x8_part(&mut target[..width], results),
            }
        }
    }
}

/// What turns sums into floats.
struct Floats<'a> {
    neon: Neon,
    end: &'a ToFloats,
    scale: f32,
    zero_point: i32,
    columns: usize,
}

impl End for Floats<'_> {
    type Result = f32;

    #[inline(always)]
    fn finish<const ROWS: usize, const VECTORS: usize>(
        &self,
        place: Place,
        sums: &[[Vector; VECTORS]; ROWS],
        output: &mut [f32],
    ) {
        let _: Neon = self.neon;
        // SAFETY: the proof exists only on processors that have the function's features.
        unsafe { finish_floats(self, place, sums, output) }
    }
}

/// Scales sums to floats and stores them.
#[inline]
#[target_feature(enable = "neon")]
fn finish_floats<const ROWS: usize, const VECTORS: usize>(
    floats: &Floats<'_>,
    place: Place,
    sums: &[[Vector; VECTORS]; ROWS],
    output: &mut [f32],
) {
    let end = floats.end;
    let (least, largest) = (vdupq_n_f32(end.range.0), vdupq_n_f32(end.range.1));
    for vector in 0..VECTORS {
        let column = place.column + vector * LANES;
        let (scales, bias) = (halves(&end.scales, column), halves(&end.bias, column));
        let column_sums = halves(&end.column_sums, column);
        for half in 0..2 {
            let factor = vmulq_n_f32(load_f32x4(&scales[half]), floats.scale);
            let excess = vmulq_n_s32(load_i32x4(&column_sums[half]), floats.zero_point);
            let bias = load_f32x4(&bias[half]);
            let column = column + half * 4;
            let width = floats.columns.saturating_sub(column).min(4);
            if width == 0 {
                continue;
            }
            for (row, sums) in sums.iter().enumerate() {
                let sum = vcvtq_f32_s32(vsubq_s32(sums[vector][half], excess));
                // Two roundings, as in the portable code.
                let value = vaddq_f32(vmulq_f32(sum, factor), bias);
                let value = vminnmq_f32(vmaxnmq_f32(value, least), largest);
                let target = &mut output[(place.row + row) * floats.columns + column..];
                match target.first_chunk_mut() {
                    Some(target) if width == 4 => store_f32x4(target, value),
                    _ => store_f32x4_part(&mut target[..width], value),
                }
            }
        }
    }
}

/// The constants of one vector's columns. There are as many as whole vectors of sixteen need.
#[inline(always)]
fn halves<T>(constants: &[T], column: usize) -> &[[T; 4]] {
    &constants[column..column + LANES].as_chunks().0[..2]
}
