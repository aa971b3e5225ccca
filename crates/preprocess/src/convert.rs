//! Converting pixels to RGB.

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

/// The RGB pixel of a YUV sample, rounded to the nearest level.
///
/// ```text
/// R = 1.164384 (Y - 16)                      + 1.596027 (V - 128)
/// G = 1.164384 (Y - 16) - 0.391762 (U - 128) - 0.812968 (V - 128)
/// B = 1.164384 (Y - 16) + 2.017232 (U - 128)
/// ```
///
/// BT.601 with limited range in 16-bit fixed point. Source: ITU-R BT.601-7.
#[inline]
pub(crate) fn rgb_from_yuv_rounded(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = 76309 * (i32::from(y) - 16) + (1 << 15);
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [
        ((luma + 104_597 * v) >> 16).clamp(0, 255) as u8,
        ((luma - 25_675 * u - 53_279 * v) >> 16).clamp(0, 255) as u8,
        ((luma + 132_201 * u) >> 16).clamp(0, 255) as u8,
    ]
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
pub(crate) fn rgb_from_yuv444(y: &[u8], u: &[u8], v: &[u8], rgb: &mut [u8]) {
    for ((pixel, &y), (&u, &v)) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(y).zip(u.iter().zip(v))
    {
        *pixel = rgb_from_yuv_rounded(y, u, v);
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

    #[test]
    fn known_colours() {
        assert_eq!(rgb_from_yuv_fixed6(128, 127, 127), [129, 132, 128]);
        assert_eq!(rgb_from_yuv_fixed6(128, 128, 128), [130, 130, 130]);
        assert_eq!(rgb_from_yuv_rounded(16, 128, 128), [0, 0, 0]);
        assert_eq!(rgb_from_yuv_rounded(235, 128, 128), [255, 255, 255]);
        assert_eq!(rgb_from_yuv_rounded(126, 128, 128), [128, 128, 128]);
    }

    #[test]
    fn rounded_conversion_agrees_with_the_real_formula() {
        let mut cases = 0;
        for y in (0..=255).step_by(5) {
            for u in (0..=255).step_by(5) {
                for v in (0..=255).step_by(5) {
                    let (luma, cb, cr) = (
                        255.0 / 219.0 * (f64::from(y) - 16.0),
                        f64::from(u) - 128.0,
                        f64::from(v) - 128.0,
                    );
                    let red = luma + 255.0 / 112.0 * (1.0 - 0.299) * cr;
                    let blue = luma + 255.0 / 112.0 * (1.0 - 0.114) * cb;
                    let green = luma
                        - 255.0 / 112.0 * (1.0 - 0.299) * 0.299 / 0.587 * cr
                        - 255.0 / 112.0 * (1.0 - 0.114) * 0.114 / 0.587 * cb;
                    let found = rgb_from_yuv_rounded(y, u, v);
                    for (real, found) in [red, green, blue].into_iter().zip(found) {
                        let error = (real.clamp(0.0, 255.0) - f64::from(found)).abs();
                        assert!(error < 0.51, "Y {y} U {u} V {v}: {real} became {found}");
                    }
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 52 * 52 * 52);
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
