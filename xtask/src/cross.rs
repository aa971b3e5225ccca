//! `cross`: builds for another target, and runs the tests or the program there.
//!
//! Everything it needs beyond the installed Debian packages lies in `.cache/cross`, and what it
//! builds in `target/cross`, so a normal build sees neither.

mod apt;
mod debian;
mod emulator;
mod environment;
mod musl;
mod selection;
mod target;
mod toolchain;
mod wasi;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use self::environment::{configuration, variables};
use self::target::{Processor, Runner, TARGETS, Target};
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
        Runner::Directly | Runner::Qemu { .. } => None,
    };
    let packages = packages(cross, target)?;
    for processor in processors {
        let mut cargo = process::cargo(&cargo_arguments(cross, target, &packages));
        cargo.arg("--target-dir").arg(&target_folder);
        for setting in configuration(target, &toolchain.tools, wasi.as_deref()) {
            cargo.args(["--config", &setting]);
        }
        if !cross.arguments.is_empty() {
            cargo.arg("--").args(&cross.arguments);
        }
        environment::isolate(&mut cargo);
        let emulated = emulated(target, processor, &folder)?;
        let emulated = emulated.as_ref().map(|(processor, files)| (*processor, files.as_path()));
        cargo.envs(variables(target, &toolchain.tools, emulated));
        process::run(&mut cargo)?;
    }
    if !cross.needs_runner() {
        report_program(cross, target, &target_folder);
    }
    Ok(())
}

/// Where everything for `target` is built.
fn target_folder(target: &Target) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| workspace::root().join("target"), |folder| workspace::root().join(folder))
        .join("cross")
        .join(target.triple)
}

/// The packages to build or test; fetches the foreign libraries if their tests need them.
fn packages(cross: &Cross, target: &Target) -> Result<Vec<String>, Failure> {
    if !cross.test {
        let program = vec![selection::PROGRAM.to_owned()];
        return Ok(if cross.package.is_empty() || cross.run {
            program
        } else {
            cross.package.clone()
        });
    }
    let libraries = fetch::libraries_for_target(target.triple)?;
    let packages = if cross.package.is_empty() {
        let members = workspace::members(&workspace::root())?;
        let selection = selection::tested(&members, target, !libraries.is_empty());
        for (package, reason) in &selection.left_out {
            progress(&format!("left out: {package}: {reason}"));
        }
        selection.packages
    } else {
        cross.package.clone()
    };
    if selection::needs_libraries(&packages) {
        for library in &libraries {
            fetch::fetch_library(library)?;
        }
    }
    Ok(packages)
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
fn cargo_arguments<'a>(cross: &Cross, target: &'a Target, packages: &'a [String]) -> Vec<&'a str> {
    let mut arguments = vec![
        if cross.test {
            "test"
        } else if cross.run {
            "run"
        } else {
            "build"
        },
        "--target",
        target.triple,
    ];
    if cross.test {
        // Emulated tests take long enough that one run should tell everything.
        arguments.push("--no-fail-fast");
    }
    if cross.release {
        arguments.push("--release");
    }
    for package in packages {
        arguments.extend(["--package", package]);
    }
    if !cross.test && *packages == [selection::PROGRAM] {
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
            cargo_arguments(&cross, target, &cross.package),
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
            let packages = packages(&cross, target).unwrap();
            assert_eq!(cargo_arguments(&cross, target, &packages).join(" "), expected);
        }
        let cross = parse(&["wasm32-wasip1", "-p", "image-embedder-frame"]).ok().unwrap();
        let target = Target::named(&cross.target).unwrap();
        assert_eq!(
            cargo_arguments(&cross, target, &packages(&cross, target).unwrap()).join(" "),
            "build --target wasm32-wasip1 --package image-embedder-frame"
        );
    }

    #[test]
    fn each_target_builds_in_a_folder_of_its_own() {
        let folders: std::collections::BTreeSet<_> = TARGETS.iter().map(target_folder).collect();
        assert_eq!(folders.len(), TARGETS.len());
    }
}
