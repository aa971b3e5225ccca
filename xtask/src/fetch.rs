//! `fetch`: brings what is too large to commit, verified before anything can see it.

mod download;
mod library;
mod models;

pub(crate) use library::{cached_library, fetch_library, libraries_for_host, libraries_for_target};

use clap::Subcommand;

use crate::failure::Failure;

/// What to fetch.
#[derive(Subcommand)]
pub(crate) enum Fetch {
    /// The TensorFlow Lite C library, from a Python wheel, into .cache/tflite
    Tflite(library::Arguments),
    /// LiteRT's library, from a Python wheel, into .cache/litert
    Litert(library::Arguments),
    /// Models of fixtures/manifest.toml, from a folder or by download, into .cache/models
    Models(models::Arguments),
}

/// Runs `cargo xtask fetch`.
pub(crate) fn run(fetch: &Fetch) -> Result<(), Failure> {
    match fetch {
        Fetch::Tflite(arguments) => library::run("tflite", arguments),
        Fetch::Litert(arguments) => library::run("litert", arguments),
        Fetch::Models(arguments) => models::run(arguments),
    }
}
