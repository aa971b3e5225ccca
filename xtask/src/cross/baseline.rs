//! The program on emulated x86-64 processors that lack what this machine has.

use std::process::Command;

use super::target::{Requirement, requirement};
use super::{apt, program, progress, selection};
use crate::failure::Failure;
use crate::{process, workspace};

/// QEMU's processors, each with what it is here to show.
const PROCESSORS: [(&str, &str); 2] =
    [("qemu64", "no AVX: the portable code"), ("Haswell", "AVX2 without AVX-512")];

const EMULATOR: Requirement = requirement("qemu-x86_64", "qemu-user");

/// Compares two photographs on this machine and on each emulated processor.
pub(crate) fn run() -> Result<(), Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Failure::new("this job emulates x86-64 processors on an x86-64 machine"));
    }
    apt::install(&apt::missing([&EMULATOR], apt::is_there))?;
    process::run(&mut process::cargo(&["build", "--package", selection::PROGRAM]))?;
    let imgembed = workspace::target_folder().join("debug/imgembed");
    program::check(Command::new(&imgembed), &program::photographs(), "this machine")?;
    for (processor, purpose) in PROCESSORS {
        progress(&format!("processor {processor}: {purpose}"));
        let mut emulated = Command::new(EMULATOR.evidence);
        emulated.args(["-cpu", processor]).arg(&imgembed);
        program::check(emulated, &program::photographs(), processor)?;
    }
    Ok(())
}
