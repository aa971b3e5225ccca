//! The embedder as its users see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundled;
mod decoding;
mod echo;
mod frames;
mod inspection;
mod models;
mod reference;
mod sessions;
