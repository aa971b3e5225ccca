//! What a measurement was taken on, without which its figures mean nothing.

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use image_embedder_backend_native::SimdLevel;
use image_embedder_test_support::workspace_root;
use serde::Serialize;

/// The machine, the compiler and the commit of a measurement.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Stamp {
    /// The processor's name, as the system tells it.
    pub processor: String,
    /// How many processors this process may use.
    pub cores: usize,
    /// What chooses the clock frequency, or `unknown` where that cannot be read.
    pub governor: String,
    /// The instruction-set levels of the native engine that the processor has, best first.
    pub levels: Vec<String>,
    /// Architecture and system.
    pub system: String,
    /// The load of the machine over the last minute when the measurement began.
    pub load: String,
    /// The compiler's version.
    pub compiler: String,
    /// Whether this program was built for speed.
    pub optimized: bool,
    /// The commit, with `modified` if files differ from it.
    pub commit: String,
}

impl Stamp {
    /// The stamp of this machine and checkout.
    #[must_use]
    pub fn read() -> Self {
        let levels = SimdLevel::available();
        Self {
            processor: processor(&read_text("/proc/cpuinfo")),
            cores: thread::available_parallelism().map_or(1, usize::from),
            governor: or_unknown(
                read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").trim(),
            ),
            levels: levels.iter().rev().map(ToString::to_string).collect(),
            system: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            load: or_unknown(
                read_text("/proc/loadavg").split_whitespace().next().unwrap_or_default(),
            ),
            compiler: or_unknown(&printed("rustc", &["--version"])),
            optimized: !cfg!(debug_assertions),
            commit: commit(),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "machine   {}, {} cores, governor {}, {}, load {}",
            self.processor, self.cores, self.governor, self.system, self.load
        )?;
        writeln!(formatter, "levels    {}", self.levels.join(", "))?;
        writeln!(
            formatter,
            "compiler  {}{}",
            self.compiler,
            if self.optimized { "" } else { ", WITHOUT OPTIMISATION: the times mean nothing" }
        )?;
        write!(formatter, "commit    {}", self.commit)
    }
}

/// The processor's name in the text of `/proc/cpuinfo`.
///
/// ARM systems give numbers instead of a name: the implementer and the part.
fn processor(cpuinfo: &str) -> String {
    let field = |wanted: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == wanted).then(|| value.trim())
        })
    };
    match (field("model name"), field("CPU implementer"), field("CPU part")) {
        (Some(name), ..) => match (field("cpu family"), field("model")) {
            (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
            _ => name.to_owned(),
        },
        (None, Some(implementer), Some(part)) => {
            format!("implementer {implementer}, part {part}")
        }
        _ => "unknown".to_owned(),
    }
}

fn commit() -> String {
    let commit = printed("git", &["rev-parse", "--short", "HEAD"]);
    if commit.is_empty() {
        return "unknown".to_owned();
    }
    let changes = printed("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changes.is_empty() { commit } else { commit + ", modified" }
}

/// What the program prints when it is run at the root of the workspace, or nothing if it fails.
fn printed(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .current_dir(workspace_root())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// The text of a file, or nothing if it cannot be read.
fn read_text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named() {
        let x86 = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(x86), "AMD EPYC (family 25, model 1)");
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n";
        assert_eq!(processor(arm), "implementer 0x41, part 0xd0b");
        assert_eq!(processor(""), "unknown");
    }

    #[test]
    fn a_stamp_says_if_the_program_is_slow() {
        let stamp = Stamp::read();
        assert!(stamp.cores >= 1);
        assert_eq!(stamp.levels.last().map(String::as_str), Some("scalar"));
        let text = stamp.to_string();
        assert_eq!(text.contains("WITHOUT OPTIMISATION"), cfg!(debug_assertions), "{text}");
    }
}
