//! The memory of a session: typed slots that tensors share over time.

use image_embedder_backend::BackendError;

use crate::NAME;
use crate::aligned::AlignedVec;
use crate::graph::Data;

/// Where an operand lives.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The first `len` floats of slot `index`.
    Float32 { index: usize, len: usize },
    /// The first `len` bytes of slot `index`.
    Bytes { index: usize, len: usize },
    /// The first `len` whole numbers of slot `index`.
    Integers { index: usize, len: usize },
    /// A constant.
    Constant(Data),
    /// The plan has no steps.
    Nowhere,
}

/// The slots of one session.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub(crate) float32: Vec<AlignedVec<f32>>,
    pub(crate) bytes: Vec<AlignedVec<u8>>,
    pub(crate) integers: Vec<AlignedVec<i64>>,
}

/// Working memory that kernels use within one step.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) float32: AlignedVec<f32>,
    pub(crate) bytes: AlignedVec<u8>,
    pub(crate) int32: AlignedVec<i32>,
    /// What is between the kernels of a chain.
    pub(crate) floats_between: AlignedVec<f32>,
    pub(crate) bytes_between: AlignedVec<u8>,
}

/// How much working memory a kernel needs, in elements.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScratchSizes {
    pub(crate) float32: usize,
    pub(crate) bytes: usize,
    pub(crate) int32: usize,
    pub(crate) floats_between: usize,
    pub(crate) bytes_between: usize,
}

impl ScratchSizes {
    /// Enough for either.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            float32: self.float32.max(other.float32),
            bytes: self.bytes.max(other.bytes),
            int32: self.int32.max(other.int32),
            floats_between: self.floats_between.max(other.floats_between),
            bytes_between: self.bytes_between.max(other.bytes_between),
        }
    }
}

impl Scratch {
    pub(crate) fn new(sizes: ScratchSizes) -> Self {
        Self {
            float32: AlignedVec::new(sizes.float32),
            bytes: AlignedVec::new(sizes.bytes),
            int32: AlignedVec::new(sizes.int32),
            floats_between: AlignedVec::new(sizes.floats_between),
            bytes_between: AlignedVec::new(sizes.bytes_between),
        }
    }
}

/// The inputs of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) slots: &'a Slots,
    pub(crate) places: &'a [Place],
}

impl<'a> Inputs<'a> {
    /// The floats of input `index`.
    pub(crate) fn float32(&self, index: usize) -> Result<&'a [f32], BackendError> {
        match self.places.get(index) {
            Some(Place::Float32 { index, len }) => self
                .slots
                .float32
                .get(*index)
                .and_then(|slot| slot.get(..*len))
                .ok_or_else(misplaced),
            Some(Place::Constant(Data::Float32(values))) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    /// The bytes of input `index`.
    pub(crate) fn bytes(&self, index: usize) -> Result<&'a [u8], BackendError> {
        match self.places.get(index) {
            Some(Place::Bytes { index, len }) => {
                self.slots.bytes.get(*index).and_then(|slot| slot.get(..*len)).ok_or_else(misplaced)
            }
            Some(Place::Constant(Data::Bytes(values))) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    /// The whole numbers of input `index`.
    pub(crate) fn integers(&self, index: usize) -> Result<&'a [i64], BackendError> {
        match self.places.get(index) {
            Some(Place::Integers { index, len }) => self
                .slots
                .integers
                .get(*index)
                .and_then(|slot| slot.get(..*len))
                .ok_or_else(misplaced),
            Some(Place::Constant(Data::Integers(values))) => Ok(values),
            _ => Err(misplaced()),
        }
    }
}

/// What a kernel writes: the output of one step, or the part of it that it is handed.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) elements: Elements<'a>,
    first: usize,
}

/// The elements of an output.
#[derive(Debug)]
pub(crate) enum Elements<'a> {
    Float32(&'a mut [f32]),
    Bytes(&'a mut [u8]),
    Integers(&'a mut [i64]),
}

impl<'a> Output<'a> {
    /// A whole output.
    pub(crate) fn whole(elements: Elements<'a>) -> Self {
        Self { elements, first: 0 }
    }

    /// Where in the whole output the part begins.
    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        match &self.elements {
            Elements::Float32(values) => values.len(),
            Elements::Bytes(values) => values.len(),
            Elements::Integers(values) => values.len(),
        }
    }

    /// The parts before and from element `place`, counted from this part's first.
    pub(crate) fn split_at(self, place: usize) -> (Self, Self) {
        let place = place.min(self.len());
        let (front, back) = match self.elements {
            Elements::Float32(values) => {
                let (front, back) = values.split_at_mut(place);
                (Elements::Float32(front), Elements::Float32(back))
            }
            Elements::Bytes(values) => {
                let (front, back) = values.split_at_mut(place);
                (Elements::Bytes(front), Elements::Bytes(back))
            }
            Elements::Integers(values) => {
                let (front, back) = values.split_at_mut(place);
                (Elements::Integers(front), Elements::Integers(back))
            }
        };
        let first = self.first;
        (Self { elements: front, first }, Self { elements: back, first: first + place })
    }

    /// The elements, which must be floats.
    pub(crate) fn float32(self) -> Result<&'a mut [f32], BackendError> {
        match self.elements {
            Elements::Float32(values) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    /// The elements, which must be bytes.
    pub(crate) fn bytes(self) -> Result<&'a mut [u8], BackendError> {
        match self.elements {
            Elements::Bytes(values) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    /// The elements, which must be whole numbers.
    pub(crate) fn integers(self) -> Result<&'a mut [i64], BackendError> {
        match self.elements {
            Elements::Integers(values) => Ok(values),
            _ => Err(misplaced()),
        }
    }
}

/// A type in which slots hold elements.
pub(crate) trait Held: Copy + Default + PartialOrd + Send + Sync + 'static {
    /// The slots of the type.
    fn slots(slots: &mut Slots) -> &mut Vec<AlignedVec<Self>>;

    /// Elements of an output.
    fn elements(elements: &mut [Self]) -> Elements<'_>;

    /// The output of a step.
    fn output(output: Output<'_>) -> Result<&mut [Self], BackendError>;

    /// Input `index` of a step.
    fn input(inputs: Inputs<'_>, index: usize) -> Result<&[Self], BackendError>;
}

macro_rules! held {
    ($($element:ty, $field:ident, $Variant:ident;)*) => {
        $(impl Held for $element {
            fn slots(slots: &mut Slots) -> &mut Vec<AlignedVec<Self>> {
                &mut slots.$field
            }

            fn elements(elements: &mut [Self]) -> Elements<'_> {
                Elements::$Variant(elements)
            }

            fn output(output: Output<'_>) -> Result<&mut [Self], BackendError> {
                output.$field()
            }

            fn input(inputs: Inputs<'_>, index: usize) -> Result<&[Self], BackendError> {
                inputs.$field(index)
            }
        })*
    };
}

held! {
    f32, float32, Float32;
    u8, bytes, Bytes;
    i64, integers, Integers;
}

/// A plan that disagrees with its session: a defect of the engine, reported, never a panic.
pub(crate) fn misplaced() -> BackendError {
    BackendError::Runtime {
        backend: NAME.to_owned(),
        message: "a step does not find its operand (a defect of this backend)".to_owned(),
    }
}
