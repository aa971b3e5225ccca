//! `ci`: the jobs of continuous integration, one by one or all in order.

use std::process::Command;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::{bench, cross, golden, process, sanitizer, test, tidy, vendored, workspace};

/// The options of `ci`.
#[derive(Args)]
pub(crate) struct Ci {
    /// The job to run; if not given, all but those that take long
    job: Option<Job>,
    /// Run also those that take long: they build for other machines, or install large packages
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
    /// The facade with no feature and each feature alone; tested with each backend but tract
    Features,
    /// The tests of what reads frames and model files, with every access to memory watched
    Sanitizer,
    /// Every test
    Test,
    /// Every benchmark once, and the comparison with TensorFlow Lite once
    Bench,
    /// The program on emulated x86-64 processors without AVX and without AVX-512
    Baseline,
    /// Every test but those of tract on emulated 64-bit ARM processors, and the program on each
    Cross,
    /// The recorded golden files and what is written, against tflite-support and MediaPipe, which
    /// it installs
    Reference,
    /// The facade's tests with tract alone, which compiles tract a second time
    TractAlone,
    /// TensorFlow Lite 1.15 built from source, and the tests of the backend that it makes
    Vendored,
    /// The tests with tract too on emulated 64-bit and 32-bit ARM processors, and the program for
    /// the remaining targets
    CrossOthers,
}

impl Job {
    /// Whether the job runs if none is named: all but those that bring a gigabyte of Python packages,
    /// or compile for minutes what is compiled already or seldom used.
    fn is_usual(self) -> bool {
        !matches!(self, Self::Reference | Self::TractAlone | Self::Vendored | Self::CrossOthers)
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
        Job::Fmt => {
            process::run(&mut process::cargo(&["fmt", "--all", "--check"]))?;
            vendored::check_format()
        }
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
            test::fetch_libraries()?;
            for mut command in feature_commands(&facade_features()?) {
                process::run(&mut command)?;
            }
            Ok(())
        }
        Job::Sanitizer => sanitizer::run(),
        Job::Test => test::run(),
        Job::Baseline => cross::baseline(),
        Job::Reference => {
            golden::check()?;
            test::with_packages()
        }
        Job::Bench => bench::smoke(),
        Job::TractAlone => process::run(&mut facade_tests(Some("tract"))),
        Job::Vendored => vendored::run(),
        Job::Cross => {
            cross::test_without_tract("aarch64-unknown-linux-gnu")?;
            cross::compare_tested("aarch64-unknown-linux-gnu")
        }
        Job::CrossOthers => {
            cross::test("aarch64-unknown-linux-gnu")?;
            cross::test("armv7-unknown-linux-gnueabihf")?;
            cross::compare_tested("armv7-unknown-linux-gnueabihf")?;
            cross::compare_as_handed_out("x86_64-unknown-linux-musl")?;
            cross::compare_as_handed_out("aarch64-unknown-linux-musl")?;
            cross::compare_as_handed_out("wasm32-wasip1")?;
            cross::check("aarch64-linux-android")
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

/// Features of the facade that are not backends. Its tests have them in any case.
const NO_BACKENDS: [&str; 2] = ["bundled-model", "image"];

/// The arguments that name the facade without its default features.
const FACADE: [&str; 4] = ["--quiet", "--package", "image-embedder", "--no-default-features"];

/// The facade's tests with one feature, or with none.
fn facade_tests(feature: Option<&str>) -> Command {
    let mut tests = process::cargo(&["test"]);
    tests.args(FACADE).args(["--lib", "--tests"]);
    if let Some(feature) = feature {
        tests.args(["--features", feature]);
    }
    tests
}

/// With no feature and each feature alone: the lints of the library, warnings denied, so nothing may
/// be left unused; and, for no backend and each alone, the tests. With all of them the jobs of the
/// whole workspace check and test the facade too; the tests with tract alone have a job of their own.
fn feature_commands(features: &[String]) -> Vec<Command> {
    let choices = [None].into_iter().chain(features.iter().map(|name| Some(name.as_str())));
    let mut commands = Vec::new();
    for choice in choices {
        let mut check = process::cargo(&["clippy"]);
        check.args(FACADE).arg("--lib");
        if let Some(feature) = choice {
            check.args(["--features", feature]);
        }
        check.args(["--", "-D", "warnings"]);
        commands.push(check);
        let is_elsewhere = |feature: &str| NO_BACKENDS.contains(&feature) || feature == "tract";
        if !choice.is_some_and(is_elsewhere) {
            commands.push(facade_tests(choice));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_checked_and_every_backend_tested_alone() {
        let features = ["native".to_owned(), "image".to_owned(), "tract".to_owned()];
        let commands = feature_commands(&features);
        let arguments: Vec<String> = commands
            .iter()
            .map(|command| {
                let words: Vec<_> =
                    command.get_args().map(|argument| argument.to_string_lossy()).collect();
                words.join(" ")
            })
            .collect();
        let package = "--quiet --package image-embedder --no-default-features";
        assert_eq!(
            arguments,
            [
                format!("clippy {package} --lib -- -D warnings"),
                format!("test {package} --lib --tests"),
                format!("clippy {package} --lib --features native -- -D warnings"),
                format!("test {package} --lib --tests --features native"),
                format!("clippy {package} --lib --features image -- -D warnings"),
                format!("clippy {package} --lib --features tract -- -D warnings"),
            ]
        );
    }

    #[test]
    fn long_jobs_run_only_if_asked_for() {
        let names = |job, all| -> Vec<String> {
            jobs(&Ci { job, all }).iter().map(|job| format!("{job:?}")).collect()
        };
        let usual = [
            "Fmt",
            "Tidy",
            "Clippy",
            "Doc",
            "Features",
            "Sanitizer",
            "Test",
            "Bench",
            "Baseline",
            "Cross",
        ];
        assert_eq!(names(None, false), usual);
        assert_eq!(names(None, true)[..usual.len()], usual);
        assert_eq!(
            names(None, true)[usual.len()..],
            ["Reference", "TractAlone", "Vendored", "CrossOthers"]
        );
        assert_eq!(names(Some(Job::Vendored), false), ["Vendored"]);
    }

    #[test]
    fn the_facade_features_are_read_without_default() {
        let features = facade_features().unwrap();
        assert!(NO_BACKENDS.iter().all(|name| features.iter().any(|feature| feature == name)));
        assert!(!features.iter().any(|feature| feature == "default"));
    }
}
