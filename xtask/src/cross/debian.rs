//! Debian's Rust compiler in a folder of its own, with standard libraries for foreign targets.
//!
//! Nothing of it is installed: Debian's package of the compiler excludes rustup's, and a normal
//! build is never to find it. The standard library of a target is the one that Debian compiled, or
//! is compiled here once from Debian's package of its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{self, Apt, write};
use super::environment;
use super::progress;
use super::target::{CLibrary, Target};
use super::{musl, wasi};
use crate::failure::{Context, Failure};
use crate::pin::Pin;
use crate::process;

/// The package of the compiler: the one that Debian keeps current for web browsers.
const COMPILER: &str = "rustc-web";
/// The package of a compiled standard library.
const COMPILED_STD: &str = "libstd-rust-web-dev";
/// The package of the standard library's source.
const STD_SOURCE: &str = "rust-web-src";

/// The unpacked compiler.
#[derive(Debug)]
pub(super) struct Debian {
    folder: PathBuf,
    installed: Installed,
}

/// What is remembered of the unpacked compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Installed {
    /// The version of its packages.
    version: String,
    /// The package of the LLVM library that it is linked with: `libllvm22`.
    llvm: String,
}

impl Installed {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let version = lines.next()?.to_owned();
        let llvm = lines.next()?.to_owned();
        (!version.is_empty() && llvm.starts_with("libllvm")).then_some(Self { version, llvm })
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.version, self.llvm)
    }

    fn llvm_version(&self) -> &str {
        self.llvm.trim_start_matches("libllvm")
    }
}

impl Debian {
    /// The compiler in `folder`, unpacked there if it is not yet.
    pub(super) fn prepare(folder: &Path) -> Result<Self, Failure> {
        let record = folder.join("compiler.txt");
        let installed = fs::read_to_string(&record).ok().and_then(|text| Installed::parse(&text));
        let debian = match installed {
            Some(installed) => Self { folder: folder.to_path_buf(), installed },
            None => {
                let debian = Self::unpack(folder)?;
                write(&record, &debian.installed.text())?;
                debian
            }
        };
        if !apt::is_installed(&debian.installed.llvm) {
            apt::install(std::slice::from_ref(&debian.installed.llvm))?;
        }
        Ok(debian)
    }

    fn unpack(folder: &Path) -> Result<Self, Failure> {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            return Err(Failure::new(
                "Debian's compiler is brought for x86-64 Linux only; with rustup, call again with \
                 --rustup",
            ));
        }
        // What an interrupted call left behind.
        for part in ["root", "source", "std"] {
            remove(&folder.join(part))?;
        }
        let apt = Apt::new(&folder.join("apt"), "amd64")?;
        let version = apt.version(COMPILER)?;
        let runtime = dependency(&apt, COMPILED_STD, &version, "libstd-rust-web-")?;
        let llvm = dependency(&apt, &runtime, &version, "libllvm")?;
        progress(&format!("{COMPILER} {version} with {llvm}"));
        let debian = Self {
            folder: folder.to_path_buf(),
            installed: Installed { version: version.clone(), llvm },
        };
        let root = debian.root();
        for package in [COMPILER, COMPILED_STD, &runtime] {
            apt.unpack(package, Some(&version), &root)?;
        }
        remove(&root.join("usr/share"))?;
        debian.write_launchers()?;
        Ok(debian)
    }

    /// Programs that start the compiler with its own libraries and leave every other program
    /// without them.
    fn write_launchers(&self) -> Result<(), Failure> {
        let folder = self.folder.join("bin");
        fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        for program in ["rustc", "rustdoc"] {
            let path = folder.join(program);
            write(&path, &launcher(program))?;
            process::output(Command::new("chmod").arg("+x").arg(&path))?;
        }
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The compiler.
    pub(super) fn rustc(&self) -> PathBuf {
        self.folder.join("bin/rustc")
    }

    /// The documentation tool, which compiles the examples in documentation.
    pub(super) fn rustdoc(&self) -> PathBuf {
        self.folder.join("bin/rustdoc")
    }

    /// Where the standard library for `target` lies.
    pub(super) fn library(&self, target: &Target) -> PathBuf {
        self.root().join("usr/lib/rustlib").join(target.triple).join("lib")
    }

    /// LLVM's linker for WebAssembly, in the version of the compiler's LLVM.
    pub(super) fn wasm_linker(&self) -> String {
        format!("wasm-ld-{}", self.installed.llvm_version())
    }

    /// The standard library for `target`, brought if it is not there yet; returns what tells it
    /// from any other.
    pub(super) fn standard_library(&self, target: &Target) -> Result<String, Failure> {
        let record = self.folder.join("std").join(target.triple);
        if let Ok(identity) = fs::read_to_string(&record) {
            return Ok(identity);
        }
        let destination = self.library(target);
        remove(&destination)?;
        let origin = match target.packaged_std {
            Some(architecture) if self.unpack_std(architecture)? => {
                format!("{COMPILED_STD}:{architecture}")
            }
            _ => {
                self.build_std(target, &destination)?;
                STD_SOURCE.to_owned()
            }
        };
        match target.c_library {
            CLibrary::Glibc | CLibrary::Android => {}
            CLibrary::Musl { architecture, folder, compiler, archiver } => {
                let apt = Apt::new(&self.folder.join("apt"), architecture)?;
                musl::add(
                    &apt,
                    &self.folder.join("musl").join(architecture),
                    folder,
                    compiler,
                    archiver,
                    &destination.join("self-contained"),
                )?;
            }
            CLibrary::Wasi => wasi::add(&self.rustc(), &destination.join("self-contained"))?,
        }
        let identity = format!(
            "{} {}, std from {origin}\n{}",
            COMPILER,
            self.installed.version,
            contents(&destination)?
        );
        let folder = self.folder.join("std");
        fs::create_dir_all(&folder).context(|| format!("cannot create {}", folder.display()))?;
        write(&record, &identity)?;
        progress(&format!("standard library for {}: {origin}", target.triple));
        Ok(identity)
    }

    /// Unpacks Debian's compiled standard library; returns whether the compiler's version of it is
    /// to be had.
    fn unpack_std(&self, architecture: &str) -> Result<bool, Failure> {
        let apt = Apt::new(&self.folder.join("apt"), architecture)?;
        let version = &self.installed.version;
        match apt.unpack(COMPILED_STD, Some(version), &self.root()) {
            Ok(()) => {
                remove(&self.root().join("usr/share"))?;
                Ok(true)
            }
            Err(failure) => {
                progress(&format!(
                    "no compiled standard library {version} for {architecture}: {failure}"
                ));
                Ok(false)
            }
        }
    }

    /// Compiles the standard library and puts it into `destination`.
    fn build_std(&self, target: &Target, destination: &Path) -> Result<(), Failure> {
        let source = self.std_source()?;
        let build = self.folder.join("std-build");
        remove(&build)?;
        let log = self.folder.join(format!("std-build-{}.log", target.triple));
        progress(&format!(
            "compiling the standard library for {} (one to two minutes)",
            target.triple
        ));
        let mut cargo = process::cargo(&[
            "build",
            "--release",
            "--locked",
            "--target",
            target.triple,
            "--no-default-features",
            "--features",
            "panic-unwind,backtrace",
        ]);
        cargo.current_dir(source.join("sysroot"));
        environment::isolate(&mut cargo);
        cargo
            .env("RUSTC", self.rustc())
            .env("CARGO_TARGET_DIR", &build)
            .env("CARGO_INCREMENTAL", "0")
            // The standard library is written in unstable Rust; only this one build may use it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("__CARGO_DEFAULT_LIB_METADATA", STD_SOURCE)
            // Release builds are optimised across crates, for which the libraries need bitcode.
            .env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes --cap-lints=warn");
        process::run_logged(&mut cargo, &log)?;

        fs::create_dir_all(destination)
            .context(|| format!("cannot create {}", destination.display()))?;
        let compiled = build.join(target.triple).join("release/deps");
        let mut copied = 0;
        for path in files(&compiled)? {
            let name = name(&path);
            let is_library = path.extension().is_some_and(|extension| extension == "rlib");
            if is_library && !name.starts_with("libsysroot-") {
                fs::copy(&path, destination.join(&name))
                    .context(|| format!("cannot copy {}", path.display()))?;
                copied += 1;
            }
        }
        remove(&build)?;
        if copied < 10 {
            return Err(Failure::new(format!(
                "the standard library for {} has {copied} parts, expected at least 10; see {}",
                target.triple,
                log.display()
            )));
        }
        Ok(())
    }

    /// The folder `library` of the compiler's source.
    fn std_source(&self) -> Result<PathBuf, Failure> {
        let library = self.folder.join("source");
        if library.is_dir() {
            return Ok(library);
        }
        let unpacked = self.folder.join("source-package");
        remove(&unpacked)?;
        let apt = Apt::new(&self.folder.join("apt"), "amd64")?;
        apt.unpack(STD_SOURCE, Some(&self.installed.version), &unpacked)?;
        let sources = unpacked.join("usr/src");
        let found = directories(&sources)?
            .into_iter()
            .map(|folder| folder.join("library"))
            .find(|folder| folder.is_dir())
            .ok_or_else(|| {
                Failure::new(format!("{STD_SOURCE} has no library in {}", sources.display()))
            })?;
        let manifest = found.join("std/Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .context(|| format!("cannot read {}", manifest.display()))?;
        let text = without_shared_library(&text).ok_or_else(|| {
            Failure::new(format!("unexpected kinds of library in {}", manifest.display()))
        })?;
        write(&manifest, &text)?;
        fs::rename(&found, &library).context(|| format!("cannot move {}", found.display()))?;
        remove(&unpacked)?;
        Ok(library)
    }
}

/// The dependency of `package` whose name starts with `prefix`.
fn dependency(apt: &Apt, package: &str, version: &str, prefix: &str) -> Result<String, Failure> {
    apt.dependencies(package, version)?
        .into_iter()
        .find(|name| name.starts_with(prefix))
        .ok_or_else(|| Failure::new(format!("{package} {version} depends on no package {prefix}…")))
}

/// A script that starts `program` of the unpacked packages, wherever the folder lies.
fn launcher(program: &str) -> String {
    format!(
        "#!/bin/sh\nroot=${{0%/*}}/../root/usr\n\
         LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu exec \"$root/bin/{program}\" \"$@\"\n"
    )
}

/// The manifest of `std` without its shared library, which would need a C library to link with and
/// which nothing here uses.
fn without_shared_library(manifest: &str) -> Option<String> {
    const BOTH: &str = "crate-type = [\"dylib\", \"rlib\"]";
    manifest.contains(BOTH).then(|| manifest.replace(BOTH, "crate-type = [\"rlib\"]"))
}

/// One line for each file below `folder`, which changes with the file's content.
fn contents(folder: &Path) -> Result<String, Failure> {
    let mut lines = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        pending.extend(directories(&next)?);
        for path in files(&next)? {
            let pin = Pin::of_file(&path).context(|| format!("cannot read {}", path.display()))?;
            lines.push(format!("{} {}\n", pin.sha256, name(&path)));
        }
    }
    lines.sort();
    Ok(lines.concat())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = || format!("cannot list {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).context(unreadable)? {
        paths.push(entry.context(unreadable)?.path());
    }
    Ok(paths)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.is_file());
    Ok(paths)
}

fn directories(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.is_dir() && !path.is_symlink());
    Ok(paths)
}

/// Removes a folder with everything in it, if it is there.
pub(super) fn remove(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_remembered() {
        let installed = Installed {
            version: "1.96.0+dfsg1-1~deb12u2".to_owned(),
            llvm: "libllvm22".to_owned(),
        };
        assert_eq!(Installed::parse(&installed.text()), Some(installed.clone()));
        assert_eq!(installed.llvm_version(), "22");
        for damaged in ["", "1.96.0\n", "\nlibllvm22\n", "1.96.0\nother\n"] {
            assert_eq!(Installed::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn the_launcher_finds_its_program_in_a_folder_with_a_space() {
        let folder = tempfile::tempdir().unwrap();
        let moved = folder.path().join("a b");
        fs::create_dir_all(moved.join("bin")).unwrap();
        fs::create_dir_all(moved.join("root/usr/bin")).unwrap();
        for (path, text) in [
            ("bin/rustc", launcher("rustc")),
            ("root/usr/bin/rustc", "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$*\"\n".to_owned()),
        ] {
            fs::write(moved.join(path), text).unwrap();
            process::output(Command::new("chmod").arg("+x").arg(moved.join(path))).unwrap();
        }
        let printed =
            process::output(Command::new(moved.join("bin/rustc")).args(["--version", "x"]))
                .unwrap();
        assert!(
            printed.ends_with("a b/bin/../root/usr/lib/x86_64-linux-gnu|--version x\n"),
            "{printed}"
        );
    }

    #[test]
    fn the_shared_library_is_left_out() {
        assert_eq!(
            without_shared_library("a\ncrate-type = [\"dylib\", \"rlib\"]\nb\n").unwrap(),
            "a\ncrate-type = [\"rlib\"]\nb\n"
        );
        assert_eq!(without_shared_library("crate-type = [\"cdylib\"]"), None);
    }

    #[test]
    fn contents_change_with_any_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("self-contained")).unwrap();
        let inner = folder.path().join("self-contained/libc.a");
        fs::write(&inner, "1").unwrap();
        let first = contents(folder.path()).unwrap();
        assert!(first.ends_with(" libc.a\n"), "{first}");
        fs::write(&inner, "2").unwrap();
        assert_ne!(contents(folder.path()).unwrap(), first);
    }
}
