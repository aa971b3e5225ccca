//! Products of float matrices, the right-hand side packed once for an instruction set.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::kernels::comparison::clamp;
use crate::kernels::fused::multiply_add;
use crate::kernels::panels::Windows;
#[cfg(target_arch = "aarch64")]
use crate::simd::aarch64::{Neon, NeonDotprod};
use crate::simd::{Isa, Rounding};

/// The right-hand side: weights of `depth` rows and `columns` columns, and what ends each sum.
///
/// ```text
/// result[c] = clamp(bias[c] + sum of row[d] * weight[d][c] over d, in order)
/// ```
#[derive(Clone, Debug)]
pub(crate) struct FloatMatrix {
    packed: Packed,
    columns: usize,
    bias: Vec<f32>,
    range: (f32, f32),
}

#[derive(Clone, Debug)]
enum Packed {
    Scalar(scalar::Weights, Rounding),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::simd::x86_64::Avx2, x86_64::avx2::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::simd::x86_64::Avx512Vnni, x86_64::avx512::Weights, Option<pairs::Weights>),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon, neon::Weights),
}

impl FloatMatrix {
    /// Packs a matrix given as `columns` rows of `depth` elements (one row per column).
    pub(crate) fn from_transposed(
        isa: Isa,
        transposed: &[f32],
        depth: usize,
        bias: &[f32],
        range: (f32, f32),
    ) -> Self {
        let columns = bias.len();
        let packed = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => {
                Packed::Avx2(token, x86_64::avx2::Weights::new(transposed, depth, columns))
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) => {
                let pairs = pairs::Weights::new(transposed, depth, columns);
                let weights = x86_64::avx512::Weights::new(transposed, depth, columns);
                Packed::Avx512(token, weights, pairs)
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon }) => {
                Packed::Neon(neon, neon::Weights::new(transposed, depth, columns))
            }
            Isa::Scalar(rounding) => {
                Packed::Scalar(scalar::Weights::new(transposed, depth, columns), rounding)
            }
        };
        let mut bias = bias.to_vec();
        bias.resize(columns.next_multiple_of(16), 0.0);
        Self { packed, columns, bias, range }
    }

    /// Multiplies into `output`, of as many rows as the left-hand side and as many columns as the
    /// matrix.
    pub(crate) fn multiply(&self, rows: Windows<'_, f32>, output: &mut [f32]) {
        match &self.packed {
            Packed::Scalar(weights, rounding) => {
                let store = |row: usize, column: usize, sums: &[f32]| {
                    let results = &mut output[row * self.columns + column..];
                    for (result, sum) in results.iter_mut().zip(sums) {
                        *result = clamp(*sum, self.range);
                    }
                };
                match rounding {
                    Rounding::Once => weights.multiply(rows, &self.bias, multiply_add, store),
                    Rounding::Twice => {
                        weights.multiply(rows, &self.bias, |a, b, c| a * b + c, store);
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(token, weights) => {
                weights.multiply(*token, rows, &self.bias, self.range, output);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, _, Some(pairs)) if pairs::Weights::take(&rows) => {
                pairs.multiply(*token, rows, &self.bias, self.range, output);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, weights, _) => {
                weights.multiply(*token, rows, &self.bias, self.range, output);
            }
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(neon, weights) => {
                weights.multiply(*neon, rows, &self.bias, self.range, output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            for depth in [1, 3, 16, 27, 100, 400] {
                for columns in [1, 7, 8, 16, 17, 40, 64, 65, 130] {
                    for count in [1, 3, 6, 7, 13, 49] {
                        let weights: Vec<f32> = (0..depth * columns).map(|_| noise()).collect();
                        let bias: Vec<f32> = (0..columns).map(|_| noise()).collect();
                        let values: Vec<f32> = (0..count * depth).map(|_| noise()).collect();
                        let rows = Windows::rows(&values, depth, count);
                        let run = |isa| {
                            let range = (-1.5, 1.5);
                            let matrix =
                                FloatMatrix::from_transposed(isa, &weights, depth, &bias, range);
                            let mut output = vec![0.0; count * columns];
                            matrix.multiply(rows, &mut output);
                            output
                        };
                        let bits = |isa| run(isa).into_iter().map(f32::to_bits);
                        assert!(
                            bits(Isa::new(level).unwrap()).eq(bits(Isa::SCALAR)),
                            "{level} {depth} {columns} {count}"
                        );
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, SimdLevel::available().len() * 6 * 9 * 6);
    }

    #[test]
    fn windows_are_the_rows_that_they_stand_for() {
        let mut seed = 9u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let (columns, lines, line) = (21, 4, 400);
        let values: Vec<f32> = (0..20 * line).map(|_| noise()).collect();
        let mut cases = 0;
        for level in SimdLevel::available() {
            for (runs, run, results) in
                [(1, 17, 19), (3, 17, 19), (30, 17, 19), (1, 9, 8), (3, 9, 8), (30, 9, 8)]
            {
                for stride in [4, 17] {
                    let offsets: Vec<usize> = (0..runs).map(|tap| tap * 31).collect();
                    let count = columns * lines;
                    let windows = Windows {
                        values: &values,
                        count,
                        columns,
                        stride,
                        line,
                        offsets: &offsets,
                        run,
                    };
                    let mut rows = Vec::new();
                    for row in 0..count {
                        let start = row / columns * line + row % columns * stride;
                        for offset in &offsets {
                            rows.extend_from_slice(&values[start + offset..][..run]);
                        }
                    }
                    let depth = runs * run;
                    let weights: Vec<f32> = (0..depth * results).map(|_| noise()).collect();
                    let isa = Isa::new(level).unwrap();
                    let range = (f32::NEG_INFINITY, f32::INFINITY);
                    let bias = vec![0.25; results];
                    let matrix = FloatMatrix::from_transposed(isa, &weights, depth, &bias, range);
                    let mut found = vec![0.0; count * results];
                    matrix.multiply(windows, &mut found);
                    let mut expected = vec![0.0; count * results];
                    matrix.multiply(Windows::rows(&rows, depth, count), &mut expected);
                    assert_eq!(found, expected, "{level} {runs} of {run} {stride}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, SimdLevel::available().len() * 12);
    }
}
