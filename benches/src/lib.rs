//! Measuring this workspace: benchmarks in `benches/`, comparisons with peers and the support table in
//! `bin/measure.rs`, and what they are made of. Everything verifies its result before it is timed.
//!
//! `cargo xtask bench --help` runs all of it.
#![forbid(unsafe_code)]

pub mod agreement;
pub mod comparison;
#[cfg(feature = "embedder")]
pub mod frames;
pub mod interleave;
pub mod large_frame;
pub mod loading;
pub mod machine;
pub mod memory;
pub mod model;
pub mod peers;
#[cfg(feature = "embedder")]
pub mod preprocessing;
pub mod report;
pub mod running;
pub mod scaling;
pub mod statistics;
#[cfg(feature = "tract")]
pub mod support;

/// What cannot be measured, and why.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error says what cannot be measured.
pub type Result<T> = std::result::Result<T, Error>;
