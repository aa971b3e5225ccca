//! `golden`: records what tflite-support and MediaPipe make of frames, for tests to compare with, and
//! converts small networks with TensorFlow.
//!
//! Both packages are run from Python environments of their own in `.cache/golden`; the tests that
//! read the recorded files need no Python. A model that only reshapes its input gives the
//! preprocessed pixels back as its embedding.

pub(crate) mod environment;
mod networks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use self::environment::{Environment, Package};
use crate::failure::{Context, Failure};
use crate::{pin, process, workspace};

/// The interpreter that both packages have wheels for.
const PYTHON: &str = "python3.11";

/// The options of `golden`.
#[derive(Args)]
pub(crate) struct Golden {
    /// Change nothing; fail if the committed files are not what the packages compute
    #[arg(long)]
    check: bool,
    /// Install the system libraries that the packages need, with apt-get as root
    #[arg(long)]
    install: bool,
    /// Convert the networks of fixtures/networks with TensorFlow, instead of recording frames
    #[arg(long)]
    networks: bool,
    /// The Python 3.11 that the environments are made with
    #[arg(long, default_value = PYTHON)]
    python: String,
}

/// A golden file and how it comes about.
struct Recording {
    /// The name of the driver in `xtask/src/golden` and of the file, without their suffixes.
    name: &'static str,
    package: Package,
    /// The sizes of the model inputs: every width with every height, or as pairs.
    targets: Targets,
}

enum Targets {
    Products { widths: &'static [u32], heights: &'static [u32] },
    Pairs(&'static [(u32, u32)]),
}

impl Targets {
    /// The sizes as `24x16`.
    fn names(&self) -> Vec<String> {
        let name = |width: u32, height: u32| format!("{width}x{height}");
        match self {
            Self::Products { widths, heights } => widths
                .iter()
                .flat_map(|&width| heights.iter().map(move |&height| name(width, height)))
                .collect(),
            Self::Pairs(pairs) => {
                pairs.iter().map(|&(width, height)| name(width, height)).collect()
            }
        }
    }
}

const RECORDINGS: [Recording; 2] = [
    Recording {
        name: "task_library",
        package: environment::TFLITE_SUPPORT,
        // Widths on both sides of the four columns that the original's vector code does at a time.
        targets: Targets::Products {
            widths: &[1, 2, 3, 4, 7, 8, 12, 21],
            heights: &[1, 2, 4, 5, 9, 16],
        },
    },
    Recording {
        name: "media_pipe",
        package: environment::MEDIAPIPE,
        // Ties between two positions occur where 64 divides the size; blocks of columns are
        // narrower than 128.
        targets: Targets::Pairs(&[(24, 24), (33, 20), (64, 48), (5, 64), (128, 64), (70, 17)]),
    },
];

const FOLDER: &str = "fixtures/golden/preprocess";

/// The folder with the Python environments.
pub(crate) fn environments() -> PathBuf {
    workspace::root().join(".cache/golden")
}

/// Whether both packages are there and can be loaded.
pub(crate) fn is_prepared() -> bool {
    let cache = environments();
    RECORDINGS.iter().all(|recording| Environment::is_prepared(&cache, &recording.package))
}

/// Makes sure that the recorded files are what the packages compute, and installs the packages.
pub(crate) fn check() -> Result<(), Failure> {
    run(&Golden { check: true, install: true, networks: false, python: PYTHON.to_owned() })
}

/// Runs `cargo xtask golden`.
pub(crate) fn run(golden: &Golden) -> Result<(), Failure> {
    if golden.networks {
        return networks::run(golden);
    }
    let root = workspace::root();
    let cache = environments();
    let mut different = Vec::new();
    for recording in &RECORDINGS {
        let environment =
            Environment::prepare(&cache, &recording.package, &golden.python, golden.install)?;
        let models = cache.join("models").join(recording.name);
        write_models(&models, &recording.targets.names())?;
        let recorded = cache.join(recording.name).with_extension("json");
        let driver = root.join("xtask/src/golden").join(recording.name).with_extension("py");
        process::run(environment.python().arg(driver).arg(&models).arg(&recorded))?;

        let bytes =
            fs::read(&recorded).context(|| format!("cannot read {}", recorded.display()))?;
        let place = format!("{FOLDER}/{}.json", recording.name);
        if fs::read(root.join(&place)).is_ok_and(|committed| committed == bytes) {
            println!("{place} is what {} computes", recording.package);
        } else if golden.check {
            different.push(format!(
                "{place}; {} computes {}",
                recording.package,
                recorded.display()
            ));
        } else {
            pin::publish(&bytes, &root.join(&place))?;
            println!("{place} has changed; cargo xtask tidy says what to write into the manifest");
        }
    }
    if different.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("out of date: {}", different.join("\nout of date: "))))
    }
}

/// Writes a model for each size into the folder, and nothing else.
fn write_models(folder: &Path, sizes: &[String]) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
    let mut command: Command = process::cargo(&[
        "run",
        "--quiet",
        "--package",
        "image-embedder-preprocess",
        "--example",
        "pass_through_models",
        "--",
    ]);
    process::run(command.arg(folder).args(sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_products_or_pairs() {
        let products = Targets::Products { widths: &[1, 2], heights: &[3, 4] };
        assert_eq!(products.names(), ["1x3", "1x4", "2x3", "2x4"]);
        assert_eq!(Targets::Pairs(&[(5, 6)]).names(), ["5x6"]);
    }

    #[test]
    fn every_recording_has_its_driver_and_its_file() {
        for recording in &RECORDINGS {
            let root = workspace::root();
            let driver = root.join(format!("xtask/src/golden/{}.py", recording.name));
            assert!(driver.is_file(), "{}", driver.display());
            let file = root.join(format!("{FOLDER}/{}.json", recording.name));
            assert!(file.is_file(), "{}", file.display());
        }
    }
}
