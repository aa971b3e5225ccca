//! `CONV_2D`: every output channel sees every input channel.

use std::ops::Range;

use image_embedder_backend::BackendError;

use crate::graph::{Data, Element};
use crate::kernels::matrix_bytes::{ByteMatrix, ToBytes, ToFloats};
use crate::kernels::matrix_f32::FloatMatrix;
use crate::kernels::panels::Windows;
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Convolution};
use crate::ops::chain::ByRows;
use crate::ops::dynamic_range::{Formula, QuantizedImages};
use crate::ops::window::{Axis, bands};
use crate::ops::{Kernel, Lowered, Operands, both_bytes};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

/// Batch, rows and columns of a convolution with its channels.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    rows: Axis,
    columns: Axis,
    input_channels: usize,
    output_channels: usize,
}

impl Geometry {
    /// Output pixels of the whole batch.
    fn pixels(&self) -> usize {
        self.batch * self.rows.output * self.columns.output
    }

    /// Input elements under one window.
    fn depth(&self) -> usize {
        self.rows.window * self.columns.window * self.input_channels
    }

    /// Elements of a window that lie side by side in the input: without dilation, neighbouring
    /// taps do.
    fn run(&self) -> usize {
        let taps = if self.columns.dilation == 1 { self.columns.window } else { 1 };
        taps * self.input_channels
    }

    /// The geometry of some output rows of one image, and the first input element that it has.
    fn band(&self, image: usize, rows: Range<usize>) -> (usize, Self) {
        let (first, rows) = self.rows.band(rows);
        let row = self.columns.input * self.input_channels;
        ((image * self.rows.input + first) * row, Self { batch: 1, rows, ..*self })
    }

    /// Elements of an output row.
    fn output_row(&self) -> usize {
        self.columns.output * self.output_channels
    }

    /// Output elements that are computed together: rows of pixels, or as many pixels as products
    /// take at a time where each window is one pixel.
    fn grain(&self) -> usize {
        if self.is_pointwise() { POINTWISE_ROWS * self.output_channels } else { self.output_row() }
    }

    /// The bands of the part of the output from element `first` on, of `len` elements: for each
    /// its geometry, its first input element, and its output elements counted from `first`.
    fn parts(
        &self,
        first: usize,
        len: usize,
    ) -> impl Iterator<Item = (Self, usize, Range<usize>)> + use<> {
        let geometry = *self;
        let row = geometry.output_row();
        bands(first, len, geometry.rows.output, row).map(move |(image, rows)| {
            let from = (image * geometry.rows.output + rows.start) * row - first;
            let to = from + rows.len() * row;
            let (input, band) = geometry.band(image, rows);
            (band, input, from..to)
        })
    }

    /// Rows of the input image, and elements of one.
    fn input_rows(&self) -> (usize, usize) {
        (self.rows.input, self.columns.input * self.input_channels)
    }

    /// Rows of the output image, and elements of one.
    fn output_rows(&self) -> (usize, usize) {
        (self.rows.output, self.output_row())
    }

    /// Products of the whole output.
    fn multiply_adds(&self) -> u64 {
        let products = self.pixels().saturating_mul(self.depth());
        u64::try_from(products.saturating_mul(self.output_channels)).unwrap_or(u64::MAX)
    }

    /// Whether each window is one input pixel, in order.
    fn is_pointwise(&self) -> bool {
        let plain = |axis: Axis| axis.window == 1 && axis.stride == 1 && axis.padding == 0;
        plain(self.rows) && plain(self.columns)
    }

    /// Calls `copy(offset in the window, run of input elements)` for each run under the window of
    /// output pixel `pixel` that lies inside the input.
    fn for_each_run<T>(&self, input: &[T], pixel: usize, mut copy: impl FnMut(usize, &[T])) {
        let per_image = self.rows.output * self.columns.output;
        let (image, place) = (pixel / per_image, pixel % per_image);
        let (row, column) = (place / self.columns.output, place % self.columns.output);
        let channels = self.input_channels;
        let columns = self.columns.inside(column);
        // Without dilation neighbouring taps are neighbours in the input.
        let taps = if self.columns.dilation == 1 { columns.len().max(1) } else { 1 };
        for row_tap in self.rows.inside(row) {
            let Some(y) = self.rows.source(row, row_tap) else { continue };
            for column_tap in columns.clone().step_by(taps) {
                let Some(x) = self.columns.source(column, column_tap) else { continue };
                let from = ((image * self.rows.input + y) * self.columns.input + x) * channels;
                let to = (row_tap * self.columns.window + column_tap) * channels;
                copy(to, &input[from..from + taps * channels]);
            }
        }
    }
}

pub(crate) fn lower(
    operands: &Operands<'_>,
    options: &Convolution,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, input_channels] = operands.image(0)?;
    let [output_channels, window_height, window_width, filter_channels] = operands.image(1)?;
    if filter_channels != input_channels || input_channels == 0 || output_channels == 0 {
        return Err(operands.unsupported(format!(
            "{input_channels} input channels for a filter of {filter_channels}"
        )));
    }
    let [rows, columns] =
        window_axes(operands, options, [height, width], [window_height, window_width])?;
    let geometry = Geometry { batch, rows, columns, input_channels, output_channels };
    let shape = vec![batch, geometry.rows.output, geometry.columns.output, output_channels];
    let (input, filter, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let image = operands.input_index(0)?;
    match (input.element, filter.element, output.element) {
        (Element::Float32, Element::Float32, Element::Float32) => {
            let weights = FloatMatrix::from_transposed(
                operands.isa,
                float_constant(operands, 1)?,
                geometry.depth(),
                &float_bias(operands, output_channels)?,
                options.activation.range(),
            );
            let layout = WindowLayout::new(&geometry, geometry.run()).ok_or_else(|| {
                operands.unsupported("a window that its dilation spreads over too many elements")
            })?;
            let kernel = FloatConvolution { weights, geometry, layout };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        (Element::Float32, Element::Int8, Element::Float32) => {
            let weights = ByteWeights::new(operands, output_channels, 0)?;
            let matrix = weights.matrix(operands, &geometry)?;
            let bias = float_bias(operands, output_channels)?;
            let elements = rows.input * columns.input * input_channels;
            let images = QuantizedImages { count: batch, elements };
            let kernel = DynamicRangeConvolution {
                images,
                end: matrix.to_floats(&weights.scales, &bias, options.activation.range()),
                windows: ByteWindows::new(Geometry { batch: 1, ..geometry }, &matrix),
                weights: matrix,
            };
            Ok(images.lower(shape, (operands.isa, Formula::Xnnpack), kernel, image))
        }
        _ if both_bytes(input, output) && filter.element.is_byte() => {
            let weights = ByteWeights::new(operands, output_channels, 0)?;
            let matrix = weights.matrix(operands, &geometry)?;
            let Requantization { scales, bias, output } =
                Requantization::new(operands, options.activation, &weights)?;
            let zero_point = input.per_tensor()?.1;
            let kernel = QuantizedConvolution {
                end: matrix.to_bytes(zero_point, &scales, &bias, output),
                // A zero point of bytes is a byte.
                input_zero_point: zero_point as u8,
                windows: ByteWindows::new(geometry, &matrix),
                weights: matrix,
            };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// The rows and columns of a convolution's windows.
pub(super) fn window_axes(
    operands: &Operands<'_>,
    options: &Convolution,
    input: [usize; 2],
    window: [usize; 2],
) -> Result<[Axis; 2], BackendError> {
    let axis = |index: usize| {
        let (input, window) = (input[index], window[index]);
        let (stride, dilation) = (options.strides[index], options.dilations[index]);
        Axis::new(options.padding, input, window, stride, dilation).ok_or_else(|| {
            operands
                .invalid(format!("expected a window within the input, found {window} over {input}"))
        })
    };
    Ok([axis(0)?, axis(1)?])
}

/// The data of constant float input `index`.
pub(super) fn float_constant<'a>(
    operands: &Operands<'a>,
    index: usize,
) -> Result<&'a [f32], BackendError> {
    match &operands.input(index)?.data {
        Some(Data::Float32(values)) => Ok(values),
        _ => Err(operands.unsupported(format!("input {index} that is not constant"))),
    }
}

/// The float bias, zero if it is left out.
pub(super) fn float_bias(
    operands: &Operands<'_>,
    channels: usize,
) -> Result<Vec<f32>, BackendError> {
    let Some(tensor) = operands.optional_input(2) else {
        return Ok(vec![0.0; channels]);
    };
    if tensor.element_count() != channels {
        return Err(operands.invalid(format!(
            "expected a bias of {channels} values, found {}",
            tensor.element_count()
        )));
    }
    Ok(float_constant(operands, 2)?.to_vec())
}

/// Scales and zero points of a filter of bytes, for each output channel.
#[derive(Clone, Debug)]
pub(super) struct ByteWeights {
    pub(super) scales: Vec<f32>,
    zero_points: Vec<i32>,
    dimension: usize,
}

impl ByteWeights {
    /// Reads them from the filter, whose output channels lie along `dimension`.
    pub(super) fn new(
        operands: &Operands<'_>,
        channels: usize,
        dimension: usize,
    ) -> Result<Self, BackendError> {
        let Some(quantization) = &operands.input(1)?.quantization else {
            return Err(operands.invalid("expected quantised weights, found no scales"));
        };
        let count = quantization.scales.len();
        if count != 1 && (count != channels || quantization.dimension != dimension) {
            return Err(operands.invalid(format!(
                "expected 1 or {channels} weight scales along dimension {dimension}, found {count} \
                 along {}",
                quantization.dimension
            )));
        }
        let index = |channel| if count == 1 { 0 } else { channel };
        Ok(Self {
            scales: (0..channels).map(|channel| quantization.scales[index(channel)]).collect(),
            zero_points: (0..channels)
                .map(|channel| quantization.zero_points[index(channel)])
                .collect(),
            dimension,
        })
    }

    /// The filter as a matrix for the instruction set, of as many rows as a window has elements.
    fn matrix(
        &self,
        operands: &Operands<'_>,
        geometry: &Geometry,
    ) -> Result<ByteMatrix, BackendError> {
        let (centred, depth) = (self.centred(operands)?, geometry.depth());
        Ok(ByteMatrix::from_transposed(operands.isa, &centred, depth, geometry.run()))
    }

    /// The constant filter less its zero points, in the filter's own order.
    pub(super) fn centred(&self, operands: &Operands<'_>) -> Result<Vec<i16>, BackendError> {
        let filter = operands.input(1)?;
        let Some(Data::Bytes(values)) = &filter.data else {
            return Err(operands.unsupported("a filter that is not constant"));
        };
        let inner: usize = filter.shape[self.dimension + 1..].iter().product();
        // Elements of one channel lie together, channel after channel.
        let mut centred = Vec::with_capacity(values.len());
        let runs = values.chunks(inner.max(1)).zip(self.zero_points.iter().cycle());
        for (run, &zero_point) in runs {
            centred.extend(run.iter().map(|&value| (i32::from(value) - zero_point) as i16));
        }
        Ok(centred)
    }
}

/// How the accumulators of a quantised convolution become bytes, per output channel.
#[derive(Clone, Debug)]
pub(super) struct Requantization {
    pub(super) scales: Vec<f32>,
    pub(super) bias: Vec<i32>,
    pub(super) output: OutputRange,
}

impl Requantization {
    /// Reads bias and scales.
    ///
    /// ```text
    /// scale[c] = input_scale * weight_scale[c] / output_scale    (float32, left to right)
    /// ```
    pub(super) fn new(
        operands: &Operands<'_>,
        activation: Activation,
        weights: &ByteWeights,
    ) -> Result<Self, BackendError> {
        let output = operands.output()?;
        let (input_scale, _) = operands.input(0)?.per_tensor()?;
        let (output_scale, output_zero_point) = output.per_tensor()?;
        let scales: Vec<f32> = weights
            .scales
            .iter()
            .map(|weight_scale| input_scale * weight_scale / output_scale)
            .collect();
        let bias = match operands.optional_input(2) {
            None => vec![0; scales.len()],
            Some(tensor) => match &tensor.data {
                Some(Data::Integers(values)) if values.len() == scales.len() => values
                    .iter()
                    // What does not fit is not from a file: it wraps around as sums do.
                    .map(|&value| value as i32)
                    .collect(),
                Some(Data::Integers(values)) => {
                    return Err(operands.invalid(format!(
                        "expected a bias of {} values, found {}",
                        scales.len(),
                        values.len()
                    )));
                }
                _ => return Err(operands.unsupported("a bias that is not constant INT32")),
            },
        };
        let byte_offset = output.element.byte_offset();
        let output = OutputRange::new(output_scale, output_zero_point, byte_offset, activation);
        Ok(Self { scales, bias, output })
    }
}

/// How many rows of a product are computed together in parts: a whole number of tiles of every
/// instruction set.
const POINTWISE_ROWS: usize = 24;

/// A convolution of floats.
#[derive(Debug)]
struct FloatConvolution {
    weights: FloatMatrix,
    geometry: Geometry,
    layout: WindowLayout,
}

impl ByRows<f32> for FloatConvolution {
    fn output_rows(&self) -> (usize, usize) {
        self.geometry.output_rows()
    }

    fn input_rows(&self) -> (usize, usize) {
        self.geometry.input_rows()
    }

    fn rows_under(&self, rows: Range<usize>) -> Range<usize> {
        self.geometry.rows.under(rows)
    }

    fn run_rows(
        &self,
        rows: Range<usize>,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (_, band) = self.geometry.band(0, rows);
        self.run_band(&band, input, output, scratch);
        Ok(())
    }
}

impl FloatConvolution {
    /// Computes the rows of a band from the input elements from its first on.
    fn run_band(&self, band: &Geometry, input: &[f32], output: &mut [f32], scratch: &mut Scratch) {
        if band.is_pointwise() {
            self.weights.multiply(Windows::rows(input, band.depth(), band.pixels()), output);
            return;
        }
        let windows = (input, &mut scratch.float32[..]);
        self.layout.for_each_block(band, 0.0, windows, |windows, rows| {
            let row = band.output_row();
            self.weights.multiply(windows, &mut output[rows.start * row..][..rows.len() * row]);
        });
    }
}

impl Kernel for FloatConvolution {
    fn float_rows(&self) -> Option<&dyn ByRows<f32>> {
        (self.geometry.batch == 1).then_some(self)
    }

    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { float32: self.layout.scratch(), ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.geometry.grain())
    }

    fn multiply_adds(&self) -> u64 {
        self.geometry.multiply_adds()
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let (depth, channels) = (self.geometry.depth(), self.geometry.output_channels);
        if self.geometry.is_pointwise() {
            let (values, count) = (&input[first / channels * depth..], output.len() / channels);
            self.weights.multiply(Windows::rows(values, depth, count), output);
            return Ok(());
        }
        for (band, from, results) in self.geometry.parts(first, output.len()) {
            self.run_band(&band, &input[from..], &mut output[results], scratch);
        }
        Ok(())
    }
}

/// How windows lie in the input, or where some reach beyond it, in rows that are copied with more
/// around them.
#[derive(Debug)]
struct WindowLayout {
    /// Where the runs of a window begin, and their length.
    offsets: Vec<usize>,
    run: usize,
    /// Elements of an input row, with those around it if it is copied.
    line: usize,
    /// How many elements are read of a run, whether there are as many or not.
    read: usize,
    /// If rows are copied: for how many output rows at a time, and how many.
    copied: Option<Copied>,
}

#[derive(Clone, Copy, Debug)]
struct Copied {
    output_rows: usize,
    rows: usize,
}

impl WindowLayout {
    /// Elements of copied rows, where one output row does not need more: a part of the second-level
    /// cache.
    const COPIED: usize = 48 * 1024;

    /// The most elements of copied rows that one output row may need.
    const MOST_COPIED: usize = 1 << 26;

    /// The layout of the geometry's windows, of whose runs `read` elements are read, or `None` if
    /// rows would have to be copied to more elements than fit.
    fn new(geometry: &Geometry, read: usize) -> Option<Self> {
        let Geometry { rows, columns, input_channels: channels, .. } = *geometry;
        let is_inside = |axis: Axis| axis.whole() == (0..axis.output);
        if is_inside(rows) && is_inside(columns) && read == geometry.run() {
            let line = columns.input * channels;
            return Some(Self::of_lines(geometry, (line, rows.dilation * line), read, None));
        }
        let pixels =
            (columns.output - 1).checked_mul(columns.stride)?.checked_add(columns.span())?;
        let line = pixels.checked_mul(channels)?;
        line.checked_mul(rows.window).filter(|&floats| floats <= Self::MOST_COPIED)?;
        // Rows between those of a dilated window are not copied, so that the next window's are not
        // there.
        let output_rows = if rows.dilation > 1 {
            1
        } else {
            let further = (Self::COPIED / line).saturating_sub(rows.window) / rows.stride;
            rows.output.div_ceil(rows.output.div_ceil(1 + further))
        };
        let copied = Copied { output_rows, rows: (output_rows - 1) * rows.stride + rows.window };
        Some(Self::of_lines(geometry, (line, line), read, Some(copied)))
    }

    /// The layout of rows of `line` elements, `between` apart within a window.
    fn of_lines(
        geometry: &Geometry,
        (line, between): (usize, usize),
        read: usize,
        copied: Option<Copied>,
    ) -> Self {
        let Geometry { rows, columns, input_channels: channels, .. } = *geometry;
        let taps = geometry.run() / channels;
        let offsets = (0..rows.window)
            .flat_map(|row| (0..columns.window).step_by(taps).map(move |column| (row, column)))
            .map(|(row, column)| row * between + column * columns.dilation * channels)
            .collect();
        Self { offsets, run: geometry.run(), line, read, copied }
    }

    /// Elements of working memory.
    fn scratch(&self) -> usize {
        self.copied.map_or(0, |copied| copied.rows * self.line + self.read - self.run)
    }

    /// Hands the windows of an image's rows to `multiply(windows, their output rows)`, a block at a
    /// time; what lies outside the image is `outside`.
    fn for_each_block<T: Copy>(
        &self,
        geometry: &Geometry,
        outside: T,
        (image, scratch): (&[T], &mut [T]),
        mut multiply: impl FnMut(Windows<'_, T>, Range<usize>),
    ) {
        let rows = geometry.rows;
        let Some(copied) = self.copied else {
            multiply(self.windows(geometry, image, rows.output), 0..rows.output);
            return;
        };
        for first in (0..rows.output).step_by(copied.output_rows) {
            let block = first..rows.output.min(first + copied.output_rows);
            let (from, of_block) = geometry.band(0, block.clone());
            self.copy_rows(&of_block, outside, &image[from..], scratch);
            multiply(self.windows(geometry, scratch, block.len()), block);
        }
    }

    /// The windows of some output rows, the first of which begins at the first value.
    fn windows<'a, T>(
        &'a self,
        geometry: &Geometry,
        values: &'a [T],
        output_rows: usize,
    ) -> Windows<'a, T> {
        let Geometry { rows, columns, input_channels: channels, .. } = *geometry;
        Windows {
            values,
            count: output_rows * columns.output,
            columns: columns.output,
            stride: columns.stride * channels,
            line: rows.stride * self.line,
            offsets: &self.offsets,
            run: self.run,
        }
    }

    /// Copies the rows under the geometry's windows, with `outside` for what lies outside.
    fn copy_rows<T: Copy>(&self, geometry: &Geometry, outside: T, image: &[T], to: &mut [T]) {
        let Geometry { rows, columns, input_channels: channels, .. } = *geometry;
        let count = (rows.output - 1) * rows.stride + rows.window;
        let before = self.line.min(columns.padding * channels);
        let len = (self.line - before).min(columns.input * channels);
        for (place, line) in to.chunks_exact_mut(self.line).take(count).enumerate() {
            let source = (place * rows.dilation).checked_sub(rows.padding);
            let Some(y) = source.filter(|&y| y < rows.input) else {
                line.fill(outside);
                continue;
            };
            let (front, rest) = line.split_at_mut(before);
            let (inside, behind) = rest.split_at_mut(len);
            front.fill(outside);
            inside.copy_from_slice(&image[y * columns.input * channels..][..len]);
            behind.fill(outside);
        }
    }
}

/// How many rows of windows are laid out at a time.
const WINDOW_ROWS: usize = 48;

/// Hands windows of bytes to a product.
#[derive(Debug)]
struct ByteWindows {
    geometry: Geometry,
    /// How the windows lie, if the product takes them as they lie; they are laid out otherwise.
    layout: Option<WindowLayout>,
}

impl ByteWindows {
    fn new(geometry: Geometry, weights: &ByteMatrix) -> Self {
        let mut windows = Self { geometry, layout: None };
        if weights.takes_windows() && !windows.are_the_input() {
            windows.layout = WindowLayout::new(&geometry, ByteMatrix::run_len(geometry.run()));
        }
        windows
    }

    /// The length of a row that is laid out.
    fn row_len(&self) -> usize {
        ByteMatrix::run_len(self.geometry.depth())
    }

    /// Whether the input is the matrix already.
    fn are_the_input(&self) -> bool {
        self.geometry.is_pointwise() && self.row_len() == self.geometry.depth()
    }

    /// Bytes of working memory for the windows, and for the product behind them.
    fn scratch(&self, weights: &ByteMatrix) -> usize {
        if self.are_the_input() {
            weights.scratch_bytes(self.geometry.pixels())
        } else if let Some(layout) = &self.layout {
            layout.scratch()
        } else {
            WINDOW_ROWS * self.row_len() + weights.scratch_bytes(WINDOW_ROWS)
        }
    }

    /// Hands the windows of the part of the output from element `first` on, of `len` elements, to
    /// `multiply(rows, first pixel of the part, working memory)` in turn; what lies outside the
    /// input is the zero point.
    fn for_each_part(
        &self,
        input: &[u8],
        zero_point: u8,
        (first, len): (usize, usize),
        scratch: &mut [u8],
        mut multiply: impl FnMut(Windows<'_, u8>, usize, &mut [u8]),
    ) {
        let (depth, channels) = (self.geometry.depth(), self.geometry.output_channels);
        if self.are_the_input() {
            let (values, count) = (&input[first / channels * depth..], len / channels);
            multiply(Windows::rows(values, depth, count), 0, scratch);
            return;
        }
        for (band, from, results) in self.geometry.parts(first, len) {
            let start = results.start / channels;
            let image = &input[from..];
            self.for_each_row(&band, image, zero_point, scratch, |rows, first, scratch| {
                multiply(rows, start + first, scratch);
            });
        }
    }

    /// Hands the windows of a band to `multiply(rows, first pixel, working memory)` in turn.
    fn for_each_row(
        &self,
        band: &Geometry,
        input: &[u8],
        zero_point: u8,
        scratch: &mut [u8],
        mut multiply: impl FnMut(Windows<'_, u8>, usize, &mut [u8]),
    ) {
        if self.are_the_input() {
            multiply(Windows::rows(input, band.depth(), band.pixels()), 0, scratch);
            return;
        }
        if let Some(layout) = &self.layout {
            layout.for_each_block(band, zero_point, (input, scratch), |windows, rows| {
                multiply(windows, rows.start * band.columns.output, &mut []);
            });
            return;
        }
        let (depth, stride) = (band.depth(), self.row_len());
        let (windows, scratch) = scratch.split_at_mut(WINDOW_ROWS * stride);
        lay_out_windows(band, input, zero_point, windows, stride, |values, count, first| {
            let rows = Windows { run: depth, ..Windows::rows(values, stride, count) };
            multiply(rows, first, scratch);
        });
    }

    /// Output elements that are computed together.
    fn grain(&self) -> usize {
        if self.are_the_input() { self.geometry.grain() } else { self.geometry.output_row() }
    }
}

/// Lays out the windows of all pixels, each in a row of `stride` elements, and hands them to
/// `multiply(rows, number of rows, first pixel)` in parts. What lies outside the input is
/// `outside`.
fn lay_out_windows<T: Copy>(
    geometry: &Geometry,
    input: &[T],
    outside: T,
    windows: &mut [T],
    stride: usize,
    mut multiply: impl FnMut(&[T], usize, usize),
) {
    let Geometry { rows, columns, input_channels: channels, .. } = *geometry;
    let (whole_rows, whole_columns) = (rows.whole(), columns.whole());
    let (run, pixels) = (columns.window * channels, geometry.pixels());
    let line = rows.dilation * columns.input * channels;
    for first in (0..pixels).step_by(WINDOW_ROWS) {
        let count = WINDOW_ROWS.min(pixels - first);
        let windows = &mut windows[..count * stride];
        let mut offset = 0;
        while offset < count {
            let (place, column) =
                ((first + offset) / columns.output, (first + offset) % columns.output);
            let (image, row) = (place / rows.output, place % rows.output);
            let window = &mut windows[offset * stride..];
            if !whole_rows.contains(&row)
                || !whole_columns.contains(&column)
                || columns.dilation != 1
            {
                let window = &mut window[..stride];
                window.fill(outside);
                geometry.for_each_run(input, first + offset, |at, run| {
                    window[at..at + run.len()].copy_from_slice(run);
                });
                offset += 1;
                continue;
            }
            // Windows of one row, none of which reaches beyond the input.
            let neighbours = (whole_columns.end - column).min(count - offset);
            let y = image * rows.input + row * rows.stride - rows.padding;
            let x = column * columns.stride - columns.padding;
            let input = &input[(y * columns.input + x) * channels..];
            for index in 0..neighbours {
                let from = index * columns.stride * channels;
                for tap in 0..rows.window {
                    let to = &mut window[index * stride + tap * run..];
                    copy_run(&input[from + tap * line..], to, run);
                }
            }
            offset += neighbours;
        }
        multiply(windows, count, first);
    }
}

/// Copies `run` elements. A short run is copied as one vector, where there is room: what that
/// writes beyond the run is either written again or meets weights of zero.
#[inline(always)]
fn copy_run<T: Copy>(from: &[T], to: &mut [T], run: usize) {
    const SHORT: usize = 16;
    if run <= SHORT
        && let (Some(from), Some(to)) = (from.first_chunk::<SHORT>(), to.first_chunk_mut::<SHORT>())
    {
        *to = *from;
        return;
    }
    to[..run].copy_from_slice(&from[..run]);
}

/// A convolution of bytes with requantisation in float32.
#[derive(Debug)]
struct QuantizedConvolution {
    weights: ByteMatrix,
    end: ToBytes,
    input_zero_point: u8,
    windows: ByteWindows,
}

impl ByRows<u8> for QuantizedConvolution {
    fn output_rows(&self) -> (usize, usize) {
        self.windows.geometry.output_rows()
    }

    fn input_rows(&self) -> (usize, usize) {
        self.windows.geometry.input_rows()
    }

    fn rows_under(&self, rows: Range<usize>) -> Range<usize> {
        self.windows.geometry.rows.under(rows)
    }

    fn run_rows(
        &self,
        rows: Range<usize>,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (_, band) = self.windows.geometry.band(0, rows);
        let (zero_point, scratch) = (self.input_zero_point, &mut scratch.bytes[..]);
        self.windows.for_each_row(&band, input, zero_point, scratch, |rows, first, scratch| {
            let output = &mut output[first * band.output_channels..];
            let output = &mut output[..rows.count * band.output_channels];
            self.weights.multiply_to_bytes(rows, &self.end, output, scratch);
        });
        Ok(())
    }
}

impl Kernel for QuantizedConvolution {
    fn byte_rows(&self) -> Option<&dyn ByRows<u8>> {
        (self.windows.geometry.batch == 1).then_some(self)
    }

    fn scratch(&self) -> ScratchSizes {
        let bytes = self.windows.scratch(&self.weights);
        ScratchSizes { bytes, ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn multiply_adds(&self) -> u64 {
        self.windows.geometry.multiply_adds()
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let channels = self.windows.geometry.output_channels;
        self.windows.for_each_part(
            input,
            self.input_zero_point,
            (first, output.len()),
            &mut scratch.bytes,
            |rows, first, scratch| {
                let output = &mut output[first * channels..][..rows.count * channels];
                self.weights.multiply_to_bytes(rows, &self.end, output, scratch);
            },
        );
        Ok(())
    }
}

/// A convolution of floats with weights of bytes, on images that are quantised at run time.
///
/// Source of the formula: XNNPACK, convolution of dynamically quantised inputs (`qd8`).
#[derive(Debug)]
struct DynamicRangeConvolution {
    images: QuantizedImages,
    weights: ByteMatrix,
    end: ToFloats,
    /// Of one image.
    windows: ByteWindows,
}

impl Kernel for DynamicRangeConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { bytes: self.windows.scratch(&self.weights), ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.windows.grain())
    }

    fn multiply_adds(&self) -> u64 {
        let batch = u64::try_from(self.images.count).unwrap_or(u64::MAX);
        self.windows.geometry.multiply_adds().saturating_mul(batch)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.float32()?);
        let Geometry { output_channels: channels, .. } = self.windows.geometry;
        let results = self.windows.geometry.pixels() * channels;
        self.images.for_each_part(
            input,
            results,
            first,
            output,
            |image, (scale, zero_point), first, output| {
                let (part, input) = ((first, output.len()), (scale, i32::from(zero_point)));
                let scratch = &mut scratch.bytes;
                self.windows.for_each_part(
                    image,
                    zero_point,
                    part,
                    scratch,
                    |rows, first, scratch| {
                        let output = &mut output[first * channels..][..rows.count * channels];
                        self.weights.multiply_to_floats(rows, input, &self.end, output, scratch);
                    },
                );
            },
        )
    }
}
