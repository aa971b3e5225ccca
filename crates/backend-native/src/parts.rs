//! How a step's output is divided between threads.

use std::array;
use std::sync::{Mutex, PoisonError};

use crate::ops::Kernel;
use crate::simd::Isa;
use crate::slots::Output;
use crate::threads::MAX_THREADS;

/// An estimate of the time that a step takes on one thread, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost(u64);

impl Cost {
    /// Enough for any number of threads.
    pub(crate) const BOUNDLESS: Self = Self(u64::MAX);

    /// What a part takes at least, so that handing it out costs little beside it.
    const PART: u64 = 2_000;

    /// The share of one thread at least, so that it gains more than it costs.
    const SHARE: u64 = 4_000;

    /// The estimate for a kernel that reads and writes so many elements.
    pub(crate) fn new(kernel: &dyn Kernel, elements: usize, isa: Isa) -> Self {
        let products_per_nanosecond = if isa.is_scalar() { 2 } else { 32 };
        let elements = u64::try_from(elements).unwrap_or(u64::MAX);
        Self((kernel.multiply_adds() / products_per_nanosecond).saturating_add(elements / 8))
    }

    /// The most parts that are worth it.
    pub(crate) fn parts(self) -> usize {
        usize::try_from(self.0 / Self::PART).unwrap_or(usize::MAX).max(1)
    }

    /// The most threads that are worth it.
    pub(crate) fn threads(self) -> usize {
        usize::try_from(self.0 / Self::SHARE).unwrap_or(usize::MAX).clamp(1, MAX_THREADS)
    }
}

/// The units that an output is divided into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Division {
    /// Elements of a unit; the last may have fewer.
    grain: usize,
    units: usize,
    /// The fewest units of a part.
    least: usize,
}

impl Division {
    /// The division of `len` elements into at most so many parts of whole grains.
    pub(crate) fn new(len: usize, grain: usize, parts: usize) -> Self {
        let grain = grain.max(1);
        let units = len.div_ceil(grain);
        Self { grain, units, least: units.div_ceil(parts.max(1)).max(1) }
    }

    /// The most parts that there can be.
    pub(crate) fn units(self) -> usize {
        self.units.max(1)
    }
}

/// An output in parts that threads take: each first from its own share, front to back, so that it
/// finds what it computed in the step before in its own cache, then from the ends of the others'.
pub(crate) struct Parts<'a> {
    shares: [Mutex<Option<Output<'a>>>; MAX_THREADS],
    threads: usize,
    /// Elements of a part.
    len: usize,
    grain: usize,
}

/// In how many parts a thread takes its share: a late thread leaves the rest to the others.
const PARTS_PER_SHARE: usize = 4;

impl<'a> Parts<'a> {
    /// Gives each of the threads a share.
    pub(crate) fn new(output: Output<'a>, division: Division, threads: usize) -> Self {
        let Division { grain, units, least } = division;
        let threads = threads.clamp(1, MAX_THREADS);
        let len = units.div_ceil(threads * PARTS_PER_SHARE).max(least) * grain;
        let mut rest = Some(output);
        let mut given = 0;
        let shares = array::from_fn(|index| {
            if index >= threads {
                return Mutex::new(None);
            }
            let end = units * (index + 1) / threads;
            let (share, other) = rest.take().map_or((None, None), |rest| {
                let (share, rest) = rest.split_at((end - given) * grain);
                (Some(share), Some(rest))
            });
            rest = other;
            given = end;
            Mutex::new(share)
        });
        Self { shares, threads, len, grain }
    }

    /// The next part for a thread, if any is left.
    pub(crate) fn next(&self, thread: usize) -> Option<Output<'a>> {
        (0..self.threads).find_map(|distance| {
            let share = &self.shares[(thread + distance) % self.threads];
            let mut share = share.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = share.take().filter(|rest| rest.len() > 0)?;
            let (part, rest) = if distance == 0 {
                let (part, rest) = rest.split_at(self.len);
                (part, rest)
            } else {
                let parts = rest.len().div_ceil(self.grain);
                let kept = parts.saturating_sub(self.len / self.grain) * self.grain;
                let (rest, part) = rest.split_at(kept);
                (part, rest)
            };
            *share = Some(rest);
            Some(part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Elements;

    #[test]
    fn parts_cover_the_output_once() {
        let mut cases = 0;
        for len in [0, 1, 7, 64, 1000, 1001] {
            for grain in [1, 3, 16, 5000] {
                for threads in [1, 2, 3, 32] {
                    for most in [1, 5, usize::MAX] {
                        let mut bytes = vec![0; len];
                        let output = Output::whole(Elements::Bytes(&mut bytes));
                        let parts = Parts::new(output, Division::new(len, grain, most), threads);
                        let mut thread = 0;
                        while let Some(part) = parts.next(thread) {
                            assert_eq!(part.first() % grain, 0);
                            let end = part.first() + part.len();
                            assert!(end == len || end % grain == 0);
                            let first = part.first();
                            for (offset, byte) in part.bytes().unwrap().iter_mut().enumerate() {
                                *byte += 1 + ((first + offset) % 100) as u8;
                            }
                            thread = (thread + 2) % threads;
                        }
                        for (index, byte) in bytes.iter().enumerate() {
                            assert_eq!(usize::from(*byte), 1 + index % 100);
                        }
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 6 * 4 * 4 * 3);
    }

    #[test]
    fn small_work_stays_whole() {
        let cost = Cost(1_000);
        assert_eq!((cost.parts(), cost.threads()), (1, 1));
        let cost = Cost(100_000);
        assert_eq!((cost.parts(), cost.threads()), (50, 25));
        assert_eq!(Division::new(10, 16, usize::MAX).units(), 1);
        assert_eq!(Division::new(0, 16, usize::MAX).units(), 1);
        assert_eq!(Division::new(33, 16, usize::MAX).units(), 3);
    }
}
