//! Converting pixels to RGB.

use crate::{YuvColorSpace, YuvRange};

/// The RGB pixel of a YUV sample, bit by bit as the Task Library computes it.
///
/// ```text
/// y = (Y * 257 * 18997) >> 16
/// R = clamp((y + 102 V           - 14216) >> 6)
/// G = clamp((y -  52 V -  25 U   +  8696) >> 6)
/// B = clamp((y         + 128 U   - 17544) >> 6)
/// ```
///
/// BT.601 with limited range in 6-bit fixed point; the gain of U in blue, 2.018, is cut to 2.
/// Source: libyuv 1773, `kYuvI601Constants`.
#[inline]
pub(crate) fn rgb_from_yuv_fixed6(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = ((u32::from(y) * 257 * 18997) >> 16).cast_signed();
    let (u, v) = (i32::from(u), i32::from(v));
    [
        ((luma + 102 * v - 14216) >> 6).clamp(0, 255) as u8,
        ((luma - 25 * u - 52 * v + 8696) >> 6).clamp(0, 255) as u8,
        ((luma + 128 * u - 17544) >> 6).clamp(0, 255) as u8,
    ]
}

/// The conversion from YUV samples of a colour space to RGB, rounded to the nearest level.
///
/// ```text
/// R = l (Y - o)                                  + 2 (1 - Kr) c (V - 128)
/// G = l (Y - o) - 2 (1 - Kb) Kb / Kg c (U - 128) - 2 (1 - Kr) Kr / Kg c (V - 128)
/// B = l (Y - o) + 2 (1 - Kb) c (U - 128)
/// ```
///
/// where `Kr`, `Kg`, `Kb` weigh red, green and blue in luma, `l = 255 / 219`, `c = 255 / 224` and
/// `o = 16` with limited range, and `l = c = 1` and `o = 0` with full range. In 16-bit fixed point.
/// Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 and H.273.
#[derive(Clone, Copy, Debug)]
pub(crate) struct YuvToRgb {
    luma: i32,
    /// What is added to all three: the offset of luma, and a half for rounding.
    offset: i32,
    red_from_v: i32,
    green_from_u: i32,
    green_from_v: i32,
    blue_from_u: i32,
}

impl YuvToRgb {
    pub(crate) fn new(color_space: YuvColorSpace) -> Self {
        let (red, blue) = color_space.matrix.luma_weights();
        let green = 1.0 - red - blue;
        let (luma, chroma, black) = match color_space.range {
            YuvRange::Limited => (255.0 / 219.0, 255.0 / 224.0, 16),
            YuvRange::Full => (1.0, 1.0, 0),
        };
        let fixed = |factor: f64| (factor * 65536.0).round() as i32;
        let luma = fixed(luma);
        let (red_gain, blue_gain) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        Self {
            luma,
            offset: (1 << 15) - luma * black,
            red_from_v: fixed(red_gain),
            green_from_u: -fixed(blue_gain * blue / green),
            green_from_v: -fixed(red_gain * red / green),
            blue_from_u: fixed(blue_gain),
        }
    }

    /// The RGB pixel of a sample.
    #[inline]
    pub(crate) fn pixel(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let luma = self.luma * i32::from(y) + self.offset;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [
            luma + self.red_from_v * v,
            luma + self.green_from_u * u + self.green_from_v * v,
            luma + self.blue_from_u * u,
        ]
        .map(|level| (level >> 16).clamp(0, 255) as u8)
    }
}

/// Converts tight 4:2:0 planes, one chroma sample for each block of 2x2 pixels.
pub(crate) fn rgb_from_yuv420(y: &[u8], u: &[u8], v: &[u8], width: usize, rgb: &mut [u8]) {
    let chroma_width = width.div_ceil(2);
    let rows = y.chunks_exact(width).zip(rgb.chunks_exact_mut(width * 3));
    for (index, (y, rgb)) in rows.enumerate() {
        let start = index / 2 * chroma_width;
        let u = &u[start..start + chroma_width];
        let v = &v[start..start + chroma_width];
        let pairs = y.chunks(2).zip(rgb.chunks_mut(6));
        for ((pair, rgb), (&u, &v)) in pairs.zip(u.iter().zip(v)) {
            for (&y, pixel) in pair.iter().zip(rgb.as_chunks_mut::<3>().0) {
                *pixel = rgb_from_yuv_fixed6(y, u, v);
            }
        }
    }
}

/// Converts tight planes of one size.
pub(crate) fn rgb_from_yuv444(conversion: &YuvToRgb, y: &[u8], u: &[u8], v: &[u8], rgb: &mut [u8]) {
    for ((pixel, &y), (&u, &v)) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(y).zip(u.iter().zip(v))
    {
        *pixel = conversion.pixel(y, u, v);
    }
}

/// Makes three equal channels of one.
pub(crate) fn rgb_from_gray(gray: &[u8], rgb: &mut [u8]) {
    for (pixel, &gray) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(gray) {
        *pixel = [gray; 3];
    }
}

/// Drops the fourth channel.
pub(crate) fn rgb_from_rgba(rgba: &[u8], rgb: &mut [u8]) {
    for (rgb, &[r, g, b, _]) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(rgba.as_chunks::<4>().0) {
        *rgb = [r, g, b];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::YuvMatrix;

    #[test]
    fn known_colours() {
        assert_eq!(rgb_from_yuv_fixed6(128, 127, 127), [129, 132, 128]);
        assert_eq!(rgb_from_yuv_fixed6(128, 128, 128), [130, 130, 130]);
    }

    #[test]
    fn primary_colours_have_the_samples_of_the_standards() {
        use YuvMatrix::{Bt601, Bt709, Bt2020};
        use YuvRange::{Full, Limited};
        // Luma and chroma of saturated colours as the standards' formulas round them.
        let cases = [
            (Bt601, Limited, [81, 90, 240], [255, 0, 0]),
            (Bt601, Limited, [145, 54, 34], [0, 255, 0]),
            (Bt601, Limited, [41, 240, 110], [0, 0, 255]),
            (Bt601, Full, [76, 85, 255], [255, 0, 0]),
            (Bt601, Full, [29, 255, 107], [0, 0, 255]),
            (Bt709, Limited, [63, 102, 240], [255, 0, 0]),
            (Bt709, Limited, [173, 42, 26], [0, 255, 0]),
            (Bt709, Limited, [32, 240, 118], [0, 0, 255]),
            (Bt709, Full, [54, 99, 255], [255, 0, 0]),
            (Bt2020, Limited, [74, 97, 240], [255, 0, 0]),
            (Bt2020, Limited, [29, 240, 119], [0, 0, 255]),
            (Bt2020, Full, [67, 92, 255], [255, 0, 0]),
        ];
        for (matrix, range, [y, u, v], expected) in cases {
            let color_space = YuvColorSpace::new(matrix, range);
            let found = YuvToRgb::new(color_space).pixel(y, u, v);
            // The samples are rounded, and a level of chroma is up to two of a colour.
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(i32::from(found).abs_diff(expected) <= 2, "{color_space}: {found}");
            }
        }
        for color_space in YuvColorSpace::ALL {
            let (black, white) = match color_space.range {
                Limited => (16, 235),
                Full => (0, 255),
            };
            let conversion = YuvToRgb::new(color_space);
            assert_eq!(conversion.pixel(black, 128, 128), [0; 3], "{color_space}");
            assert_eq!(conversion.pixel(white, 128, 128), [255; 3], "{color_space}");
        }
    }

    /// Red, green and blue in levels, by inverting what a standard says luma and chroma are.
    fn inverted(color_space: YuvColorSpace, y: u8, u: u8, v: u8) -> [f64; 3] {
        let (red, blue) = match color_space.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
            YuvMatrix::Bt2020 => (0.2627, 0.0593),
        };
        // Rows: Y, (B - Y) and (R - Y) scaled to -1/2 to 1/2, of colours from 0 to 1.
        let luma = [red, 1.0 - red - blue, blue];
        let difference = |channel: usize| -> [f64; 3] {
            let mut row = luma.map(|weight| -weight);
            row[channel] += 1.0;
            row.map(|weight| weight / (2.0 * (1.0 - luma[channel])))
        };
        let rows = [luma, difference(2), difference(0)];
        let (y, u, v) = (f64::from(y), f64::from(u), f64::from(v));
        let samples = match color_space.range {
            YuvRange::Limited => [(y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0],
            YuvRange::Full => [y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0],
        };
        // Cramer's rule.
        let determinant = |m: [[f64; 3]; 3]| {
            m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
                - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
                + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
        };
        [0, 1, 2].map(|channel| {
            let mut replaced = rows;
            for (row, sample) in replaced.iter_mut().zip(samples) {
                row[channel] = sample;
            }
            255.0 * determinant(replaced) / determinant(rows)
        })
    }

    #[test]
    fn conversion_inverts_the_standards() {
        let mut cases = 0;
        for color_space in YuvColorSpace::ALL {
            let conversion = YuvToRgb::new(color_space);
            for y in (0..=255).step_by(5) {
                for u in (0..=255).step_by(5) {
                    for v in (0..=255).step_by(5) {
                        let real = inverted(color_space, y, u, v);
                        let found = conversion.pixel(y, u, v);
                        for (real, found) in real.into_iter().zip(found) {
                            let error = (real.clamp(0.0, 255.0) - f64::from(found)).abs();
                            assert!(
                                error < 0.51,
                                "{color_space}: Y {y} U {u} V {v}: {real} became {found}"
                            );
                        }
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 6 * 52 * 52 * 52);
    }

    #[test]
    fn odd_sizes_keep_their_last_column_and_row() {
        let y = [16, 235, 16, 235, 16, 235, 16, 235, 16];
        let mut rgb = [7; 27];
        rgb_from_yuv420(&y, &[128; 4], &[128; 4], 3, &mut rgb);
        for (index, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
            assert_eq!(*pixel, if index % 2 == 0 { [0; 3] } else { [255; 3] });
        }
    }
}
