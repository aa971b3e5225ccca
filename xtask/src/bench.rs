//! `bench`: the benchmarks, and the comparison with other software on the same models.
//!
//! What is timed, and how, is the package `benches`; this command brings what that needs.

use std::env;
use std::path::PathBuf;

use clap::Args;

use crate::failure::{Context, Failure};
use crate::golden::environment::{self, Environment, Package};
use crate::{fetch, golden, process, workspace};

/// The package that measures.
pub(crate) const PACKAGE: &str = "image-embedder-benches";

/// The peers that are Python packages.
const PACKAGES: [(&str, &Package); 3] = [
    ("ai-edge-litert", &environment::LITERT),
    ("mediapipe", &environment::MEDIAPIPE),
    ("tflite-support", &environment::TFLITE_SUPPORT),
];

/// The options of `bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// Run only the benchmarks whose names contain this
    filter: Option<String>,
    /// Run everything once, without optimisation, to see that it works
    #[arg(long)]
    smoke: bool,
    /// Compare with other software that runs the same models
    #[arg(long, conflicts_with = "filter")]
    peers: bool,
    #[command(flatten)]
    comparison: Comparison,
}

/// What is compared, and how.
#[derive(Args, Default)]
struct Comparison {
    /// What to compare with, everything if not given: tflite, tract, litert, ai-edge-litert,
    /// mediapipe, tflite-support; and load, preprocess, memory
    #[arg(long, requires = "peers", num_args = 1..)]
    only: Vec<String>,
    /// Models by name, or folders of models; if not given, those of the folder that
    /// IMAGE_EMBEDDER_REFERENCE names, or the fetched and the bundled ones
    #[arg(long, requires = "peers", num_args = 1..)]
    models: Vec<String>,
    /// Threads inside one inference
    #[arg(long, requires = "peers")]
    threads: Option<usize>,
    /// Instruction-set levels of the native engine; the best one if not given
    #[arg(long, requires = "peers", num_args = 1..)]
    level: Vec<String>,
    /// Turns of each contender
    #[arg(long, requires = "peers")]
    rounds: Option<usize>,
    /// Install the system libraries that Python packages need, with apt-get as root
    #[arg(long, requires = "peers")]
    install: bool,
    /// The Python 3.11 that environments are made with
    #[arg(long, requires = "peers", default_value = "python3.11")]
    python: String,
    /// Measure what a second thread and a second session are worth too
    #[arg(long, requires = "peers")]
    scaling: bool,
    /// The file that gets every measurement
    #[arg(long, requires = "peers")]
    json: Option<PathBuf>,
    /// The document whose generated part gets the tables
    #[arg(long, requires = "peers")]
    markdown: Option<PathBuf>,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    if bench.peers {
        compare(bench.smoke, &bench.comparison)
    } else {
        benchmarks(bench.smoke, bench.filter.as_deref())
    }
}

/// Runs every benchmark once, and a small model once beside TensorFlow Lite.
pub(crate) fn smoke() -> Result<(), Failure> {
    benchmarks(true, None)?;
    let comparison = Comparison {
        only: vec!["tflite".to_owned(), "load".to_owned()],
        models: vec!["mobilenet_v1_0.25_224_quant".to_owned()],
        scaling: true,
        ..Comparison::default()
    };
    compare(true, &comparison)
}

/// The criterion benchmarks.
fn benchmarks(smoke: bool, filter: Option<&str>) -> Result<(), Failure> {
    let mut command = if smoke {
        // Criterion runs each benchmark once if it is started as a test.
        process::cargo(&["test", "--package", PACKAGE, "--benches"])
    } else {
        process::run(&mut measure(false, &[], &["stamp"]))?;
        process::cargo(&["bench", "--package", PACKAGE])
    };
    if let Some(filter) = filter {
        command.args(["--", filter]);
    }
    process::run(&mut command)
}

/// The comparison with peers.
fn compare(smoke: bool, chosen: &Comparison) -> Result<(), Failure> {
    let wants = |name: &str| chosen.only.is_empty() || chosen.only.iter().any(|only| only == name);
    for (name, wanted) in
        [("tflite", wants("tflite") || wants("load")), ("litert", wants("litert"))]
    {
        if wanted {
            let libraries = fetch::libraries_for_host()?;
            let library =
                libraries.iter().find(|library| library.name == name).ok_or_else(|| {
                    Failure::new(format!("no library {name} is pinned for this machine"))
                })?;
            fetch::fetch_library(library)?;
        }
    }
    let embedder = ["mediapipe", "tflite-support", "preprocess"].iter().any(|name| wants(name));
    let features: Vec<&str> = [("embedder", embedder), ("tract", wants("tract"))]
        .iter()
        .filter_map(|(feature, wanted)| wanted.then_some(*feature))
        .collect();
    let mut command = measure(smoke, &features, &["peers"]);
    let cache = golden::environments();
    for (peer, package) in PACKAGES {
        // Preprocessing is compared with the packages that ours follows.
        if wants(peer) || peer != "ai-edge-litert" && wants("preprocess") {
            let environment =
                Environment::prepare(&cache, package, &chosen.python, chosen.install)?;
            command.arg("--python").arg(format!("{peer}={}", environment.program().display()));
        }
    }
    // Cargo starts the program at the root of the workspace, not where this command was called.
    let models: Vec<String> = chosen.models.iter().map(|word| absolute_folder(word)).collect();
    for (option, values) in
        [("--only", &chosen.only), ("--models", &models), ("--level", &chosen.level)]
    {
        if !values.is_empty() {
            command.arg(option).args(values);
        }
    }
    for (option, value) in [("--threads", chosen.threads), ("--rounds", chosen.rounds)] {
        if let Some(value) = value {
            command.args([option, &value.to_string()]);
        }
    }
    for (option, path) in [("--json", &chosen.json), ("--markdown", &chosen.markdown)] {
        if let Some(path) = path {
            let path = std::path::absolute(path).context(|| path.display().to_string())?;
            command.arg(option).arg(path);
        }
    }
    for (option, wanted) in [("--smoke", smoke), ("--scaling", chosen.scaling)] {
        if wanted {
            command.arg(option);
        }
    }
    if wants("memory") {
        process::run(&mut process::cargo(&[
            "build",
            "--release",
            "--package",
            "image-embedder-cli",
        ]))?;
        command.arg("--imgembed").arg(release_program("imgembed"));
    }
    process::run(&mut command)
}

/// Where cargo puts a program that it builds with optimisation.
fn release_program(name: &str) -> PathBuf {
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace::root()
        .join(folder)
        .join("release")
        .join(name)
        .with_extension(env::consts::EXE_EXTENSION)
}

/// The whole path of a folder; other words as they are.
fn absolute_folder(word: &str) -> String {
    match std::path::absolute(word) {
        Ok(path) if path.is_dir() => path.display().to_string(),
        _ => word.to_owned(),
    }
}

/// A call of the program that measures, with the features that take long to build only if needed.
pub(crate) fn measure(smoke: bool, features: &[&str], arguments: &[&str]) -> std::process::Command {
    let mut command = process::cargo(&["run", "--quiet", "--package", PACKAGE, "--bin", "measure"]);
    if !smoke {
        command.arg("--release");
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    command.arg("--").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        bench: Bench,
    }

    fn parsed(words: &[&str]) -> Result<Bench, clap::Error> {
        Whole::try_parse_from(["bench"].iter().chain(words)).map(|whole| whole.bench)
    }

    #[test]
    fn options_of_the_comparison_need_it() {
        assert!(parsed(&[]).is_ok());
        assert_eq!(parsed(&["conv_2d"]).unwrap().filter.as_deref(), Some("conv_2d"));
        let bench = parsed(&["--peers", "--only", "tflite", "load", "--threads", "2"]).unwrap();
        assert_eq!(bench.comparison.only, ["tflite", "load"]);
        assert_eq!(bench.comparison.threads, Some(2));
        for words in [&["--threads", "2"][..], &["--scaling"], &["--peers", "conv_2d"]] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn only_folders_become_whole_paths() {
        let folder = workspace::root().join("fixtures");
        assert_eq!(absolute_folder(&folder.display().to_string()), folder.display().to_string());
        assert_eq!(absolute_folder("no_such_folder"), "no_such_folder");
        assert!(std::path::Path::new(&absolute_folder("src")).is_absolute());
    }
}
