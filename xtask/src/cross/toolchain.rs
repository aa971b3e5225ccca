//! Which Rust compiler builds for a target: the installed one if it can, otherwise Debian's.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::debian::{Debian, remove};
use super::environment::{self, Tools};
use super::progress;
use super::target::{CLibrary, Linker, Target};
use super::{apt, wasi};
use crate::failure::{Context, Failure};
use crate::process;

/// A compiler that can build for the target.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// What cargo must be told.
    pub(super) tools: Tools,
    /// Differs from that of every other compiler or standard library.
    pub(super) identity: String,
}

impl Toolchain {
    /// The compiler for `target`; Debian's is brought into `folder`.
    pub(super) fn prepare(
        target: &Target,
        folder: &Path,
        use_rustup: bool,
    ) -> Result<Self, Failure> {
        if use_rustup {
            process::run(
                Command::new("rustup").args(["target", "add", target.triple]).stdin(Stdio::null()),
            )?;
        }
        if let Some(identity) = installed(target)? {
            let linker = match target.linker {
                Linker::Compiler(program) => Some(program.to_owned()),
                // rustup's standard library comes with its own.
                Linker::WasmLd | Linker::None => None,
            };
            return Ok(Self { tools: Tools { linker, ..Tools::default() }, identity });
        }
        if use_rustup {
            return Err(Failure::new(format!(
                "rustup added {}, but the compiler on the path has no standard library for it",
                target.triple
            )));
        }
        Self::from_debian(target, folder)
    }

    fn from_debian(target: &Target, folder: &Path) -> Result<Self, Failure> {
        let debian = Debian::prepare(folder)?;
        let identity = debian.standard_library(target)?;
        let mut flags = Vec::new();
        let linker = match target.linker {
            Linker::Compiler(program) => Some(program.to_owned()),
            Linker::WasmLd => {
                let linker = debian.wasm_linker();
                if !apt::is_there(&linker) {
                    apt::install(&[linker.replace("wasm-ld", "lld")])?;
                }
                Some(linker)
            }
            Linker::None => None,
        };
        if target.c_library == CLibrary::Wasi {
            let start_files = debian.library(target).join("self-contained");
            let object = wasi::thread_functions(&start_files);
            flags.push(format!("-Clink-arg={}", object.display()));
        }
        Ok(Self {
            tools: Tools {
                compiler: Some([debian.rustc().into(), debian.rustdoc().into()]),
                linker,
                flags,
            },
            identity,
        })
    }

    /// Empties `target_folder` if it was filled by another compiler or standard library: cargo sees
    /// that the compiler's version changed, but not that its standard library did.
    pub(super) fn claim(&self, target_folder: &Path) -> Result<(), Failure> {
        let record = target_folder.join("toolchain.txt");
        if fs::read_to_string(&record).is_ok_and(|known| known == self.identity) {
            return Ok(());
        }
        if target_folder.exists() {
            progress("another toolchain built last; removing what it built");
            remove(target_folder)?;
        }
        fs::create_dir_all(target_folder)
            .context(|| format!("cannot create {}", target_folder.display()))?;
        apt::write(&record, &self.identity)
    }
}

/// The identity of the installed compiler if it has the standard library for `target`.
fn installed(target: &Target) -> Result<Option<String>, Failure> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&compiler);
        command.args(arguments).stdin(Stdio::null());
        environment::isolate(&mut command);
        process::output(&mut command)
    };
    let folder = ask(&["--print", "target-libdir", "--target", target.triple])?;
    if has_standard_library(&PathBuf::from(folder.trim())) {
        Ok(Some(ask(&["-vV"])?))
    } else {
        Ok(None)
    }
}

/// Whether `folder` has a compiled standard library.
fn has_standard_library(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_library_is_seen_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_standard_library(folder.path()));
        assert!(!has_standard_library(&folder.path().join("absent")));
        fs::write(folder.path().join("libcore-1.rlib"), "").unwrap();
        assert!(!has_standard_library(folder.path()));
        fs::write(folder.path().join("libstd-1.rlib"), "").unwrap();
        assert!(has_standard_library(folder.path()));
    }

    #[test]
    fn what_another_toolchain_built_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target_folder = folder.path().join("cross/t");
        let toolchain =
            |identity: &str| Toolchain { tools: Tools::default(), identity: identity.to_owned() };
        let built = target_folder.join("built");
        toolchain("a").claim(&target_folder).unwrap();
        fs::write(&built, "").unwrap();
        toolchain("a").claim(&target_folder).unwrap();
        assert!(built.exists());
        toolchain("b").claim(&target_folder).unwrap();
        assert!(!built.exists());
        // A folder of unknown origin is not trusted either.
        fs::write(&built, "").unwrap();
        fs::remove_file(target_folder.join("toolchain.txt")).unwrap();
        toolchain("b").claim(&target_folder).unwrap();
        assert!(!built.exists());
    }
}
