//! What the models compute and tract has no operator for, as operators of tract.

use std::fmt;
use std::sync::Arc;

use tract_core::internal::{
    DatumExt, DatumType, EvalContext, EvalOp, IntoTValue, IntoTensor, Op, StaticName, TValue, TVec,
    TractResult, TypedFact, TypedOp, as_op, bail, op_as_typed_op, op_out_of_plan, tvec,
};
use tract_core::prelude::{Datum, Tensor};

type Inplace = dyn Fn(&mut [f32]) + Send + Sync;
type Combined<T, R> = dyn Fn(&[&[T]], &mut [R]) -> Result<(), String> + Send + Sync;

/// A function that changes the elements of a float tensor where they are.
#[derive(Clone)]
pub(crate) struct Map {
    name: &'static str,
    function: Arc<Inplace>,
}

impl Map {
    /// The function gets the whole tensor in row-major order.
    pub(crate) fn new(
        name: &'static str,
        function: impl Fn(&mut [f32]) + Send + Sync + 'static,
    ) -> Self {
        Self { name, function: Arc::new(function) }
    }

    /// A function of one element.
    pub(crate) fn each(
        name: &'static str,
        function: impl Fn(f32) -> f32 + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |values| values.iter_mut().for_each(|value| *value = function(*value)))
    }
}

/// A function of whole tensors of one type, whose result has a shape that is known beforehand.
pub(crate) struct Combine<T, R> {
    name: &'static str,
    shape: Vec<usize>,
    function: Arc<Combined<T, R>>,
}

impl<T, R> Combine<T, R> {
    /// The function gets all inputs and the output, in row-major order; what it returns as an error
    /// ends the run.
    pub(crate) fn new(
        name: &'static str,
        shape: Vec<usize>,
        function: impl Fn(&[&[T]], &mut [R]) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, shape, function: Arc::new(function) }
    }
}

/// Replaces the floats of each row by steps of the row's own range.
///
/// The outputs are the steps, and the scale of each row.
#[derive(Clone)]
pub(crate) struct QuantizeRows {
    pub(crate) rows: usize,
    pub(crate) rounding: crate::steps::RangeRounding,
}

impl<T, R> Clone for Combine<T, R> {
    fn clone(&self) -> Self {
        let (shape, function) = (self.shape.clone(), Arc::clone(&self.function));
        Self { name: self.name, shape, function }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl<T, R> fmt::Debug for Combine<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} into {:?}", self.name, self.shape)
    }
}

impl fmt::Debug for QuantizeRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quantise {} rows as {:?}", self.rows, self.rounding)
    }
}

// Functions cannot be compared, so operators are the same if they share theirs.

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}

impl Eq for Map {}

impl<T, R> PartialEq for Combine<T, R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function) && self.shape == other.shape
    }
}

impl<T, R> Eq for Combine<T, R> {}

impl PartialEq for QuantizeRows {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.rounding) == (other.rows, other.rounding)
    }
}

impl Eq for QuantizeRows {}

impl Op for Map {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Map {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensor = only(inputs)?.into_tensor();
        (self.function)(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(tvec!(tensor.into_tvalue()))
    }
}

impl TypedOp for Map {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32_fact(inputs)?.clone().without_value()))
    }

    as_op!();
}

impl<T: Datum + Copy, R: Datum + Copy + Default> Op for Combine<T, R> {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    op_as_typed_op!();
}

impl<T: Datum + Copy, R: Datum + Copy + Default> EvalOp for Combine<T, R> {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut output = Tensor::zero_dt(R::datum_type(), &self.shape)?;
        let views = inputs
            .iter()
            .map(|input| input.try_as_plain_ram()?.as_slice::<T>())
            .collect::<TractResult<TVec<&[T]>>>()?;
        let results = (self.function)(&views, output.try_as_plain_ram_mut()?.as_slice_mut::<R>()?);
        if let Err(reason) = results {
            bail!(reason);
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl<T: Datum + Copy, R: Datum + Copy + Default> TypedOp for Combine<T, R> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        if let Some(other) = inputs.iter().find(|fact| fact.datum_type != T::datum_type()) {
            bail!("expected {:?}, found {other:?}", T::datum_type());
        }
        Ok(tvec!(R::fact(&self.shape)))
    }

    as_op!();
}

impl Op for QuantizeRows {
    fn name(&self) -> StaticName {
        "QuantizeRows".into()
    }

    op_as_typed_op!();
}

impl EvalOp for QuantizeRows {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensor = only(inputs)?.into_tensor();
        let mut view = tensor.try_as_plain_ram_mut()?;
        let values = view.as_slice_mut::<f32>()?;
        let row = values.len().checked_div(self.rows).unwrap_or(0).max(1);
        let scales: Vec<f32> =
            values.chunks_exact_mut(row).map(|row| self.rounding.quantize(row)).collect();
        let scales = Tensor::from_shape(&[self.rows], &scales)?;
        Ok(tvec!(tensor.into_tvalue(), scales.into_tvalue()))
    }
}

impl TypedOp for QuantizeRows {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32_fact(inputs)?.clone().without_value(), f32::fact([self.rows])))
    }

    as_op!();
}

fn only(mut inputs: TVec<TValue>) -> TractResult<TValue> {
    match (inputs.pop(), inputs.pop()) {
        (Some(input), None) => Ok(input),
        _ => bail!("expected one input"),
    }
}

fn f32_fact<'a>(inputs: &[&'a TypedFact]) -> TractResult<&'a TypedFact> {
    match inputs {
        [fact] if fact.datum_type == DatumType::F32 => Ok(fact),
        _ => bail!("expected one input of F32, found {inputs:?}"),
    }
}
