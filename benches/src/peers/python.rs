//! Peers that are Python packages and run in processes of their own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use image_embedder_backend::DType;
use image_embedder_backend_conformance::{Case, Elements, Tensor};

use super::{Entrant, Peer, Side};
use crate::Result;
use crate::agreement::Rule;
use crate::interleave::Contender;
use crate::model::{ModelFile, Numbers};

/// The program that runs in the package's environment.
const WORKER: &str = include_str!("worker.py");

/// A package in a process that runs models when told.
#[derive(Debug)]
pub struct PythonPeer {
    name: &'static str,
    side: Side,
    rule: fn(Numbers) -> Rule,
    worker: Worker,
}

impl PythonPeer {
    /// The package `ai-edge-litert`, in the environment of the interpreter `python`.
    ///
    /// # Errors
    ///
    /// If the process cannot be started or the package is not there.
    pub fn litert(python: &Path) -> Result<Self> {
        Self::new(
            "ai-edge-litert",
            "ai-edge-litert",
            Side::Tensors,
            python,
            |numbers| match numbers {
                Numbers::Quantized => Rule::Equal,
                Numbers::Float => Rule::WithinOfLargest(1e-5),
                Numbers::DynamicRange => Rule::Cosine(0.9995),
            },
        )
    }

    /// The package `mediapipe`, as [`litert`](Self::litert).
    ///
    /// # Errors
    ///
    /// As [`litert`](Self::litert).
    #[cfg(feature = "embedder")]
    pub fn media_pipe(python: &Path) -> Result<Self> {
        Self::new("mediapipe", "mediapipe", Side::Frames, python, |numbers| match numbers {
            Numbers::Quantized => Rule::Equal,
            Numbers::Float => Rule::WithinOfLargest(1e-5),
            Numbers::DynamicRange => Rule::Cosine(0.9995),
        })
    }

    /// The package `tflite-support`, as [`litert`](Self::litert).
    ///
    /// # Errors
    ///
    /// As [`litert`](Self::litert).
    #[cfg(feature = "embedder")]
    pub fn tflite_support(python: &Path) -> Result<Self> {
        Self::new("tflite-support", "tflite-support", Side::Frames, python, |numbers| match numbers
        {
            Numbers::Quantized => Rule::Equal,
            Numbers::Float => Rule::WithinOfLargest(1e-5),
            Numbers::DynamicRange => Rule::Cosine(0.9995),
        })
    }

    /// The process, for measurements other than of models.
    pub fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }

    fn new(
        name: &'static str,
        package: &str,
        side: Side,
        python: &Path,
        rule: fn(Numbers) -> Rule,
    ) -> Result<Self> {
        let worker = Worker::start(python, WORKER, package)?;
        Ok(Self { name, side, rule, worker })
    }
}

impl Peer for PythonPeer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> &str {
        &self.worker.version
    }

    fn side(&self) -> Side {
        self.side
    }

    fn rule(&self, numbers: Numbers) -> Rule {
        (self.rule)(numbers)
    }

    fn enter(&mut self, model: &ModelFile, threads: usize) -> Result<Box<dyn Entrant + '_>> {
        self.worker.load(&model.path, threads)?;
        Ok(Box::new(&mut self.worker))
    }
}

/// A process that answers requests; `worker.py` says which.
#[derive(Debug)]
pub struct Worker {
    package: String,
    version: String,
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Worker {
    /// Starts a script and waits until it is ready.
    ///
    /// What the package prints goes to a file in the folder of temporary files, which an error
    /// names.
    fn start(python: &Path, script: &str, package: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("measure-{}-{package}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut process = Command::new(python)
            .args(["-c", script, package])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
        let requests = process.stdin.take().ok_or("the process has no input")?;
        let replies = BufReader::new(process.stdout.take().ok_or("the process has no output")?);
        let (package, version) = (package.to_owned(), String::new());
        let mut worker = Self { package, version, process, requests, replies, folder };
        worker.version = match &worker.reply("ready")?[..] {
            [version] => format!("{package} {version}", package = worker.package),
            words => return Err(format!("expected a version, found {words:?}").into()),
        };
        Ok(worker)
    }

    /// Makes a model ready.
    ///
    /// # Errors
    ///
    /// If the package refuses it.
    pub fn load(&mut self, model: &Path, threads: usize) -> Result<()> {
        self.request(&["load", &threads.to_string(), &model.display().to_string()])?;
        self.reply("loaded").map(drop)
    }

    /// Gives the elements of an image of a size.
    ///
    /// # Errors
    ///
    /// If the model does not take them.
    pub fn give_image(&mut self, width: usize, height: usize, elements: &[u8]) -> Result<()> {
        let path = self.folder.join("input");
        fs::write(&path, elements).map_err(|error| format!("{}: {error}", path.display()))?;
        let (width, height) = (width.to_string(), height.to_string());
        self.request(&["input", &width, &height, &path.display().to_string()])?;
        self.reply("given").map(drop)
    }

    fn request(&mut self, words: &[&str]) -> Result<()> {
        if let Some(word) = words.iter().find(|word| word.contains(['\t', '\n'])) {
            return Err(format!("{word:?} cannot be sent to {}", self.package).into());
        }
        writeln!(self.requests, "{}", words.join("\t"))
            .map_err(|error| format!("{} takes no request: {error}", self.package).into())
    }

    /// The words after `expected` in the next reply.
    fn reply(&mut self, expected: &str) -> Result<Vec<String>> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!(
                "{} ended instead of a reply; it printed: {}",
                self.package,
                self.end_of_log()
            )
            .into());
        }
        parse_reply(&line, expected).map_err(|error| format!("{}: {error}", self.package).into())
    }

    /// The last lines that the package printed.
    fn end_of_log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A process that is gone already cannot be ended, and its files may be gone with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Contender for Worker {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        self.request(&["time", &untimed.to_string(), &timed.to_string()])?;
        let times = self.reply("times")?;
        if times.len() != timed {
            return Err(format!("expected {timed} times, found {}", times.len()).into());
        }
        times.iter().map(|time| Ok(time.parse()?)).collect()
    }
}

impl Contender for &mut Worker {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        Worker::time(self, untimed, timed)
    }
}

impl Entrant for &mut Worker {
    fn give(&mut self, case: &Case) -> Result<()> {
        let [input] = &case.inputs[..] else {
            return Err(format!("expected 1 input, found {}", case.inputs.len()).into());
        };
        let [1, height, width, _] = input.shape[..] else {
            return Err(format!("expected one image, found shape {:?}", input.shape).into());
        };
        self.give_image(width, height, &input.elements.to_le_bytes())
    }

    fn results(&mut self) -> Result<Vec<Tensor>> {
        let folder = self.folder.clone();
        self.request(&["results", &folder.display().to_string()])?;
        self.reply("results")?
            .iter()
            .map(|word| {
                let (name, dtype, shape) = parse_result(word)?;
                let bytes = fs::read(folder.join(name))?;
                let elements = Elements::from_le_bytes(dtype, &bytes)
                    .ok_or_else(|| format!("results of {dtype} cannot be read"))?;
                if shape.iter().product::<usize>() != elements.count() {
                    return Err(format!("{word} has {} elements", elements.count()).into());
                }
                Ok(Tensor { shape, elements })
            })
            .collect()
    }
}

/// The words after `expected` in a reply.
fn parse_reply(line: &str, expected: &str) -> Result<Vec<String>> {
    let mut words = line.trim_end_matches('\n').split('\t').map(str::to_owned);
    let first = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    if first == expected {
        Ok(rest)
    } else if first == "error" {
        Err(rest.join(" ").into())
    } else {
        Err(format!("expected the reply {expected}, found {line:?}").into())
    }
}

/// The parts of `NAME:TYPE:SHAPE`.
fn parse_result(word: &str) -> Result<(&str, DType, Vec<usize>)> {
    let mut parts = word.split(':');
    let (Some(name), Some(dtype), Some(shape), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("expected a result, found {word}").into());
    };
    let dtype = match dtype {
        "float32" => DType::Float32,
        "uint8" => DType::UInt8,
        "int8" => DType::Int8,
        "int32" => DType::Int32,
        other => return Err(format!("expected the type of a result, found {other}").into()),
    };
    let shape = shape.split('x').map(str::parse).collect::<std::result::Result<_, _>>()?;
    Ok((name, dtype, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_words_or_errors() {
        assert_eq!(parse_reply("times\t12\t3\n", "times").unwrap(), ["12", "3"]);
        assert_eq!(parse_reply("loaded\n", "loaded").unwrap(), [""; 0]);
        let error = parse_reply("error\tValueError: no\n", "times").unwrap_err();
        assert_eq!(error.to_string(), "ValueError: no");
        let error = parse_reply("loaded\n", "times").unwrap_err().to_string();
        assert!(error.starts_with("expected the reply times, found"), "{error}");
    }

    #[test]
    fn results_have_a_name_a_type_and_a_shape() {
        assert_eq!(parse_result("0:float32:1x8").unwrap(), ("0", DType::Float32, vec![1, 8]));
        for word in ["0:float32", "0:complex64:1", "0:uint8:1x", "0:uint8:1:2"] {
            assert!(parse_result(word).is_err(), "{word}");
        }
    }

    /// Talks as `worker.py` does, with a model that adds its thread count to each byte.
    const DOUBLE: &str = r#"
import sys
package, threads, data = sys.argv[1], 0, b""
print("ready\t1.2", flush=True)
for line in sys.stdin:
    name, *words = line.rstrip("\n").split("\t")
    if name == "load":
        threads = int(words[0])
        if not words[1].endswith(".tflite"):
            print("error\tValueError: not a model", flush=True)
            continue
        print("loaded", flush=True)
    elif name == "input":
        data = open(words[2], "rb").read()
        print("given", flush=True)
    elif name == "time":
        print("\t".join(["times"] + [str(7 + run) for run in range(int(words[1]))]), flush=True)
    elif name == "results":
        with open(words[0] + "/0", "wb") as file:
            file.write(bytes(byte + threads for byte in data))
        print(f"results\t0:uint8:{len(data)}", flush=True)
"#;

    fn python() -> PathBuf {
        PathBuf::from("python3")
    }

    #[test]
    fn a_process_loads_times_and_gives_results() {
        let mut worker = Worker::start(&python(), DOUBLE, "double").unwrap();
        assert_eq!(worker.version, "double 1.2");
        let folder = worker.folder.clone();
        let error = worker.load(Path::new("text"), 1).unwrap_err().to_string();
        assert_eq!(error, "double: ValueError: not a model");
        worker.load(Path::new("a.tflite"), 2).unwrap();
        worker.give_image(1, 1, &[3, 4, 5]).unwrap();
        assert_eq!(worker.time(1, 3).unwrap(), [7.0, 8.0, 9.0]);
        let results = (&mut worker).results().unwrap();
        assert_eq!(results[0].elements, Elements::UInt8(vec![5, 6, 7]));
        drop(worker);
        assert!(!folder.exists());
    }

    #[test]
    fn a_process_that_ends_says_what_it_printed() {
        let script = "import sys; sys.exit('no package of that name')";
        let error = Worker::start(&python(), script, "missing").unwrap_err().to_string();
        assert!(error.contains("no package of that name"), "{error}");
        let error = Worker::start(Path::new("no-such-python"), script, "x").unwrap_err();
        assert!(error.to_string().starts_with("cannot start no-such-python"), "{error}");
    }

    #[test]
    fn the_worker_is_python_and_refuses_what_it_does_not_know() {
        let mut check = Command::new(python())
            .args(["-c", "import ast, sys; ast.parse(sys.stdin.read())"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(WORKER.as_bytes()).unwrap();
        assert!(check.wait().unwrap().success());
    }
}
