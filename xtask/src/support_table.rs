//! `support-table`: which models run on which backend, as a table of the README.
//!
//! The package `benches` runs the backends; its `support.rs` says what is recorded and compared.

use std::env;

use clap::Args;

use crate::failure::Failure;
use crate::{bench, process, test};

/// The options of `support-table`.
#[derive(Args)]
pub(crate) struct SupportTable {
    /// Write nothing, and fail if the table is not what the backends do, times apart
    #[arg(long, conflicts_with_all = ["keep_times", "rounds"])]
    check: bool,
    /// Time nothing, and keep the times that are recorded
    #[arg(long, conflicts_with = "rounds")]
    keep_times: bool,
    /// Turns of each backend when they are timed
    #[arg(long)]
    rounds: Option<usize>,
}

/// Runs `cargo xtask support-table`.
pub(crate) fn run(options: &SupportTable) -> Result<(), Failure> {
    test::fetch_libraries()?;
    if options.check {
        return check();
    }
    // Without times, how fast the program is does not matter.
    let mut command = bench::measure(options.keep_times, &["tract"], &["support"]);
    if options.keep_times {
        command.arg("--keep-times");
    }
    if let Some(rounds) = options.rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    process::run(&mut command)
}

/// Runs the test that compares the table with the backends: `cargo xtask test` does it too.
fn check() -> Result<(), Failure> {
    // With the features of the whole workspace, so that nothing is built a second time.
    let mut command =
        process::cargo(&["test", "--workspace", "--all-features", "--test", "support_table"]);
    if env::var_os(test::REFERENCE_VARIABLE).is_some_and(|folder| !folder.is_empty()) {
        return process::run(command.args(["--", "--include-ignored"]));
    }
    process::run(&mut command)?;
    println!(
        "\nNOT CHECKED: the models that are not committed\nTo check them: {}=<folder with the \
         reference data> cargo xtask support-table --check",
        test::REFERENCE_VARIABLE
    );
    Ok(())
}
