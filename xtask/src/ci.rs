//! `ci`: the jobs of continuous integration, one by one or all in order.

use std::process::Command;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::{bench, cross, golden, process, sanitizer, test, tidy, workspace};

/// The options of `ci`.
#[derive(Args)]
pub(crate) struct Ci {
    /// The job to run; if not given, all but those that take long
    job: Option<Job>,
    /// Run also those that take long: they emulate other machines, or install large packages
    #[arg(long, conflicts_with = "job")]
    all: bool,
}

/// A job, in the order in which all of them run: quick ones first.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Job {
    /// Formatting
    Fmt,
    /// The rules that `cargo xtask tidy` checks
    Tidy,
    /// Lints, warnings denied
    Clippy,
    /// Documentation, warnings denied
    Doc,
    /// The facade with no feature, each feature alone, and all of them
    Features,
    /// The tests of what reads frames and model files, with every access to memory watched
    Sanitizer,
    /// Every test
    Test,
    /// The recorded golden files and what is written, against tflite-support and MediaPipe, which
    /// it installs
    Reference,
    /// Every benchmark once, and the comparison with TensorFlow Lite once
    Bench,
    /// Every test on an emulated 64-bit ARM processor
    Cross,
    /// Every test on an emulated 32-bit ARM processor, and the program for the remaining targets
    CrossOthers,
}

impl Job {
    /// Whether the job runs if none is named: all but those that emulate another machine, or bring
    /// a gigabyte of Python packages.
    fn is_usual(self) -> bool {
        !matches!(self, Self::Reference | Self::Cross | Self::CrossOthers)
    }
}

/// Runs `cargo xtask ci`.
pub(crate) fn run(ci: &Ci) -> Result<(), Failure> {
    for job in jobs(ci) {
        println!("\n=== {job:?} ===");
        let start = Instant::now();
        let outcome = run_job(job);
        let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("=== {job:?} {verdict} in {:.1} s ===", start.elapsed().as_secs_f64());
        outcome?;
    }
    Ok(())
}

/// The jobs to run, in order.
fn jobs(ci: &Ci) -> Vec<Job> {
    match ci.job {
        Some(job) => vec![job],
        None => {
            Job::value_variants().iter().copied().filter(|job| ci.all || job.is_usual()).collect()
        }
    }
}

fn run_job(job: Job) -> Result<(), Failure> {
    match job {
        Job::Fmt => process::run(&mut process::cargo(&["fmt", "--all", "--check"])),
        Job::Tidy => tidy::run(),
        Job::Clippy => process::run(&mut process::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])),
        Job::Doc => process::run(
            process::cargo(&["doc", "--workspace", "--all-features", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
        Job::Features => {
            for mut check in feature_checks(&facade_features()?) {
                process::run(&mut check)?;
            }
            Ok(())
        }
        Job::Sanitizer => sanitizer::run(),
        Job::Test => test::run(),
        Job::Reference => {
            golden::check()?;
            test::with_packages()
        }
        Job::Bench => bench::smoke(),
        Job::Cross => cross::test("aarch64-unknown-linux-gnu"),
        Job::CrossOthers => {
            cross::test("armv7-unknown-linux-gnueabihf")?;
            cross::build("x86_64-unknown-linux-musl")?;
            cross::build("aarch64-unknown-linux-musl")?;
            cross::build("wasm32-wasip1")
        }
    }
}

/// The facade's features, without `default`.
fn facade_features() -> Result<Vec<String>, Failure> {
    let path = workspace::root().join("crates/embedder/Cargo.toml");
    let manifest = workspace::read_toml(&path)?;
    Ok(manifest
        .get("features")
        .and_then(toml::Value::as_table)
        .map(|features| features.keys().filter(|name| *name != "default").cloned().collect())
        .unwrap_or_default())
}

/// No feature, each feature alone, all features; warnings denied, so nothing may be left unused.
fn feature_checks(features: &[String]) -> Vec<Command> {
    const CHECK: [&str; 6] =
        ["clippy", "--quiet", "--package", "image-embedder", "--lib", "--no-default-features"];
    let mut checks = vec![process::cargo(&CHECK)];
    for feature in features {
        let mut check = process::cargo(&CHECK);
        check.args(["--features", feature]);
        checks.push(check);
    }
    let mut all = process::cargo(&CHECK);
    all.arg("--all-features");
    checks.push(all);
    for check in &mut checks {
        check.args(["--", "-D", "warnings"]);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_checked_alone() {
        let features = ["native".to_owned(), "image".to_owned()];
        let checks = feature_checks(&features);
        let arguments: Vec<String> = checks
            .iter()
            .map(|check| {
                let words: Vec<_> =
                    check.get_args().map(|argument| argument.to_string_lossy()).collect();
                words.join(" ")
            })
            .collect();
        assert_eq!(arguments.len(), 4);
        assert!(arguments[0].ends_with("--no-default-features -- -D warnings"));
        assert!(arguments[1].contains("--features native --"));
        assert!(arguments[2].contains("--features image --"));
        assert!(arguments[3].contains("--all-features --"));
    }

    #[test]
    fn long_jobs_run_only_if_asked_for() {
        let names = |job, all| -> Vec<String> {
            jobs(&Ci { job, all }).iter().map(|job| format!("{job:?}")).collect()
        };
        let usual = ["Fmt", "Tidy", "Clippy", "Doc", "Features", "Sanitizer", "Test"];
        assert_eq!(names(None, false), usual);
        assert_eq!(names(None, true)[..7], usual);
        assert_eq!(names(None, true)[7..], ["Reference", "Cross", "CrossOthers"]);
        assert_eq!(names(Some(Job::Cross), false), ["Cross"]);
    }

    #[test]
    fn the_facade_features_are_read_without_default() {
        let features = facade_features().unwrap();
        assert!(!features.iter().any(|feature| feature == "default"));
    }
}
