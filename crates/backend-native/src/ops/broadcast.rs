//! Pairing the elements of two tensors whose shapes differ in dimensions of one element.

use crate::ops::ELEMENTS;

/// How two tensors are run through together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Broadcast {
    /// From the outermost, as few as can be.
    dimensions: Vec<Dimension>,
}

/// Neighbouring dimensions that are alike in who has them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dimension {
    size: usize,
    /// Which operands have the dimension; the others repeat their elements.
    of: [bool; 2],
}

impl Broadcast {
    /// The common shape and the way through it, or `None` if the shapes do not fit.
    pub(crate) fn new(first: &[usize], second: &[usize]) -> Option<(Vec<usize>, Self)> {
        let rank = first.len().max(second.len());
        let size_at = |shape: &[usize], dimension: usize| {
            let missing = rank - shape.len();
            dimension.checked_sub(missing).map_or(1, |index| shape[index])
        };
        let mut shape = Vec::with_capacity(rank);
        let mut dimensions: Vec<Dimension> = Vec::new();
        for index in 0..rank {
            let (a, b) = (size_at(first, index), size_at(second, index));
            let size = match (a, b) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
            shape.push(size);
            if size == 1 {
                continue;
            }
            let of = [a == size, b == size];
            match dimensions.last_mut() {
                Some(last) if last.of == of => last.size = last.size.checked_mul(size)?,
                _ => dimensions.push(Dimension { size, of }),
            }
        }
        Some((shape, Self { dimensions }))
    }

    /// How many neighbouring results are computed together where they are computed in parts.
    pub(crate) fn grain(&self) -> usize {
        match &self.dimensions[..] {
            [] | [_] => ELEMENTS,
            [_, inner @ ..] => inner.iter().map(|dimension| dimension.size).product(),
        }
    }

    /// Calls `combine(a, b)` for each pair and keeps the results in order: those from `start` on,
    /// a multiple of the grain, as many as the output has.
    pub(crate) fn run<A: Copy, B: Copy, T>(
        &self,
        first: &[A],
        second: &[B],
        (start, output): (usize, &mut [T]),
        combine: impl Fn(A, B) -> T,
    ) {
        self.for_each_run(first, second, (start, output), |first, second, results| {
            match (first, second) {
                (first, &[b]) => {
                    for (result, &a) in results.iter_mut().zip(first) {
                        *result = combine(a, b);
                    }
                }
                (&[a], second) => {
                    for (result, &b) in results.iter_mut().zip(second) {
                        *result = combine(a, b);
                    }
                }
                (first, second) => {
                    for ((result, &a), &b) in results.iter_mut().zip(first).zip(second) {
                        *result = combine(a, b);
                    }
                }
            }
        });
    }

    /// Calls `combine(run of the first, run of the second, run of results)`, in order, for the
    /// results from `start` on; an operand whose run is one element repeats it.
    pub(crate) fn for_each_run<A, B, T>(
        &self,
        first: &[A],
        second: &[B],
        (start, output): (usize, &mut [T]),
        mut combine: impl FnMut(&[A], &[B], &mut [T]),
    ) {
        /// The operand's elements for `len` of a dimension's `size` places, from `start` on.
        fn part<T>(operand: &[T], has: bool, size: usize, start: usize, len: usize) -> &[T] {
            let each = operand.len() / size.max(1);
            if has { &operand[start * each..][..len * each] } else { operand }
        }
        match &self.dimensions[..] {
            [] => combine(first, second, output),
            [Dimension { size, of }] => {
                let first = part(first, of[0], *size, start, output.len());
                let second = part(second, of[1], *size, start, output.len());
                combine(first, second, output);
            }
            [Dimension { size, of }, inner @ ..] => {
                let chunk = self.grain().max(1);
                let count = output.len() / chunk;
                let first = part(first, of[0], *size, start / chunk, count);
                let second = part(second, of[1], *size, start / chunk, count);
                for_each_place(count, *of, inner, first, second, output, &mut combine);
            }
        }
    }
}

fn for_each_run<A, B, T>(
    dimensions: &[Dimension],
    first: &[A],
    second: &[B],
    output: &mut [T],
    combine: &mut impl FnMut(&[A], &[B], &mut [T]),
) {
    if output.is_empty() {
        return;
    }
    match dimensions {
        [] | [_] => combine(first, second, output),
        [Dimension { size, of }, inner @ ..] => {
            for_each_place(*size, *of, inner, first, second, output, combine);
        }
    }
}

/// Goes through the `size` places of a dimension, and through the inner ones at each.
fn for_each_place<A, B, T>(
    size: usize,
    of: [bool; 2],
    inner: &[Dimension],
    first: &[A],
    second: &[B],
    output: &mut [T],
    combine: &mut impl FnMut(&[A], &[B], &mut [T]),
) {
    let each = |len: usize| len / size.max(1);
    let step = |len: usize, has: bool| if has { (each(len), each(len)) } else { (0, len) };
    let (a_step, a_len) = step(first.len(), of[0]);
    let (b_step, b_len) = step(second.len(), of[1]);
    for (index, results) in output.chunks_exact_mut(each(output.len()).max(1)).enumerate() {
        let a = &first[index * a_step..][..a_len];
        let b = &second[index * b_step..][..b_len];
        for_each_run(inner, a, b, results, combine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indexes both tensors for every element of the result.
    fn oracle(first: &[usize], second: &[usize], shape: &[usize]) -> Vec<(usize, usize)> {
        let count = shape.iter().product();
        let place = |of: &[usize], mut index: usize| {
            let (mut place, mut stride) = (0, 1);
            for (dimension, &size) in shape.iter().enumerate().rev() {
                let own = (dimension + of.len())
                    .checked_sub(shape.len())
                    .map_or(1, |dimension| of[dimension]);
                place += (index % size % own) * stride;
                stride *= own;
                index /= size;
            }
            place
        };
        (0..count).map(|index| (place(first, index), place(second, index))).collect()
    }

    #[test]
    fn agrees_with_indexing() {
        let shapes: [&[usize]; 8] =
            [&[], &[1], &[4], &[3, 1], &[3, 4], &[2, 1, 4], &[2, 3, 1], &[5, 1, 3, 4]];
        let mut cases = 0;
        for first in shapes {
            for second in shapes {
                let Some((shape, broadcast)) = Broadcast::new(first, second) else {
                    continue;
                };
                let indices = |shape: &[usize]| (0..shape.iter().product()).collect::<Vec<usize>>();
                let mut pairs = vec![(usize::MAX, usize::MAX); shape.iter().product()];
                let (a, b) = (indices(first), indices(second));
                let grain = broadcast.grain();
                for (index, part) in pairs.chunks_mut(grain).enumerate() {
                    broadcast.run(&a, &b, (index * grain, part), |a, b| (a, b));
                }
                assert_eq!(pairs, oracle(first, second, &shape), "{first:?} and {second:?}");
                cases += 1;
            }
        }
        assert_eq!(cases, 64);
    }

    #[test]
    fn equal_shapes_are_one_loop() {
        let (shape, broadcast) = Broadcast::new(&[2, 3, 4], &[2, 3, 4]).unwrap();
        assert_eq!(shape, [2, 3, 4]);
        assert_eq!(broadcast.dimensions.len(), 1);
        assert_eq!(Broadcast::new(&[2, 3], &[3, 2]), None);
    }
}
