//! The choice among the original's scalers, made once, and their common driver.
//!
//! Source: the behaviour of libyuv 1773 (`ARGBScale`, `UVScale`, `ScalePlane` with
//! `kFilterBilinear`, SSE2 to AVX2).

use crate::PreprocessError;
use crate::crop::Samples;
use crate::memory::{Size, zeroed};

use super::bilinear::{ColumnTap, HorizontalFilter, RowTap, average, blend_rows, filter_columns};
use super::slope::{Filter, ONE, Slope, fixed_div};
use super::{three_eighths, three_quarters};

/// The original has a scaler for each way in which samples lie in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    /// RGB and RGBA.
    Packed,
    /// Chroma in pairs of bytes.
    Interleaved,
    /// Planes of their own: Y, gray, and chroma of the planar formats.
    Planar,
}

/// A prepared resize of one size to another.
#[derive(Debug)]
pub(super) struct Scaler {
    target: Size,
    method: Method,
    rows: Vec<RowTap>,
    columns: Vec<ColumnTap>,
    filter: HorizontalFilter,
    /// A blended source row.
    blended: Vec<u8>,
    /// Two source rows with filtered columns.
    filtered: [Vec<u8>; 2],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Method {
    /// Row by row as it is.
    Copy,
    /// Means of 2x2 samples at fixed places. The leading `paired_columns` are means of means.
    Box { x: Steps, y: Steps, paired_columns: usize },
    /// Rows blended, columns taken as they are.
    Vertical { first_column: usize },
    /// Columns filtered, then rows blended.
    ColumnsFirst,
    /// Rows blended, then columns filtered.
    RowsFirst,
    /// Samples taken as they are.
    Nearest,
    /// See [`three_quarters`].
    ThreeQuarters,
    /// See [`three_eighths`].
    ThreeEighths,
}

/// Whole samples `first`, `first + step`, and so on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Steps {
    first: usize,
    step: usize,
}

/// A method and the taps that it reads.
struct Choice {
    method: Method,
    x: Slope,
    y: Slope,
    /// Whether rows are interpolated.
    blends_rows: bool,
}

impl Scaler {
    /// Chooses the method and lays out its tables.
    ///
    /// `pixel_stride` is the greatest that will be given to a run, `channels` the bytes of an
    /// output pixel.
    pub(super) fn new(
        family: Family,
        source: Size,
        target: Size,
        pixel_stride: usize,
        channels: usize,
    ) -> Result<Self, PreprocessError> {
        let choice = match family {
            _ if source == target => Choice::copy(),
            Family::Packed | Family::Interleaved => Choice::interleaved(family, source, target),
            Family::Planar => Choice::planar(source, target),
        };
        let source_row = source.width.saturating_mul(pixel_stride);
        let target_row = target.width.saturating_mul(channels);
        let (blended, filtered) = match choice.method {
            Method::RowsFirst => (source_row, 0),
            Method::Vertical { .. } => (source_row, 0),
            Method::ColumnsFirst => (0, target_row),
            _ => (0, 0),
        };
        Ok(Self {
            target,
            method: choice.method,
            rows: choice.rows(source, target),
            columns: choice.columns(source, target),
            filter: match family {
                Family::Packed | Family::Interleaved => HorizontalFilter::Darkening,
                Family::Planar => HorizontalFilter::Rounding,
            },
            blended: zeroed(blended)?,
            filtered: [zeroed(filtered)?, zeroed(filtered)?],
        })
    }

    /// Resizes RGB or RGBA to tight RGB.
    pub(super) fn run_packed(&mut self, source: Samples<'_>, output: &mut [u8]) {
        match source.pixel_stride() {
            3 => self.run::<3, 3>(source, output),
            _ => self.run::<3, 4>(source, output),
        }
    }

    /// Resizes a plane, or one of the two planes in interleaved chroma, to tight rows.
    pub(super) fn run_plane(&mut self, source: Samples<'_>, output: &mut [u8]) {
        match source.pixel_stride() {
            1 => self.run::<1, 1>(source, output),
            _ => self.run::<1, 2>(source, output),
        }
    }

    fn run<const C: usize, const S: usize>(&mut self, source: Samples<'_>, output: &mut [u8]) {
        let row_bytes = self.target.width * C;
        let rows = output.chunks_exact_mut(row_bytes);
        match self.method {
            Method::Copy => {
                for (index, output) in rows.enumerate() {
                    copy_columns::<C, S>(source.row(index, C), output);
                }
            }
            Method::Box { x, y, paired_columns } => {
                for (index, output) in rows.enumerate() {
                    let upper = y.first + index * y.step;
                    let pair = [source.row(upper, C), source.row(upper + 1, C)];
                    box_columns::<C, S>(pair, x, paired_columns, output);
                }
            }
            Method::Vertical { first_column } => {
                for (output, tap) in rows.zip(&self.rows) {
                    let blended = blend::<C>(source, *tap, &mut self.blended);
                    copy_columns::<C, S>(&blended[first_column * S..], output);
                }
            }
            Method::RowsFirst => {
                for (output, tap) in rows.zip(&self.rows) {
                    let blended = blend::<C>(source, *tap, &mut self.blended);
                    filter_columns::<C, S>(self.filter, blended, &self.columns, output);
                }
            }
            Method::ColumnsFirst => self.run_columns_first::<C, S>(source, output),
            Method::Nearest => {
                for (output, tap) in rows.zip(&self.rows) {
                    let row = source.row(tap.row as usize, C);
                    for (pixel, tap) in output.as_chunks_mut::<C>().0.iter_mut().zip(&self.columns)
                    {
                        pixel.copy_from_slice(&row[tap.left as usize * S..][..C]);
                    }
                }
            }
            Method::ThreeQuarters => three_quarters::scale::<S>(source, self.target, output),
            Method::ThreeEighths => three_eighths::scale::<S>(source, self.target, output),
        }
    }

    /// Filters each source row once and keeps the last two, for output rows share them.
    fn run_columns_first<const C: usize, const S: usize>(
        &mut self,
        source: Samples<'_>,
        output: &mut [u8],
    ) {
        let [upper, lower] = &mut self.filtered;
        // Which source rows the two buffers hold.
        let (mut upper_row, mut lower_row) = (None, None);
        for (output, tap) in output.chunks_exact_mut(self.target.width * C).zip(&self.rows) {
            let filter = |row: u32, output: &mut [u8]| {
                let row = source.row(row as usize, C);
                filter_columns::<C, S>(self.filter, row, &self.columns, output);
            };
            if upper_row != Some(tap.row) {
                std::mem::swap(upper, lower);
                std::mem::swap(&mut upper_row, &mut lower_row);
                if upper_row != Some(tap.row) {
                    filter(tap.row, upper);
                    upper_row = Some(tap.row);
                }
            }
            if tap.fraction == 0 {
                output.copy_from_slice(upper);
                continue;
            }
            let next = tap.row + 1;
            if lower_row != Some(next) {
                filter(next, lower);
                lower_row = Some(next);
            }
            blend_rows(upper, lower, tap.fraction, output);
        }
    }
}

impl Choice {
    fn copy() -> Self {
        Self {
            method: Method::Copy,
            x: Slope { start: 0, step: ONE },
            y: Slope { start: 0, step: ONE },
            blends_rows: false,
        }
    }

    /// For pixels of several bytes.
    fn interleaved(family: Family, source: Size, target: Size) -> Self {
        let mut filter = Filter::reduced(source, target);
        let (x, y) = Slope::of(filter, source, target);
        let choice =
            |method, filter| Self { method, x, y, blends_rows: filter == Filter::Bilinear };

        if (x.step | y.step) & 0xffff == 0 {
            let (is_odd_x, is_odd_y) = (x.step & ONE != 0, y.step & ONE != 0);
            if x.step == 0 || y.step == 0 {
                filter = Filter::None;
            } else if !is_odd_x && !is_odd_y {
                let steps = |slope: Slope| Steps {
                    first: (slope.start >> 16) as usize,
                    step: (slope.step >> 16) as usize,
                };
                // The vector code for four-byte pixels does four columns at a time.
                let paired_columns =
                    if family == Family::Packed { target.width - target.width % 4 } else { 0 };
                return choice(Method::Box { x: steps(x), y: steps(y), paired_columns }, filter);
            } else if is_odd_x && is_odd_y {
                // Each sample is the middle of an odd block.
                filter = Filter::None;
            }
        }
        if x.step == ONE && x.start & 0xffff == 0 {
            let first_column = (x.start >> 16) as usize;
            let method = Method::Vertical { first_column };
            return Self { method, x, y, blends_rows: filter != Filter::None };
        }
        match filter {
            Filter::None => choice(Method::Nearest, filter),
            _ if y.step < ONE => choice(Method::ColumnsFirst, filter),
            _ => choice(Method::RowsFirst, filter),
        }
    }

    /// For planes of single bytes.
    fn planar(source: Size, target: Size) -> Self {
        let filter = Filter::reduced(source, target);
        if source.width == target.width {
            // Not centred, whatever the filter is.
            let step = fixed_div(source.height as i64, target.height as i64);
            return Self {
                method: Method::Vertical { first_column: 0 },
                x: Slope { start: 0, step: ONE },
                y: Slope { start: 0, step },
                blends_rows: filter != Filter::None,
            };
        }
        let is_ratio = |numerator: usize, denominator: usize| {
            denominator * target.width == numerator * source.width
                && denominator * target.height == numerator * source.height
        };
        let (x, y) = Slope::of(filter, source, target);
        let half = Steps { first: 0, step: 2 };
        let method = if is_ratio(3, 4) {
            Method::ThreeQuarters
        } else if is_ratio(1, 2) {
            Method::Box { x: half, y: half, paired_columns: 0 }
        } else if is_ratio(3, 8) {
            Method::ThreeEighths
        } else if filter == Filter::None {
            Method::Nearest
        } else if target.height > source.height {
            Method::ColumnsFirst
        } else {
            Method::RowsFirst
        };
        Self { method, x, y, blends_rows: filter == Filter::Bilinear }
    }

    fn rows(&self, source: Size, target: Size) -> Vec<RowTap> {
        let last = (source.height as i64 - 1) << 16;
        let maximum = match self.method {
            Method::Vertical { .. } => (last - 1).max(0),
            Method::ColumnsFirst | Method::RowsFirst | Method::Nearest => last,
            _ => return Vec::new(),
        };
        let tap = |index: usize| {
            let position = (self.y.start + index as i64 * self.y.step).min(maximum);
            let row = position >> 16;
            RowTap {
                row: row as u32,
                fraction: if self.blends_rows { (position >> 8) as u8 } else { 0 },
            }
        };
        (0..target.height).map(tap).collect()
    }

    fn columns(&self, source: Size, target: Size) -> Vec<ColumnTap> {
        if !matches!(self.method, Method::ColumnsFirst | Method::RowsFirst | Method::Nearest) {
            return Vec::new();
        }
        let last = source.width as i64 - 1;
        let tap = |index: usize| {
            let position = self.x.start + index as i64 * self.x.step;
            let left = (position >> 16).min(last);
            ColumnTap {
                left: left as u32,
                // No weight falls on a column past the last.
                right: (left + 1).min(last) as u32,
                fraction: (position >> 9) as u8 & 127,
            }
        };
        (0..target.width).map(tap).collect()
    }
}

/// The row of a tap: a source row, or a blend of two in `blended`.
fn blend<'a, const C: usize>(source: Samples<'a>, tap: RowTap, blended: &'a mut [u8]) -> &'a [u8] {
    let upper = source.row(tap.row as usize, C);
    if tap.fraction == 0 {
        return upper;
    }
    let lower = source.row(tap.row as usize + 1, C);
    let blended = &mut blended[..upper.len()];
    blend_rows(upper, lower, tap.fraction, blended);
    blended
}

/// Takes `C` bytes of each `S`-byte pixel.
fn copy_columns<const C: usize, const S: usize>(row: &[u8], output: &mut [u8]) {
    if C == S {
        output.copy_from_slice(&row[..output.len()]);
        return;
    }
    for (output, pixel) in output.as_chunks_mut::<C>().0.iter_mut().zip(row.chunks(S)) {
        output.copy_from_slice(&pixel[..C]);
    }
}

/// Means of 2x2 samples of two rows.
fn box_columns<const C: usize, const S: usize>(
    [upper, lower]: [&[u8]; 2],
    x: Steps,
    paired_columns: usize,
    output: &mut [u8],
) {
    for (index, output) in output.as_chunks_mut::<C>().0.iter_mut().enumerate() {
        let left = (x.first + index * x.step) * S;
        let right = left + S;
        for channel in 0..C {
            let (a, b) = (upper[left + channel], upper[right + channel]);
            let (c, d) = (lower[left + channel], lower[right + channel]);
            output[channel] = if index < paired_columns {
                average(average(a, c), average(b, d))
            } else {
                let sum = u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d);
                ((sum + 2) >> 2) as u8
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use image_embedder_frame::{BoundingBox, Plane};

    use super::*;

    /// Resizes a plane with tight rows of one byte a sample.
    fn resize(family: Family, source: (u32, u32), data: &[u8], target: (usize, usize)) -> Vec<u8> {
        let plane = Plane::new(data, source.0 as usize, 1);
        let samples = Samples::of(&plane, BoundingBox::whole(source.0, source.1));
        let target = Size { width: target.0, height: target.1 };
        let size = Size::new(source.0, source.1);
        let mut scaler = Scaler::new(family, size, target, 1, 1).unwrap();
        let mut output = vec![0; target.width * target.height];
        scaler.run_plane(samples, &mut output);
        output
    }

    #[test]
    fn planes_of_equal_width_are_not_centred() {
        // Rows at 0, 1.66 and 3.33; a single column takes the nearest above.
        let rows = [0, 10, 20, 100, 200];
        assert_eq!(resize(Family::Planar, (1, 5), &rows, (1, 3)), [0, 10, 100]);
        let rows = [0, 0, 10, 10, 20, 20, 100, 100, 200, 200];
        // With weights of 170 and 85 in 256: 10 + 0.66 * 10 and 100 + 0.33 * 100.
        assert_eq!(resize(Family::Planar, (2, 5), &rows, (2, 3)), [0, 0, 17, 17, 133, 133]);
        // Interleaved samples are centred, rows at 0.33, 2 less a bit, and 3.66: weights of 85,
        // 255 and 170.
        let interleaved = resize(Family::Interleaved, (2, 5), &rows, (2, 3));
        assert_eq!(interleaved, [3, 3, 20, 20, 166, 166]);
    }

    #[test]
    fn single_columns_take_the_nearest_row() {
        let rows = [0, 10, 20, 30, 40, 50];
        for family in [Family::Planar, Family::Interleaved, Family::Packed] {
            assert_eq!(resize(family, (1, 6), &rows, (2, 3)), [10, 10, 30, 30, 50, 50]);
        }
    }

    #[test]
    fn thirds_take_the_middle() {
        let data: Vec<u8> = (0..36).collect();
        for family in [Family::Planar, Family::Interleaved, Family::Packed] {
            assert_eq!(resize(family, (6, 6), &data, (2, 2)), [7, 10, 25, 28]);
        }
    }

    #[test]
    fn quarters_average_the_central_block() {
        let mut data = [0; 16];
        data[5] = 100;
        data[6] = 101;
        data[9] = 102;
        data[10] = 104;
        assert_eq!(resize(Family::Interleaved, (4, 4), &data, (1, 1)), [102]);
    }
}
