//! `cross`: builds for another target, and runs the tests or the program there.
//!
//! Everything it needs beyond the installed Debian packages lies in `.cache/cross`, and what it
//! builds in `target/cross`, so a normal build sees neither.

pub(crate) mod apt;
mod baseline;
mod debian;
mod emulator;
mod environment;
mod musl;
mod program;
mod selection;
mod target;
mod toolchain;
mod wasi;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use clap::builder::PossibleValuesParser;

pub(crate) use self::baseline::run as baseline;
use self::environment::{configuration, variables};
use self::selection::{Call, Request};
use self::target::{CLibrary, Linker, Processor, Runner, TARGETS, Target};
use self::toolchain::Toolchain;
use crate::failure::{Context, Failure};
use crate::{fetch, process, workspace};

/// The options of `cross`.
#[derive(Args, Clone)]
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
    /// Build with this profile of cargo's
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    profile: Option<String>,
    /// A processor to emulate, by QEMU's name; may be repeated
    #[arg(long, value_name = "NAME")]
    cpu: Vec<String>,
    /// A package to build or test; may be repeated
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
    /// Leave out the tests of tract, which takes longer to compile than everything else together
    #[arg(long, requires = "test", conflicts_with = "package")]
    without_tract: bool,
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
            profile: None,
            cpu: Vec::new(),
            package: Vec::new(),
            without_tract: false,
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

/// Runs every test on `triple` but those of tract.
pub(crate) fn test_without_tract(triple: &str) -> Result<(), Failure> {
    run(&Cross { test: true, without_tract: true, ..Cross::of(triple) })
}

/// Checks that the program compiles for `triple`.
pub(crate) fn check(triple: &str) -> Result<(), Failure> {
    run(&Cross::of(triple))
}

/// Compares two photographs with the program that the tests on `triple` started, on every
/// processor.
pub(crate) fn compare_tested(triple: &str) -> Result<(), Failure> {
    program::check_built(triple, EMULATED_PROFILE)
}

/// Builds the program for `triple` as it is handed out, and compares two photographs with it.
pub(crate) fn compare_as_handed_out(triple: &str) -> Result<(), Failure> {
    program::check_on(triple, "dist")
}

/// Runs `cargo xtask cross`.
pub(crate) fn run(cross: &Cross) -> Result<(), Failure> {
    let target = target(cross)?;
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
    let prepared = Prepared::new(cross, target)?;
    let mut outcome = Ok(());
    for processor in processors {
        let files = prepared.emulated(processor)?;
        let emulated = processor.zip(files.as_deref());
        for call in calls(cross, target, processor)? {
            let mut cargo = prepared.cargo(&cargo_arguments(cross, target, &call));
            if !cross.arguments.is_empty() {
                cargo.arg("--").args(&cross.arguments);
            }
            environment::isolate(&mut cargo);
            cargo.envs(variables(target, &prepared.toolchain.tools, emulated));
            // Emulated tests take long enough that one run should tell everything.
            outcome = outcome.and(process::run(&mut cargo));
        }
    }
    outcome?;
    if !cross.needs_runner() && target.linker != Linker::None && cross.package.is_empty() {
        let program = prepared.program(cross);
        let metadata =
            fs::metadata(&program).context(|| format!("cannot inspect {}", program.display()))?;
        progress(&format!("built {} ({} bytes)", program.display(), metadata.len()));
    }
    Ok(())
}

/// The target that is asked for.
fn target(cross: &Cross) -> Result<&'static Target, Failure> {
    Target::named(&cross.target)
        .ok_or_else(|| Failure::new(format!("unknown target {}", cross.target)))
}

/// Everything that a target needs, on this machine.
#[derive(Debug)]
struct Prepared {
    target: &'static Target,
    /// Where what is brought lies.
    folder: PathBuf,
    toolchain: Toolchain,
    /// Where everything for the target is built.
    target_folder: PathBuf,
    /// The script with which Node.js runs programs, if it is to.
    wasi: Option<PathBuf>,
}

impl Prepared {
    /// Brings what is missing.
    fn new(cross: &Cross, target: &'static Target) -> Result<Self, Failure> {
        let folder = workspace::root().join(".cache/cross");
        fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        let toolchain = {
            let lock = folder.join("lock");
            let file =
                File::create(&lock).context(|| format!("cannot create {}", lock.display()))?;
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
        Ok(Self { target, folder, toolchain, target_folder, wasi })
    }

    /// The files for programs on `processor`, if the target is emulated.
    fn emulated(&self, processor: Option<&Processor>) -> Result<Option<PathBuf>, Failure> {
        let (Runner::Qemu { libraries, .. }, Some(processor)) = (&self.target.runner, processor)
        else {
            return Ok(None);
        };
        progress(&format!("processor {}: {}", processor.name, processor.purpose));
        let folder = self.folder.join("qemu").join(self.target.triple);
        emulator::lay_out(&folder, *libraries, processor).map(Some)
    }

    /// A call of cargo with its configuration.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = process::cargo(arguments);
        cargo.arg("--target-dir").arg(&self.target_folder);
        for setting in configuration(self.target, &self.toolchain.tools, self.wasi.as_deref()) {
            cargo.args(["--config", &setting]);
        }
        cargo
    }

    /// Where the program that `cross` asks for is built.
    fn program(&self, cross: &Cross) -> PathBuf {
        let folder = match profile(cross, self.target) {
            "dev" => "debug",
            profile => profile,
        };
        let name =
            if self.target.c_library == CLibrary::Wasi { "imgembed.wasm" } else { "imgembed" };
        self.target_folder.join(self.target.triple).join(folder).join(name)
    }
}

/// Cargo's profile for what `cross` asks for.
fn profile<'a>(cross: &'a Cross, target: &Target) -> &'a str {
    match &cross.profile {
        Some(name) => name,
        None if cross.release => "release",
        None if cross.needs_runner() && matches!(target.runner, Runner::Qemu { .. }) => {
            EMULATED_PROFILE
        }
        None => "dev",
    }
}

/// Where everything for `target` is built.
fn target_folder(target: &Target) -> PathBuf {
    workspace::target_folder().join("cross").join(target.triple)
}

/// The calls of cargo for one processor; fetches the foreign libraries if tests need them.
fn calls(
    cross: &Cross,
    target: &Target,
    processor: Option<&Processor>,
) -> Result<Vec<Call>, Failure> {
    if !cross.test {
        let program = vec![selection::PROGRAM.to_owned()];
        return Ok(vec![Call::of(if cross.package.is_empty() || cross.run {
            program
        } else {
            cross.package.clone()
        })]);
    }
    let libraries = fetch::libraries_for_target(target.triple)?;
    let calls = if cross.package.is_empty() {
        let members = workspace::members(&workspace::root())?;
        let request = Request {
            by_default: cross.cpu.is_empty(),
            has_libraries: !libraries.is_empty(),
            with_tract: !cross.without_tract,
        };
        let selection = selection::tested(&members, target, processor, request);
        for (package, reason) in &selection.left_out {
            progress(&format!("LEFT OUT: {package}: {reason}"));
        }
        selection.calls
    } else {
        vec![Call::of(cross.package.clone())]
    };
    if calls.iter().any(Call::needs_libraries) {
        for library in &libraries {
            fetch::fetch_library(library)?;
        }
    }
    Ok(calls)
}

/// What cargo is called with, before its configuration.
fn cargo_arguments<'a>(cross: &'a Cross, target: &'a Target, call: &'a Call) -> Vec<&'a str> {
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
    arguments.extend(["--profile", profile(cross, target)]);
    for package in &call.packages {
        arguments.extend(["--package", package]);
    }
    arguments.extend(call.features);
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
                "--profile",
                "release",
                "--package",
                "a",
                "--package",
                "b"
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in [
            &["riscv64gc-unknown-linux-gnu"][..],
            &[],
            &["wasm32-wasip1", "--test", "--run"],
            &["wasm32-wasip1", "--release", "--profile", "dist"],
            &["aarch64-unknown-linux-gnu", "--without-tract"],
        ] {
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
                "build --target aarch64-unknown-linux-gnu --profile dev --package image-embedder-cli \
                 --no-default-features --features native,tflite",
            ),
            (
                "aarch64-linux-android",
                None,
                "check --target aarch64-linux-android --profile dev --package image-embedder-cli \
                 --no-default-features --features native,tflite",
            ),
            (
                "x86_64-unknown-linux-musl",
                Some("--run"),
                "run --target x86_64-unknown-linux-musl --profile dev --package image-embedder-cli \
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
            "build --target wasm32-wasip1 --profile dev --package image-embedder-frame"
        );
    }

    #[test]
    fn a_part_of_a_package_is_tested_in_the_profile_for_emulators() {
        let cross = parse(&["aarch64-unknown-linux-musl", "--test", "--cpu", "cortex-a53"]);
        let cross = cross.ok().unwrap();
        let target = Target::named(&cross.target).unwrap();
        let processor = target.processors(&cross.cpu).unwrap()[0];
        let calls = calls(&cross, target, processor).unwrap();
        assert_eq!(
            cargo_arguments(&cross, target, &calls[1]).join(" "),
            "test --target aarch64-unknown-linux-musl --no-fail-fast --profile emulated \
             --package image-embedder-backend-conformance --features tract --lib --test native \
             --test tract"
        );
    }

    #[test]
    fn each_target_builds_in_a_folder_of_its_own() {
        let folders: std::collections::BTreeSet<_> = TARGETS.iter().map(target_folder).collect();
        assert_eq!(folders.len(), TARGETS.len());
    }
}
