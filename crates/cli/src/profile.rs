//! The command `profile`.

use std::io::Write;
use std::time::Duration;

use image_embedder::backend::CompileOptions;
use image_embedder::native::{Profile, StepProfile};
use serde::Serialize;

use crate::arguments::ProfileArguments;
use crate::embed::print_json;
use crate::failure::Failure;
use crate::load;

/// Everything that is printed.
#[derive(Serialize)]
struct Report {
    model: String,
    simd_level: &'static str,
    numeric_mode: &'static str,
    threads: usize,
    runs: usize,
    milliseconds: f64,
    multiply_adds: u64,
    gigamacs_per_second: f64,
    peak: PeakReport,
    steps: Vec<StepReport>,
}

/// What one thread can do at most.
#[derive(Serialize)]
struct PeakReport {
    float32_gigamacs_per_second: f64,
    byte_gigamacs_per_second: f64,
    source: &'static str,
}

#[derive(Serialize)]
struct StepReport {
    operator: String,
    tensor: String,
    input_shapes: Vec<Vec<usize>>,
    output_shape: Vec<usize>,
    milliseconds: f64,
    share_of_time: f64,
    multiply_adds: u64,
    /// Absent for steps without products.
    gigamacs_per_second: Option<f64>,
    /// Absent for steps without products.
    share_of_peak: Option<f64>,
}

/// Prints how long each step of a model takes.
pub(crate) fn run(arguments: &ProfileArguments, output: &mut impl Write) -> Result<(), Failure> {
    let model = load::model(arguments.model.as_deref())?;
    let options = CompileOptions::with_num_threads(arguments.threads.get());
    let backend = arguments.native.backend();
    let profile =
        backend.profile(model.data, &options, arguments.runs.get()).map_err(Failure::Backend)?;
    let numeric_mode = arguments.native.numeric_mode.name();
    let report = Report::new(model.name, numeric_mode, &profile);
    if arguments.json { print_json(&report, output) } else { report.print(output) }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A shape as `1x224x224x3`.
fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("x") }
}

impl Report {
    fn new(model: String, numeric_mode: &'static str, profile: &Profile) -> Self {
        let multiply_adds = profile.steps.iter().map(|step| step.multiply_adds).sum();
        let total = milliseconds(profile.total);
        let sum: f64 = profile.steps.iter().map(|step| milliseconds(step.time)).sum();
        Self {
            model,
            simd_level: profile.level.name(),
            numeric_mode,
            threads: profile.threads,
            runs: profile.runs,
            milliseconds: total,
            multiply_adds,
            gigamacs_per_second: if total > 0.0 {
                multiply_adds as f64 / total * 1e-6
            } else {
                0.0
            },
            peak: PeakReport {
                float32_gigamacs_per_second: profile.peak.float32,
                byte_gigamacs_per_second: profile.peak.bytes,
                source: "measured: the engine's own product of matrices in the first-level cache, \
                         one thread",
            },
            steps: profile.steps.iter().map(|step| StepReport::new(step, sum)).collect(),
        }
    }

    fn print(&self, output: &mut impl Write) -> Result<(), Failure> {
        writeln!(output, "model: {}", self.model)?;
        writeln!(
            output,
            "level: {}, numeric mode: {}, threads: {}, median of {} runs",
            self.simd_level, self.numeric_mode, self.threads, self.runs
        )?;
        writeln!(
            output,
            "peak of one thread (products in the first-level cache, measured): {:.1} GMAC/s of \
             floats, {:.1} of bytes",
            self.peak.float32_gigamacs_per_second, self.peak.byte_gigamacs_per_second
        )?;
        let header = ["operator", "input", "output", "ms", "%", "MMAC", "GMAC/s", "% of peak"];
        let rows: Vec<[String; 8]> = self.steps.iter().map(StepReport::cells).collect();
        let mut widths = header.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let mut line = |cells: &[String; 8]| {
            // Names to the left, numbers to the right.
            let cells = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(&header.map(str::to_owned))?;
        for row in &rows {
            line(row)?;
        }
        writeln!(
            output,
            "total: {:.3} ms, {:.1} MMAC, {:.1} GMAC/s",
            self.milliseconds,
            self.multiply_adds as f64 * 1e-6,
            self.gigamacs_per_second
        )?;
        Ok(())
    }
}

impl StepReport {
    fn new(step: &StepProfile, sum: f64) -> Self {
        let milliseconds = milliseconds(step.time);
        Self {
            operator: step.operator.clone(),
            tensor: step.tensor.clone(),
            input_shapes: step.input_shapes.clone(),
            output_shape: step.output_shape.clone(),
            milliseconds,
            share_of_time: if sum > 0.0 { milliseconds / sum } else { 0.0 },
            multiply_adds: step.multiply_adds,
            gigamacs_per_second: step.share_of_peak.map(|_| step.gigamacs_per_second()),
            share_of_peak: step.share_of_peak,
        }
    }

    /// The cells of a line of the table.
    fn cells(&self) -> [String; 8] {
        let inputs: Vec<String> = self.input_shapes.iter().map(|shape| shape_text(shape)).collect();
        let number =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
        let has_products = self.multiply_adds > 0;
        [
            self.operator.clone(),
            inputs.join(" "),
            shape_text(&self.output_shape),
            format!("{:.3}", self.milliseconds),
            format!("{:.1}", self.share_of_time * 100.0),
            number(has_products.then_some(self.multiply_adds as f64 * 1e-6)),
            number(self.gigamacs_per_second),
            number(self.share_of_peak.map(|share| share * 100.0)),
        ]
    }
}
