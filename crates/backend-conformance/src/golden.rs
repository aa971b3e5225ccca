//! The results that cases must have: computed by a backend, or frozen in files.
//!
//! A group of cases has two files: `<group>.json` with where the results come from and, for every
//! case, its digest and the types and shapes of its outputs; and `<group>.bin` with the outputs'
//! elements, little-endian, one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use image_embedder_backend::{Backend, DType};
use serde_json::{Value, json};

use crate::{Case, Elements, Tensor, execute};

/// The folder of the frozen results, relative to `fixtures/`.
pub const FOLDER: &str = "golden/conformance";

/// Results by name of case.
#[derive(Clone, Debug, Default)]
pub struct Golden {
    results: BTreeMap<String, Expected>,
}

#[derive(Clone, Debug)]
struct Expected {
    digest: u64,
    outputs: Vec<Tensor>,
}

/// Where frozen results come from.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The program that computed them, such as `TensorFlow Lite`.
    pub producer: String,
    /// Its version.
    pub version: String,
    /// What ran in it, such as `XNNPACK`.
    pub kernels: String,
    /// The seed of the cases.
    pub seed: u64,
}

impl Provenance {
    /// The parts in order.
    #[must_use]
    pub fn new(producer: &str, version: String, kernels: &str, seed: u64) -> Self {
        Self { producer: producer.to_owned(), version, kernels: kernels.to_owned(), seed }
    }
}

impl Golden {
    /// Runs the cases on a backend and keeps what comes out.
    ///
    /// # Errors
    ///
    /// Every case that fails, with the backend's error, or a name that two cases share.
    pub fn compute(backend: &dyn Backend, cases: &[Case]) -> Result<Self, String> {
        let mut results = BTreeMap::new();
        let mut failures = String::new();
        for case in cases {
            match execute(backend, case) {
                Ok(outputs) => {
                    let expected = Expected { digest: case.digest(), outputs };
                    if results.insert(case.name.clone(), expected).is_some() {
                        let _ = writeln!(failures, "{}: the name of two cases", case.name);
                    }
                }
                Err(error) => {
                    let _ = writeln!(failures, "{}: {error}", case.name);
                }
            }
        }
        if failures.is_empty() { Ok(Self { results }) } else { Err(failures) }
    }

    /// Results that are the cases' inputs.
    #[cfg(test)]
    pub(crate) fn of_inputs(cases: &[Case]) -> Self {
        let result = |case: &Case| {
            let expected = Expected { digest: case.digest(), outputs: case.inputs.clone() };
            (case.name.clone(), expected)
        };
        Self { results: cases.iter().map(result).collect() }
    }

    /// Reads the files of a folder.
    ///
    /// # Errors
    ///
    /// The file that cannot be read and why.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut golden = Self::default();
        let list =
            fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in list {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                golden
                    .read_group(&path)
                    .map_err(|reason| format!("{}: {reason}", path.display()))?;
            }
        }
        Ok(golden)
    }

    fn read_group(&mut self, path: &Path) -> Result<(), String> {
        let text = fs::read(path).map_err(|error| error.to_string())?;
        let group: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let bytes = fs::read(path.with_extension("bin")).map_err(|error| error.to_string())?;
        let mut rest = &bytes[..];
        for case in group["cases"].as_array().ok_or("expected a list of cases")? {
            let name = case["name"].as_str().ok_or("expected a name")?;
            let digest = case["digest"]
                .as_str()
                .and_then(|digest| u64::from_str_radix(digest, 16).ok())
                .ok_or_else(|| format!("{name}: expected a digest"))?;
            let mut outputs = Vec::new();
            for output in case["outputs"].as_array().ok_or("expected a list of outputs")? {
                let dtype = output["type"]
                    .as_str()
                    .and_then(dtype_of)
                    .ok_or_else(|| format!("{name}: expected a type"))?;
                let shape: Vec<usize> = serde_json::from_value(output["shape"].clone())
                    .map_err(|error| format!("{name}: {error}"))?;
                let size = shape.iter().product::<usize>() * dtype.size();
                let (own, behind) = rest
                    .split_at_checked(size)
                    .ok_or_else(|| format!("{name}: expected {size} bytes, found fewer"))?;
                rest = behind;
                let elements = Elements::from_le_bytes(dtype, own)
                    .ok_or_else(|| format!("{name}: {dtype} cannot be read"))?;
                outputs.push(Tensor { shape, elements });
            }
            self.results.insert(name.to_owned(), Expected { digest, outputs });
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over", rest.len())) }
    }

    /// Writes two files for every group of the cases, and removes files of other groups.
    ///
    /// # Errors
    ///
    /// The file that cannot be written and why, or the case that has no results.
    pub fn write(
        &self,
        folder: &Path,
        cases: &[Case],
        provenance: &Provenance,
    ) -> Result<(), String> {
        let io = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(io)?;
        for entry in fs::read_dir(folder).map_err(io)? {
            fs::remove_file(entry.map_err(io)?.path()).map_err(io)?;
        }
        let groups: BTreeSet<&str> = cases.iter().map(|case| case.group).collect();
        for group in groups {
            let mut lines = Vec::new();
            let mut bytes = Vec::new();
            for case in cases.iter().filter(|case| case.group == group) {
                let outputs = self.outputs(case)?;
                for output in outputs {
                    bytes.extend(output.elements.to_le_bytes());
                }
                let outputs: Vec<Value> = outputs
                    .iter()
                    .map(|output| {
                        json!({"type": output.elements.dtype().name(), "shape": output.shape})
                    })
                    .collect();
                let digest = format!("{:016x}", case.digest());
                lines.push(
                    json!({"name": case.name, "digest": digest, "outputs": outputs}).to_string(),
                );
            }
            let head = json!({
                "producer": provenance.producer,
                "version": provenance.version,
                "kernels": provenance.kernels,
                "architecture": std::env::consts::ARCH,
                "command": "cargo run -p image-embedder-backend-conformance --bin freeze",
                "seed": provenance.seed,
            });
            let head = head.to_string();
            let head = head.trim_end_matches('}');
            let text = format!("{head},\"cases\":[\n{}\n]}}\n", lines.join(",\n"));
            fs::write(folder.join(format!("{group}.json")), text).map_err(io)?;
            fs::write(folder.join(format!("{group}.bin")), bytes).map_err(io)?;
        }
        Ok(())
    }

    /// The outputs that the case must have.
    ///
    /// # Errors
    ///
    /// Says so if there are none, or if they are those of another version of the case.
    pub fn outputs(&self, case: &Case) -> Result<&[Tensor], String> {
        const FREEZE: &str = "run: cargo run -p image-embedder-backend-conformance --bin freeze";
        match self.results.get(&case.name) {
            None => Err(format!("{}: no results; {FREEZE}", case.name)),
            Some(expected) if expected.digest != case.digest() => {
                Err(format!("{}: the results are of another version; {FREEZE}", case.name))
            }
            Some(expected) => Ok(&expected.outputs),
        }
    }

    /// The names of the cases with results.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.results.keys().map(String::as_str)
    }
}

fn dtype_of(name: &str) -> Option<DType> {
    [
        DType::Float32,
        DType::Float16,
        DType::Int8,
        DType::UInt8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
    ]
    .into_iter()
    .find(|dtype| dtype.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, group: &'static str, elements: Elements) -> Case {
        let inputs = vec![Tensor { shape: vec![1, elements.count()], elements }];
        Case { name: name.to_owned(), group, model: name.as_bytes().to_vec(), inputs }
    }

    #[test]
    fn results_survive_the_way_through_files() {
        let cases = [
            case("a", "first", Elements::Float32(vec![1.0, f32::MIN_POSITIVE])),
            case("b", "first", Elements::UInt8(vec![7])),
            case("c", "second", Elements::Int8(vec![-128, 127])),
        ];
        let golden = Golden::of_inputs(&cases);
        let folder = std::env::temp_dir().join(format!("conformance-{}", std::process::id()));
        let provenance = Provenance::new("test", "1".to_owned(), "none", 1);
        golden.write(&folder, &cases, &provenance).unwrap();
        let read = Golden::read(&folder).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["a", "b", "c"]);
        for case in &cases {
            assert_eq!(read.outputs(case).unwrap(), case.inputs);
        }
        let text = fs::read_to_string(folder.join("first.json")).unwrap();
        assert!(text.contains("\"architecture\"") && text.contains("--bin freeze"));

        fs::write(folder.join("second.bin"), [0]).unwrap();
        let reason = Golden::read(&folder).unwrap_err();
        assert!(reason.contains("second.json: c: expected 2 bytes"), "{reason}");
        fs::write(folder.join("second.bin"), [0, 1, 2]).unwrap();
        let reason = Golden::read(&folder).unwrap_err();
        assert!(reason.contains("1 bytes are left over"), "{reason}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
