//! The two-tap filters, row by row.

/// How two neighbouring columns are blended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HorizontalFilter {
    /// `(a (127 - f) + b f) >> 7`: the weights add up to 127 and the rest is cut off, so that
    /// every value loses about a 128th. For RGB, RGBA and interleaved chroma.
    Darkening,
    /// `a + ((f (b - a) + 64) >> 7)`: rounded to the nearest. For separate planes.
    Rounding,
}

/// One output column: its two neighbours in the source and the weight of the right one.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnTap {
    pub(super) left: u32,
    pub(super) right: u32,
    /// 7 bits.
    pub(super) fraction: u8,
}

/// One output row: the upper source row and the weight of the one below.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTap {
    pub(super) row: u32,
    /// 8 bits.
    pub(super) fraction: u8,
}

/// Filters the columns of a row of `S`-byte pixels into tight `C`-byte pixels.
pub(super) fn filter_columns<const C: usize, const S: usize>(
    filter: HorizontalFilter,
    row: &[u8],
    columns: &[ColumnTap],
    output: &mut [u8],
) {
    match filter {
        HorizontalFilter::Darkening => blend_columns::<C, S>(row, columns, output, |a, b, f| {
            ((u32::from(a) * u32::from(127 - f) + u32::from(b) * u32::from(f)) >> 7) as u8
        }),
        HorizontalFilter::Rounding => blend_columns::<C, S>(row, columns, output, |a, b, f| {
            let (a, b, f) = (i32::from(a), i32::from(b), i32::from(f));
            (a + ((f * (b - a) + 64) >> 7)) as u8
        }),
    }
}

#[inline(always)]
fn blend_columns<const C: usize, const S: usize>(
    row: &[u8],
    columns: &[ColumnTap],
    output: &mut [u8],
    blend: impl Fn(u8, u8, u8) -> u8,
) {
    for (output, tap) in output.as_chunks_mut::<C>().0.iter_mut().zip(columns) {
        let left = &row[tap.left as usize * S..][..C];
        let right = &row[tap.right as usize * S..][..C];
        for channel in 0..C {
            output[channel] = blend(left[channel], right[channel], tap.fraction);
        }
    }
}

/// Blends two rows byte by byte: `(a (256 - f) + b f + 128) >> 8`.
pub(super) fn blend_rows(upper: &[u8], lower: &[u8], fraction: u8, output: &mut [u8]) {
    let lower_weight = u16::from(fraction);
    let upper_weight = 256 - lower_weight;
    for ((output, &a), &b) in output.iter_mut().zip(upper).zip(lower) {
        // At most 255 * 256 + 128, which 16 bits hold.
        *output = ((u16::from(a) * upper_weight + u16::from(b) * lower_weight + 128) >> 8) as u8;
    }
}

/// The mean of two bytes, halves rounded up.
#[inline(always)]
pub(super) fn average(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(filter: HorizontalFilter, a: u8, b: u8, fraction: u8) -> u8 {
        let mut output = [0];
        let tap = ColumnTap { left: 0, right: 1, fraction };
        filter_columns::<1, 1>(filter, &[a, b], &[tap], &mut output);
        output[0]
    }

    #[test]
    fn darkening_filter_loses_brightness_on_constants() {
        for (value, expected) in [(255, 253), (128, 127), (1, 0), (0, 0)] {
            for fraction in 0..128 {
                assert_eq!(column(HorizontalFilter::Darkening, value, value, fraction), expected);
            }
        }
    }

    #[test]
    fn rounding_filter_keeps_constants() {
        for value in 0..=255 {
            for fraction in 0..128 {
                assert_eq!(column(HorizontalFilter::Rounding, value, value, fraction), value);
            }
        }
        assert_eq!(column(HorizontalFilter::Rounding, 255, 0, 127), 2);
        assert_eq!(column(HorizontalFilter::Rounding, 0, 255, 64), 128);
    }

    #[test]
    fn rows_blend_with_rounding() {
        let mut output = [0; 3];
        blend_rows(&[255, 0, 10], &[255, 255, 20], 255, &mut output);
        assert_eq!(output, [255, 254, 20]);
        blend_rows(&[255, 0, 10], &[0, 255, 21], 0, &mut output);
        assert_eq!(output, [255, 0, 10]);
        blend_rows(&[0, 1, 2], &[1, 2, 5], 128, &mut output);
        assert_eq!(output, [1, 2, 4]);
    }
}
