//! What the packed products share: rows on the left, panels of columns on the right.

/// `count` rows of values, each `stride` after the one before.
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

/// The left-hand side: `count` rows of values, which lie in runs. Row `r` is found at
///
/// ```text
/// start(r)  = r / columns * line + r % columns * stride
/// row(r)[d] = values[start(r) + offsets[d / run] + d % run]
/// ```
///
/// so that windows over an image, line by line, need not be copied to be rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) count: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
    pub(crate) line: usize,
    pub(crate) offsets: &'a [usize],
    pub(crate) run: usize,
}

impl<'a, T> Windows<'a, T> {
    /// Rows of `depth` values that lie side by side, one after the other.
    pub(crate) fn rows(values: &'a [T], depth: usize, count: usize) -> Self {
        Self { values, count, columns: count, stride: depth, line: 0, offsets: &[0], run: depth }
    }

    /// Where `ROWS` rows from `first` on start.
    #[inline(always)]
    pub(super) fn starts<const ROWS: usize>(&self, first: usize) -> [usize; ROWS] {
        let columns = self.columns.max(1);
        let (mut line, mut column) =
            if first < columns { (0, first) } else { (first / columns, first % columns) };
        if column + ROWS <= columns {
            let start = line * self.line + column * self.stride;
            return std::array::from_fn(|row| start + row * self.stride);
        }
        std::array::from_fn(|_| {
            let start = line * self.line + column * self.stride;
            column += 1;
            if column == columns {
                (line, column) = (line + 1, 0);
            }
            start
        })
    }

    /// The depth in pieces of at most `most` values where a run is longer, and of several whole
    /// runs where it is not: for each its offsets, and its part of every run.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn pieces(
        &self,
        most: usize,
    ) -> impl Iterator<Item = (&'a [usize], std::ops::Range<usize>)> {
        let run = self.run.max(1);
        let len = run.div_ceil(run.div_ceil(most));
        self.offsets.chunks((most / run).max(1)).flat_map(move |offsets| {
            (0..run).step_by(len).map(move |start| (offsets, start..run.min(start + len)))
        })
    }

    /// The rows, if each is a single run and follows the one before.
    #[inline(always)]
    pub(super) fn as_rows(&self) -> Rows<'a, T> {
        debug_assert!(self.offsets == [0] && self.columns >= self.count);
        Rows { values: self.values, stride: self.stride, count: self.count }
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
