//! Which numbers a backend computes.

/// The arithmetic of a backend, by name: two backends with the same name compute the same bits.
///
/// Stored feature vectors are told apart by it. A name stands for the order of sums and the
/// rounding of results, not for their speed: the number of threads has no part in it.
///
/// ```
/// use image_embedder_backend::Arithmetic;
///
/// let own = Arithmetic::own("engine");
/// assert_eq!((&own.integer[..], &own.float[..]), ("engine", "engine"));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Arithmetic {
    /// Of models that compute with integers alone, quantising and dequantising aside.
    pub integer: String,
    /// Of all other models.
    pub float: String,
}

impl Arithmetic {
    /// The integers of XNNPACK on x86-64, which several backends share.
    pub const XNNPACK_INTEGERS: &'static str = "quantised";

    /// Arithmetic that nobody else has.
    pub fn own(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { integer: name.clone(), float: name }
    }

    /// The same floats, with the integers of another name.
    #[must_use]
    pub fn with_integers(self, integer: impl Into<String>) -> Self {
        Self { integer: integer.into(), ..self }
    }
}
