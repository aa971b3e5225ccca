//! Depthwise convolutions of bytes, packed once for an instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use std::ops::Range;

use crate::kernels::comparison::clamp;
use crate::kernels::requantize::OutputRange;
#[cfg(target_arch = "x86_64")]
use crate::kernels::requantize::products_fit;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::operator::Activation;
use crate::ops::window::{Axis, bands};
use crate::simd::Isa;
#[cfg(target_arch = "aarch64")]
use crate::simd::aarch64::{Neon, NeonDotprod};
#[cfg(target_arch = "x86_64")]
use crate::simd::x86_64::{Avx2, Avx512Vnni};

/// Batch, rows and columns of a depthwise convolution with its channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseGeometry {
    pub(crate) batch: usize,
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
    pub(crate) input_channels: usize,
    /// Output channels for each input channel.
    pub(crate) multiplier: usize,
}

impl DepthwiseGeometry {
    pub(crate) fn output_channels(&self) -> usize {
        self.input_channels * self.multiplier
    }

    /// Elements of one input image.
    pub(crate) fn image_elements(&self) -> usize {
        self.rows.input * self.columns.input * self.input_channels
    }

    /// Elements of one output image.
    pub(crate) fn result_elements(&self) -> usize {
        self.rows.output * self.columns.output * self.output_channels()
    }

    /// Output elements that are computed together: a row.
    pub(crate) fn grain(&self) -> usize {
        self.columns.output * self.output_channels()
    }

    /// Rows of the input image, and elements of one.
    pub(crate) fn input_rows(&self) -> (usize, usize) {
        (self.rows.input, self.columns.input * self.input_channels)
    }

    /// Rows of the output image, and elements of one.
    pub(crate) fn output_rows(&self) -> (usize, usize) {
        (self.rows.output, self.grain())
    }

    /// The geometry of some output rows of one image, and the first input row that it has.
    pub(crate) fn band(&self, rows: Range<usize>) -> (usize, Self) {
        let under = self.rows.under(rows.clone());
        let (first, rows) = self.rows.band(rows);
        let rows = Axis { input: under.len(), ..rows };
        (first, Self { batch: 1, rows, ..*self })
    }

    /// Products of the whole output.
    pub(crate) fn multiply_adds(&self) -> u64 {
        let products = self.batch.saturating_mul(self.result_elements());
        let taps = self.rows.window * self.columns.window;
        u64::try_from(products.saturating_mul(taps)).unwrap_or(u64::MAX)
    }

    /// Takes the part of the output from element `first` on apart and calls
    /// `convolve(geometry, input elements, output elements)` for each image, of one image each.
    pub(crate) fn for_each_band<T, R>(
        &self,
        input: &[T],
        first: usize,
        output: &mut [R],
        mut convolve: impl FnMut(&Self, &[T], &mut [R]),
    ) {
        let (row, input_row) = (self.grain(), self.columns.input * self.input_channels);
        let mut rest = output;
        for (image, rows) in bands(first, rest.len(), self.rows.output, row) {
            let (results, others) = rest.split_at_mut(rows.len() * row);
            let (first_row, band) = self.band(rows);
            let from = (image * self.rows.input + first_row) * input_row;
            convolve(&band, &input[from..from + band.image_elements()], results);
            rest = others;
        }
    }

    /// For every output pixel: starts its sums, adds every tap inside the input, finishes it.
    pub(crate) fn for_each_pixel<T, S>(
        &self,
        input: &[T],
        weights: &[S],
        mut accumulate: impl FnMut(Tap<'_, T, S>),
    ) {
        let (input_channels, output_channels) = (self.input_channels, self.output_channels());
        let mut pixel = 0;
        for image in 0..self.batch {
            for row in 0..self.rows.output {
                for column in 0..self.columns.output {
                    accumulate(Tap::Start);
                    // XNNPACK's order of taps, column by column, so that floats round alike.
                    for column_tap in self.columns.inside(column) {
                        let Some(x) = self.columns.source(column, column_tap) else {
                            continue;
                        };
                        for row_tap in self.rows.inside(row) {
                            let Some(y) = self.rows.source(row, row_tap) else {
                                continue;
                            };
                            let from = ((image * self.rows.input + y) * self.columns.input + x)
                                * input_channels;
                            let tap =
                                (row_tap * self.columns.window + column_tap) * output_channels;
                            accumulate(Tap::Add {
                                values: &input[from..from + input_channels],
                                weights: &weights[tap..tap + output_channels],
                            });
                        }
                    }
                    accumulate(Tap::Finish { pixel });
                    pixel += 1;
                }
            }
        }
    }
}

/// One event in the computation of an output pixel.
pub(crate) enum Tap<'a, T, S> {
    Start,
    Add { values: &'a [T], weights: &'a [S] },
    Finish { pixel: usize },
}

/// A depthwise convolution of bytes with requantisation in float32.
#[derive(Debug)]
pub(crate) struct DepthwiseBytes {
    geometry: DepthwiseGeometry,
    zero_point: u8,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Scalar(scalar::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2, avx2::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512Vnni, avx512::Weights),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon, neon::Weights),
}

/// The constants of a depthwise convolution before they are packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseConstants<'a> {
    /// Tap by tap, less their zero points.
    pub(crate) weights: &'a [i16],
    pub(crate) scales: &'a [f32],
    pub(crate) bias: &'a [i32],
    pub(crate) output: OutputRange,
}

impl DepthwiseBytes {
    /// Packs the constants for the instruction set.
    pub(crate) fn new(
        isa: Isa,
        geometry: DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let packed = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token)
                if avx512::takes(&geometry) && products_fit(constants.scales) =>
            {
                Packed::Avx512(token, avx512::Weights::to_bytes(&geometry, zero_point, constants))
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) | Isa::Avx512Vnni(Avx512Vnni { avx2: token })
                if geometry.multiplier == 1 =>
            {
                Packed::Avx2(token, avx2::Weights::new(&geometry, zero_point, constants))
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon }) if neon::takes(&geometry) => {
                Packed::Neon(neon, neon::Weights::new(&geometry, constants))
            }
            _ => Packed::Scalar(scalar::Weights::new(constants)),
        };
        Self { geometry, zero_point, packed }
    }

    /// Bytes of working memory.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match &self.packed {
            Packed::Scalar(_) => 0,
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(..) => avx2::scratch_bytes(&self.geometry),
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(..) => avx512::scratch_bytes(&self.geometry),
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(..) => 0,
        }
    }

    /// 32-bit numbers of working memory.
    pub(crate) fn scratch_int32(&self) -> usize {
        match &self.packed {
            Packed::Scalar(_) => self.geometry.output_channels(),
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(..) | Packed::Avx512(..) => 0,
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(..) => 0,
        }
    }

    /// The geometry of the whole output.
    pub(crate) fn geometry(&self) -> &DepthwiseGeometry {
        &self.geometry
    }

    /// Computes the part of the output from element `first` on, in whole rows.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only vector kernels lay rows out")
    )]
    pub(crate) fn run(
        &self,
        input: &[u8],
        first: usize,
        output: &mut [u8],
        scratch_bytes: &mut [u8],
        scratch_int32: &mut [i32],
    ) {
        self.geometry.for_each_band(input, first, output, |geometry, input, output| {
            self.run_band(geometry, input, output, scratch_bytes, scratch_int32);
        });
    }

    /// Computes the rows of a band from the input elements from its first on.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only vector kernels lay rows out")
    )]
    pub(crate) fn run_band(
        &self,
        geometry: &DepthwiseGeometry,
        input: &[u8],
        output: &mut [u8],
        scratch_bytes: &mut [u8],
        scratch_int32: &mut [i32],
    ) {
        let zero_point = self.zero_point;
        match &self.packed {
            Packed::Scalar(weights) => {
                weights.run(geometry, zero_point, input, output, scratch_int32);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(token, weights) => {
                weights.run(*token, geometry, zero_point, input, output, scratch_bytes);
            }
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(token, weights) => {
                weights.run(*token, geometry, zero_point, input, output, scratch_bytes);
            }
            #[cfg(target_arch = "aarch64")]
            Packed::Neon(neon, weights) => {
                weights.run(*neon, geometry, zero_point, input, output);
            }
        }
    }
}

/// What turns the sums of a depthwise convolution into floats.
///
/// ```text
/// result[c] = clamp(sum[c] * (scale * scales[c]) + bias[c])
/// ```
#[derive(Debug)]
struct FloatEnd {
    /// In whole blocks of sixteen channels, as the bias.
    scales: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
}

/// A depthwise convolution of bytes, whose scale and zero point are known at run time only, with
/// float results.
#[derive(Debug)]
pub(crate) struct DepthwiseToFloats {
    /// Of one image.
    geometry: DepthwiseGeometry,
    end: FloatEnd,
    packed: PackedToFloats,
}

#[derive(Debug)]
enum PackedToFloats {
    /// Tap by tap.
    Scalar(Vec<i16>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2, avx2::Weights),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512Vnni, avx512::Weights),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon, neon::Weights),
}

impl DepthwiseToFloats {
    /// Packs weights, tap by tap and less their zero points, with the constants of each channel.
    pub(crate) fn new(
        isa: Isa,
        geometry: DepthwiseGeometry,
        weights: Vec<i16>,
        (mut scales, mut bias): (Vec<f32>, Vec<f32>),
        range: (f32, f32),
    ) -> Self {
        let geometry = DepthwiseGeometry { batch: 1, ..geometry };
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let constants = DepthwiseConstants {
            weights: &weights,
            scales: &scales,
            bias: &vec![0; scales.len()],
            output: OutputRange::new(1.0, 0, 0, Activation::None),
        };
        let packed = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) if avx512::takes(&geometry) => {
                PackedToFloats::Avx512(token, avx512::Weights::to_floats(&geometry, constants))
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) | Isa::Avx512Vnni(Avx512Vnni { avx2: token })
                if geometry.multiplier == 1 =>
            {
                PackedToFloats::Avx2(token, avx2::Weights::new(&geometry, 0, constants))
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(neon) | Isa::NeonDotprod(NeonDotprod { neon }) if neon::takes(&geometry) => {
                PackedToFloats::Neon(neon, neon::Weights::new(&geometry, constants))
            }
            _ => PackedToFloats::Scalar(weights),
        };
        for values in [&mut scales, &mut bias] {
            values.resize(values.len().next_multiple_of(16), 0.0);
        }
        Self { geometry, end: FloatEnd { scales, bias, range }, packed }
    }

    /// The geometry of one image.
    pub(crate) fn geometry(&self) -> &DepthwiseGeometry {
        &self.geometry
    }

    /// Bytes of working memory.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match &self.packed {
            PackedToFloats::Scalar(_) => 0,
            #[cfg(target_arch = "x86_64")]
            PackedToFloats::Avx2(..) => avx2::scratch_bytes(&self.geometry),
            #[cfg(target_arch = "x86_64")]
            PackedToFloats::Avx512(..) => avx512::scratch_bytes(&self.geometry),
            #[cfg(target_arch = "aarch64")]
            PackedToFloats::Neon(..) => 0,
        }
    }

    /// 32-bit numbers of working memory.
    pub(crate) fn scratch_int32(&self) -> usize {
        self.geometry.output_channels()
    }

    /// Computes the part of the results of an image of the given scale and zero point from element
    /// `first` on, in whole rows, with [`scratch_bytes`](Self::scratch_bytes) and
    /// [`scratch_int32`](Self::scratch_int32) of working memory.
    pub(crate) fn run(
        &self,
        image: &[u8],
        input: (f32, u8),
        first: usize,
        output: &mut [f32],
        (bytes, int32): (&mut [u8], &mut [i32]),
    ) {
        self.geometry.for_each_band(image, first, output, |geometry, image, output| {
            self.run_band(geometry, image, input, output, (bytes, int32));
        });
    }

    /// Computes the rows of a band.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "only vector kernels lay rows out")
    )]
    fn run_band(
        &self,
        geometry: &DepthwiseGeometry,
        image: &[u8],
        input: (f32, u8),
        output: &mut [f32],
        (bytes, int32): (&mut [u8], &mut [i32]),
    ) {
        match &self.packed {
            PackedToFloats::Scalar(weights) => {
                self.run_scalar(weights, geometry, image, input, output, int32);
            }
            #[cfg(target_arch = "x86_64")]
            PackedToFloats::Avx2(token, weights) => {
                let end = (&self.end, output);
                weights.run_to_floats(*token, geometry, input, image, end, bytes);
            }
            #[cfg(target_arch = "x86_64")]
            PackedToFloats::Avx512(token, weights) => {
                let end = (&self.end, output);
                weights.run_to_floats(*token, geometry, input, image, end, bytes);
            }
            #[cfg(target_arch = "aarch64")]
            PackedToFloats::Neon(neon, weights) => {
                weights.run_to_floats(*neon, geometry, input, image, (&self.end, output));
            }
        }
    }

    fn run_scalar(
        &self,
        weights: &[i16],
        geometry: &DepthwiseGeometry,
        image: &[u8],
        (scale, zero_point): (f32, u8),
        output: &mut [f32],
        sums: &mut [i32],
    ) {
        let channels = geometry.output_channels();
        let sums = &mut sums[..channels];
        let centre = |value: u8| i16::from(value) - i16::from(zero_point);
        geometry.for_each_pixel(image, weights, |tap| match tap {
            Tap::Start => sums.fill(0),
            Tap::Add { values, weights } => {
                scalar::add_products(sums, values, centre, weights, geometry.multiplier);
            }
            Tap::Finish { pixel } => {
                let results = &mut output[pixel * channels..][..channels];
                for (channel, (result, &sum)) in results.iter_mut().zip(&*sums).enumerate() {
                    let factor = scale * self.end.scales[channel];
                    *result = clamp(sum as f32 * factor + self.end.bias[channel], self.end.range);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use image_embedder_schema::tflite::Padding;

    use super::*;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    use crate::operator::Activation;
    use crate::simd::SimdLevel;

    fn noise(seed: &mut u32) -> u32 {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *seed >> 8
    }

    #[test]
    fn every_level_equals_scalar() {
        let mut seed = 3;
        let mut cases = 0;
        for level in SimdLevel::available() {
            let isa = Isa::new(level).unwrap();
            for (window, stride, dilation) in [
                (1, 1, 1),
                (2, 1, 1),
                (3, 1, 1),
                (3, 2, 1),
                (4, 2, 1),
                (5, 1, 1),
                (5, 2, 1),
                (3, 1, 2),
                (7, 1, 1),
                (3, 3, 1),
            ] {
                for channels in [1, 8, 16, 17, 64, 72, 100] {
                    for (height, width) in [(1, 1), (5, 4), (7, 7), (8, 13), (14, 33)] {
                        for (padding, zero_point) in
                            [(Padding::Same, 128), (Padding::Same, 201), (Padding::Valid, 0)]
                        {
                            let axis = |input| Axis::new(padding, input, window, stride, dilation);
                            let (Some(rows), Some(columns)) = (axis(height), axis(width)) else {
                                continue;
                            };
                            let geometry = DepthwiseGeometry {
                                batch: 2,
                                rows,
                                columns,
                                input_channels: channels,
                                multiplier: 1,
                            };
                            let weights: Vec<i16> = (0..window * window * channels)
                                .map(|_| (noise(&mut seed) % 256) as i16 - zero_point)
                                .collect();
                            let input: Vec<u8> = (0..2 * geometry.image_elements())
                                .map(|_| noise(&mut seed) as u8)
                                .collect();
                            // An activation that leaves few bytes, and scales that carry sums
                            // beyond what 32-bit numbers hold.
                            let (factor, activation) = match (channels, padding) {
                                (16 | 72, Padding::Valid) => (1e9, Activation::Relu6),
                                (8 | 64, Padding::Valid) => (1e9, Activation::None),
                                (_, Padding::Valid) => (1.0, Activation::Relu6),
                                _ => (1.0, Activation::None),
                            };
                            let scales: Vec<f32> = (0..channels)
                                .map(|_| factor * (1e-3 + noise(&mut seed) as f32 * 1e-10))
                                .collect();
                            let bias: Vec<i32> =
                                (0..channels).map(|_| noise(&mut seed) as i32 % 5000).collect();
                            let constants = DepthwiseConstants {
                                weights: &weights,
                                scales: &scales,
                                bias: &bias,
                                output: OutputRange::new(0.1, 100, 0, activation),
                            };
                            let run = |isa| {
                                let kernel = DepthwiseBytes::new(isa, geometry, 77, constants);
                                let mut output = vec![0; 2 * geometry.result_elements()];
                                let mut bytes = vec![9; kernel.scratch_bytes()];
                                let mut int32 = vec![9; kernel.scratch_int32()];
                                kernel.run(&input, 0, &mut output, &mut bytes, &mut int32);
                                let floats = scales.iter().map(|scale| scale * 3.0).collect();
                                let kernel = DepthwiseToFloats::new(
                                    isa,
                                    geometry,
                                    weights.clone(),
                                    (scales.clone(), floats),
                                    (-50.0, 50.0),
                                );
                                let mut floats = vec![0.0; geometry.result_elements()];
                                let mut bytes = vec![9; kernel.scratch_bytes()];
                                let mut int32 = vec![9; kernel.scratch_int32()];
                                let image = &input[..geometry.image_elements()];
                                let quantization = (0.3, 99);
                                let scratch = (&mut bytes[..], &mut int32[..]);
                                kernel.run(image, quantization, 0, &mut floats, scratch);
                                (output, floats)
                            };
                            assert!(
                                run(isa) == run(Isa::SCALAR),
                                "{level} window {window} stride {stride} channels {channels} \
                                 {height} x {width}"
                            );
                            cases += 1;
                        }
                    }
                }
            }
        }
        assert!(cases >= SimdLevel::available().len() * 900, "only {cases} cases ran");
    }
}
