//! Instruction-set levels: what the processor has, chosen once, and proofs of it for kernels.

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

use std::fmt;

/// A set of instructions that the engine has kernels for.
///
/// All levels give the same bytes for quantised models.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SimdLevel {
    /// Portable Rust, the oracle of the others.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, DQ, VL, VBMI) and its VNNI dot products.
    Avx512Vnni,
}

impl SimdLevel {
    /// Every level, from the plainest.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512Vnni];

    /// The best level that this processor has.
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::Scalar)
    }

    /// The levels that this processor has, from the plainest.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|level| level.is_available()).collect()
    }

    /// Whether this processor has the level.
    pub fn is_available(self) -> bool {
        Isa::new(self).is_some()
    }

    /// The lower-case name, such as `avx512vnni`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512vnni",
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A level together with the proof that the processor has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86_64::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86_64::Avx512Vnni),
}

impl Isa {
    /// Whether there are no vectors.
    pub(crate) fn is_scalar(self) -> bool {
        matches!(self, Self::Scalar)
    }

    /// The proof, if the processor has the level.
    pub(crate) fn new(level: SimdLevel) -> Option<Self> {
        match level {
            SimdLevel::Scalar => Some(Self::Scalar),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => x86_64::Avx2::new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512Vnni => x86_64::Avx512Vnni::new().map(Self::Avx512Vnni),
            #[cfg(not(target_arch = "x86_64"))]
            SimdLevel::Avx2 | SimdLevel::Avx512Vnni => None,
        }
    }
}
