//! The files that a program in the emulator sees in place of this machine's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::apt::write;
use super::target::Processor;
use crate::failure::{Context, Failure};

/// Lays out the files for programs on `processor` in `folder`, and returns where.
///
/// QEMU opens a file below this folder, where there is one, in place of the one that the program
/// asked for: the target's libraries, and a description of the emulated processor. Without the
/// latter a program reads what this machine's kernel says of this machine's processor, and libraries
/// that choose their code by it choose wrongly or crash.
pub(super) fn lay_out(
    folder: &Path,
    libraries: Option<&str>,
    processor: &Processor,
) -> Result<PathBuf, Failure> {
    let folder = folder.join(processor.name);
    let kernel = folder.join("proc");
    fs::create_dir_all(&kernel).context(|| format!("cannot create {}", kernel.display()))?;
    write(&kernel.join("cpuinfo"), &description(processor))?;
    if let Some(libraries) = libraries {
        let link = folder.join("lib");
        if fs::read_link(&link).is_ok_and(|target| target == Path::new(libraries)) {
            return Ok(folder);
        }
        symlink(libraries, &link).context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(folder)
}

/// Linux' `/proc/cpuinfo` for one core.
fn description(processor: &Processor) -> String {
    format!(
        "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: {}\nCPU implementer\t: 0x41\n\
         CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {}\nCPU revision\t: 3\n\n",
        processor.features, processor.part
    )
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    #[test]
    fn each_processor_has_its_own_description_and_the_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::named("aarch64-unknown-linux-gnu").unwrap();
        let mut seen = Vec::new();
        for processor in target.processors(&[]).unwrap() {
            let processor = processor.unwrap();
            // Twice: a second call finds everything there.
            for _ in 0..2 {
                let files = lay_out(folder.path(), Some("/usr/lib"), processor).unwrap();
                assert_eq!(files, folder.path().join(processor.name));
                assert_eq!(fs::read_link(files.join("lib")).unwrap(), Path::new("/usr/lib"));
                seen.push(fs::read_to_string(files.join("proc/cpuinfo")).unwrap());
            }
        }
        assert_eq!(seen.len(), 4);
        assert!(seen[0].contains(" asimddp\n"), "{}", seen[0]);
        assert!(seen[2].contains("CPU part\t: 0xd08\n"), "{}", seen[2]);
        assert!(!seen[2].contains("asimddp"), "{}", seen[2]);
    }
}
