//! Debian's C library for WebAssembly, and the program that runs what is linked with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::apt::write;
use super::progress;
use crate::failure::{Context, Failure};
use crate::process;

/// Where the package `wasi-libc` has its files.
const INSTALLED: &str = "/usr/lib/wasm32-wasi";

/// The files of it that the Rust compiler links.
const FILES: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// The thread functions that newer standard libraries refer to and Debian 12's C library lacks.
///
/// There are no threads on this target; the standard library reports the error as such.
const THREAD_FUNCTIONS: &str = "\
#![no_std]
const NOT_SUPPORTED: i32 = 58;
#[no_mangle]
pub extern \"C\" fn pthread_create(_: usize, _: usize, _: usize, _: usize) -> i32 { NOT_SUPPORTED }
#[no_mangle]
pub extern \"C\" fn pthread_join(_: usize, _: usize) -> i32 { NOT_SUPPORTED }
#[no_mangle]
pub extern \"C\" fn pthread_detach(_: usize) -> i32 { NOT_SUPPORTED }
#[no_mangle]
pub extern \"C\" fn pthread_attr_init(_: usize) -> i32 { 0 }
#[no_mangle]
pub extern \"C\" fn pthread_attr_setstacksize(_: usize, _: usize) -> i32 { 0 }
#[no_mangle]
pub extern \"C\" fn pthread_attr_destroy(_: usize) -> i32 { 0 }
";

/// Runs a program with this machine's files, arguments and environment.
const RUN: &str = "\
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';
import { argv, env } from 'node:process';
const wasi = new WASI({
  version: 'preview1', args: argv.slice(2), env, preopens: { '/': '/' }, returnOnExit: true,
});
const module = await WebAssembly.compile(readFileSync(argv[2]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exit(wasi.start(instance));
";

/// Puts into `destination` what the compiler `rustc` links into a program.
pub(super) fn add(rustc: &Path, destination: &Path) -> Result<(), Failure> {
    progress("adding Debian's C library for WebAssembly");
    fs::create_dir_all(destination)
        .context(|| format!("cannot create {}", destination.display()))?;
    for file in FILES {
        let from = Path::new(INSTALLED).join(file);
        fs::copy(&from, destination.join(file))
            .context(|| format!("cannot copy {}", from.display()))?;
    }
    let source = destination.join("thread_functions.rs");
    write(&source, THREAD_FUNCTIONS)?;
    process::run(
        Command::new(rustc)
            .args(["--edition=2021", "--crate-type=lib", "--emit=obj"])
            .args(["-Copt-level=2", "-Cpanic=abort", "--target=wasm32-wasip1"])
            .arg("-o")
            .arg(thread_functions(destination))
            .arg(&source)
            .stdin(Stdio::null()),
    )
}

/// The object with the thread functions in the folder `destination` of [`add`].
pub(super) fn thread_functions(destination: &Path) -> PathBuf {
    destination.join("thread_functions.o")
}

/// Writes the program for Node.js that runs WebAssembly into `folder`, and returns its path.
pub(super) fn write_runner(folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("run.mjs");
    write(&path, RUN)?;
    Ok(path)
}
