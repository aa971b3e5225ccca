//! Dot products of 16-bit vectors, four at a time.

/// How many left-hand vectors one call multiplies.
pub(crate) const DOT_ROWS: usize = 4;

/// The dot products of four rows with one vector, in wrapping 32-bit arithmetic.
///
/// All slices have the same length. The products of 9-bit factors and the sums that quantised
/// models make stay within 32 bits; a hostile model wraps.
#[inline]
pub(crate) fn dot4_i16(rows: [&[i16]; DOT_ROWS], vector: &[i16]) -> [i32; DOT_ROWS] {
    let len = vector.len();
    let [a, b, c, d] = rows.map(|row| &row[..len]);
    let mut sums = [0i32; DOT_ROWS];
    for index in 0..len {
        let factor = i32::from(vector[index]);
        sums[0] = sums[0].wrapping_add(i32::from(a[index]) * factor);
        sums[1] = sums[1].wrapping_add(i32::from(b[index]) * factor);
        sums[2] = sums[2].wrapping_add(i32::from(c[index]) * factor);
        sums[3] = sums[3].wrapping_add(i32::from(d[index]) * factor);
    }
    sums
}
