//! Instruction-set levels: what the processor has, chosen once, and proofs of it for kernels.

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

use std::fmt;

/// A set of instructions that the engine has kernels for.
///
/// All levels give the same bytes, for quantised models in either [`NumericMode`] and for float
/// models in [`NumericMode::Strict`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SimdLevel {
    /// Portable Rust, the oracle of the others.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, DQ, VL, VBMI) and its VNNI dot products.
    Avx512Vnni,
    /// aarch64 with NEON.
    Neon,
    /// aarch64 with NEON and its dot products.
    NeonDotprod,
}

impl SimdLevel {
    /// Every level, those of one architecture from the plainest.
    pub const ALL: [Self; 5] =
        [Self::Scalar, Self::Avx2, Self::Avx512Vnni, Self::Neon, Self::NeonDotprod];

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
            Self::Neon => "neon",
            Self::NeonDotprod => "neondotprod",
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How float sums are rounded.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NumericMode {
    /// In one fixed order with fused multiply-additions: the same bytes at every [`SimdLevel`], on
    /// every number of threads and on every machine. Only [`SimdLevel::Scalar`] pays for it, as
    /// plain instructions have to compose what others have an instruction for.
    #[default]
    Strict,
    /// As is fastest at the level: the same bytes on every run and number of threads, and from one
    /// level to the next about 1e-6 of the largest value apart.
    Fast,
}

impl NumericMode {
    /// The lower-case name, such as `strict`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Fast => "fast",
        }
    }
}

impl fmt::Display for NumericMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often a product that is added to a sum is rounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rounding {
    /// Once, after the addition.
    Once,
    /// Before the addition as well.
    Twice,
}

/// What the compiler can turn into vector instructions by itself.
pub(crate) trait Computation {
    type Results;

    /// Computes it. An implementation is always inlined, to be compiled anew for each level.
    fn compute(self) -> Self::Results;
}

/// A level together with the proof that the processor has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isa {
    Scalar(Rounding),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86_64::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86_64::Avx512Vnni),
    #[cfg(target_arch = "aarch64")]
    Neon(aarch64::Neon),
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(aarch64::NeonDotprod),
}

impl Isa {
    /// The level without vectors, whose results are those of all levels.
    #[cfg(test)]
    pub(crate) const SCALAR: Self = Self::Scalar(Rounding::Once);

    /// The level with kernels for the mode.
    pub(crate) fn in_mode(self, mode: NumericMode) -> Self {
        match (self, mode) {
            (Self::Scalar(_), NumericMode::Fast) => Self::Scalar(Rounding::Twice),
            (isa, _) => isa,
        }
    }

    /// Computes it where the compiler may use the level's instructions; the results are the same.
    pub(crate) fn vectorize<C: Computation>(self, computation: C) -> C::Results {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.vectorize(computation),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(token) => token.vectorize(computation),
            _ => computation.compute(),
        }
    }

    /// Whether there are no vectors.
    pub(crate) fn is_scalar(self) -> bool {
        matches!(self, Self::Scalar(_))
    }

    /// The proof, if the processor has the level.
    pub(crate) fn new(level: SimdLevel) -> Option<Self> {
        match level {
            SimdLevel::Scalar => Some(Self::Scalar(Rounding::Once)),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => x86_64::Avx2::new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512Vnni => x86_64::Avx512Vnni::new().map(Self::Avx512Vnni),
            #[cfg(not(target_arch = "x86_64"))]
            SimdLevel::Avx2 | SimdLevel::Avx512Vnni => None,
            #[cfg(target_arch = "aarch64")]
            SimdLevel::Neon => aarch64::Neon::new().map(Self::Neon),
            #[cfg(target_arch = "aarch64")]
            SimdLevel::NeonDotprod => aarch64::NeonDotprod::new().map(Self::NeonDotprod),
            #[cfg(not(target_arch = "aarch64"))]
            SimdLevel::Neon | SimdLevel::NeonDotprod => None,
        }
    }
}
