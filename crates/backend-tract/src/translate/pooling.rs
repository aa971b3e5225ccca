//! `AVERAGE_POOL_2D`, `L2_POOL_2D` and `MAX_POOL_2D`.

use image_embedder_backend::BackendError;
use image_embedder_schema::tflite::Padding;
use tract_core::ops::cnn::{MaxPool, SumPool};
use tract_core::prelude::OutletId;

use super::convolution::bounded;
use super::window::Windows;
use crate::graph_builder::Operation;
use crate::model_file::Kind;
use crate::operation::Map;
use crate::steps::Activation;

/// The options of a pooling.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolingOptions {
    pub(super) padding: Padding,
    /// Height, width.
    pub(super) strides: [usize; 2],
    /// Height, width.
    pub(super) window: [usize; 2],
    pub(super) activation: Activation,
}

impl PoolingOptions {
    fn windows(&self) -> Windows {
        Windows {
            padding: self.padding,
            strides: self.strides,
            dilations: [1, 1],
            window: self.window,
        }
    }
}

/// The mean under each window, of what is inside the image.
pub(super) fn translate_average(
    operation: &mut Operation<'_, '_>,
    options: &PoolingOptions,
) -> Result<OutletId, BackendError> {
    let [_, height, width, channels] = operation.image(0)?;
    let windows = options.windows();
    let spans = windows.spans(operation, [height, width])?;
    let input = operation.input(0)?;
    let pool_spec = windows.pool_spec(spans, [channels, channels]);
    let pool = |normalize| SumPool { pool_spec, count_include_pad: false, normalize };
    let output = operation.output(0)?;
    match (input.kind, output.kind()) {
        (Kind::Float, Some(Kind::Float)) => {
            let means = operation.wire(pool(true), &[input.outlet])?;
            bounded(operation, means, options.activation)
        }
        (Kind::Bytes, Some(Kind::Bytes)) if input.tensor.dtype == output.dtype => {
            let steps = output.steps()?;
            if input.tensor.steps()? != steps {
                return Err(operation.unsupported("an output quantised otherwise than the input"));
            }
            let range = steps.range(options.activation);
            let sums = operation.wire(pool(false), &[input.outlet])?;
            let [rows, columns] = spans.map(|span| span.covered());
            let zero_point = steps.zero_point;
            // The mean of the model's own bytes, rounded half away from zero. Source of the
            // formula: TensorFlow Lite's builtin `AveragePool` (XNNPACK has none for bytes in this
            // form).
            let mean = Map::new("Mean", move |values| {
                let mut pixels = values.chunks_exact_mut(channels.max(1));
                while pixels.len() > 0 {
                    for row in &rows {
                        for (column, pixel) in columns.iter().zip(pixels.by_ref()) {
                            let count = (row * column) as i32;
                            for value in pixel {
                                let sum = *value as i32 + count * zero_point;
                                let half = if sum > 0 { count / 2 } else { -(count / 2) };
                                *value = range.clamp((sum + half) / count - zero_point);
                            }
                        }
                    }
                }
            });
            operation.wire(mean, &[sums])
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// The root of the mean of squares under each window.
pub(super) fn translate_l2(
    operation: &mut Operation<'_, '_>,
    options: &PoolingOptions,
) -> Result<OutletId, BackendError> {
    let [_, height, width, channels] = operation.image(0)?;
    let windows = options.windows();
    let spans = windows.spans(operation, [height, width])?;
    let input = operation.input(0)?;
    if (input.kind, operation.output(0)?.kind()) != (Kind::Float, Some(Kind::Float)) {
        return Err(operation.unsupported_elements());
    }
    let pool_spec = windows.pool_spec(spans, [channels, channels]);
    let pool = SumPool { pool_spec, count_include_pad: false, normalize: true };
    let squares = operation.wire(Map::each("Square", |value| value * value), &[input.outlet])?;
    let means = operation.wire(pool, &[squares])?;
    let roots = operation.wire(Map::each("Root", f32::sqrt), &[means])?;
    bounded(operation, roots, options.activation)
}

/// The largest under each window.
pub(super) fn translate_max(
    operation: &mut Operation<'_, '_>,
    options: &PoolingOptions,
) -> Result<OutletId, BackendError> {
    let [_, height, width, channels] = operation.image(0)?;
    let windows = options.windows();
    let spans = windows.spans(operation, [height, width])?;
    let input = operation.input(0)?;
    if input.kind == Kind::Bool || input.kind == Kind::Whole {
        return Err(operation.unsupported_elements());
    }
    operation.check_moves(&input, 0)?;
    let pool_spec = windows.pool_spec(spans, [channels, channels]);
    let pool = MaxPool { pool_spec, with_index_outputs: None };
    let largest = operation.wire(pool, &[input.outlet])?;
    if input.kind == Kind::Float || options.activation == Activation::None {
        return bounded(operation, largest, options.activation);
    }
    let range = operation.output(0)?.steps()?.range(options.activation);
    let clamp = Map::each("Clamp", move |value| value.max(range.least).min(range.largest));
    operation.wire(clamp, &[largest])
}
