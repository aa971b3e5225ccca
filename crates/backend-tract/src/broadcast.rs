//! Pairing the elements of two tensors whose shapes differ in dimensions of one element.

/// The way through two tensors together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Broadcast {
    /// From the outermost, as few as can be.
    dimensions: Vec<Dimension>,
}

/// Neighbouring dimensions that are alike in which tensor has them.
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
        let at = |shape: &[usize], dimension: usize| {
            dimension.checked_sub(rank - shape.len()).map_or(1, |index| shape[index])
        };
        let mut shape = Vec::with_capacity(rank);
        let mut dimensions: Vec<Dimension> = Vec::new();
        for dimension in 0..rank {
            let sizes = [at(first, dimension), at(second, dimension)];
            let size = match sizes {
                [a, b] if a == b => a,
                [1, b] => b,
                [a, 1] => a,
                _ => return None,
            };
            shape.push(size);
            if size == 1 {
                continue;
            }
            let of = sizes.map(|own| own == size);
            match dimensions.last_mut() {
                Some(last) if last.of == of => last.size = last.size.checked_mul(size)?,
                _ => dimensions.push(Dimension { size, of }),
            }
        }
        Some((shape, Self { dimensions }))
    }

    /// Sets each result to `combine(a, b)`, which may say that there is none.
    pub(crate) fn run<T: Copy, R: Copy>(
        &self,
        operands: [&[T]; 2],
        results: &mut [R],
        combine: impl Fn(T, T) -> Option<R> + Copy,
    ) -> Option<()> {
        if results.is_empty() {
            return Some(());
        }
        walk(&self.dimensions, operands, results, combine)
    }
}

fn walk<T: Copy, R: Copy>(
    dimensions: &[Dimension],
    [first, second]: [&[T]; 2],
    results: &mut [R],
    combine: impl Fn(T, T) -> Option<R> + Copy,
) -> Option<()> {
    match dimensions {
        [] | [_] => {
            match (first, second) {
                (&[a], &[b]) => results.fill(combine(a, b)?),
                (first, &[b]) => {
                    for (result, &a) in results.iter_mut().zip(first) {
                        *result = combine(a, b)?;
                    }
                }
                (&[a], second) => {
                    for (result, &b) in results.iter_mut().zip(second) {
                        *result = combine(a, b)?;
                    }
                }
                (first, second) => {
                    for ((result, &a), &b) in results.iter_mut().zip(first).zip(second) {
                        *result = combine(a, b)?;
                    }
                }
            }
            Some(())
        }
        [Dimension { size, of }, inner @ ..] => {
            let chunk = |index: usize, len: usize, has: bool| {
                let chunk = if has { len / size } else { len };
                let start = if has { index * chunk } else { 0 };
                start..start + chunk
            };
            for (index, results) in
                results.chunks_exact_mut((results.len() / size).max(1)).enumerate()
            {
                let first = &first[chunk(index, first.len(), of[0])];
                let second = &second[chunk(index, second.len(), of[1])];
                walk(inner, [first, second], results, combine)?;
            }
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(first: (&[usize], &[i32]), second: (&[usize], &[i32])) -> (Vec<usize>, Vec<i32>) {
        let (shape, broadcast) = Broadcast::new(first.0, second.0).unwrap();
        let mut results = vec![0; shape.iter().product()];
        broadcast.run([first.1, second.1], &mut results, |a, b| Some(a + b)).unwrap();
        (shape, results)
    }

    #[test]
    fn dimensions_of_one_repeat() {
        let all = sums((&[2, 2], &[1, 2, 3, 4]), (&[2, 2], &[10, 20, 30, 40]));
        assert_eq!(all, (vec![2, 2], vec![11, 22, 33, 44]));
        let inner = sums((&[2, 2], &[1, 2, 3, 4]), (&[2], &[10, 20]));
        assert_eq!(inner, (vec![2, 2], vec![11, 22, 13, 24]));
        let crossed = sums((&[2, 1], &[1, 2]), (&[1, 3], &[10, 20, 30]));
        assert_eq!(crossed, (vec![2, 3], vec![11, 21, 31, 12, 22, 32]));
        let scalar = sums((&[], &[5]), (&[1, 2], &[1, 2]));
        assert_eq!(scalar, (vec![1, 2], vec![6, 7]));
        let middle = sums((&[2, 1, 2], &[1, 2, 3, 4]), (&[2, 2, 1], &[10, 20, 30, 40]));
        assert_eq!(middle, (vec![2, 2, 2], vec![11, 12, 21, 22, 33, 34, 43, 44]));
        assert_eq!(Broadcast::new(&[2], &[3]), None);
        assert_eq!(sums((&[0, 2], &[]), (&[2], &[1, 2])), (vec![0, 2], vec![]));
    }

    #[test]
    fn a_pair_without_a_result_ends_the_walk() {
        let (_, broadcast) = Broadcast::new(&[2], &[2]).unwrap();
        let quotients =
            |divisors: &[i32]| broadcast.run([&[6, 6], divisors], &mut [0, 0], i32::checked_div);
        assert_eq!(quotients(&[2, 3]), Some(()));
        assert_eq!(quotients(&[2, 0]), None);
    }
}
