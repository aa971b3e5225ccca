//! `AVERAGE_POOL_2D`, `L2_POOL_2D` and `MAX_POOL_2D`.

use image_embedder_backend::BackendError;

use crate::kernels::comparison::{clamp, maximum};
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Pool};
use crate::ops::window::{Axis, bands};
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

fn windows(operands: &Operands<'_>, pool: &Pool) -> Result<Windows, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let axis = |input, index: usize| {
        Axis::new(pool.padding, input, pool.window[index], pool.strides[index], 1).ok_or_else(
            || {
                operands.invalid(format!(
                    "expected a window within the input, found {} over {input}",
                    pool.window[index]
                ))
            },
        )
    };
    Ok(Windows { batch, rows: axis(height, 0)?, columns: axis(width, 1)?, channels })
}

pub(crate) fn lower_average(operands: &Operands<'_>, pool: &Pool) -> Result<Lowered, BackendError> {
    let windows = windows(operands, pool)?;
    let shape = windows.shape();
    let (input, output) = (operands.input(0)?, operands.output()?);
    let image = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        let kernel = FloatMean { windows, of_squares: false, range: pool.activation.range() };
        return Ok(Lowered::step(shape, kernel, image));
    }
    if both_bytes(input, output) {
        let (scale, zero_point) = output.per_tensor()?;
        if input.per_tensor()? != (scale, zero_point) {
            return Err(operands.unsupported("an output quantised otherwise than the input"));
        }
        let byte_offset = output.element.byte_offset();
        let kernel = QuantizedAverage {
            windows,
            byte_offset,
            zero_point,
            range: OutputRange::new(scale, zero_point, byte_offset, pool.activation),
        };
        return Ok(Lowered::step(shape, kernel, image));
    }
    Err(operands.unsupported_elements())
}

pub(crate) fn lower_root_mean_square(
    operands: &Operands<'_>,
    pool: &Pool,
) -> Result<Lowered, BackendError> {
    let windows = windows(operands, pool)?;
    if !both_float32(operands.input(0)?, operands.output()?) {
        return Err(operands.unsupported_elements());
    }
    let shape = windows.shape();
    let kernel = FloatMean { windows, of_squares: true, range: pool.activation.range() };
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

pub(crate) fn lower_max(operands: &Operands<'_>, pool: &Pool) -> Result<Lowered, BackendError> {
    let windows = windows(operands, pool)?;
    let (input, output) = (operands.input(0)?, operands.output()?);
    let image = vec![operands.input_index(0)?];
    let shape = windows.shape();
    if both_float32(input, output) {
        let kernel = FloatMax { windows, range: pool.activation.range() };
        return Ok(Lowered::step(shape, kernel, image));
    }
    if both_bytes(input, output) {
        operands.check_moves(input)?;
        let range = match pool.activation {
            Activation::None => (0, 255),
            activation => {
                let (scale, zero_point) = output.per_tensor()?;
                let offset = output.element.byte_offset();
                let range = OutputRange::new(scale, zero_point, offset, activation);
                (range.clamp(i32::MIN / 2), range.clamp(i32::MAX / 2))
            }
        };
        return Ok(Lowered::step(shape, ByteMax { windows, range }, image));
    }
    Err(operands.unsupported_elements())
}

/// Where the windows of a pooling lie.
#[derive(Clone, Copy, Debug)]
struct Windows {
    batch: usize,
    rows: Axis,
    columns: Axis,
    channels: usize,
}

impl Windows {
    /// The output's shape.
    fn shape(&self) -> Vec<usize> {
        vec![self.batch, self.rows.output, self.columns.output, self.channels]
    }

    /// Output elements that are computed together: a row.
    fn grain(&self) -> usize {
        self.columns.output * self.channels
    }

    /// The windows of the part of the output from element `first` on, of `len` elements: those of
    /// some rows of one image each, and the first input element that they have.
    fn parts(&self, first: usize, len: usize) -> impl Iterator<Item = (Self, usize)> + use<> {
        let windows = *self;
        bands(first, len, windows.rows.output, windows.grain()).map(move |(image, rows)| {
            let (row, rows) = windows.rows.band(rows);
            let row = (image * windows.rows.input + row) * windows.columns.input;
            (Self { batch: 1, rows, ..windows }, row * windows.channels)
        })
    }

    /// Combines each input pixel under the window of each output pixel into that, for the part of
    /// the output from element `first` on.
    fn combine<T: Copy>(
        &self,
        input: &[T],
        (first, mut output): (usize, &mut [T]),
        least: T,
        combine: impl Fn(T, T) -> T,
    ) {
        for (windows, from) in self.parts(first, output.len()) {
            let (results, rest) = output.split_at_mut(windows.rows.output * windows.grain());
            windows.combine_all(&input[from..], results, least, &combine);
            output = rest;
        }
    }

    fn combine_all<T: Copy>(
        &self,
        input: &[T],
        output: &mut [T],
        least: T,
        combine: impl Fn(T, T) -> T,
    ) {
        output.fill(least);
        let channels = self.channels.max(1);
        let mut results = output.chunks_exact_mut(channels);
        for image in 0..self.batch {
            for row in 0..self.rows.output {
                for column in 0..self.columns.output {
                    let Some(results) = results.next() else {
                        return;
                    };
                    let taps = self.rows.inside(row);
                    for y in taps.filter_map(|tap| self.rows.source(row, tap)) {
                        let taps = self.columns.inside(column);
                        for x in taps.filter_map(|tap| self.columns.source(column, tap)) {
                            let from = ((image * self.rows.input + y) * self.columns.input + x)
                                * self.channels;
                            for (result, &value) in results.iter_mut().zip(&input[from..]) {
                                *result = combine(*result, value);
                            }
                        }
                    }
                }
            }
        }
    }

    /// For every pixel of the part of the output from element `first` on, of `len` elements: adds
    /// each input pixel under its window to `sums`, then calls
    /// `finish(pixel of the part, sums, number of input pixels)`.
    fn sum<T: Copy, S: Copy + Default>(
        &self,
        input: &[T],
        (first, len): (usize, usize),
        sums: &mut [S],
        add: impl Fn(S, T) -> S,
        mut finish: impl FnMut(usize, &[S], usize),
    ) {
        let mut pixel = 0;
        for (windows, from) in self.parts(first, len) {
            windows.sum_all(&input[from..], sums, &add, |sums, count| {
                finish(pixel, sums, count);
                pixel += 1;
            });
        }
    }

    fn sum_all<T: Copy, S: Copy + Default>(
        &self,
        input: &[T],
        sums: &mut [S],
        add: impl Fn(S, T) -> S,
        mut finish: impl FnMut(&[S], usize),
    ) {
        for image in 0..self.batch {
            for row in 0..self.rows.output {
                for column in 0..self.columns.output {
                    sums.fill(S::default());
                    let (rows, columns) = (self.rows.inside(row), self.columns.inside(column));
                    let count = rows.len() * columns.len();
                    for y in rows.filter_map(|tap| self.rows.source(row, tap)) {
                        for x in columns.clone().filter_map(|tap| self.columns.source(column, tap))
                        {
                            let from = ((image * self.rows.input + y) * self.columns.input + x)
                                * self.channels;
                            for (sum, &value) in sums.iter_mut().zip(&input[from..]) {
                                *sum = add(*sum, value);
                            }
                        }
                    }
                    finish(sums, count);
                }
            }
        }
    }
}

/// The mean of floats under each window, or the root of the mean of their squares.
#[derive(Debug)]
struct FloatMean {
    windows: Windows,
    of_squares: bool,
    range: (f32, f32),
}

impl FloatMean {
    fn sum(
        &self,
        (input, part): (&[f32], (usize, usize)),
        sums: &mut [f32],
        output: &mut [f32],
        term: impl Fn(f32) -> f32,
        end: impl Fn(f32) -> f32,
    ) {
        let channels = self.windows.channels;
        self.windows.sum(
            input,
            part,
            sums,
            |sum, value: f32| sum + term(value),
            |pixel, sums, count| {
                let factor = 1.0 / count as f32;
                for (result, sum) in output[pixel * channels..].iter_mut().zip(sums) {
                    *result = clamp(end(sum * factor), self.range);
                }
            },
        );
    }
}

impl Kernel for FloatMean {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { float32: self.windows.channels, ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let part = (first, output.len());
        let sums = &mut scratch.float32[..self.windows.channels];
        if self.of_squares {
            self.sum((input, part), sums, output, |value| value * value, f32::sqrt);
        } else {
            self.sum((input, part), sums, output, |value| value, |mean| mean);
        }
        Ok(())
    }
}

/// The mean of bytes under each window, rounded half away from zero in the model's own type.
///
/// Source of the formula: TensorFlow Lite's builtin `AveragePool` (XNNPACK has none for bytes in
/// this form).
#[derive(Debug)]
struct QuantizedAverage {
    windows: Windows,
    byte_offset: i32,
    zero_point: i32,
    range: OutputRange,
}

impl Kernel for QuantizedAverage {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { int32: self.windows.channels, ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let channels = self.windows.channels;
        let offset = self.byte_offset;
        let sums = &mut scratch.int32[..channels];
        let add = |sum: i32, value: u8| sum + i32::from(value) + offset;
        let part = (first, output.len());
        self.windows.sum(input, part, sums, add, |pixel, sums, count| {
            let count = count as i32;
            for (result, &sum) in output[pixel * channels..].iter_mut().zip(sums) {
                let half = if sum > 0 { count / 2 } else { -(count / 2) };
                let mean = (sum + half) / count;
                *result = self.range.clamp(mean - offset - self.zero_point);
            }
        });
        Ok(())
    }
}

/// The largest float under each window.
#[derive(Debug)]
struct FloatMax {
    windows: Windows,
    range: (f32, f32),
}

impl Kernel for FloatMax {
    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let fold = |most, value| maximum(value, most);
        self.windows.combine(input, (first, &mut *output), f32::NEG_INFINITY, fold);
        for result in output {
            *result = clamp(*result, self.range);
        }
        Ok(())
    }
}

/// The largest byte under each window.
#[derive(Debug)]
struct ByteMax {
    windows: Windows,
    range: (u8, u8),
}

impl Kernel for ByteMax {
    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        self.windows.combine(input, (first, &mut *output), 0, u8::max);
        let (least, largest) = self.range;
        for result in output {
            *result = (*result).max(least).min(largest);
        }
        Ok(())
    }
}
