//! musl out of Debian's packages, for programs that are linked statically.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt::{Apt, write};
use super::progress;
use crate::failure::{Context, Failure};
use crate::process;

/// The package with LLVM's unwinder, which Rust programs for musl are linked with.
const UNWINDER: &str = "libunwind-14-dev";

/// What that unwinder, compiled for glibc with checked formatting, refers to and musl lacks.
const CHECKED_FORMATTING: &str = "\
#include <stdarg.h>
typedef struct file FILE;
int vfprintf(FILE *, const char *, va_list);
int __fprintf_chk(FILE *stream, int flag, const char *format, ...) {
  (void)flag;
  va_list arguments;
  va_start(arguments, format);
  int written = vfprintf(stream, format, arguments);
  va_end(arguments);
  return written;
}
";

/// musl's objects that start a program.
const START_FILES: [&str; 5] = ["crt1.o", "Scrt1.o", "rcrt1.o", "crti.o", "crtn.o"];

/// The C compiler's objects that start a program.
const COMPILER_START_FILES: [&str; 5] =
    ["crtbegin.o", "crtbeginS.o", "crtbeginT.o", "crtend.o", "crtendS.o"];

/// Puts into `destination` what the Rust compiler links into a static program.
pub(super) fn add(
    apt: &Apt,
    unpacked: &Path,
    name: &str,
    compiler: &str,
    archiver: &str,
    destination: &Path,
) -> Result<(), Failure> {
    progress(&format!("bringing musl for {name}"));
    for package in ["musl-dev", UNWINDER] {
        apt.unpack(package, None, unpacked)?;
    }
    fs::create_dir_all(destination)
        .context(|| format!("cannot create {}", destination.display()))?;
    let copy = |from: PathBuf, name: &str| {
        fs::copy(&from, destination.join(name))
            .map(|_| ())
            .context(|| format!("cannot copy {}", from.display()))
    };
    let musl = unpacked.join("usr/lib").join(name);
    for file in START_FILES.into_iter().chain(["libc.a"]) {
        copy(musl.join(file), file)?;
    }
    let runtime = process::output(
        Command::new(compiler).arg("-print-libgcc-file-name").stdin(Stdio::null()),
    )?;
    for file in COMPILER_START_FILES {
        copy(Path::new(runtime.trim()).with_file_name(file), file)?;
    }
    copy(unpacked.join("usr/lib/llvm-14/lib/libunwind.a"), "libunwind.a")?;

    let source = unpacked.join("checked_formatting.c");
    let object = source.with_extension("o");
    write(&source, CHECKED_FORMATTING)?;
    process::run(
        Command::new(compiler)
            .args(["-O2", "-ffreestanding", "-fno-stack-protector", "-c", "-o"])
            .args([&object, &source]),
    )?;
    process::run(Command::new(archiver).arg("r").arg(destination.join("libunwind.a")).arg(&object))
}
