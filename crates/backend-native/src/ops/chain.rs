//! Chains of kernels that compute a few rows at a time in turn, so that what is between them stays
//! in the caches: the expansion, the depthwise convolution and the projection of mobile networks.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use image_embedder_backend::BackendError;

use crate::aligned::AlignedVec;
use crate::ops::Kernel;
use crate::slots::{Held, Inputs, Output, Scratch, ScratchSizes, misplaced};

/// A kernel that computes rows of one image from rows of another.
pub(crate) trait ByRows<T> {
    /// Rows of the output, and elements of one.
    fn output_rows(&self) -> (usize, usize);

    /// Rows of the input, and elements of one.
    fn input_rows(&self) -> (usize, usize);

    /// The input rows under some output rows.
    fn rows_under(&self, rows: Range<usize>) -> Range<usize>;

    /// Computes some output rows from the input rows that are [under](Self::rows_under) them.
    fn run_rows(
        &self,
        rows: Range<usize>,
        input: &[T],
        output: &mut [T],
        scratch: &mut Scratch,
    ) -> Result<(), BackendError>;
}

/// Elements that rows consist of.
pub(crate) trait RowElement: Held + Debug {
    /// The kernel by rows, if it can do so.
    fn by_rows(kernel: &dyn Kernel) -> Option<&dyn ByRows<Self>>;

    /// Working memory for what is between the kernels of a chain.
    fn between(scratch: &mut Scratch) -> &mut AlignedVec<Self>;

    /// Sizes with that much of it.
    fn with_between(sizes: ScratchSizes, elements: usize) -> ScratchSizes;
}

impl RowElement for f32 {
    fn by_rows(kernel: &dyn Kernel) -> Option<&dyn ByRows<Self>> {
        kernel.float_rows()
    }

    fn between(scratch: &mut Scratch) -> &mut AlignedVec<Self> {
        &mut scratch.floats_between
    }

    fn with_between(sizes: ScratchSizes, elements: usize) -> ScratchSizes {
        ScratchSizes { floats_between: elements, ..sizes }
    }
}

impl RowElement for u8 {
    fn by_rows(kernel: &dyn Kernel) -> Option<&dyn ByRows<Self>> {
        kernel.byte_rows()
    }

    fn between(scratch: &mut Scratch) -> &mut AlignedVec<Self> {
        &mut scratch.bytes_between
    }

    fn with_between(sizes: ScratchSizes, elements: usize) -> ScratchSizes {
        ScratchSizes { bytes_between: elements, ..sizes }
    }
}

/// The most kernels of a chain.
pub(crate) const LONGEST: usize = 3;

/// Kernels each of which reads what the one before computes.
#[derive(Debug)]
pub(crate) struct Chain<T> {
    stages: Vec<Arc<dyn Kernel>>,
    /// Output rows that are computed together.
    band: usize,
    /// Where the rows behind each stage but the last begin, and the end of all.
    places: Vec<usize>,
    element: PhantomData<fn() -> T>,
}

impl<T: RowElement> Chain<T> {
    /// Bytes between the stages that are few enough to stay in the second-level cache.
    const BETWEEN: usize = 384 * 1024;

    /// Bytes behind the first stage that are too many to stay there.
    const TOO_MANY: usize = 768 * 1024;

    /// The chain, if the kernels can be one and gain from it.
    pub(crate) fn new(stages: &[Arc<dyn Kernel>]) -> Option<Self> {
        let by_rows: Vec<_> =
            stages.iter().map(|stage| T::by_rows(&**stage)).collect::<Option<_>>()?;
        let fits = |pair: &[&dyn ByRows<T>]| pair[0].output_rows() == pair[1].input_rows();
        if !(2..=LONGEST).contains(&stages.len()) || !by_rows.windows(2).all(fits) {
            return None;
        }
        let (rows, row) = by_rows.first()?.output_rows();
        if rows.saturating_mul(row) <= Self::TOO_MANY / size_of::<T>() {
            return None;
        }
        let fitting = |places: &Vec<usize>| {
            places.last().is_some_and(|&end| end <= Self::BETWEEN / size_of::<T>())
        };
        let rows = by_rows.last()?.output_rows().0;
        let (band, places) = (1..=rows)
            .map(|band| (band, places(&by_rows, band)))
            .take_while(|(_, places)| fitting(places))
            .last()?;
        Self::is_worth_it(&by_rows, band).then(|| Self {
            stages: stages.to_vec(),
            band,
            places,
            element: PhantomData,
        })
    }

    /// Whether each stage reads few rows again that the band before has read.
    fn is_worth_it(stages: &[&dyn ByRows<T>], band: usize) -> bool {
        let rows = stages.last().map_or(0, |stage| stage.output_rows().0);
        let (mut first, mut second) = (0..band.min(rows), band.min(rows)..rows.min(2 * band));
        stages.iter().rev().all(|stage| {
            (first, second) = (stage.rows_under(first.clone()), stage.rows_under(second.clone()));
            let anew = second.end.saturating_sub(first.end);
            second.len() * 10 <= anew * 14
        })
    }

    fn stage(&self, index: usize) -> Result<&dyn ByRows<T>, BackendError> {
        self.stages.get(index).and_then(|stage| T::by_rows(&**stage)).ok_or_else(misplaced)
    }

    /// Computes some output rows.
    fn run_band(
        &self,
        band: Range<usize>,
        held: &mut [Range<usize>; LONGEST],
        image: &[T],
        output: &mut [T],
        (between, scratch): (&mut [T], &mut Scratch),
    ) -> Result<(), BackendError> {
        let last = self.stages.len() - 1;
        // What each stage computes anew, and the rows behind it that the next stage reads.
        let mut anew = std::array::from_fn::<_, LONGEST, _>(|_| 0..0);
        let mut read = anew.clone();
        anew[last] = band;
        for index in (0..last).rev() {
            let under = self.stage(index + 1)?.rows_under(anew[index + 1].clone());
            anew[index] = under.end.min(held[index].end.max(under.start))..under.end;
            read[index] = under;
        }
        for index in 0..=last {
            if anew[index].is_empty() {
                continue;
            }
            let stage = self.stage(index)?;
            let under = stage.rows_under(anew[index].clone());
            let row = stage.input_rows().1;
            if index == last {
                let first = if index == 0 { 0 } else { held[index - 1].start };
                let rows = &between[self.places[index - 1]..];
                let input = &rows[(under.start - first) * row..(under.end - first) * row];
                stage.run_rows(anew[index].clone(), input, output, scratch)?;
                continue;
            }
            let (before, behind) = between.split_at_mut(self.places[index]);
            let input = match index.checked_sub(1) {
                None => &image[under.start * row..under.end * row],
                Some(previous) => {
                    let first = held[previous].start;
                    let rows = &before[self.places[previous]..];
                    &rows[(under.start - first) * row..(under.end - first) * row]
                }
            };
            // Rows that are there already and are read again move to the front.
            let row = stage.output_rows().1;
            let (kept, now) = (read[index].start..anew[index].start, &held[index]);
            if !kept.is_empty() {
                let from = (kept.start - now.start) * row;
                behind.copy_within(from..from + kept.len() * row, 0);
            }
            let target = &mut behind[kept.len() * row..][..anew[index].len() * row];
            stage.run_rows(anew[index].clone(), input, target, scratch)?;
            held[index] = read[index].clone();
        }
        Ok(())
    }
}

/// Where the rows behind each stage but the last begin if `band` output rows are computed together,
/// and the end of all.
fn places<T>(stages: &[&dyn ByRows<T>], band: usize) -> Vec<usize> {
    let mut most = vec![0; stages.len() - 1];
    let rows = stages.last().map_or(0, |stage| stage.output_rows().0);
    for start in 0..rows {
        let mut rows = start..rows.min(start + band);
        for (index, stage) in stages.iter().enumerate().skip(1).rev() {
            rows = stage.rows_under(rows);
            most[index - 1] = rows.len().max(most[index - 1]);
        }
    }
    let mut end = 0;
    let mut places = vec![0];
    for (rows, stage) in most.iter().zip(stages) {
        // Whole cache lines, whatever an element is.
        end += (rows * stage.output_rows().1).next_multiple_of(64);
        places.push(end);
    }
    places
}

impl<T: RowElement> Kernel for Chain<T> {
    fn scratch(&self) -> ScratchSizes {
        let stages = self.stages.iter().map(|stage| stage.scratch());
        let sizes = stages.fold(ScratchSizes::default(), ScratchSizes::max);
        T::with_between(sizes, self.places.last().copied().unwrap_or_default())
    }

    fn grain(&self) -> Option<usize> {
        // Rows that two parts need are computed for both: parts are few.
        const PARTS: usize = 4;
        let (rows, row) = self.stage(self.stages.len() - 1).ok()?.output_rows();
        Some(rows.div_ceil(PARTS) * row)
    }

    fn multiply_adds(&self) -> u64 {
        self.stages.iter().map(|stage| stage.multiply_adds()).fold(0, u64::saturating_add)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let row = self.stage(self.stages.len() - 1)?.output_rows().1;
        let first = output.first() / row;
        let (image, output) = (T::input(inputs, 0)?, T::output(output)?);
        let mut between = std::mem::take(T::between(scratch));
        let mut held = std::array::from_fn(|_| 0..0);
        let mut result = Ok(());
        for (index, target) in output.chunks_mut(self.band * row).enumerate() {
            let start = first + index * self.band;
            let band = start..start + target.len() / row;
            result = self.run_band(band, &mut held, image, target, (&mut between, scratch));
            if result.is_err() {
                break;
            }
        }
        *T::between(scratch) = between;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use image_embedder_schema::tflite::Padding;

    use super::*;
    use crate::ops::window::Axis;
    use crate::slots::{Elements, Place, Slots};

    /// Adds up the rows under a window, and counts the rows that it computes.
    #[derive(Debug)]
    struct Sums {
        axis: Axis,
        row: usize,
        computed: AtomicUsize,
    }

    impl ByRows<f32> for Sums {
        fn output_rows(&self) -> (usize, usize) {
            (self.axis.output, self.row)
        }

        fn input_rows(&self) -> (usize, usize) {
            (self.axis.input, self.row)
        }

        fn rows_under(&self, rows: Range<usize>) -> Range<usize> {
            self.axis.under(rows)
        }

        fn run_rows(
            &self,
            rows: Range<usize>,
            input: &[f32],
            output: &mut [f32],
            _scratch: &mut Scratch,
        ) -> Result<(), BackendError> {
            self.computed.fetch_add(rows.len(), Ordering::Relaxed);
            let first = self.rows_under(rows.clone()).start;
            assert_eq!(input.len(), self.rows_under(rows.clone()).len() * self.row);
            for (position, target) in rows.zip(output.chunks_exact_mut(self.row)) {
                target.fill(1.0);
                for tap in self.axis.inside(position) {
                    let source = self.axis.source(position, tap).unwrap() - first;
                    for (sum, value) in target.iter_mut().zip(&input[source * self.row..]) {
                        *sum += value;
                    }
                }
            }
            Ok(())
        }
    }

    impl Kernel for Sums {
        fn float_rows(&self) -> Option<&dyn ByRows<f32>> {
            Some(self)
        }

        fn run(
            &self,
            inputs: Inputs<'_>,
            output: Output<'_>,
            scratch: &mut Scratch,
        ) -> Result<(), BackendError> {
            self.run_rows(0..self.axis.output, inputs.float32(0)?, output.float32()?, scratch)
        }
    }

    /// The stages, one behind the other, of windows, strides and dilations.
    fn stages(rows: usize, row: usize, windows: &[(usize, usize, usize)]) -> Vec<Arc<Sums>> {
        let mut input = rows;
        let stage = |&(window, stride, dilation): &(usize, usize, usize)| {
            let axis = Axis::new(Padding::Same, input, window, stride, dilation).unwrap();
            input = axis.output;
            Arc::new(Sums { axis, row, computed: AtomicUsize::new(0) })
        };
        windows.iter().map(stage).collect()
    }

    fn run(kernel: &dyn Kernel, image: &[f32], part: (usize, usize), len: usize) -> Vec<f32> {
        let mut slot = AlignedVec::new(image.len());
        slot.copy_from_slice(image);
        let slots = Slots { float32: vec![slot], ..Slots::default() };
        let places = [Place::Float32 { index: 0, len: image.len() }];
        let mut results = vec![0.0; len];
        let output = Output::whole(Elements::Float32(&mut results));
        let (output, _) = output.split_at(part.1);
        let (_, output) = output.split_at(part.0);
        let mut scratch = Scratch::new(kernel.scratch());
        kernel.run(Inputs { slots: &slots, places: &places }, output, &mut scratch).unwrap();
        results
    }

    #[test]
    fn chains_compute_what_their_stages_do_and_no_row_twice() {
        let (rows, row) = (61, 4096);
        let image: Vec<f32> = (0..rows * row).map(|index| (index % 97) as f32).collect();
        let mut cases = 0;
        for windows in [
            &[(1, 1, 1), (3, 1, 1), (1, 1, 1)][..],
            &[(3, 1, 1), (3, 2, 1), (1, 1, 1)],
            &[(1, 1, 1), (5, 2, 1)],
            &[(1, 1, 1), (2, 3, 1), (1, 1, 1)],
        ] {
            let stages = stages(rows, row, windows);
            let mut expected = image.clone();
            for stage in &stages {
                expected = run(&**stage, &expected, (0, usize::MAX), stage.axis.output * row);
                stage.computed.store(0, Ordering::Relaxed);
            }
            let kernels: Vec<_> =
                stages.iter().map(|stage| Arc::clone(stage) as Arc<dyn Kernel>).collect();
            let chain = Chain::<f32>::new(&kernels).expect("rows are many and read once");
            assert!(chain.band < stages.last().unwrap().axis.output, "{windows:?}");
            let found = run(&chain, &image, (0, usize::MAX), expected.len());
            assert_eq!(found, expected, "{windows:?}");
            for stage in &stages {
                assert!(stage.computed.load(Ordering::Relaxed) <= stage.axis.output);
            }
            // A part in the middle, as a thread is handed it.
            let grain = chain.grain().unwrap();
            let part = grain..2 * grain;
            let found = run(&chain, &image, (part.start, part.end), expected.len());
            assert_eq!(found[part.clone()], expected[part], "{windows:?}");
            cases += 1;
        }
        assert_eq!(cases, 4);
    }

    #[test]
    fn small_images_and_wide_windows_are_not_chained() {
        let chain = |rows, row, windows: &[(usize, usize, usize)]| {
            let kernels: Vec<_> = stages(rows, row, windows)
                .into_iter()
                .map(|stage| stage as Arc<dyn Kernel>)
                .collect();
            Chain::<f32>::new(&kernels).is_some()
        };
        assert!(chain(60, 4096, &[(1, 1, 1), (3, 1, 1)]));
        assert!(!chain(40, 4096, &[(1, 1, 1), (3, 1, 1)]), "stays in the cache as it is");
        assert!(!chain(60, 16384, &[(1, 1, 1), (3, 1, 2)]), "reads most rows anew for each band");
        assert!(!chain(60, 4096, &[(1, 1, 1)]), "one is no chain");
    }
}
