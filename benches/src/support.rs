//! The support table of the README: which models run on which backend, how alike the results are
//! to those of TensorFlow Lite, and how fast that is.
//!
//! What was found is kept as JSON beside the document. Which models load and what they compute is
//! found again by a test; times are of the machine that they were taken on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::Arc;

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData};
use image_embedder_test_support::workspace_root;
use serde::{Deserialize, Serialize};

use crate::agreement::Likeness;
use crate::comparison::Race;
use crate::interleave::{Contender, Schedule, interleave};
use crate::model::{ModelFile, Numbers};
use crate::peers::{BackendPeer, Entrant, Peer};
use crate::report::{replace_generated, table};
use crate::running::Running;
use crate::{Error, Result};

/// The backend whose results and times the others are compared with.
const REFERENCE: &str = "tflite";

/// How many times as far from the reference floats may be as when they were recorded: sums in
/// floats depend on the vector instructions that a library chooses for the processor.
const OTHER_MACHINE: f64 = 8.0;

/// Differences of floats that are never worth a word, as a share of the largest magnitude.
const ROUNDING: f64 = 1e-6;

/// Angles between vectors that are never worth a word, as one less their cosine.
const ROUNDING_OF_COSINE: f64 = 1e-9;

/// The command that makes the table.
pub const COMMAND: &str = "cargo xtask support-table";

/// The file at the workspace's root that keeps what was found.
pub const RECORD: &str = "docs/support.json";

/// The file at the workspace's root that has the table.
pub const DOCUMENT: &str = "README.md";

/// From here on a cosine is not worth a word in the table, whose heading has the number too.
const NEAR_ONE: f64 = 0.999_999;

/// A backend of the table.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Column {
    /// The name by which users choose it.
    pub name: &'static str,
    /// What it is, with its version.
    pub version: String,
    /// The backend.
    pub backend: Arc<dyn Backend>,
}

/// Every backend, in the order of the table.
///
/// # Errors
///
/// If a library cannot be loaded.
pub fn columns() -> Result<Vec<Column>> {
    let native = Column {
        name: "native",
        version: "the pure-Rust engine".to_owned(),
        backend: Arc::new(image_embedder_backend_native::NativeBackend::new()),
    };
    let peers = [BackendPeer::tflite()?, BackendPeer::litert()?, BackendPeer::tract()];
    let others = peers.iter().map(|peer| Column {
        name: peer.name(),
        version: peer.version().to_owned(),
        backend: Arc::clone(peer.backend()),
    });
    Ok(std::iter::once(native).chain(others).collect())
}

/// The table, with what its times were taken on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct SupportTable {
    /// The machine of the times; `None` if there are none.
    pub timed_on: Option<String>,
    /// The backends with their versions, in the order of the columns.
    pub backends: Vec<BackendVersion>,
    /// The models.
    pub models: Vec<Row>,
}

/// The head of a column.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct BackendVersion {
    /// The name by which users choose it.
    pub name: String,
    /// What it is.
    pub version: String,
}

/// A model on every backend.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Row {
    /// The model's name.
    pub model: String,
    /// In what it computes.
    pub numbers: Numbers,
    /// What each backend makes of it, by the backend's name.
    pub backends: BTreeMap<String, Cell>,
}

/// A model on a backend.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every table tells all of them apart")]
pub enum Cell {
    /// The backend refuses it.
    Refused {
        /// Why.
        reason: String,
    },
    /// The backend loads it and fails when it runs it.
    Fails {
        /// Why.
        reason: String,
    },
    /// The backend runs it.
    Runs {
        /// How alike the results are to the reference's; `None` for the reference and where it
        /// refuses the model.
        likeness: Option<Likeness>,
        /// How fast; `None` if it was not timed.
        speed: Option<Speed>,
    },
}

/// How fast a model is on a backend.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Speed {
    /// The median time of an inference, in milliseconds.
    pub milliseconds: f64,
    /// The reference's median time over that: above 1 where this backend is faster.
    pub ratio: Option<f64>,
}

/// Runs a model on every backend and compares the results; times them in turns if there is a
/// schedule.
///
/// # Errors
///
/// If the model takes no pictures, or results cannot be compared.
pub fn measure(columns: &[Column], model: &ModelFile, schedule: Option<&Schedule>) -> Result<Row> {
    let mut backends = BTreeMap::new();
    let mut running: Vec<(&str, Running)> = Vec::new();
    let mut cases = Vec::new();
    for Column { name, backend, .. } in columns {
        let compiled = backend
            .compile(ModelData::from(model.bytes.clone()), &CompileOptions::with_num_threads(1));
        let attempt = || -> Result<Running> {
            let compiled = compiled?;
            let mut entrant = Running::new(compiled.as_ref())?;
            if cases.is_empty() {
                cases = model.cases(compiled.inputs())?;
            }
            entrant.give(cases.first().ok_or("there is no case")?)?;
            Ok(entrant)
        };
        match attempt() {
            Ok(entrant) => running.push((name, entrant)),
            Err(error) => {
                backends.insert((*name).to_owned(), Cell::Refused { reason: reason(error)? });
            }
        }
    }
    let mut likenesses: BTreeMap<&str, Likeness> = BTreeMap::new();
    for case in &cases {
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        running.retain_mut(|(name, entrant)| {
            match entrant.give(case).and_then(|()| entrant.results()) {
                Ok(found) => results.push((*name, found)),
                Err(error) => failures.push((*name, error)),
            }
            failures.last().is_none_or(|(failed, _)| failed != name)
        });
        for (name, error) in failures {
            backends.insert(name.to_owned(), Cell::Fails { reason: reason(error)? });
        }
        let Some((_, expected)) = results.iter().find(|(name, _)| *name == REFERENCE) else {
            continue;
        };
        for (name, found) in results.iter().filter(|(name, _)| *name != REFERENCE) {
            let likeness = Likeness::of_outputs(expected, found)
                .map_err(|error| format!("{}: {name}: {error}", model.name))?;
            let all = likenesses.entry(*name).or_insert(likeness);
            *all = all.and(likeness);
        }
    }
    let speeds = match schedule {
        Some(schedule) => speeds(&mut running, schedule)?,
        None => BTreeMap::new(),
    };
    let ran = running.iter().map(|(name, _)| {
        let likeness = likenesses.get(name).copied();
        ((*name).to_owned(), Cell::Runs { likeness, speed: speeds.get(*name).copied() })
    });
    backends.extend(ran);
    Ok(Row { model: model.name.clone(), numbers: model.numbers, backends })
}

/// The speeds of contenders that take turns.
fn speeds(running: &mut [(&str, Running)], schedule: &Schedule) -> Result<BTreeMap<String, Speed>> {
    let names: Vec<String> = running.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut contenders: Vec<&mut dyn Contender> =
        running.iter_mut().map(|(_, entrant)| entrant as &mut dyn Contender).collect();
    let turns = interleave(&mut contenders, schedule)?;
    let reference = names.iter().position(|name| name == REFERENCE).map(|index| &turns[index]);
    let mut speeds = BTreeMap::new();
    for (name, ours) in names.into_iter().zip(&turns) {
        let race = Race::new(ours.clone(), reference.unwrap_or(ours).clone())?;
        let ratio = (reference.is_some() && name != REFERENCE).then_some(race.ratio);
        speeds.insert(name, Speed { milliseconds: race.ours.milliseconds.median, ratio });
    }
    Ok(speeds)
}

/// Why a backend does not run a model, in words that do not repeat the backend's name.
///
/// # Errors
///
/// The error itself if it is not a backend's.
fn reason(error: Error) -> Result<String> {
    Ok(match *error.downcast::<BackendError>()? {
        BackendError::UnsupportedOperators { operators, .. } => operators.join(", "),
        BackendError::InvalidModel { .. } => "invalid model".to_owned(),
        BackendError::Runtime { message, .. } => message,
        other => other.to_string(),
    })
}

impl Row {
    /// The row as a line of text.
    #[must_use]
    pub fn line(&self) -> String {
        let cells = self.backends.iter().map(|(name, cell)| format!("{name}: {cell}"));
        format!(
            "{} ({}): {}",
            self.model,
            self.numbers.name(),
            cells.collect::<Vec<_>>().join(" | ")
        )
    }
}

impl SupportTable {
    /// Makes the columns those of these backends.
    pub fn set_backends(&mut self, columns: &[Column]) {
        let head = |column: &Column| BackendVersion {
            name: column.name.to_owned(),
            version: column.version.clone(),
        };
        self.backends = columns.iter().map(head).collect();
    }

    /// Reads what was found last.
    ///
    /// # Errors
    ///
    /// If [`RECORD`] cannot be read or is no such table.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace_root().join(RECORD))
            .map_err(|error| format!("{RECORD}: {error}"))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{RECORD}: {error}"))?)
    }

    /// Writes the table into [`RECORD`] and [`DOCUMENT`].
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written, or the document has no place for the table.
    pub fn write(&self) -> Result<()> {
        let document = self.document()?;
        for (file, text) in
            [(RECORD, serde_json::to_string_pretty(self)? + "\n"), (DOCUMENT, document)]
        {
            fs::write(workspace_root().join(file), text)
                .map_err(|error| format!("{file}: {error}"))?;
        }
        Ok(())
    }

    /// The text of [`DOCUMENT`] with this table in its place.
    ///
    /// # Errors
    ///
    /// If it cannot be read or has no place for the table.
    pub fn document(&self) -> Result<String> {
        let document = fs::read_to_string(workspace_root().join(DOCUMENT))
            .map_err(|error| format!("{DOCUMENT}: {error}"))?;
        Ok(replace_generated(&document, COMMAND, &self.markdown())
            .map_err(|error| format!("{DOCUMENT}: {error}"))?)
    }

    /// Puts the rows in, each in place of an older one of the same model. Where `times` is not
    /// set, cells that still run keep the times that they have.
    pub fn update(&mut self, rows: Vec<Row>, times: bool) {
        for mut row in rows {
            let old = self.models.iter().position(|old| old.model == row.model);
            let Some(index) = old else {
                self.models.push(row);
                continue;
            };
            let old = &mut self.models[index];
            if !times {
                for (name, cell) in &mut row.backends {
                    if let (Cell::Runs { speed, .. }, Some(Cell::Runs { speed: old, .. })) =
                        (cell, old.backends.get(name))
                    {
                        *speed = *old;
                    }
                }
            }
            *old = row;
        }
        self.models.sort_by(|one, other| one.model.cmp(&other.model));
    }

    /// What a found row says otherwise than the table, apart from times; a line each.
    #[must_use]
    pub fn contradictions(&self, found: &Row) -> Vec<String> {
        let Some(recorded) = self.models.iter().find(|row| row.model == found.model) else {
            return vec![format!("{}: expected no such model", found.model)];
        };
        let mut contradictions = Vec::new();
        if recorded.numbers != found.numbers {
            let (expected, found) = (recorded.numbers.name(), found.numbers.name());
            contradictions.push(format!("{}: expected {expected}, found {found}", recorded.model));
        }
        let mut names: Vec<&String> = recorded.backends.keys().collect();
        names.extend(found.backends.keys().filter(|name| !recorded.backends.contains_key(*name)));
        for name in names {
            let (expected, cell) = (recorded.backends.get(name), found.backends.get(name));
            let holds = match (expected, cell) {
                (Some(expected), Some(cell)) => expected.holds_for(cell, found.numbers),
                _ => false,
            };
            if !holds {
                let text = |cell: Option<&Cell>| cell.map_or("nothing".to_owned(), Cell::result);
                contradictions.push(format!(
                    "{} on {name}: expected {}, found {}",
                    found.model,
                    text(expected),
                    text(cell)
                ));
            }
        }
        contradictions
    }

    /// The table as Markdown, with what its figures mean before it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for BackendVersion { name, version } in &self.backends {
            text += &format!("`{name}` is {version}; ");
        }
        text.truncate(text.trim_end_matches("; ").len());
        text += ".\n\nA cell says how alike results are to those of `tflite`: equal, or by how much \
                 they differ as a share of the largest value, with the cosine of the angle between \
                 them where that is below 0.999999";
        text += &match &self.timed_on {
            Some(machine) => format!(
                "; then the time of an inference of `tflite` over that of the backend: above 1 it \
                 is faster. Times were taken with one thread on {machine}.\n"
            ),
            None => ". Times have not been recorded.\n".to_owned(),
        };
        let mut heads = vec!["model", "numbers"];
        heads.extend(self.backends.iter().map(|backend| backend.name.as_str()));
        let rows: Vec<Vec<String>> = self
            .models
            .iter()
            .map(|row| {
                let mut cells = vec![row.model.clone(), row.numbers.name().to_owned()];
                cells.extend(self.backends.iter().map(|backend| {
                    row.backends.get(&backend.name).map_or("-".to_owned(), ToString::to_string)
                }));
                cells
            })
            .collect();
        text + &table(&heads, &rows)
    }
}

impl Cell {
    /// Whether a cell that was found now is as recorded, apart from times.
    fn holds_for(&self, found: &Self, numbers: Numbers) -> bool {
        match (self, found) {
            (Self::Refused { reason }, Self::Refused { reason: other })
            | (Self::Fails { reason }, Self::Fails { reason: other }) => reason == other,
            (Self::Runs { likeness: None, .. }, Self::Runs { likeness: None, .. }) => true,
            (
                Self::Runs { likeness: Some(recorded), .. },
                Self::Runs { likeness: Some(found), .. },
            ) => match numbers {
                // Whole numbers are what they are on every machine; the shares are read from text.
                Numbers::Quantized => {
                    let alike = |a: f64, b: f64| (a - b).abs() <= 1e-12;
                    (recorded.elements, recorded.different) == (found.elements, found.different)
                        && alike(recorded.largest_difference, found.largest_difference)
                        && alike(recorded.cosine, found.cosine)
                }
                Numbers::Float | Numbers::DynamicRange => {
                    let difference = recorded.largest_difference * OTHER_MACHINE;
                    let angle = (1.0 - recorded.cosine) * OTHER_MACHINE;
                    recorded.elements == found.elements
                        && found.largest_difference <= difference.max(ROUNDING)
                        && 1.0 - found.cosine <= angle.max(ROUNDING_OF_COSINE)
                }
            },
            _ => false,
        }
    }

    /// The cell without times.
    fn result(&self) -> String {
        match self {
            Self::Refused { reason } => format!("refused: {reason}"),
            Self::Fails { reason } => format!("fails: {reason}"),
            Self::Runs { likeness: None, .. } => "runs".to_owned(),
            Self::Runs { likeness: Some(likeness), .. } if likeness.different == 0 => {
                "equal".to_owned()
            }
            Self::Runs { likeness: Some(likeness), .. } => {
                let Likeness { largest_difference, cosine, .. } = likeness;
                if *cosine >= NEAR_ONE {
                    return format!("{largest_difference:.0e}");
                }
                // Never rounded up.
                let cosine = (cosine * 1e6).floor() / 1e6;
                format!("{largest_difference:.0e}, cosine {cosine}")
            }
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.result())?;
        match self {
            Self::Runs { speed: Some(Speed { ratio: Some(ratio), .. }), .. } => {
                write!(formatter, "; {ratio:.2}")
            }
            Self::Runs { speed: Some(Speed { milliseconds, ratio: None }), .. } => {
                write!(formatter, "; {milliseconds:.2} ms")
            }
            Self::Runs { speed: None, .. } | Self::Refused { .. } | Self::Fails { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(found: &[f64]) -> Option<Likeness> {
        Some(Likeness::of(&[4.0, 0.0], found).unwrap())
    }

    fn row(numbers: Numbers, cell: Cell) -> Row {
        let reference =
            Cell::Runs { likeness: None, speed: Some(Speed { milliseconds: 2.0, ratio: None }) };
        let backends = [("tflite".to_owned(), reference), ("native".to_owned(), cell)];
        Row { model: "a".to_owned(), numbers, backends: backends.into() }
    }

    fn runs(likeness: Option<Likeness>, ratio: Option<f64>) -> Cell {
        let speed = ratio.map(|ratio| Speed { milliseconds: 1.0, ratio: Some(ratio) });
        Cell::Runs { likeness, speed }
    }

    fn with(rows: Vec<Row>) -> SupportTable {
        let backends = ["native", "tflite"].map(|name| BackendVersion {
            name: name.to_owned(),
            version: format!("the {name} engine"),
        });
        let mut table = SupportTable { backends: backends.to_vec(), ..SupportTable::default() };
        table.update(rows, true);
        table
    }

    #[test]
    fn cells_say_what_happened() {
        let text = |cell: Cell| cell.to_string();
        assert_eq!(text(runs(likeness(&[4.0, 0.0]), Some(1.5))), "equal; 1.50");
        assert_eq!(text(runs(likeness(&[4.0, 0.04]), None)), "1e-2, cosine 0.99995");
        assert_eq!(text(runs(likeness(&[4.0, 4e-6]), None)), "1e-6");
        assert_eq!(text(runs(None, None)), "runs");
        let operators = vec!["custom operator X".to_owned(), "WHILE".to_owned()];
        let error = BackendError::UnsupportedOperators { backend: "b".to_owned(), operators };
        let refused = Cell::Refused { reason: reason(error.into()).unwrap() };
        assert_eq!(text(refused), "refused: custom operator X, WHILE");
        let message = "out of memory".to_owned();
        let error = BackendError::Runtime { backend: "b".to_owned(), message };
        let fails = Cell::Fails { reason: reason(error.into()).unwrap() };
        assert_eq!(text(fails), "fails: out of memory");
        assert!(reason("not a backend's".into()).is_err());
    }

    #[test]
    fn a_table_has_a_row_for_each_model() {
        let mut table = with(vec![row(Numbers::Float, runs(likeness(&[4.0, 0.0]), Some(1.5)))]);
        let text = table.markdown();
        assert!(
            text.starts_with("`native` is the native engine; `tflite` is the tflite engine.\n")
        );
        assert!(text.contains("| a | float | equal; 1.50 | runs; 2.00 ms |\n"), "{text}");
        assert!(text.contains("Times have not been recorded"), "{text}");
        table.timed_on = Some("a machine".to_owned());
        assert!(table.markdown().contains("with one thread on a machine"));
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<SupportTable>(&json).unwrap(), table);
    }

    #[test]
    fn times_are_kept_unless_there_are_others() {
        let mut table = with(vec![row(Numbers::Float, runs(likeness(&[4.0, 0.0]), Some(1.5)))]);
        let untimed = |found: &[f64]| row(Numbers::Float, runs(likeness(found), None));
        table.update(vec![untimed(&[4.0, 0.04])], false);
        assert_eq!(table.models.len(), 1);
        assert_eq!(table.models[0].backends["native"], runs(likeness(&[4.0, 0.04]), Some(1.5)));
        table.update(vec![untimed(&[4.0, 0.0])], true);
        assert_eq!(table.models[0].backends["native"], runs(likeness(&[4.0, 0.0]), None));
        let other = Row { model: "0".to_owned(), ..untimed(&[4.0, 0.0]) };
        table.update(vec![other], true);
        let names: Vec<&str> = table.models.iter().map(|row| row.model.as_str()).collect();
        assert_eq!(names, ["0", "a"]);
    }

    #[test]
    fn what_changed_is_named() {
        let refused = |reason: &str| Cell::Refused { reason: reason.to_owned() };
        let contradictions = |numbers, recorded: Cell, found: Cell| {
            with(vec![row(numbers, recorded)]).contradictions(&row(numbers, found))
        };
        let (equal, apart) = (likeness(&[4.0, 0.0]), likeness(&[4.0, 0.04]));
        for numbers in [Numbers::Quantized, Numbers::Float] {
            for cell in [runs(equal, Some(2.0)), runs(apart, None), runs(None, None), refused("x")]
            {
                let untimed = match &cell {
                    Cell::Runs { likeness, .. } => runs(*likeness, None),
                    refused => refused.clone(),
                };
                assert_eq!(contradictions(numbers, cell, untimed), [""; 0]);
            }
        }
        for (recorded, found) in [
            (runs(equal, None), runs(apart, None)),
            (runs(equal, None), refused("x")),
            (refused("x"), runs(equal, None)),
            (refused("x"), refused("y")),
            (refused("x"), Cell::Fails { reason: "x".to_owned() }),
            (runs(None, None), runs(equal, None)),
        ] {
            let found = contradictions(Numbers::Float, recorded, found);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("a on native: expected "), "{found:?}");
        }
        // Floats may be somewhat further apart than they were, bytes may not even be nearer.
        let nearer = runs(likeness(&[4.0, 0.03]), None);
        assert_eq!(contradictions(Numbers::Float, runs(apart, None), nearer.clone()), [""; 0]);
        assert_eq!(contradictions(Numbers::Quantized, runs(apart, None), nearer).len(), 1);
        let far = runs(likeness(&[4.0, 0.4]), None);
        assert_eq!(contradictions(Numbers::Float, runs(apart, None), far).len(), 1);

        let table = with(vec![row(Numbers::Float, runs(equal, None))]);
        let unknown = Row { model: "b".to_owned(), ..table.models[0].clone() };
        assert_eq!(table.contradictions(&unknown), ["b: expected no such model"]);
        let mut shorter = table.models[0].clone();
        shorter.backends.remove("native");
        assert_eq!(table.contradictions(&shorter), ["a on native: expected equal, found nothing"]);
    }
}
