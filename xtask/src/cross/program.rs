//! The program on every target, which must print the same digits everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::debian::remove;
use super::target::{CLibrary, Processor, Runner};
use super::{Cross, Prepared, environment, progress, run, target};
use crate::failure::{Context, Failure};
use crate::{process, workspace};

/// The photographs to compare.
const PHOTOGRAPHS: [&str; 2] = ["cat_left.jpg", "cat_right.jpg"];

/// What the last line of `imgembed compare` begins with.
const RESULT: &str = "Cosine similarity: ";

/// The digits that follow.
const SIMILARITY: &str = "0.967307";

/// What a static program, its model included, has to stay below.
const STATIC_BYTES: u64 = 10_000_000;

/// Builds the program for the target with a profile of cargo's, and compares two photographs with
/// it on each of the target's processors; one that is linked statically runs without other files.
pub(super) fn check_on(triple: &str, profile: &str) -> Result<(), Failure> {
    run(&Cross { profile: Some(profile.to_owned()), ..Cross::of(triple) })?;
    check_built(triple, profile)
}

/// Compares two photographs with the program that is there already.
pub(super) fn check_built(triple: &str, profile: &str) -> Result<(), Failure> {
    let build = Cross { profile: Some(profile.to_owned()), ..Cross::of(triple) };
    let target = target(&build)?;
    let prepared = Prepared::new(&Cross { run: true, ..build.clone() }, target)?;
    let program = prepared.program(&build);
    match &target.runner {
        Runner::Qemu { program: emulator, processors, .. } => {
            for processor in *processors {
                let command = emulated(&prepared, emulator, processor, &program)?;
                check(command, &photographs(), processor.name)?;
            }
        }
        Runner::Directly => {
            let folder = prepared.target_folder.join("empty");
            check(alone(&program, &folder)?, &PHOTOGRAPHS.map(PathBuf::from), "an empty folder")?;
        }
        Runner::Node => {
            let mut command = Command::new("node");
            command.arg("--no-warnings").args(&prepared.wasi).arg(&program);
            check(command, &photographs(), "Node.js")?;
        }
        Runner::None => {
            return Err(Failure::new(format!("nothing runs programs for {triple}")));
        }
    }
    if matches!(target.c_library, CLibrary::Musl { .. }) {
        let size = fs::metadata(&program)
            .context(|| format!("cannot inspect {}", program.display()))?
            .len();
        if size >= STATIC_BYTES {
            return Err(Failure::new(format!(
                "{} has {size} bytes, expected less than {STATIC_BYTES}",
                program.display()
            )));
        }
    }
    Ok(())
}

/// The program in the emulator.
fn emulated(
    prepared: &Prepared,
    emulator: &str,
    processor: &Processor,
    program: &Path,
) -> Result<Command, Failure> {
    let files = prepared.emulated(Some(processor))?;
    let mut command = Command::new(emulator);
    command.arg(program).envs(environment::variables(
        prepared.target,
        &prepared.toolchain.tools,
        files.as_deref().map(|files| (processor, files)),
    ));
    Ok(command)
}

/// The program in `folder` as its root, where there is nothing else but the photographs.
fn alone(program: &Path, folder: &Path) -> Result<Command, Failure> {
    remove(folder)?;
    fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
    let copy = |from: &Path, name: &str| {
        fs::copy(from, folder.join(name))
            .map(|_| ())
            .context(|| format!("cannot copy {}", from.display()))
    };
    copy(program, "imgembed")?;
    for (path, name) in photographs().iter().zip(PHOTOGRAPHS) {
        copy(path, name)?;
    }
    let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if is_root {
        Command::new("chroot")
    } else {
        // Others may change the root folder in a name space of their own.
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
        command
    };
    command.arg(folder).arg("/imgembed");
    Ok(command)
}

/// Where the photographs lie on this machine.
pub(super) fn photographs() -> [PathBuf; 2] {
    PHOTOGRAPHS.map(|name| workspace::root().join("fixtures/images").join(name))
}

/// Compares the photographs with `program`; the printed digits must be the known ones.
pub(super) fn check(
    mut program: Command,
    photographs: &[PathBuf; 2],
    place: &str,
) -> Result<(), Failure> {
    program.arg("compare").args(photographs).stdin(Stdio::null());
    let found = similarity(&process::output(&mut program)?)?;
    progress(&format!("imgembed compare on {place}: {found}"));
    if found == SIMILARITY {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "imgembed compare on {place}: {RESULT}{found}, expected {SIMILARITY} as everywhere"
        )))
    }
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

    #[test]
    fn other_digits_are_refused() {
        let print = |digits: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo '{RESULT}{digits}'")]);
            check(command, &photographs(), "a test")
        };
        print(SIMILARITY).unwrap();
        let failure = print("0.967308").unwrap_err().to_string();
        assert!(failure.contains("0.967308, expected 0.967307"), "{failure}");
    }

    #[test]
    fn the_program_is_alone_with_the_photographs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "").unwrap();
        let root = folder.path().join("root");
        // Twice: what the first call left behind is gone.
        for _ in 0..2 {
            alone(&program, &root).unwrap();
            fs::write(root.join("left"), "").unwrap();
        }
        fs::remove_file(root.join("left")).unwrap();
        let mut names: Vec<_> = fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["cat_left.jpg", "cat_right.jpg", "imgembed"]);
    }
}
