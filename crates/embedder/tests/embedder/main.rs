//! The embedder as its users see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundled;
mod decoding;
mod dynamic;
mod echo;
mod fingerprints;
mod frames;
mod inspection;
mod model_files;
mod models;
mod reference;
mod regions;
mod sessions;
mod statuses;
mod vectors;
