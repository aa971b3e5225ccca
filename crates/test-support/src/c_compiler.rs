//! Building shared libraries that tests load.

use std::env;
use std::env::consts::{ARCH, DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::is_emulated;

/// Compiles a C file of the workspace into a shared library for the target of the build, in
/// `folder`, with macros of string literals.
///
/// The compiler is the program that `CC` names, else `cc` or, when tests run in an emulator,
/// Debian's GCC for the target.
///
/// # Panics
///
/// Panics with the compiler's words if there is none or it refuses the file.
#[must_use]
#[track_caller]
pub fn shared_library(source: &Path, macros: &[(&str, &str)], folder: &Path) -> PathBuf {
    let compiler = compiler(env::var("CC").ok(), is_emulated());
    let name = source.file_stem().expect("a C file has a name").to_string_lossy();
    let library = folder.join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    let mut command = Command::new(&compiler);
    command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    for (name, text) in macros {
        command.arg(format!("-D{name}=\"{}\"", text.replace('\\', "\\\\")));
    }
    command.arg("-ldl");
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot start the C compiler {compiler} (Debian: apt install gcc): {error}")
    });
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} refuses {}: {words}", source.display());
    library
}

fn compiler(chosen: Option<String>, emulated: bool) -> String {
    match chosen.filter(|chosen| !chosen.is_empty()) {
        Some(chosen) => chosen,
        None if emulated && ARCH == "arm" => "arm-linux-gnueabihf-gcc".to_owned(),
        None if emulated => format!("{ARCH}-linux-gnu-gcc"),
        None => "cc".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulated_target_has_a_compiler_of_its_own() {
        assert_eq!(compiler(None, false), "cc");
        assert_eq!(compiler(Some(String::new()), false), "cc");
        assert_eq!(compiler(Some("clang".to_owned()), true), "clang");
        assert!(compiler(None, true).ends_with("-gcc"));
    }
}
