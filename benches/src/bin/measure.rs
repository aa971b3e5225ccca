//! Measures the native engine and its peers; `cargo xtask bench` prepares everything and calls it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the command line")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
#[cfg(feature = "embedder")]
use image_embedder::preprocess::PreprocessMode;
use image_embedder_backend::Backend;
use image_embedder_backend_conformance::Case;
use image_embedder_backend_native::{NativeBackend, SimdLevel};
use image_embedder_benches::comparison::{Comparison, Ours, Outcome, Subject, compare};
#[cfg(feature = "embedder")]
use image_embedder_benches::frames::Embedding;
use image_embedder_benches::interleave::Schedule;
use image_embedder_benches::machine::Stamp;
use image_embedder_benches::model::{self, ModelFile};
use image_embedder_benches::peers::{BackendPeer, Entrant, Peer, PythonPeer, Side};
use image_embedder_benches::report::{self, PeerVersion, Report};
use image_embedder_benches::running::{Running, compile};
#[cfg(feature = "tract")]
use image_embedder_benches::support::{self, SupportTable};
use image_embedder_benches::{Result, loading, memory, scaling};
#[cfg(feature = "embedder")]
use image_embedder_benches::{large_frame::FRAME, preprocessing};
use image_embedder_test_support::{REFERENCE_VARIABLE, fixture};

#[derive(Parser)]
#[command(name = "measure", about = "Measures the native engine and its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print what a measurement here is taken on
    Stamp,
    /// Compare with other software that runs the same models
    Peers(Peers),
    /// Write the table of models and backends into the README
    #[cfg(feature = "tract")]
    Support(Support),
}

#[cfg(feature = "tract")]
#[derive(Args)]
struct Support {
    /// Time nothing, and keep the times that are recorded
    #[arg(long)]
    keep_times: bool,
    /// Turns of each backend
    #[arg(long, default_value_t = Schedule::default().rounds)]
    rounds: usize,
}

#[derive(Args)]
struct Peers {
    /// What to compare with; everything if not given
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Part>,
    /// Models by name, or folders of models
    #[arg(long, num_args = 1..)]
    models: Vec<String>,
    /// Threads inside one inference
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Instruction-set levels of ours; the best of this processor if not given
    #[arg(long, num_args = 1.., value_parser = level)]
    level: Vec<SimdLevel>,
    /// Turns of each contender
    #[arg(long, default_value_t = Schedule::default().rounds)]
    rounds: usize,
    /// Run everything once, to see that it works
    #[arg(long)]
    smoke: bool,
    /// The Python interpreter that has a package, as `mediapipe=PATH`
    #[arg(long, value_parser = interpreter)]
    python: Vec<(String, PathBuf)>,
    /// Measure what a second thread and a second session are worth too
    #[arg(long)]
    scaling: bool,
    /// The program `imgembed`, for its memory
    #[arg(long)]
    imgembed: Option<PathBuf>,
    /// The file that gets every measurement
    #[arg(long)]
    json: Option<PathBuf>,
    /// The document whose generated part gets the tables
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A part of the comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// The TensorFlow Lite C library with XNNPACK
    Tflite,
    /// tract
    #[cfg(feature = "tract")]
    Tract,
    /// LiteRT's library with XNNPACK
    Litert,
    /// The Python package ai-edge-litert
    AiEdgeLitert,
    /// The Python package mediapipe
    #[cfg(feature = "embedder")]
    Mediapipe,
    /// The Python package tflite-support
    #[cfg(feature = "embedder")]
    TfliteSupport,
    /// The time that models take to load
    Load,
    /// Preprocessing of a large frame in tflite-support and MediaPipe
    #[cfg(feature = "embedder")]
    Preprocess,
    /// The peak resident size of `imgembed compare`
    Memory,
}

impl Part {
    /// The peer, if the part is one.
    fn peer(self, arguments: &Peers) -> Result<Option<Box<dyn Peer>>> {
        let python = |name| python(arguments, name);
        Ok(Some(match self {
            Self::Tflite => Box::new(BackendPeer::tflite()?),
            #[cfg(feature = "tract")]
            Self::Tract => Box::new(BackendPeer::tract()),
            Self::Litert => Box::new(BackendPeer::litert()?),
            Self::AiEdgeLitert => Box::new(PythonPeer::litert(python("ai-edge-litert")?)?),
            #[cfg(feature = "embedder")]
            Self::Mediapipe => Box::new(PythonPeer::media_pipe(python("mediapipe")?)?),
            #[cfg(feature = "embedder")]
            Self::TfliteSupport => Box::new(PythonPeer::tflite_support(python("tflite-support")?)?),
            #[cfg(feature = "embedder")]
            Self::Preprocess => return Ok(None),
            Self::Load | Self::Memory => return Ok(None),
        }))
    }
}

/// A quick model of uint8 pixels: its own time would hide that of preprocessing.
#[cfg(feature = "embedder")]
const PREPROCESSED_MODEL: &str = "mobilenet_v1_0.25_224_quant.tflite";

/// How often the memory of the program is looked at; the most that was seen counts.
const MEMORY_RUNS: usize = 5;

/// A name and a path with `=` between them.
fn interpreter(text: &str) -> std::result::Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

/// A level by its name.
fn level(name: &str) -> std::result::Result<SimdLevel, String> {
    let available = SimdLevel::available();
    available.iter().copied().find(|level| level.name() == name).ok_or_else(|| {
        let names: Vec<&str> = available.iter().map(|level| level.name()).collect();
        format!("this processor has the levels {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Stamp => {
            println!("{}", Stamp::read());
            Ok(())
        }
        Command::Peers(arguments) => peers(&arguments),
        #[cfg(feature = "tract")]
        Command::Support(arguments) => support_table(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn peers(arguments: &Peers) -> Result<()> {
    let parts = match arguments.only.as_slice() {
        [] => Part::value_variants(),
        only => only,
    };
    let models = model::select(&arguments.models, env::var_os(REFERENCE_VARIABLE))?;
    let levels = match arguments.level.as_slice() {
        [] => vec![SimdLevel::detect()],
        levels => levels.to_vec(),
    };
    let schedule = match arguments.smoke {
        true => Schedule::ONCE,
        false => Schedule { rounds: arguments.rounds, ..Schedule::default() },
    };

    let mut report = Report::new(Stamp::read(), arguments.threads);
    println!("{}", report.stamp);
    println!("threads   {}", arguments.threads);
    println!("ratio     median time of the peer over ours: above 1 we are faster");
    for part in parts {
        if let Some(mut peer) = part.peer(arguments)? {
            race_peer(peer.as_mut(), &models, &levels, arguments.threads, &schedule, &mut report)?;
        }
    }
    report.means = report::group_means(&report.comparisons);
    println!("\n{}", report.means_text());
    if arguments.scaling {
        scale(parts, &models, &levels, &schedule, &mut report)?;
    }
    if parts.contains(&Part::Load) {
        load(&models, &levels, arguments, &mut report)?;
    }
    #[cfg(feature = "embedder")]
    if parts.contains(&Part::Preprocess) {
        preprocess(arguments, &schedule, &mut report)?;
    }
    if parts.contains(&Part::Memory) {
        measure_memory(arguments, &mut report)?;
    }
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string(&report)?)?;
    }
    if let Some(path) = &arguments.markdown {
        let document =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let document = report::replace_generated(&document, report::COMMAND, &report.markdown())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        write(path, &document)?;
    }
    match report.disagreements() {
        0 => Ok(()),
        count => Err(format!("{count} results disagree").into()),
    }
}

/// Every model that is known here on every backend.
#[cfg(feature = "tract")]
fn support_table(arguments: &Support) -> Result<()> {
    let stamp = Stamp::read();
    println!("{stamp}");
    let reference = model::select(&[], env::var_os(REFERENCE_VARIABLE))?;
    let mut models = model::select(&[], None)?;
    for model in reference {
        if !models.iter().any(|known| known.name == model.name) {
            models.push(model);
        }
    }
    let schedule = Schedule { rounds: arguments.rounds, ..Schedule::default() };
    let columns = support::columns()?;
    let mut rows = Vec::new();
    for model in &models {
        let row = support::measure(&columns, model, (!arguments.keep_times).then_some(&schedule))?;
        println!("{}", row.line());
        rows.push(row);
    }
    let mut table = SupportTable::read()?;
    for row in &table.models {
        if !models.iter().any(|model| model.name == row.model) {
            println!("{}: NOT HERE, its row stays as it is", row.model);
        }
    }
    if !arguments.keep_times {
        table.timed_on =
            Some(format!("{}, level {}, {}", stamp.processor, SimdLevel::detect(), stamp.system));
    }
    table.set_backends(&columns);
    table.update(rows, !arguments.keep_times);
    table.write()
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Every model against one peer.
fn race_peer(
    peer: &mut dyn Peer,
    models: &[ModelFile],
    levels: &[SimdLevel],
    threads: usize,
    schedule: &Schedule,
    report: &mut Report,
) -> Result<()> {
    let (name, version) = (peer.name().to_owned(), peer.version().to_owned());
    println!("\n{name} is {version}\n{}", report::heads());
    report.peers.push(PeerVersion { name, version });
    for model in models {
        for comparison in compared(peer, model, levels, threads, schedule)? {
            println!("{}", report::line(&comparison));
            report.comparisons.push(comparison);
        }
    }
    Ok(())
}

/// A second thread, and a second session, of ours and of TensorFlow Lite.
fn scale(
    parts: &[Part],
    models: &[ModelFile],
    levels: &[SimdLevel],
    schedule: &Schedule,
    report: &mut Report,
) -> Result<()> {
    let mut engines: Vec<(String, Arc<dyn Backend>)> = Vec::new();
    for &level in levels {
        let backend = NativeBackend::with_simd_level(level);
        engines.push((format!("ours ({level})"), Arc::new(backend)));
    }
    if parts.contains(&Part::Tflite) {
        engines.push(("tflite".to_owned(), BackendPeer::tflite()?.backend().clone()));
    }
    println!("how many times as fast two threads are, and two sessions");
    for model in models {
        for (engine, backend) in &engines {
            match scaling::measure(engine, backend.as_ref(), model, schedule) {
                Ok(measured) => {
                    for scaling in measured {
                        println!("{}", report::scaling_line(&scaling));
                        report.scaling.push(scaling);
                    }
                }
                Err(error) => println!("{:<54} {engine}: not run: {error}", model.name),
            }
        }
    }
    Ok(())
}

/// From bytes to a session and to a result.
fn load(
    models: &[ModelFile],
    levels: &[SimdLevel],
    arguments: &Peers,
    report: &mut Report,
) -> Result<()> {
    let schedule = match arguments.smoke {
        true => Schedule::ONCE,
        false => Schedule { warm_up: 1, untimed: 0, timed: 1, ..Schedule::default() },
    };
    let level = levels.first().copied().unwrap_or_else(SimdLevel::detect);
    let (ours, theirs) = (NativeBackend::with_simd_level(level), BackendPeer::tflite()?);
    println!("\nloading, ours ({level}) and tflite");
    for model in models {
        let backend = theirs.backend().as_ref();
        match loading::measure(&ours, theirs.name(), backend, model, arguments.threads, &schedule) {
            Ok(loading) => {
                println!("{}", report::loading_lines(&loading));
                report.loading.push(loading);
            }
            Err(error) => println!("{:<54} not run: {error}", model.name),
        }
    }
    Ok(())
}

/// A large frame in the packages that ours follows.
#[cfg(feature = "embedder")]
fn preprocess(arguments: &Peers, schedule: &Schedule, report: &mut Report) -> Result<()> {
    let model = ModelFile::read(&fixture("models").join(PREPROCESSED_MODEL))?;
    println!("\npreprocessing of {}x{} RGB", FRAME.0, FRAME.1);
    let mut task_library = PythonPeer::tflite_support(python(arguments, "tflite-support")?)?;
    let mut media_pipe = PythonPeer::media_pipe(python(arguments, "mediapipe")?)?;
    for (peer, mode) in [
        (&mut task_library, PreprocessMode::TaskLibrary),
        (&mut media_pipe, PreprocessMode::MediaPipe),
    ] {
        let name = peer.name();
        let measured = preprocessing::measure(name, mode, peer.worker(), &model, schedule)?;
        println!("{}", report::preprocessing_line(&measured));
        report.preprocessing.push(measured);
    }
    Ok(())
}

/// Comparing two photographs with the bundled model.
fn measure_memory(arguments: &Peers, report: &mut Report) -> Result<()> {
    let program = arguments.imgembed.as_ref().ok_or("expected --imgembed PATH")?;
    let images = ["cat_left.jpg", "cat_right.jpg"].map(|name| fixture("images").join(name));
    let mut peak = 0;
    for _ in 0..MEMORY_RUNS {
        let mut command = process::Command::new(program);
        peak = peak.max(memory::peak_resident_bytes(command.arg("compare").args(&images))?);
    }
    println!("\npeak resident size of imgembed compare: {} MiB", report::mebibytes(peak));
    report.peak_resident_bytes = Some(peak);
    Ok(())
}

/// The interpreter that has the package of a peer.
fn python<'a>(arguments: &'a Peers, peer: &str) -> Result<&'a Path> {
    let found = arguments.python.iter().find(|(name, _)| name == peer);
    let (_, path) = found.ok_or_else(|| format!("expected --python {peer}=PATH"))?;
    Ok(path)
}

/// One model on both sides.
fn compared(
    peer: &mut dyn Peer,
    model: &ModelFile,
    levels: &[SimdLevel],
    threads: usize,
    schedule: &Schedule,
) -> Result<Vec<Comparison>> {
    let subject =
        Subject { model: model.name.clone(), numbers: model.numbers, peer: peer.name().to_owned() };
    let not_run = |side: &str, error: &dyn std::fmt::Display| {
        let outcome = Outcome::NotRun { reason: format!("{side}: {error}") };
        Ok(vec![Comparison { subject: subject.clone(), outcome }])
    };
    let mut ours = Vec::new();
    let mut cases = Vec::new();
    for &level in levels {
        match our_entrant(peer.side(), model, level, threads) {
            Ok((entrant, pictures)) => {
                cases = pictures;
                ours.push(Ours { level: level.to_string(), entrant });
            }
            Err(error) => return not_run("ours", &error),
        }
    }
    let rule = peer.rule(model.numbers);
    match peer.enter(model, threads) {
        Ok(theirs) => compare(&subject, ours, theirs, rule, &cases, schedule),
        Err(error) => not_run(&subject.peer, &error),
    }
}

/// The model on our side, with the pictures that it takes.
fn our_entrant(
    side: Side,
    model: &ModelFile,
    level: SimdLevel,
    threads: usize,
) -> Result<(Box<dyn Entrant>, Vec<Case>)> {
    match side {
        Side::Tensors => {
            let backend = NativeBackend::with_simd_level(level);
            let compiled = compile(&backend, model.bytes.clone(), threads)?;
            let cases = model.cases(compiled.inputs())?;
            Ok((Box::new(Running::new(compiled.as_ref())?), cases))
        }
        #[cfg(feature = "embedder")]
        Side::Frames => {
            let embedding = Embedding::new(model, level, threads)?;
            let cases = model.cases(&[embedding.input()])?;
            Ok((Box::new(embedding), cases))
        }
    }
}
