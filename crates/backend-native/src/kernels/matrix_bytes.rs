//! Products of byte matrices with 32-bit sums, the right-hand side packed once for an
//! instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
mod scalar;

use crate::kernels::comparison::clamp;
use crate::kernels::panels::Windows;
use crate::kernels::requantize::OutputRange;
#[cfg(target_arch = "x86_64")]
use crate::kernels::requantize::products_fit;
use crate::simd::Isa;
#[cfg(target_arch = "aarch64")]
use crate::simd::aarch64::{Neon, NeonDotprod};

/// The right-hand side: weights of `depth` rows and `columns` columns, less their zero points.
#[derive(Clone, Debug)]
pub(crate) struct ByteMatrix {
    packed: Packed,
    columns: usize,
    /// The sum of each column.
    column_sums: Vec<i32>,
}

#[derive(Clone, Debug)]
enum Packed {
    Scalar(scalar::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::simd::x86_64::Avx2, avx2::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::simd::x86_64::Avx512Vnni, avx512::Weights),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon, neon::Weights<Neon>),
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(Neon, neon::Weights<NeonDotprod>),
}

/// What becomes of the sums: bytes again.
#[derive(Clone, Debug)]
pub(crate) struct ToBytes {
    scales: Vec<f32>,
    bias: Vec<i32>,
    output: OutputRange,
    /// Whether sums times scales are to be clamped before they are rounded.
    #[cfg(target_arch = "x86_64")]
    overflows: bool,
}

/// What becomes of the sums: floats.
///
/// ```text
/// result[c] = clamp((sum[c] - zero_point * column_sum[c]) * (scale * scales[c]) + bias[c])
/// ```
#[derive(Clone, Debug)]
pub(crate) struct ToFloats {
    scales: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
    column_sums: Vec<i32>,
}

/// Lengthens per-column values to whole vectors of sixteen.
fn padded<T: Copy + Default>(mut values: Vec<T>) -> Vec<T> {
    values.resize(values.len().next_multiple_of(16), T::default());
    values
}

impl ByteMatrix {
    /// Packs a matrix given as `columns` rows of `depth` elements (one row per column), for rows
    /// whose values lie in runs of `run` if it [takes windows](Self::takes_windows).
    ///
    /// The elements of each column are bytes less a zero point that is a byte as well: together with
    /// zero they span at most 256 values.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only some vector kernels take windows")
    )]
    pub(crate) fn from_transposed(isa: Isa, transposed: &[i16], depth: usize, run: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        let column_sums = transposed
            .chunks_exact(depth.max(1))
            .map(|column| column.iter().map(|&weight| i32::from(weight)).sum())
            .collect();
        let packed = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => Packed::Avx2(token, avx2::Weights::new(transposed, depth)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) => {
                Packed::Avx512(token, avx512::Weights::new(transposed, depth, run))
            }
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod(token) if neon_dotprod::takes(transposed, depth) => {
                Packed::NeonDotprod(token.neon, neon::Weights::new(token, transposed, depth))
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon }) => {
                Packed::Neon(neon, neon::Weights::new(neon, transposed, depth))
            }
            _ => Packed::Scalar(scalar::Weights::new(transposed, depth)),
        };
        Self { packed, columns, column_sums }
    }

    /// How many values are read of a run of that many: whole steps of the packing. What lies behind
    /// the run meets weights of zero.
    pub(crate) fn run_len(run: usize) -> usize {
        run.next_multiple_of(4)
    }

    /// Whether rows may lie in several runs; otherwise they are one run each, one behind the other.
    pub(crate) fn takes_windows(&self) -> bool {
        match &self.packed {
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(..) => true,
            _ => false,
        }
    }

    /// Bytes of working memory for that many rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only some vector kernels lay rows out")
    )]
    pub(crate) fn scratch_bytes(&self, rows: usize) -> usize {
        match &self.packed {
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(_, weights) => weights.scratch_bytes(rows),
            _ => 0,
        }
    }

    /// Folds a fixed zero point of the left-hand side into the bias.
    pub(crate) fn to_bytes(
        &self,
        zero_point: i32,
        scales: &[f32],
        bias: &[i32],
        output: OutputRange,
    ) -> ToBytes {
        let bias = bias
            .iter()
            .zip(&self.column_sums)
            .map(|(bias, sum)| bias.wrapping_sub(sum.wrapping_mul(zero_point)))
            .collect();
        ToBytes {
            scales: padded(scales.to_vec()),
            bias: padded(bias),
            output,
            #[cfg(target_arch = "x86_64")]
            overflows: !products_fit(scales),
        }
    }

    /// Keeps the zero point of the left-hand side open.
    pub(crate) fn to_floats(&self, scales: &[f32], bias: &[f32], range: (f32, f32)) -> ToFloats {
        ToFloats {
            scales: padded(scales.to_vec()),
            bias: padded(bias.to_vec()),
            range,
            column_sums: padded(self.column_sums.clone()),
        }
    }

    /// Multiplies into `output`, of as many rows as the left-hand side and as many columns as the
    /// matrix; `scratch` has [`scratch_bytes`](Self::scratch_bytes) of those rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only some vector kernels lay rows out")
    )]
    pub(crate) fn multiply_to_bytes(
        &self,
        rows: Windows<'_, u8>,
        end: &ToBytes,
        output: &mut [u8],
        scratch: &mut [u8],
    ) {
        match &self.packed {
            Packed::Scalar(weights) => weights.multiply(rows.as_rows(), |row, column, sum| {
                let sum = sum.wrapping_add(end.bias[column]);
                output[row * self.columns + column] =
                    end.output.requantize(sum, end.scales[column]);
            }),
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(token, weights) => {
                weights.multiply_to_bytes(*token, rows.as_rows(), end, output, scratch);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, weights) => weights.multiply_to_bytes(*token, rows, end, output),
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(neon, weights) => {
                weights.multiply_to_bytes(*neon, rows.as_rows(), end, output)
            }
            #[cfg(target_arch = "aarch64")]
            Packed::NeonDotprod(neon, weights) => {
                weights.multiply_to_bytes(*neon, rows.as_rows(), end, output);
            }
        }
    }

    /// Multiplies into `output`, with the scale and zero point of the left-hand side and as much
    /// `scratch`.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only some vector kernels lay rows out")
    )]
    pub(crate) fn multiply_to_floats(
        &self,
        rows: Windows<'_, u8>,
        (scale, zero_point): (f32, i32),
        end: &ToFloats,
        output: &mut [f32],
        scratch: &mut [u8],
    ) {
        match &self.packed {
            Packed::Scalar(weights) => weights.multiply(rows.as_rows(), |row, column, sum| {
                let sum = sum.wrapping_sub(zero_point.wrapping_mul(end.column_sums[column]));
                let value = sum as f32 * (scale * end.scales[column]) + end.bias[column];
                output[row * self.columns + column] = clamp(value, end.range);
            }),
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(token, weights) => {
                let input = (scale, zero_point);
                weights.multiply_to_floats(*token, rows.as_rows(), input, end, output, scratch);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, weights) => {
                weights.multiply_to_floats(*token, rows, (scale, zero_point), end, output);
            }
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(neon, weights) => {
                weights.multiply_to_floats(*neon, rows.as_rows(), (scale, zero_point), end, output);
            }
            #[cfg(target_arch = "aarch64")]
            Packed::NeonDotprod(neon, weights) => {
                weights.multiply_to_floats(*neon, rows.as_rows(), (scale, zero_point), end, output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Activation;
    use crate::simd::SimdLevel;

    fn noise(seed: &mut u32) -> u32 {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *seed >> 8
    }

    /// Weights of a model less their zero point, by kind: of full range with a middle or another
    /// zero point, small but for a few, at the limits of signed bytes, and at those of bytes with
    /// the least or the largest zero point.
    fn weight(kind: usize, seed: &mut u32) -> i16 {
        let byte = (noise(seed) % 256) as i16;
        match kind {
            0 => byte - 128,
            1 => byte - 200,
            2 if byte == 0 => 155 - (noise(seed) % 256) as i16,
            2 => byte % 16 - 8,
            3 => [127, -128, 64, -64][byte as usize % 4],
            4 => [255, 254, 0, 128][byte as usize % 4],
            _ => [-255, -254, 0, -128][byte as usize % 4],
        }
    }

    /// Windows of three rows of nine values over lines, which other levels get laid out.
    #[test]
    fn windows_need_not_be_laid_out() {
        const RUN: usize = 9;
        let (line, stride, columns) = (70, 6, 10);
        let offsets = [0, line, 2 * line];
        let mut seed = 3;
        let mut cases = 0;
        for level in SimdLevel::available() {
            for results in [8, 16, 24, 32, 48, 64, 70] {
                for (count, kind) in (0..6).flat_map(|kind| [(4, kind), (30, kind)]) {
                    let depth = 3 * RUN;
                    let weights: Vec<i16> =
                        (0..depth * results).map(|_| weight(kind, &mut seed)).collect();
                    let isa = Isa::new(level).unwrap();
                    let matrix = ByteMatrix::from_transposed(isa, &weights, depth, RUN);
                    if !matrix.takes_windows() {
                        continue;
                    }
                    let values: Vec<u8> = (0..line * 8).map(|_| noise(&mut seed) as u8).collect();
                    let windows = Windows {
                        values: &values[..],
                        count,
                        columns,
                        stride,
                        line: 2 * line,
                        offsets: &offsets,
                        run: RUN,
                    };
                    let laid_out: Vec<u8> = (0..count)
                        .flat_map(|row| {
                            let start = row / columns * 2 * line + row % columns * stride;
                            let values = &values;
                            (0..28).map(move |place| match place {
                                27 => 0,
                                _ => values[start + offsets[place / RUN] + place % RUN],
                            })
                        })
                        .collect();
                    let rows = Windows { run: depth, ..Windows::rows(&laid_out[..], 28, count) };
                    let output = OutputRange::new(0.1, 100, 0, Activation::None);
                    let (scales, bias) = (vec![3e-4; results], vec![40; results]);
                    let run = |matrix: &ByteMatrix, rows| {
                        let end = matrix.to_bytes(77, &scales, &bias, output);
                        let mut bytes = vec![0; count * results];
                        matrix.multiply_to_bytes(rows, &end, &mut bytes, &mut []);
                        bytes
                    };
                    let scalar = ByteMatrix::from_transposed(Isa::SCALAR, &weights, depth, depth);
                    assert!(
                        run(&matrix, windows) == run(&scalar, rows),
                        "{level} columns {results} count {count} kind {kind}"
                    );
                    cases += 1;
                }
            }
        }
        let levels = [SimdLevel::Avx512Vnni].into_iter().filter(|level| level.is_available());
        assert_eq!(cases, levels.count() * 7 * 12);
    }

    #[test]
    fn every_level_equals_scalar() {
        let mut seed = 7;
        let mut cases = 0;
        for level in SimdLevel::available() {
            let isa = Isa::new(level).unwrap();
            for depth in [1, 3, 4, 7, 16, 27, 45, 64, 100] {
                for columns in [1, 8, 15, 16, 17, 24, 40, 64, 65, 80, 130] {
                    for count in [1, 2, 5, 6, 7, 13, 17, 24, 49] {
                        for kind in 0..6 {
                            let weights: Vec<i16> =
                                (0..depth * columns).map(|_| weight(kind, &mut seed)).collect();
                            let stride = ByteMatrix::run_len(depth);
                            // Rows of the largest bytes reach the limits of what sums hold.
                            let bytes: Vec<u8> = (0..count * stride)
                                .map(|index| {
                                    if (index / stride).is_multiple_of(3) {
                                        255
                                    } else {
                                        noise(&mut seed) as u8
                                    }
                                })
                                .collect();
                            let rows =
                                Windows { run: depth, ..Windows::rows(&bytes[..], stride, count) };
                            let scales: Vec<f32> = (0..columns)
                                .map(|_| 1e-4 + noise(&mut seed) as f32 * 1e-10)
                                .collect();
                            let bias: Vec<i32> =
                                (0..columns).map(|_| noise(&mut seed) as i32 % 5000).collect();
                            // An activation that leaves few bytes, and scales that carry sums
                            // beyond what 32-bit numbers hold.
                            let (factor, activation) = match kind {
                                1 => (1.0, Activation::Relu6),
                                3 => (1e9, Activation::Relu6),
                                5 => (1e9, Activation::None),
                                _ => (1.0, Activation::None),
                            };
                            let scales: Vec<f32> =
                                scales.into_iter().map(|scale| scale * factor).collect();
                            let output = OutputRange::new(0.1, 100, 0, activation);
                            let run = |isa| {
                                let matrix =
                                    ByteMatrix::from_transposed(isa, &weights, depth, depth);
                                let mut bytes = vec![0; count * columns];
                                let end = matrix.to_bytes(77, &scales, &bias, output);
                                let mut scratch = vec![9; matrix.scratch_bytes(count)];
                                matrix.multiply_to_bytes(rows, &end, &mut bytes, &mut scratch);
                                let mut floats = vec![0.0; count * columns];
                                let bias: Vec<f32> = bias.iter().map(|&b| b as f32).collect();
                                let end = matrix.to_floats(&scales, &bias, (-9000.0, 9000.0));
                                let input = (0.5, 33);
                                matrix.multiply_to_floats(
                                    rows,
                                    input,
                                    &end,
                                    &mut floats,
                                    &mut scratch,
                                );
                                (bytes, floats)
                            };
                            assert!(
                                run(isa) == run(Isa::SCALAR),
                                "{level} depth {depth} columns {columns} count {count} kind {kind}"
                            );
                            cases += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(cases, SimdLevel::available().len() * 9 * 11 * 9 * 6);
    }
}
