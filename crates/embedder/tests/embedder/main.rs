//! The embedder as its users see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backends;
#[cfg(feature = "native")]
mod bundled;
mod decoding;
mod dynamic;
mod echo;
mod fingerprints;
mod frames;
mod inspection;
mod model_files;
mod models;
#[cfg(feature = "native")]
mod reference;
mod regions;
mod sessions;
mod statuses;
mod vectors;
