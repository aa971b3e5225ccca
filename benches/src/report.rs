//! What was measured, as text for people, as tables for documents, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Result;
use crate::comparison::{Comparison, Outcome, Race, Times};
use crate::loading::Loading;
use crate::machine::Stamp;
use crate::model::Numbers;
use crate::scaling::Scaling;
use crate::statistics::{Summary, geometric_mean};

/// The ratios of one peer at one level, over the models of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct GroupMean {
    /// The peer's name.
    pub peer: String,
    /// The instruction-set level of ours.
    pub level: String,
    /// Which models: `quantised`, or `float`, which has those of dynamic range too.
    pub group: &'static str,
    /// How many models.
    pub models: usize,
    /// The geometric mean of the ratios.
    pub geometric_mean: f64,
    /// The least ratio.
    pub least: f64,
    /// The model of the least ratio.
    pub least_model: String,
}

/// The means of everything that was timed, in the order of the comparisons.
#[must_use]
pub fn group_means(comparisons: &[Comparison]) -> Vec<GroupMean> {
    struct Group<'a> {
        peer: &'a str,
        level: &'a str,
        kind: &'static str,
        ratios: Vec<f64>,
        models: Vec<&'a str>,
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for Comparison { subject, outcome } in comparisons {
        let Outcome::Timed { level, race, .. } = outcome else { continue };
        let kind = match subject.numbers {
            Numbers::Quantized => "quantised",
            Numbers::Float | Numbers::DynamicRange => "float",
        };
        let (peer, model) = (&subject.peer[..], &subject.model[..]);
        let known = |group: &&mut Group<'_>| {
            group.peer == peer && group.level == level && group.kind == kind
        };
        match groups.iter_mut().find(known) {
            Some(group) => {
                group.ratios.push(race.ratio);
                group.models.push(model);
            }
            None => groups.push(Group {
                peer,
                level,
                kind,
                ratios: vec![race.ratio],
                models: vec![model],
            }),
        }
    }
    groups
        .into_iter()
        .filter_map(|Group { peer, level, kind, ratios, models }| {
            let least = ratios.iter().copied().min_by(f64::total_cmp)?;
            let of_least = ratios.iter().position(|ratio| *ratio == least)?;
            Some(GroupMean {
                peer: peer.to_owned(),
                level: level.to_owned(),
                group: kind,
                models: ratios.len(),
                geometric_mean: geometric_mean(&ratios)?,
                least,
                least_model: models.get(of_least)?.to_string(),
            })
        })
        .collect()
}

/// One comparison as a line of text.
#[must_use]
pub fn line(comparison: &Comparison) -> String {
    let subject = &comparison.subject;
    let head = format!("{:<54} {:<9} {:<14}", subject.model, subject.numbers.name(), subject.peer);
    match &comparison.outcome {
        Outcome::Timed { level, likeness, race, .. } => {
            format!("{head} {level:<10} {}  {likeness}", race_text(race))
        }
        Outcome::Disagrees { level, rule, found } => {
            format!(
                "{head} {level:<10} NOT TIMED, the results disagree: expected {rule}, found {found}"
            )
        }
        Outcome::NotRun { reason } => format!("{head} not run: {reason}"),
    }
}

/// The heads of the columns of [`line()`].
#[must_use]
pub fn heads() -> String {
    format!(
        "{:<54} {:<9} {:<14} {:<10} {:>24}  {:>24}  {:>6} {:<13}  results",
        "model",
        "numbers",
        "peer",
        "level",
        "ours, ms (quartiles)",
        "peer, ms (quartiles)",
        "ratio",
        "(quartiles)"
    )
}

fn race_text(race: &Race) -> String {
    let ratios = &race.round_ratios;
    format!(
        "{:>24}  {:>24}  {:>6.2} {:<13}",
        milliseconds(&race.ours.milliseconds),
        milliseconds(&race.theirs.milliseconds),
        race.ratio,
        format!("({:.2}-{:.2})", ratios.lower_quartile, ratios.upper_quartile),
    )
}

/// What a second thread is worth, as a line of text.
#[must_use]
pub fn scaling_line(scaling: &Scaling) -> String {
    format!(
        "{:<54} {:<16} {:<8} one {}, two {}: {:.2} times",
        scaling.model,
        scaling.engine,
        scaling.second.name(),
        milliseconds(&scaling.race.theirs.milliseconds),
        milliseconds(&scaling.race.ours.milliseconds),
        scaling.race.ratio
    )
}

/// How long a model takes to load, as two lines of text.
#[must_use]
pub fn loading_lines(loading: &Loading) -> String {
    let Loading { model, ready, first_result, .. } = loading;
    format!(
        "{model:<54} session      {}\n{model:<54} first result {}",
        race_text(ready),
        race_text(first_result)
    )
}

/// How long preprocessing takes, as a line of text.
#[must_use]
pub fn preprocessing_line(one: &Preprocessing) -> String {
    format!(
        "{}: ours {} ms; its call {} ms, with a frame of the model's size {} ms, difference {:.3} \
         ms: ratio {:.1}",
        one.peer,
        milliseconds(&one.ours.milliseconds),
        milliseconds(&one.call.milliseconds),
        milliseconds(&one.model_sized_call.milliseconds),
        one.theirs_milliseconds,
        one.ratio
    )
}

/// A peer that was compared with.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct PeerVersion {
    /// The name by which users choose it.
    pub name: String,
    /// The version, as it tells it.
    pub version: String,
}

/// The times of preprocessing a [`FRAME`](crate::large_frame::FRAME).
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Preprocessing {
    /// The package.
    pub peer: String,
    /// Our plan in the package's mode.
    pub ours: Times,
    /// The package's whole call with the frame.
    pub call: Times,
    /// The package's whole call with a frame of the model's size: the call and the model.
    pub model_sized_call: Times,
    /// What the frame's size adds to the package's call, in milliseconds: the difference of the
    /// medians.
    pub theirs_milliseconds: f64,
    /// That over the median of ours: above 1 where we are faster.
    pub ratio: f64,
}

/// Everything that a run found.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Report {
    /// What it was measured on.
    pub stamp: Stamp,
    /// Threads inside one inference.
    pub threads: usize,
    /// The peers.
    pub peers: Vec<PeerVersion>,
    /// The comparisons, in the order in which they were made.
    pub comparisons: Vec<Comparison>,
    /// The means of their ratios.
    pub means: Vec<GroupMean>,
    /// What a second thread is worth.
    pub scaling: Vec<Scaling>,
    /// How long models take to load.
    pub loading: Vec<Loading>,
    /// How long a large frame takes to become the pixels of a model.
    pub preprocessing: Vec<Preprocessing>,
    /// The peak resident size of comparing two photographs with the bundled model, in bytes.
    pub peak_resident_bytes: Option<u64>,
}

impl Report {
    /// A report without measurements.
    #[must_use]
    pub fn new(stamp: Stamp, threads: usize) -> Self {
        Self {
            stamp,
            threads,
            peers: Vec::new(),
            comparisons: Vec::new(),
            means: Vec::new(),
            scaling: Vec::new(),
            loading: Vec::new(),
            preprocessing: Vec::new(),
            peak_resident_bytes: None,
        }
    }

    /// The means as text, a line each.
    #[must_use]
    pub fn means_text(&self) -> String {
        let mut text = String::new();
        for mean in &self.means {
            let GroupMean { peer, level, group, models, geometric_mean, least, least_model } = mean;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{peer}/ours ({level}), {group}, {models} models: geometric mean \
                 {geometric_mean:.2}, least {least:.2} ({least_model})"
            );
        }
        text
    }

    /// The report as Markdown: what it was taken on, and a table for each kind of measurement that
    /// was made.
    #[must_use]
    pub fn markdown(&self) -> String {
        let stamp = &self.stamp;
        let mut text = format!(
            "Taken on {}, {} cores, governor {}, {}, load {} when it began; levels {}; {}; commit \
             {}; threads inside one inference: {}.\n",
            stamp.processor,
            stamp.cores,
            stamp.governor,
            stamp.system,
            stamp.load,
            stamp.levels.join(", "),
            stamp.compiler,
            stamp.commit,
            self.threads
        );
        for peer in &self.peers {
            text += &format!("`{}` is {}. ", peer.name, peer.version);
        }
        if !self.peers.is_empty() {
            text += "\n";
        }
        let timed: Vec<Vec<String>> = self.comparisons.iter().filter_map(timed_row).collect();
        text +=
            &table(&["model", "peer", "level", "ours, ms", "peer, ms", "ratio", "results"], &timed);
        let means: Vec<Vec<String>> = self
            .means
            .iter()
            .map(|mean| {
                vec![
                    mean.peer.clone(),
                    mean.level.clone(),
                    mean.group.to_owned(),
                    mean.models.to_string(),
                    format!("{:.2}", mean.geometric_mean),
                    format!("{:.2} ({})", mean.least, mean.least_model),
                ]
            })
            .collect();
        text += &table(&["peer", "level", "models", "count", "geometric mean", "least"], &means);
        let untimed: Vec<Vec<String>> = self.comparisons.iter().filter_map(untimed_row).collect();
        text += &table(&["model", "peer", "not timed because"], &untimed);
        let scaling: Vec<Vec<String>> = self
            .scaling
            .iter()
            .map(|scaling| {
                vec![
                    scaling.model.clone(),
                    scaling.engine.clone(),
                    scaling.second.name().to_owned(),
                    milliseconds(&scaling.race.theirs.milliseconds),
                    milliseconds(&scaling.race.ours.milliseconds),
                    format!("{:.2}", scaling.race.ratio),
                ]
            })
            .collect();
        text +=
            &table(&["model", "engine", "second", "one, ms", "two, ms", "times as fast"], &scaling);
        let loading: Vec<Vec<String>> = self
            .loading
            .iter()
            .flat_map(|loading| {
                [("session", &loading.ready), ("first result", &loading.first_result)].map(
                    |(until, race)| {
                        vec![
                            loading.model.clone(),
                            loading.peer.clone(),
                            until.to_owned(),
                            milliseconds(&race.ours.milliseconds),
                            milliseconds(&race.theirs.milliseconds),
                            format!("{:.2}", race.ratio),
                        ]
                    },
                )
            })
            .collect();
        text +=
            &table(&["model", "peer", "loaded until", "ours, ms", "peer, ms", "ratio"], &loading);
        let preprocessing: Vec<Vec<String>> = self
            .preprocessing
            .iter()
            .map(|one| {
                vec![
                    one.peer.clone(),
                    milliseconds(&one.ours.milliseconds),
                    milliseconds(&one.call.milliseconds),
                    milliseconds(&one.model_sized_call.milliseconds),
                    format!("{:.3}", one.theirs_milliseconds),
                    format!("{:.1}", one.ratio),
                ]
            })
            .collect();
        let heads = [
            "package",
            "our preprocessing, ms",
            "its call, ms",
            "its call with a frame of the model's size, ms",
            "difference, ms",
            "ratio",
        ];
        text += &table(&heads, &preprocessing);
        if let Some(bytes) = self.peak_resident_bytes {
            text +=
                &format!("\nPeak resident size of `imgembed compare`: {} MiB.\n", mebibytes(bytes));
        }
        text
    }

    /// How many comparisons found results that disagree.
    #[must_use]
    pub fn disagreements(&self) -> usize {
        let disagrees =
            |comparison: &&Comparison| matches!(comparison.outcome, Outcome::Disagrees { .. });
        self.comparisons.iter().filter(disagrees).count()
    }
}

fn timed_row(comparison: &Comparison) -> Option<Vec<String>> {
    let Outcome::Timed { level, likeness, race, .. } = &comparison.outcome else { return None };
    let ratios = &race.round_ratios;
    Some(vec![
        comparison.subject.model.clone(),
        comparison.subject.peer.clone(),
        level.clone(),
        milliseconds(&race.ours.milliseconds),
        milliseconds(&race.theirs.milliseconds),
        format!("{:.2} ({:.2}-{:.2})", race.ratio, ratios.lower_quartile, ratios.upper_quartile),
        likeness.to_string(),
    ])
}

fn untimed_row(comparison: &Comparison) -> Option<Vec<String>> {
    let reason = match &comparison.outcome {
        Outcome::Timed { .. } => return None,
        Outcome::Disagrees { rule, found, .. } => {
            format!("the results disagree: expected {rule}, found {found}")
        }
        Outcome::NotRun { reason } => reason.clone(),
    };
    Some(vec![comparison.subject.model.clone(), comparison.subject.peer.clone(), reason])
}

/// The median with the quartiles.
fn milliseconds(summary: &Summary) -> String {
    let Summary { median, lower_quartile, upper_quartile, .. } = summary;
    format!("{median:.3} ({lower_quartile:.3}-{upper_quartile:.3})")
}

/// As mebibytes, with one decimal.
#[must_use]
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// A table with a blank line before it, or nothing if it has no rows.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    // A bar in a cell would end it.
    let escaped = |cells: &Vec<String>| cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    let rule = vec!["---".to_owned(); heads.len()];
    let mut text = "\n".to_owned() + &row(heads) + &row(rule);
    for cells in rows {
        text += &row(escaped(cells));
    }
    text
}

/// The command whose part of a document has the tables of a report.
pub const COMMAND: &str = "cargo xtask bench --peers --markdown";

/// The document with another part generated by the command, which stands between two comments that
/// name it.
///
/// # Errors
///
/// If the document does not have both comments once, in their order.
pub fn replace_generated(document: &str, command: &str, generated: &str) -> Result<String> {
    let [begin, end] = markers(command);
    let parts = document.split_once(&begin).and_then(|(before, rest)| {
        let (old, after) = rest.split_once(&end)?;
        let is_free = |part: &&str| !part.contains(&begin) && !part.contains(&end);
        [before, old, after].iter().all(is_free).then_some((before, after))
    });
    let (before, after) = parts
        .ok_or_else(|| format!("expected the lines {begin} and {end} once each, in this order"))?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", generated.trim()))
}

/// What stands before and after the part of a document that the command generates.
fn markers(command: &str) -> [String; 2] {
    ["begin", "end"].map(|word| format!("<!-- {word}: {command} -->"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{Likeness, Rule};
    use crate::comparison::Subject;

    fn timed(model: &str, numbers: Numbers, peer: &str, times: (f64, f64)) -> Comparison {
        let (ours, theirs) = times;
        Comparison {
            subject: Subject { model: model.to_owned(), numbers, peer: peer.to_owned() },
            outcome: Outcome::Timed {
                level: "scalar".to_owned(),
                rule: Rule::Equal,
                likeness: Likeness::of(&[1.0], &[1.0]).unwrap(),
                race: Race::new(vec![vec![ours * 1e6]], vec![vec![theirs * 1e6]]).unwrap(),
            },
        }
    }

    fn report() -> Report {
        let disagreeing = Comparison {
            outcome: Outcome::Disagrees {
                level: "scalar".to_owned(),
                rule: Rule::Cosine(0.9999),
                found: "1 of 2 differ".to_owned(),
            },
            ..timed("d", Numbers::Float, "one", (1.0, 1.0))
        };
        let refused = Comparison {
            outcome: Outcome::NotRun { reason: "no such operator".to_owned() },
            ..timed("e", Numbers::Float, "one", (1.0, 1.0))
        };
        let comparisons = vec![
            timed("a", Numbers::Quantized, "one", (1.0, 1.0)),
            timed("b", Numbers::Quantized, "one", (1.0, 4.0)),
            timed("a", Numbers::Quantized, "two", (1.0, 5.0)),
            timed("c", Numbers::Float, "one", (2.0, 1.0)),
            timed("f", Numbers::DynamicRange, "one", (1.0, 2.0)),
            disagreeing,
            refused,
        ];
        Report {
            means: group_means(&comparisons),
            comparisons,
            peak_resident_bytes: Some(22 << 20),
            ..Report::new(Stamp::read(), 1)
        }
    }

    #[test]
    fn means_are_per_peer_and_group_of_what_was_timed() {
        let means = report().means;
        let found: Vec<_> = means
            .iter()
            .map(|mean| {
                (mean.peer.as_str(), mean.group, mean.models, mean.least, mean.least_model.as_str())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("one", "quantised", 2, 1.0, "a"),
                ("two", "quantised", 1, 5.0, "a"),
                ("one", "float", 2, 0.5, "c"),
            ]
        );
        assert!((means[0].geometric_mean - 2.0).abs() < 1e-12);
        assert!((means[2].geometric_mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn lines_say_what_happened() {
        let report = report();
        let lines: Vec<String> = report.comparisons.iter().map(line).collect();
        assert!(lines[1].contains("1.000 (1.000-1.000)"), "{}", lines[1]);
        assert!(lines[1].contains("4.00 (4.00-4.00)"), "{}", lines[1]);
        assert!(lines[1].ends_with("equal"), "{}", lines[1]);
        assert!(lines[5].contains("NOT TIMED"), "{}", lines[5]);
        assert!(lines[5].contains("expected cosine at least 0.9999, found 1 of 2"), "{}", lines[5]);
        assert!(lines[6].ends_with("not run: no such operator"), "{}", lines[6]);
        assert_eq!(report.disagreements(), 1);
        let means = report.means_text();
        assert!(
            means.contains(
                "one/ours (scalar), quantised, 2 models: geometric mean 2.00, least 1.00 (a)"
            ),
            "{means}"
        );
    }

    #[test]
    fn json_keeps_every_time() {
        let json = serde_json::to_value(report()).unwrap();
        let first = &json["comparisons"][1];
        assert_eq!(first["model"], "b");
        assert_eq!(first["numbers"], "quantized");
        assert_eq!(first["outcome"], "timed");
        assert_eq!(first["theirs"]["nanoseconds"][0][0], 4e6);
        assert_eq!(first["ratio"], 4.0);
        assert_eq!(json["comparisons"][5]["rule"]["cosine"], 0.9999);
        assert_eq!(json["means"][0]["geometric_mean"], 2.0);
    }

    #[test]
    fn markdown_has_a_table_for_what_was_measured() {
        let text = report().markdown();
        let row = "| b | one | scalar | 1.000 (1.000-1.000) | 4.000 (4.000-4.000) | \
                   4.00 (4.00-4.00) | equal |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| one | scalar | quantised | 2 | 2.00 | 1.00 (a) |\n"), "{text}");
        assert!(text.contains("| e | one | no such operator |\n"), "{text}");
        assert!(text.contains("compare`: 22.0 MiB"), "{text}");
        assert!(!text.contains("times as fast"), "{text}");
        assert_eq!(table(&["a"], &[vec!["x|y".to_owned()]]), "\n| a |\n| --- |\n| x\\|y |\n");
    }

    #[test]
    fn the_generated_part_of_a_document_is_replaced() {
        let command = "cargo xtask novelty";
        let [begin, end] = markers(command);
        let other = "<!-- begin: cargo xtask other -->";
        let document = format!("# A\n{other}\n{begin}\nold\n{end}\n\n# B\n");
        let expected = format!("# A\n{other}\n{begin}\nnew\n{end}\n\n# B\n");
        assert_eq!(replace_generated(&document, command, "\nnew\n").unwrap(), expected);
        for broken in ["", &begin, &format!("{end}{begin}"), &format!("{document}{document}")] {
            assert!(replace_generated(broken, command, "new").is_err(), "{broken}");
        }
    }
}
