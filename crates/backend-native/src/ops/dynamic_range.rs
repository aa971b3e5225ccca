//! Quantisation of float images at run time, in front of kernels whose weights are bytes.

use std::sync::Arc;

use image_embedder_backend::BackendError;

use crate::kernels::dynamic_range::{QuantizeAsTflite, QuantizeAsXnnpack};
use crate::ops::window::bands;
use crate::ops::{Kernel, Lowered, Work};
use crate::simd::Isa;
use crate::slots::{Inputs, Output, Scratch, misplaced};

/// Images of bytes, each quantised by its own range, with its scale and zero point behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuantizedImages {
    pub(super) count: usize,
    /// Elements of an image.
    pub(super) elements: usize,
}

/// Bytes of a scale and a zero point.
const PARAMETERS: usize = 8;

/// Whose formula quantises.
#[derive(Clone, Copy, Debug)]
pub(super) enum Formula {
    Tflite,
    Xnnpack,
}

impl QuantizedImages {
    /// Bytes of an image and its parameters.
    fn stride(&self) -> usize {
        self.elements + PARAMETERS
    }

    /// The operator's work: quantises the images, then runs the kernel on them.
    pub(super) fn lower(
        self,
        shape: Vec<usize>,
        (isa, formula): (Isa, Formula),
        kernel: impl Kernel + 'static,
        operand: usize,
    ) -> Lowered {
        let work = Work::ThroughBytes {
            first: Arc::new(QuantizeImages { images: self, isa, formula }),
            len: self.count.saturating_mul(self.stride()),
            then: Arc::new(kernel),
            operand,
        };
        Lowered { shape, work }
    }

    /// For each image that has results in the part of the output from element `first` on: calls
    /// `compute(image, its scale and zero point, first result of the image, results)`. Every image
    /// has `results` results.
    pub(super) fn for_each_part(
        &self,
        bytes: &[u8],
        results: usize,
        first: usize,
        mut output: &mut [f32],
        mut compute: impl FnMut(&[u8], (f32, u8), usize, &mut [f32]),
    ) -> Result<(), BackendError> {
        for (index, range) in bands(first, output.len(), results, 1) {
            let (part, rest) = output.split_at_mut(range.len());
            let image = bytes.chunks_exact(self.stride()).nth(index).ok_or_else(misplaced)?;
            let (image, parameters) = image.split_at(self.elements);
            let ([scale, zero_point], []) = parameters.as_chunks::<4>() else {
                return Err(misplaced());
            };
            let scale = f32::from_le_bytes(*scale);
            // A zero point of bytes is a byte.
            let zero_point = i32::from_le_bytes(*zero_point) as u8;
            compute(image, (scale, zero_point), range.start, part);
            output = rest;
        }
        Ok(())
    }
}

/// Quantises images of floats.
#[derive(Debug)]
struct QuantizeImages {
    images: QuantizedImages,
    isa: Isa,
    formula: Formula,
}

impl Kernel for QuantizeImages {
    fn grain(&self) -> Option<usize> {
        Some(self.images.stride())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let QuantizedImages { elements, .. } = self.images;
        let first = output.first() / self.images.stride();
        let (input, output) = (inputs.float32(0)?, output.bytes()?);
        let results = output.chunks_exact_mut(self.images.stride());
        for (index, results) in results.enumerate() {
            let values = &input[(first + index) * elements..][..elements];
            let (bytes, parameters) = results.split_at_mut(elements);
            let (scale, zero_point) = match self.formula {
                Formula::Tflite => self.isa.vectorize(QuantizeAsTflite { values, bytes }),
                Formula::Xnnpack => self.isa.vectorize(QuantizeAsXnnpack { values, bytes }),
            };
            parameters[..4].copy_from_slice(&scale.to_le_bytes());
            parameters[4..].copy_from_slice(&zero_point.to_le_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Data;
    use crate::slots::{Elements, Place, ScratchSizes, Slots};

    #[test]
    fn parts_find_their_image_and_its_parameters() {
        let images = QuantizedImages { count: 3, elements: 5 };
        // Each image has a range of its own, from zero to ten times its number.
        let values: Vec<f32> =
            (0..15).map(|index| (index % 5 * (index / 5 + 1)) as f32 * 2.5).collect();
        let mut cases = 0;
        for formula in [Formula::Tflite, Formula::Xnnpack] {
            let kernel = QuantizeImages { images, isa: Isa::SCALAR, formula };
            let slots = Slots::default();
            let places = [Place::Constant(Data::Float32(values.clone().into()))];
            let mut bytes = vec![7; 3 * images.stride()];
            let output = Output::whole(Elements::Bytes(&mut bytes));
            let scratch = &mut Scratch::new(ScratchSizes::default());
            kernel.run(Inputs { slots: &slots, places: &places }, output, scratch).unwrap();
            for first in 0..12 {
                for len in 0..=12 - first {
                    // Four results an image: its number, and how far along they are.
                    let mut results = vec![0.0; len];
                    images
                        .for_each_part(
                            &bytes,
                            4,
                            first,
                            &mut results,
                            |image, (scale, zero), at, to| {
                                assert_eq!((image.len(), zero), (5, 0));
                                assert_eq!((image[0], image[4]), (0, 255));
                                let number = (scale * 255.0 / 10.0).round();
                                for (offset, result) in to.iter_mut().enumerate() {
                                    *result = number * 10.0 + (at + offset) as f32;
                                }
                            },
                        )
                        .unwrap();
                    let expected =
                        (first..first + len).map(|index| ((index / 4 + 1) * 10 + index % 4) as f32);
                    assert!(results.iter().copied().eq(expected), "{first} {len}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 2 * 90);
    }

    #[test]
    fn a_part_beyond_the_images_is_a_defect_not_a_panic() {
        let images = QuantizedImages { count: 1, elements: 5 };
        let outcome = images.for_each_part(&[0; 13], 4, 4, &mut [0.0], |_, _, _, _| {});
        assert!(outcome.is_err());
    }
}
