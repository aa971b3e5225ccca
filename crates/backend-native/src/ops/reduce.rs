//! `MEAN`, `SUM` and the other functions of all elements along some dimensions.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::graph::{Element, Tensor};
use crate::kernels::comparison::{maximum, minimum};
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Reduction};
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32, both_integers};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

pub(crate) fn lower(
    operands: &Operands<'_>,
    function: Reduction,
    keep_dims: bool,
) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let mut is_reduced = vec![false; input.shape.len()];
    let axes = operands.integers(1)?;
    for &axis in &axes {
        is_reduced[operands.axis(axis, input.shape.len())?] = true;
    }
    let (shape, reducer) = Reducer::new(&input.shape, &is_reduced, keep_dims);
    let places = vec![operands.input_index(0)?];
    if input.element_count() == 0 {
        return Err(operands.unsupported("an input without elements"));
    }
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatReduction { function, reducer }, places));
    }
    if both_integers(input, output) {
        let is_narrow = output.element == Element::Int32;
        return Ok(Lowered::step(shape, IntegerReduction { function, is_narrow, reducer }, places));
    }
    if !both_bytes(input, output) {
        return Err(operands.unsupported_elements());
    }
    match function {
        Reduction::Max | Reduction::Min => {
            operands.check_moves(input)?;
            let is_maximum = function == Reduction::Max;
            Ok(Lowered::step(shape, ByteExtreme { is_maximum, reducer }, places))
        }
        Reduction::Mean | Reduction::Sum => {
            // XNNPACK has the mean over the height and width of images, or the width alone, and
            // leaves axes that are counted from the last to TensorFlow Lite.
            let is_image_mean = function == Reduction::Mean
                && axes.iter().all(|&axis| axis >= 0)
                && (is_reduced == [false, true, true, false]
                    || is_reduced == [false, false, true, false]);
            let scaling = Scaling::new(input, output, function, is_image_mean, &reducer)
                .ok_or_else(|| operands.unsupported(format!("{} elements", reducer.count)))?;
            let kernel = QuantizedReduction { scaling, results: shape.iter().product(), reducer };
            Ok(Lowered::step(shape, kernel, places))
        }
        Reduction::Prod => Err(operands.unsupported_elements()),
    }
}

/// The way through a tensor whose elements come together along some dimensions.
#[derive(Clone, Debug, PartialEq)]
struct Reducer {
    /// From the outermost: sizes, and whether elements come together along them. Neighbours
    /// differ.
    dimensions: Vec<(usize, bool)>,
    /// How many elements come together to one.
    count: usize,
}

impl Reducer {
    fn new(shape: &[usize], is_reduced: &[bool], keep_dims: bool) -> (Vec<usize>, Self) {
        let mut result = Vec::new();
        let mut dimensions: Vec<(usize, bool)> = Vec::new();
        let mut count = 1;
        for (&size, &is_reduced) in shape.iter().zip(is_reduced) {
            if !is_reduced {
                result.push(size);
            } else {
                count *= size;
                if keep_dims {
                    result.push(1);
                }
            }
            match dimensions.last_mut() {
                Some((last, kind)) if *kind == is_reduced || size == 1 => *last *= size,
                _ => dimensions.push((size, is_reduced)),
            }
        }
        (result, Self { dimensions, count })
    }

    /// Combines every element into its result.
    fn run<T: Copy, S: Copy>(
        &self,
        input: &[T],
        results: &mut [S],
        combine: impl Fn(S, T) -> S + Copy,
    ) {
        reduce(&self.dimensions, input, results, combine);
    }
}

fn reduce<T: Copy, S: Copy>(
    dimensions: &[(usize, bool)],
    input: &[T],
    results: &mut [S],
    combine: impl Fn(S, T) -> S + Copy,
) {
    match dimensions {
        [] | [(_, false)] => {
            for (result, &value) in results.iter_mut().zip(input) {
                *result = combine(*result, value);
            }
        }
        [(_, true)] => {
            if let [result] = results {
                *result = input.iter().fold(*result, |sum, &value| combine(sum, value));
            }
        }
        [(size, is_reduced), inner @ ..] => {
            let chunk = (input.len() / size).max(1);
            if *is_reduced {
                for input in input.chunks_exact(chunk) {
                    reduce(inner, input, results, combine);
                }
            } else {
                let result_chunk = (results.len() / size).max(1);
                let rows = input.chunks_exact(chunk);
                for (input, results) in rows.zip(results.chunks_exact_mut(result_chunk)) {
                    reduce(inner, input, results, combine);
                }
            }
        }
    }
}

/// A reduction of floats.
#[derive(Debug)]
struct FloatReduction {
    function: Reduction,
    reducer: Reducer,
}

impl Kernel for FloatReduction {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let reducer = &self.reducer;
        match self.function {
            Reduction::Max => {
                output.fill(f32::NEG_INFINITY);
                reducer.run(input, output, |most, value| maximum(value, most));
            }
            Reduction::Min => {
                output.fill(f32::INFINITY);
                reducer.run(input, output, |least, value| minimum(value, least));
            }
            Reduction::Prod => {
                output.fill(1.0);
                reducer.run(input, output, |product, value: f32| product * value);
            }
            Reduction::Sum | Reduction::Mean => {
                output.fill(0.0);
                reducer.run(input, output, |sum, value: f32| sum + value);
            }
        }
        if self.function == Reduction::Mean {
            let factor = 1.0 / reducer.count as f32;
            for mean in output {
                *mean *= factor;
            }
        }
        Ok(())
    }
}

/// A reduction of whole numbers; what is beyond their type wraps around, and means are cut off.
#[derive(Debug)]
struct IntegerReduction {
    function: Reduction,
    /// Whether results are of 32 bits.
    is_narrow: bool,
    reducer: Reducer,
}

impl Kernel for IntegerReduction {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.integers(0)?, output.integers()?);
        let (start, combine): (i64, fn(i64, i64) -> i64) = match self.function {
            Reduction::Max => (i64::MIN, i64::max),
            Reduction::Min => (i64::MAX, i64::min),
            Reduction::Prod => (1, i64::wrapping_mul),
            Reduction::Sum | Reduction::Mean => (0, i64::wrapping_add),
        };
        output.fill(start);
        self.reducer.run(input, output, combine);
        for result in output {
            if self.function == Reduction::Mean {
                // There are elements, and as many as fit into memory.
                *result /= self.reducer.count as i64;
            }
            if self.is_narrow {
                *result = i64::from(*result as i32);
            }
        }
        Ok(())
    }
}

/// The largest or least bytes.
#[derive(Debug)]
struct ByteExtreme {
    is_maximum: bool,
    reducer: Reducer,
}

impl Kernel for ByteExtreme {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        if self.is_maximum {
            output.fill(0);
            self.reducer.run(input, output, u8::max);
        } else {
            output.fill(255);
            self.reducer.run(input, output, u8::min);
        }
        Ok(())
    }
}

/// How sums of bytes become bytes.
#[derive(Clone, Copy, Debug)]
enum Scaling {
    /// ```text
    /// scale = input_scale / (output_scale * count)
    /// result = requantize(sum - count * input_zero, scale)
    /// ```
    ///
    /// Source of the formula: XNNPACK, quantised global average pooling.
    Fused { bias: i32, scale: f32, range: OutputRange },
    /// ```text
    /// mean = (sum - count * input_zero) * multiplier + output_zero
    /// ```
    ///
    /// The fixed-point multiplier stands for `input_scale / (output_scale * count)`. Source of the
    /// formula: TensorFlow Lite's builtin `Mean`.
    FixedPoint { bias: i32, factor: FixedPoint, range: OutputRange },
    /// ```text
    /// scale = input_scale / output_scale
    /// sum = round(sum * scale - input_zero * scale * count) + output_zero
    /// ```
    ///
    /// Source of the formula: TensorFlow Lite's builtin `Sum`; everything is in the model's own
    /// type.
    Real { scale: f32, bias: f32, zero_point: i32, byte_offset: i32, count: i32 },
}

impl Scaling {
    fn new(
        input: &Tensor,
        output: &Tensor,
        function: Reduction,
        is_image_mean: bool,
        reducer: &Reducer,
    ) -> Option<Self> {
        let (input_scale, input_zero_point) = input.per_tensor().ok()?;
        let (scale, zero_point) = output.per_tensor().ok()?;
        let byte_offset = output.element.byte_offset();
        // Sums of bytes stay within 32 bits.
        let count =
            i32::try_from(reducer.count).ok().filter(|count| count.checked_mul(256).is_some())?;
        let range = OutputRange::new(scale, zero_point, byte_offset, Activation::None);
        let bias = -count * input_zero_point;
        if is_image_mean {
            return Some(Self::Fused { bias, scale: input_scale / (scale * count as f32), range });
        }
        if function == Reduction::Mean {
            let FixedPoint { multiplier, shift } =
                FixedPoint::new(f64::from(input_scale) / f64::from(scale));
            // As many bits as the count has are kept for the division.
            let bits = (31 - count.leading_zeros().cast_signed()).min(31 + shift);
            let divided = (i64::from(multiplier) << bits.max(0)) / i64::from(count);
            return Some(Self::FixedPoint {
                bias,
                factor: FixedPoint {
                    multiplier: i32::try_from(divided).ok()?,
                    shift: shift - bits.max(0),
                },
                range,
            });
        }
        let factor = input_scale / scale;
        let own_zero_point = (input_zero_point + byte_offset) as f32;
        Some(Self::Real {
            scale: factor,
            bias: -own_zero_point * factor * count as f32,
            zero_point: zero_point + byte_offset,
            byte_offset,
            count,
        })
    }

    fn apply(&self, sum: i32) -> u8 {
        match *self {
            Self::Fused { bias, scale, range } => range.requantize(sum + bias, scale),
            Self::FixedPoint { bias, factor, range } => range.clamp(factor.apply(sum + bias)),
            Self::Real { scale, bias, zero_point, byte_offset, count } => {
                let own = (sum + count * byte_offset) as f32;
                let rounded = (own * scale + bias).round() as i32;
                let held = rounded.saturating_add(zero_point - byte_offset);
                held.clamp(0, 255) as u8
            }
        }
    }
}

/// A mean or sum of bytes.
#[derive(Debug)]
struct QuantizedReduction {
    scaling: Scaling,
    results: usize,
    reducer: Reducer,
}

impl Kernel for QuantizedReduction {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { int32: self.results, ..ScratchSizes::default() }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let sums = &mut scratch.int32[..self.results];
        sums.fill(0);
        self.reducer.run(input, sums, |sum, value| sum + i32::from(value));
        for (result, &sum) in output.iter_mut().zip(&*sums) {
            *result = self.scaling.apply(sum);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(shape: &[usize], is_reduced: &[bool]) -> Vec<u32> {
        let input: Vec<u32> = (0..shape.iter().product::<usize>() as u32).collect();
        let (shape, reducer) = Reducer::new(shape, is_reduced, false);
        let mut results = vec![0; shape.iter().product()];
        reducer.run(&input, &mut results, |sum, value| sum + value);
        results
    }

    #[test]
    fn any_dimensions_come_together() {
        assert_eq!(sums(&[2, 3], &[true, false]), [3, 5, 7]);
        assert_eq!(sums(&[2, 3], &[false, true]), [3, 12]);
        assert_eq!(sums(&[2, 3], &[true, true]), [15]);
        assert_eq!(sums(&[2, 3], &[false, false]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(sums(&[2, 2, 2], &[true, false, true]), [10, 18]);
        assert_eq!(sums(&[1, 2, 1, 2], &[false, true, false, false]), [2, 4]);
        assert_eq!(sums(&[], &[]), [0]);
    }

    #[test]
    fn dimensions_stay_with_one_element_if_asked() {
        let (shape, reducer) = Reducer::new(&[4, 3, 5, 2], &[false, true, true, false], true);
        assert_eq!(shape, [4, 1, 1, 2]);
        assert_eq!(reducer.dimensions, [(4, false), (15, true), (2, false)]);
        assert_eq!(reducer.count, 15);
    }
}
