//! Picking elements: the one kernel of every operator that only moves elements.

use image_embedder_backend::BackendError;

use crate::ops::{Kernel, Lowered, Operands};
use crate::slots::{Elements, Inputs, Output, Scratch};

/// For every output dimension, which places along it the output takes.
///
/// Output element `[i, j, ...]` is the input's element `start + first[i] + second[j] + ...`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selection {
    start: usize,
    /// Offsets by output index, for each dimension.
    offsets: Vec<Vec<usize>>,
    /// Consecutive elements that each innermost offset stands for.
    run: usize,
    /// Whether there are no elements at all.
    empty: bool,
}

impl Selection {
    /// The selection of these offsets, in elements, along each output dimension.
    ///
    /// Dimensions of one element join the start, and innermost ones of consecutive elements join
    /// the run, so that what is left to loop over is as little as can be.
    pub(crate) fn new(offsets: Vec<Vec<usize>>) -> Self {
        let empty = offsets.iter().any(Vec::is_empty);
        let mut selection = Self { start: 0, offsets: Vec::new(), run: 1, empty };
        if empty {
            return selection;
        }
        for mut places in offsets {
            if places[0] > 0 && places.iter().all(|&place| place >= places[0]) {
                let least = places[0];
                selection.start += least;
                places.iter_mut().for_each(|place| *place -= least);
            }
            if places.len() > 1 || places[0] > 0 {
                selection.offsets.push(places);
            }
        }
        while let Some(places) = selection.offsets.last() {
            let run = selection.run;
            if !places.iter().enumerate().all(|(index, &place)| place == index * run) {
                break;
            }
            selection.run *= places.len();
            selection.offsets.pop();
        }
        selection
    }

    fn copy<T: Copy>(&self, input: &[T], output: &mut [T]) {
        if !self.empty {
            copy(&self.offsets, self.run, input, self.start, output);
        }
    }
}

fn copy<T: Copy>(offsets: &[Vec<usize>], run: usize, input: &[T], start: usize, output: &mut [T]) {
    match offsets {
        [] => output.copy_from_slice(&input[start..start + run]),
        [places] if run == 1 => {
            let input = &input[start..];
            for (result, &place) in output.iter_mut().zip(places) {
                *result = input[place];
            }
        }
        [places] => {
            for (results, &place) in output.chunks_exact_mut(run).zip(places) {
                results.copy_from_slice(&input[start + place..][..run]);
            }
        }
        [places, inner @ ..] => {
            let chunk = output.len() / places.len();
            for (results, &place) in output.chunks_exact_mut(chunk.max(1)).zip(places) {
                copy(inner, run, input, start + place, results);
            }
        }
    }
}

impl Kernel for Selection {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output.elements {
            Elements::Float32(output) => self.copy(inputs.float32(0)?, output),
            Elements::Bytes(output) => self.copy(inputs.bytes(0)?, output),
            Elements::Integers(output) => self.copy(inputs.integers(0)?, output),
        }
        Ok(())
    }
}

/// The distance between neighbours along each dimension of a shape.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension];
    }
    strides
}

/// All places along a dimension of `size` elements, `stride` apart.
pub(crate) fn every(size: usize, stride: usize) -> Vec<usize> {
    (0..size).map(|index| index * stride).collect()
}

/// The work of moving elements of input `index` into `shape`: none at all if they keep their
/// order.
pub(crate) fn lower_selection(
    operands: &Operands<'_>,
    index: usize,
    shape: Vec<usize>,
    offsets: Vec<Vec<usize>>,
) -> Result<Lowered, BackendError> {
    let input = operands.input(index)?;
    operands.check_moves(input)?;
    let source = operands.input_index(index)?;
    let selection = Selection::new(offsets);
    let is_whole = selection.offsets.is_empty()
        && selection.start == 0
        && selection.run == input.element_count();
    Ok(if is_whole && !selection.empty {
        Lowered::alias(shape, source)
    } else {
        Lowered::step(shape, selection, vec![source])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(input: &[u8], offsets: Vec<Vec<usize>>) -> Vec<u8> {
        let mut output = vec![0; offsets.iter().map(Vec::len).product()];
        Selection::new(offsets).copy(input, &mut output);
        output
    }

    #[test]
    fn moves_as_its_offsets_say() {
        let input: Vec<u8> = (0..24).collect();
        // The transpose of 2 x 3 rows of 4 elements.
        let transposed = select(&input, vec![every(3, 4), every(2, 12), every(4, 1)]);
        assert_eq!(transposed[..8], [0, 1, 2, 3, 12, 13, 14, 15]);
        // The last row backwards.
        assert_eq!(select(&input, vec![vec![23, 22, 21, 20]]), [23, 22, 21, 20]);
        // A part in the middle.
        assert_eq!(select(&input, vec![vec![12], vec![4, 8], vec![1, 2]]), [17, 18, 21, 22]);
        assert_eq!(select(&input, vec![vec![], vec![1]]), [0u8; 0]);
    }

    #[test]
    fn consecutive_elements_become_one_run() {
        let selection = Selection::new(vec![vec![0], vec![8, 12], every(4, 1)]);
        assert_eq!((selection.start, selection.run), (8, 8));
        assert!(selection.offsets.is_empty());
    }
}
