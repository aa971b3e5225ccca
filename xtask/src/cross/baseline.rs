//! The program on emulated x86-64 processors that lack what this machine has.

use std::path::Path;
use std::process::{Command, Stdio};

use super::target::{Requirement, requirement};
use super::{apt, progress, selection};
use crate::failure::Failure;
use crate::{process, workspace};

/// QEMU's processors, each with what it is here to show.
const PROCESSORS: [(&str, &str); 2] =
    [("qemu64", "no AVX: the portable code"), ("Haswell", "AVX2 without AVX-512")];

const EMULATOR: Requirement = requirement("qemu-x86_64", "qemu-user");

/// What the last line of `imgembed compare` begins with.
const RESULT: &str = "Cosine similarity: ";

/// Compares two photographs on this machine and on each emulated processor; the printed digits must
/// be the same.
pub(crate) fn run() -> Result<(), Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Failure::new("this job emulates x86-64 processors on an x86-64 machine"));
    }
    apt::install(&apt::missing([&EMULATOR], apt::is_there))?;
    process::run(&mut process::cargo(&["build", "--package", selection::PROGRAM]))?;
    let program = workspace::target_folder().join("debug/imgembed");
    let expected = result(Command::new(&program))?;
    println!("this machine: {expected}");
    for (processor, purpose) in PROCESSORS {
        progress(&format!("processor {processor}: {purpose}"));
        let mut emulated = Command::new(EMULATOR.evidence);
        emulated.args(["-cpu", processor]).arg(&program);
        let found = result(emulated)?;
        println!("{processor}: {found}");
        if found != expected {
            return Err(Failure::new(format!(
                "on {processor}: {RESULT}{found}, expected {expected} as on this machine"
            )));
        }
    }
    Ok(())
}

/// The digits that `program compare` prints for two photographs.
fn result(mut program: Command) -> Result<String, Failure> {
    let photographs = Path::new("fixtures/images");
    program
        .arg("compare")
        .args(["cat_left.jpg", "cat_right.jpg"].map(|name| photographs.join(name)))
        .current_dir(workspace::root())
        .stdin(Stdio::null());
    similarity(&process::output(&mut program)?)
}

/// The digits in what `compare` printed.
fn similarity(printed: &str) -> Result<String, Failure> {
    printed
        .lines()
        .last()
        .and_then(|line| line.strip_prefix(RESULT))
        .filter(|digits| digits.parse::<f64>().is_ok())
        .map(ToOwned::to_owned)
        .ok_or_else(|| Failure::new(format!("expected a last line {RESULT:?}, found: {printed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_read_from_the_last_line() {
        let printed = "left: cat\nCosine similarity: 0.967307\n";
        assert_eq!(similarity(printed).unwrap(), "0.967307");
        for wrong in ["", "Cosine similarity: NaN things\n", "Cosine similarity: 0.9\nmore\n"] {
            let failure = similarity(wrong).unwrap_err().to_string();
            assert!(failure.contains("expected a last line"), "{failure}");
        }
    }
}
