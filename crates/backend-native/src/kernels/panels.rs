//! What the packed products share: rows on the left, panels of columns on the right.

/// The left-hand side: `count` rows of values, each `stride` after the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// The first `depth` values of row `index`.
    #[inline(always)]
    pub(crate) fn row(&self, index: usize, depth: usize) -> &'a [T] {
        &self.values[index * self.stride..][..depth]
    }
}

/// Deals vectors of columns to as few panels of at most `widest` as there can be, evenly: a narrow
/// panel keeps fewer sums in flight. Yields each panel's first vector and its width.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) fn deal_panels(vectors: usize, widest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = vectors.div_ceil(widest);
    (0..count).scan(0, move |next, index| {
        let first = *next;
        let width = (vectors - first).div_ceil(count - index);
        *next += width;
        Some((first, width))
    })
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    #[test]
    fn panels_are_even_and_cover_all() {
        assert_eq!(deal_panels(0, 4).count(), 0);
        assert_eq!(deal_panels(5, 4).collect::<Vec<_>>(), [(0, 3), (3, 2)]);
        assert_eq!(deal_panels(9, 4).collect::<Vec<_>>(), [(0, 3), (3, 3), (6, 3)]);
        assert_eq!(deal_panels(8, 4).collect::<Vec<_>>(), [(0, 4), (4, 4)]);
    }
}
