//! `cross`: builds for another target, and runs the tests or the program there.
//!
//! Everything it needs beyond the installed Debian packages lies in `.cache/cross`, and what it
//! builds in `target/cross`, so a normal build sees neither.

mod apt;
mod baseline;
mod debian;
mod emulator;
mod environment;
mod musl;
mod selection;
mod target;
mod toolchain;
mod wasi;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

pub(crate) use self::baseline::run as baseline;
use self::environment::{configuration, variables};
use self::target::{Linker, Processor, Runner, TARGETS, Target};
use self::toolchain::Toolchain;
use crate::failure::{Context, Failure};
use crate::{fetch, process, workspace};

/// The options of `cross`.
#[derive(Args)]
pub(crate) struct Cross {
    /// The target triple
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.triple)))]
    target: String,
    /// Run the tests on the target, emulated if need be, instead of building the program
    #[arg(long)]
    test: bool,
    /// Run the program imgembed on the target, with the arguments after `--`
    #[arg(long, conflicts_with = "test")]
    run: bool,
    /// Build optimised
    #[arg(long)]
    release: bool,
    /// A processor to emulate, by QEMU's name; may be repeated
    #[arg(long, value_name = "NAME")]
    cpu: Vec<String>,
    /// A package to build or test; may be repeated
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
    /// Let rustup install the standard library for the target
    #[arg(long)]
    rustup: bool,
    /// Arguments for the test programs or the program
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Cross {
    /// The options with nothing but a target: build the program.
    fn of(triple: &str) -> Self {
        Self {
            target: triple.to_owned(),
            test: false,
            run: false,
            release: false,
            cpu: Vec::new(),
            package: Vec::new(),
            rustup: false,
            arguments: Vec::new(),
        }
    }

    fn needs_runner(&self) -> bool {
        self.test || self.run
    }
}

/// Cargo's profile for what runs in an emulator.
const EMULATED_PROFILE: &str = "emulated";

/// Prints one line about what happens next.
fn progress(message: &str) {
    println!("[cross] {message}");
}

/// Runs every test on `triple`.
pub(crate) fn test(triple: &str) -> Result<(), Failure> {
    run(&Cross { test: true, ..Cross::of(triple) })
}

/// Builds the optimised program for `triple`.
pub(crate) fn build(triple: &str) -> Result<(), Failure> {
    run(&Cross { release: true, ..Cross::of(triple) })
}

/// Runs `cargo xtask cross`.
pub(crate) fn run(cross: &Cross) -> Result<(), Failure> {
    let target = Target::named(&cross.target)
        .ok_or_else(|| Failure::new(format!("unknown target {}", cross.target)))?;
    let is_about_running = !cross.cpu.is_empty() || !cross.arguments.is_empty();
    if is_about_running && !cross.needs_runner() {
        return Err(Failure::new("--cpu and arguments after -- need --test or --run"));
    }
    if cross.needs_runner() && matches!(target.runner, Runner::None) {
        return Err(Failure::new(format!(
            "programs for {} are checked, not linked or run; leave out --test and --run",
            target.triple
        )));
    }
    let mut processors = target.processors(&cross.cpu).map_err(Failure::new)?;
    if !cross.test {
        processors.truncate(1);
    }

    let folder = workspace::root().join(".cache/cross");
    fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
    let toolchain = {
        let lock = folder.join("lock");
        let file = File::create(&lock).context(|| format!("cannot create {}", lock.display()))?;
        file.lock().context(|| format!("cannot lock {}", lock.display()))?;
        let mut requirements = target.link_requirements.to_vec();
        if cross.needs_runner() {
            requirements.extend_from_slice(target.run_requirements);
        }
        apt::install(&apt::missing(&requirements, apt::is_there))?;
        Toolchain::prepare(target, &folder, cross.rustup)?
    };
    let target_folder = target_folder(target);
    toolchain.claim(&target_folder)?;

    let wasi = match target.runner {
        Runner::Node => Some(wasi::write_runner(&folder)?),
        Runner::Directly | Runner::Qemu { .. } | Runner::None => None,
    };
    let mut outcome = Ok(());
    for processor in processors {
        let emulated = emulated(target, processor, &folder)?;
        let emulated = emulated.as_ref().map(|(processor, files)| (*processor, files.as_path()));
        for call in calls(cross, target, processor)? {
            let mut cargo = process::cargo(&cargo_arguments(cross, target, &call));
            cargo.arg("--target-dir").arg(&target_folder);
            for setting in configuration(target, &toolchain.tools, wasi.as_deref()) {
                cargo.args(["--config", &setting]);
            }
            if !cross.arguments.is_empty() {
                cargo.arg("--").args(&cross.arguments);
            }
            environment::isolate(&mut cargo);
            cargo.envs(variables(target, &toolchain.tools, emulated));
            // Emulated tests take long enough that one run should tell everything.
            outcome = outcome.and(process::run(&mut cargo));
        }
    }
    outcome?;
    if !cross.needs_runner() {
        report_program(cross, target, &target_folder);
    }
    Ok(())
}

/// Where everything for `target` is built.
fn target_folder(target: &Target) -> PathBuf {
    workspace::target_folder().join("cross").join(target.triple)
}

/// What one call of cargo builds or tests.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    packages: Vec<String>,
    /// The test files to run beside the unit tests; if empty, every test runs.
    test_files: &'static [&'static str],
}

/// The calls of cargo for one processor; fetches the foreign libraries if tests need them.
fn calls(
    cross: &Cross,
    target: &Target,
    processor: Option<&Processor>,
) -> Result<Vec<Call>, Failure> {
    let all = |packages| Call { packages, test_files: &[] };
    if !cross.test {
        let program = vec![selection::PROGRAM.to_owned()];
        return Ok(vec![all(if cross.package.is_empty() || cross.run {
            program
        } else {
            cross.package.clone()
        })]);
    }
    let libraries = fetch::libraries_for_target(target.triple)?;
    let mut calls = Vec::new();
    if cross.package.is_empty() {
        let members = workspace::members(&workspace::root())?;
        let by_default = cross.cpu.is_empty();
        let selection =
            selection::tested(&members, target, processor, by_default, !libraries.is_empty());
        for (package, reason) in &selection.left_out {
            progress(&format!("LEFT OUT: {package}: {reason}"));
        }
        calls.push(all(selection.packages));
        calls.extend(
            selection
                .parts
                .into_iter()
                .map(|(package, test_files)| Call { packages: vec![package], test_files }),
        );
    } else {
        calls.push(all(cross.package.clone()));
    }
    let is_needed =
        |call: &Call| call.test_files.is_empty() && selection::needs_libraries(&call.packages);
    if calls.iter().any(is_needed) {
        for library in &libraries {
            fetch::fetch_library(library)?;
        }
    }
    Ok(calls)
}

/// The processor and the files for it, if the target is emulated.
fn emulated<'a>(
    target: &Target,
    processor: Option<&'a Processor>,
    folder: &Path,
) -> Result<Option<(&'a Processor, PathBuf)>, Failure> {
    let (Runner::Qemu { libraries, .. }, Some(processor)) = (&target.runner, processor) else {
        return Ok(None);
    };
    progress(&format!("processor {}: {}", processor.name, processor.purpose));
    let files = emulator::lay_out(&folder.join("qemu").join(target.triple), *libraries, processor)?;
    Ok(Some((processor, files)))
}

/// What cargo is called with, before its configuration.
fn cargo_arguments<'a>(cross: &Cross, target: &'a Target, call: &'a Call) -> Vec<&'a str> {
    let mut arguments = vec![
        if cross.test {
            "test"
        } else if cross.run {
            "run"
        } else if target.linker == Linker::None {
            "check"
        } else {
            "build"
        },
        "--target",
        target.triple,
    ];
    if cross.test {
        arguments.push("--no-fail-fast");
    }
    if cross.release {
        arguments.push("--release");
    } else if cross.needs_runner() && matches!(target.runner, Runner::Qemu { .. }) {
        arguments.extend(["--profile", EMULATED_PROFILE]);
    }
    for package in &call.packages {
        arguments.extend(["--package", package]);
    }
    if !call.test_files.is_empty() {
        arguments.push("--lib");
        for file in call.test_files {
            arguments.extend(["--test", file]);
        }
    }
    if !cross.test && *call.packages == [selection::PROGRAM] {
        let features = selection::program_features(target);
        arguments.extend(["--no-default-features", "--features", features]);
    }
    arguments
}

/// Says where the program lies and how large it is.
fn report_program(cross: &Cross, target: &Target, target_folder: &Path) {
    let profile = if cross.release { "release" } else { "debug" };
    let folder = target_folder.join(target.triple).join(profile);
    for name in ["imgembed", "imgembed.wasm"] {
        let program = folder.join(name);
        if let Ok(metadata) = fs::metadata(&program) {
            progress(&format!("built {} ({} bytes)", program.display(), metadata.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        cross: Cross,
    }

    fn parse(arguments: &[&str]) -> Result<Cross, clap::Error> {
        CommandLine::try_parse_from(["cross"].iter().chain(arguments)).map(|line| line.cross)
    }

    #[test]
    fn arguments_are_parsed() {
        let cross = parse(&[
            "armv7-unknown-linux-gnueabihf",
            "--test",
            "--release",
            "--cpu",
            "cortex-a9",
            "-p",
            "a",
            "--package",
            "b",
            "--",
            "--ignored",
        ])
        .ok()
        .unwrap();
        let target = Target::named(&cross.target).unwrap();
        assert_eq!(cross.cpu, ["cortex-a9"]);
        assert_eq!(cross.arguments, ["--ignored"]);
        assert!(!cross.rustup);
        assert_eq!(
            cargo_arguments(&cross, target, &calls(&cross, target, None).unwrap()[0]),
            [
                "test",
                "--target",
                "armv7-unknown-linux-gnueabihf",
                "--no-fail-fast",
                "--release",
                "--package",
                "a",
                "--package",
                "b"
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in
            [&["riscv64gc-unknown-linux-gnu"][..], &[], &["wasm32-wasip1", "--test", "--run"]]
        {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
        let failure = run(&parse(&["wasm32-wasip1", "--", "x"]).ok().unwrap()).unwrap_err();
        assert!(failure.to_string().contains("need --test or --run"));
        let failure = run(&parse(&["aarch64-linux-android", "--run"]).ok().unwrap()).unwrap_err();
        assert!(failure.to_string().contains("checked, not linked"), "{failure}");
    }

    #[test]
    fn the_program_is_built_or_run_with_the_engines_that_it_can_have() {
        for (triple, option, expected) in [
            (
                "aarch64-unknown-linux-gnu",
                None,
                "build --target aarch64-unknown-linux-gnu --package image-embedder-cli \
                 --no-default-features --features native,tflite",
            ),
            (
                "aarch64-linux-android",
                None,
                "check --target aarch64-linux-android --package image-embedder-cli \
                 --no-default-features --features native,tflite",
            ),
            (
                "x86_64-unknown-linux-musl",
                Some("--run"),
                "run --target x86_64-unknown-linux-musl --package image-embedder-cli \
                 --no-default-features --features native",
            ),
        ] {
            let mut arguments = vec![triple];
            arguments.extend(option);
            let cross = parse(&arguments).ok().unwrap();
            let target = Target::named(&cross.target).unwrap();
            let calls = calls(&cross, target, None).unwrap();
            assert_eq!(calls.len(), 1);
            assert_eq!(cargo_arguments(&cross, target, &calls[0]).join(" "), expected);
        }
        let cross = parse(&["wasm32-wasip1", "-p", "image-embedder-frame"]).ok().unwrap();
        let target = Target::named(&cross.target).unwrap();
        assert_eq!(
            cargo_arguments(&cross, target, &calls(&cross, target, None).unwrap()[0]).join(" "),
            "build --target wasm32-wasip1 --package image-embedder-frame"
        );
    }

    #[test]
    fn a_part_of_a_package_is_tested_in_the_profile_for_emulators() {
        let cross = parse(&["armv7-unknown-linux-gnueabihf", "--test"]).ok().unwrap();
        let target = Target::named(&cross.target).unwrap();
        let processor = target.processors(&[]).unwrap()[0];
        let calls = calls(&cross, target, processor).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(
            cargo_arguments(&cross, target, &calls[1]).join(" "),
            "test --target armv7-unknown-linux-gnueabihf --no-fail-fast --profile emulated \
             --package image-embedder-backend-conformance --lib --test native --test tract"
        );
    }

    #[test]
    fn each_target_builds_in_a_folder_of_its_own() {
        let folders: std::collections::BTreeSet<_> = TARGETS.iter().map(target_folder).collect();
        assert_eq!(folders.len(), TARGETS.len());
    }
}
