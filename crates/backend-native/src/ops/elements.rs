//! The kernels of functions that work element by element, whatever the elements are held in.

use std::fmt;
use std::marker::PhantomData;

use image_embedder_backend::BackendError;

use crate::ops::broadcast::Broadcast;
use crate::ops::{ELEMENTS, Kernel};
use crate::slots::{Held, Inputs, Output, Scratch};

/// A function of one element.
pub(crate) struct Each<A, B, F> {
    function: F,
    types: PhantomData<fn(A) -> B>,
}

impl<A: Held, B: Held, F: Fn(A) -> B + Send + Sync> Each<A, B, F> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<A, B, F> fmt::Debug for Each<A, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Each")
    }
}

impl<A: Held, B: Held, F: Fn(A) -> B + Send + Sync> Kernel for Each<A, B, F> {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&A::input(inputs, 0)?[first..], B::output(output)?);
        for (result, &value) in output.iter_mut().zip(input) {
            *result = (self.function)(value);
        }
        Ok(())
    }
}

/// A function of two elements.
pub(crate) struct Pairs<A, B, F> {
    broadcast: Broadcast,
    function: F,
    types: PhantomData<fn(A, A) -> B>,
}

impl<A: Held, B: Held, F: Fn(A, A) -> B + Send + Sync> Pairs<A, B, F> {
    pub(crate) fn new(broadcast: Broadcast, function: F) -> Self {
        Self { broadcast, function, types: PhantomData }
    }
}

impl<A, B, F> fmt::Debug for Pairs<A, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairs").field("broadcast", &self.broadcast).finish_non_exhaustive()
    }
}

impl<A: Held, B: Held, F: Fn(A, A) -> B + Send + Sync> Kernel for Pairs<A, B, F> {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (A::input(inputs, 0)?, A::input(inputs, 1)?);
        let first = output.first();
        self.broadcast.run(a, b, (first, B::output(output)?), &self.function);
        Ok(())
    }
}
