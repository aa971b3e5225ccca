//! `fetch`: brings what is too large to commit, verified before anything can see it.

mod download;
mod models;
mod tflite;

pub(crate) use tflite::{cached_library, fetch_library, library_for_host, library_for_target};

use clap::Subcommand;

use crate::failure::Failure;

/// What to fetch.
#[derive(Subcommand)]
pub(crate) enum Fetch {
    /// The TensorFlow Lite C library, from a Python wheel, into .cache/tflite
    Tflite(tflite::Arguments),
    /// Models of fixtures/manifest.toml, from a folder or by download, into .cache/models
    Models(models::Arguments),
}

/// Runs `cargo xtask fetch`.
pub(crate) fn run(fetch: &Fetch) -> Result<(), Failure> {
    match fetch {
        Fetch::Tflite(arguments) => tflite::run(arguments),
        Fetch::Models(arguments) => models::run(arguments),
    }
}
