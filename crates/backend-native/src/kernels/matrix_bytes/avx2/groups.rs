//! Products of bytes: one instruction multiplies four unsigned bytes of a row by four signed
//! weights in each lane and adds them in two 16-bit sums.
//!
//! Those sums are exact as long as neither the positive nor the negative weights of a 16-bit lane
//! add up to more than 128, since 255 * 128 = 32640. So steps of four rows of weights are dealt to
//! groups that keep to it: within a group 16-bit sums are added, and once a group they are widened.
//! What exceeds the bound already within a step, or a signed byte, becomes a step of its own.

use std::arch::x86_64::*;

use super::{End, LANES, MAX_VECTORS, Tile, finish, first_sums};
use crate::kernels::panels::{Rows, deal_panels};
use crate::simd::x86_64::load_u8x32;

/// The most that the weights of one sign of a 16-bit sum may add up to.
const BOUND: i16 = 128;

/// Steps of the largest groups.
const LARGEST: usize = 16;

/// Groups that steps are dealt to at a time.
const OPEN: usize = 8;

/// Rows of the largest tile of one vector, and of two.
const ROWS: [usize; 2] = [6, 3];

/// Weights as signed bytes in panels of vectors of columns, four rows to a lane.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    depth: usize,
    columns: usize,
}

/// The steps of one panel, group by group.
#[derive(Clone, Debug, Default)]
struct Panel {
    first_column: usize,
    vectors: usize,
    /// How many groups there are of each size, from the largest, with that size.
    sizes: Vec<(usize, usize)>,
    /// For each step, which four rows of weights it has.
    places: Vec<u32>,
    /// For each step, a line for each vector.
    lines: Vec<Line>,
}

/// The weights of one step and vector.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Line([u8; 32]);

impl Line {
    const ZERO: Self = Self([0; 32]);
}

/// A step before it is in a group.
struct Step {
    place: u32,
    lines: [Line; MAX_VECTORS],
    loads: Loads,
}

/// What the weights of each 16-bit sum add up to, for either sign.
#[derive(Clone, Copy)]
struct Loads([[i16; 2 * LANES * MAX_VECTORS]; 2]);

impl Loads {
    const ZERO: Self = Self([[0; 2 * LANES * MAX_VECTORS]; 2]);

    fn sum(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (sums, others) in sum.0.iter_mut().zip(&other.0) {
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum += other;
            }
        }
        sum
    }

    fn are_bounded(&self) -> bool {
        self.0.iter().flatten().fold(0, |largest, &load| largest.max(load)) <= BOUND
    }
}

/// Takes from two weights what fits a step, and returns it.
fn take_pair(pair: &mut [i16]) -> [i16; 2] {
    let first = pair[0].clamp(-127, 127);
    let left = if first.signum() * pair[1].signum() > 0 { BOUND - first.abs() } else { 127 };
    let second = pair[1].clamp(-left, left);
    pair[0] -= first;
    pair[1] -= second;
    [first, second]
}

/// Adds the steps of four rows of weights; `weights` are those of the panel's columns in turn.
fn add_steps(steps: &mut Vec<Step>, place: u32, mut weights: [[i16; 4]; LANES * MAX_VECTORS]) {
    while weights != [[0; 4]; LANES * MAX_VECTORS] {
        let mut step = Step { place, lines: [Line::ZERO; MAX_VECTORS], loads: Loads::ZERO };
        for (column, weights) in weights.iter_mut().enumerate() {
            let line = &mut step.lines[column / LANES].0[column % LANES * 4..][..4];
            for (half, pair) in weights.chunks_exact_mut(2).enumerate() {
                let taken = take_pair(pair);
                for (byte, weight) in line[half * 2..].iter_mut().zip(taken) {
                    *byte = (weight as i8).cast_unsigned();
                    let sign = usize::from(weight < 0);
                    step.loads.0[sign][column * 2 + half] += weight.abs();
                }
            }
        }
        steps.push(step);
    }
}

/// Deals steps to groups that keep to the bound, of no more than [`LARGEST`] steps, by their index.
fn deal(steps: &[Step]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut open: Vec<(usize, Loads)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let joined = open.iter_mut().enumerate().find_map(|(position, (group, loads))| {
            let sum = loads.sum(&step.loads);
            sum.are_bounded().then(|| {
                *loads = sum;
                (position, *group)
            })
        });
        match joined {
            Some((position, group)) => {
                groups[group].push(index);
                if groups[group].len() == LARGEST {
                    open.remove(position);
                }
            }
            None => {
                if open.len() == OPEN {
                    let fullest = (0..OPEN).max_by_key(|&position| groups[open[position].0].len());
                    open.remove(fullest.unwrap_or(0));
                }
                open.push((groups.len(), step.loads));
                let mut group = Vec::with_capacity(LARGEST);
                group.push(index);
                groups.push(group);
            }
        }
    }
    groups
}

impl Panel {
    fn new(first: usize, vectors: usize, transposed: &[i16], depth: usize) -> Self {
        let columns = transposed.len() / depth;
        let columns = first * LANES..((first + vectors) * LANES).min(columns);
        let mut steps = Vec::new();
        for place in 0..depth.div_ceil(4) {
            let mut weights = [[0; 4]; LANES * MAX_VECTORS];
            for (weights, column) in weights.iter_mut().zip(columns.clone()) {
                let rows = &transposed[column * depth..][..depth][place * 4..];
                for (weight, &row) in weights.iter_mut().zip(rows) {
                    *weight = row;
                }
            }
            add_steps(&mut steps, place as u32, weights);
        }
        let mut groups = deal(&steps);
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut panel = Self { first_column: first * LANES, vectors, ..Self::default() };
        for group in groups.chunk_by(|a, b| a.len() == b.len()) {
            panel.sizes.push((group.len(), group[0].len()));
        }
        for step in groups.iter().flatten().map(|&index| &steps[index]) {
            panel.places.push(step.place);
            panel.lines.extend(&step.lines[..vectors]);
        }
        panel
    }

    /// Estimated time for each vector of a tile: four units for the product and the sum of a step,
    /// and five for the sum and the loop of a group.
    fn cost(&self) -> usize {
        let groups: usize = self.sizes.iter().map(|&(count, _)| count).sum();
        4 * self.places.len() + 5 * groups
    }
}

impl Weights {
    /// Packs the weights, or nothing if [`words`](super::words) are faster.
    pub(super) fn new(transposed: &[i16], depth: usize) -> Option<Self> {
        let columns = transposed.len() / depth.max(1);
        let mut panels = Vec::new();
        let mut cost = 0;
        for (first, vectors) in deal_panels(columns.div_ceil(LANES), MAX_VECTORS) {
            let panel = Panel::new(first, vectors, transposed, depth);
            cost += panel.cost();
            panels.push(panel);
            // Words take two products and two sums for four rows of weights.
            if cost > panels.len() * depth.div_ceil(4) * 8 {
                return None;
            }
        }
        Some(Self { panels, depth, columns })
    }
}

/// Rows that go through all panels together.
const ROW_BLOCK: usize = 96;

/// Multiplies block by block of rows, panel by panel, in tiles of as many rows as registers allow.
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply(weights: &Weights, rows: Rows<'_, u8>, end: &mut End<'_>) {
    for first in (0..rows.count).step_by(ROW_BLOCK) {
        let block = first..(first + ROW_BLOCK).min(rows.count);
        for panel in &weights.panels {
            match panel.vectors {
                1 => multiply_panel::<{ ROWS[0] }, 1>(weights, panel, rows, block.clone(), end),
                _ => multiply_panel::<{ ROWS[1] }, 2>(weights, panel, rows, block.clone(), end),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn multiply_panel<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: Rows<'_, u8>,
    block: std::ops::Range<usize>,
    end: &mut End<'_>,
) {
    let mut row = block.start;
    while row < block.end {
        row += match block.end - row {
            left if left >= ROWS => multiply_tile::<ROWS, VECTORS>(weights, panel, rows, row, end),
            2.. => multiply_tile::<2, VECTORS>(weights, panel, rows, row, end),
            _ => multiply_tile::<1, VECTORS>(weights, panel, rows, row, end),
        };
    }
}

/// Multiplies a tile of rows and returns their number.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: Rows<'_, u8>,
    first: usize,
    end: &mut End<'_>,
) -> usize {
    let len = weights.depth.div_ceil(4);
    let mut values: [&[[u8; 4]]; ROWS] = [&[]; ROWS];
    for (offset, values) in values.iter_mut().enumerate() {
        *values = &rows.row(first + offset, len * 4).as_chunks::<4>().0[..len];
    }
    let mut sums = [first_sums::<VECTORS>(end, panel.first_column); ROWS];
    let (mut places, mut lines) = (&panel.places[..], panel.lines.as_chunks::<VECTORS>().0);
    for &(count, size) in &panel.sizes {
        for _ in 0..count {
            let (now, later) = places.split_at(size);
            let (now_lines, later_lines) = lines.split_at(size);
            add_group(&mut sums, &values, len, now, now_lines);
            (places, lines) = (later, later_lines);
        }
    }
    let tile = Tile { row: first, column: panel.first_column, columns: weights.columns };
    finish(sums, tile, end);
    ROWS
}

/// Adds the products of the steps of one group.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn add_group<const ROWS: usize, const VECTORS: usize>(
    sums: &mut [[__m256i; VECTORS]; ROWS],
    values: &[&[[u8; 4]]; ROWS],
    len: usize,
    places: &[u32],
    lines: &[[Line; VECTORS]],
) {
    let mut words = [[_mm256_setzero_si256(); VECTORS]; ROWS];
    for (&place, line) in places.iter().zip(lines) {
        let place = place as usize;
        // Packing has put no place beyond the rows.
        if place >= len {
            return;
        }
        let mut factors = [_mm256_setzero_si256(); VECTORS];
        for vector in 0..VECTORS {
            factors[vector] = load_u8x32(&line[vector].0);
        }
        for row in 0..ROWS {
            let value = _mm256_set1_epi32(i32::from_le_bytes(values[row][place]));
            for vector in 0..VECTORS {
                let products = _mm256_maddubs_epi16(value, factors[vector]);
                words[row][vector] = _mm256_add_epi16(words[row][vector], products);
            }
        }
    }
    let ones = _mm256_set1_epi16(1);
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            let widened = _mm256_madd_epi16(words[row][vector], ones);
            sums[row][vector] = _mm256_add_epi32(sums[row][vector], widened);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_to_the_bound_and_add_up() {
        let mut pairs = 0;
        for first in -255..=255 {
            for second in (-255..=255).step_by(5) {
                let mut weights = [[0; 4]; LANES * MAX_VECTORS];
                weights[3] = [first, second, -second, 1];
                let mut steps = Vec::new();
                add_steps(&mut steps, 7, weights);
                let mut sums = [0i16; 4];
                for step in &steps {
                    assert!(step.loads.are_bounded(), "{first} {second}");
                    assert_eq!(step.place, 7);
                    for (sum, &byte) in sums.iter_mut().zip(&step.lines[0].0[12..16]) {
                        *sum += i16::from(byte.cast_signed());
                    }
                }
                assert_eq!(sums, weights[3]);
                assert!(steps.len() <= 4, "{first} {second}: {} steps", steps.len());
                pairs += 1;
            }
        }
        assert_eq!(pairs, 511 * 103);
    }

    #[test]
    fn groups_keep_to_the_bound() {
        let mut steps = Vec::new();
        for place in 0..100 {
            let weights = std::array::from_fn(|column| {
                std::array::from_fn(|row| {
                    ((place as usize * 31 + column * 17 + row * 7) % 61) as i16 - 30
                })
            });
            add_steps(&mut steps, place, weights);
        }
        let count = steps.len();
        let groups = deal(&steps);
        let mut dealt: Vec<usize> = groups.iter().flatten().copied().collect();
        dealt.sort_unstable();
        assert!(dealt.into_iter().eq(0..count));
        assert!(groups.len() < count, "no step joined another");
        for group in groups {
            let loads =
                group.iter().fold(Loads::ZERO, |loads, &index| loads.sum(&steps[index].loads));
            assert!(loads.are_bounded() && group.len() <= LARGEST);
        }
    }
}
