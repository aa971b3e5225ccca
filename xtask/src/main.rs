//! The tasks of this workspace: `cargo xtask <command>`.
//!
//! Each command is one file. What continuous integration does is one call of `ci`, so it can be
//! repeated on any machine.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool reports on its standard streams"
)]

mod bench;
mod ci;
mod cross;
mod failure;
mod fetch;
mod fixture_manifest;
mod golden;
mod pin;
mod process;
mod sanitizer;
mod support_table;
mod test;
mod tidy;
mod vendored;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what is too large to commit into .cache, verified by SHA-256
    #[command(subcommand)]
    Fetch(fetch::Fetch),
    /// Run every test, fetching what they need first
    Test,
    /// Run the benchmarks, or compare with other software on the same models
    Bench(bench::Bench),
    /// Write the table of models and backends into the README, or check it
    SupportTable(support_table::SupportTable),
    /// Build for another target, or run the tests or the program there
    Cross(cross::Cross),
    /// Record what tflite-support and MediaPipe make of frames into fixtures/golden
    Golden(golden::Golden),
    /// Run the named continuous-integration job, or all of them in order
    Ci(ci::Ci),
    /// Check the rules of this workspace that no other tool checks
    Tidy,
}

fn main() -> ExitCode {
    let outcome: Result<(), Failure> = match Arguments::parse().command {
        Command::Fetch(fetch) => fetch::run(&fetch),
        Command::Test => test::run(),
        Command::Bench(bench) => bench::run(&bench),
        Command::SupportTable(options) => support_table::run(&options),
        Command::Cross(cross) => cross::run(&cross),
        Command::Golden(golden) => golden::run(&golden),
        Command::Ci(ci) => ci::run(&ci),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
