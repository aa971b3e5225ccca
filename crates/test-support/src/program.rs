//! Starting a program that was built for the target, which may have to be emulated.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Command;

/// The environment variable that names the program with which others have to be started.
const VARIABLE: &str = "IMAGE_EMBEDDER_TEST_RUNNER";

/// A command that starts `path`, a program for the target of the build.
///
/// When tests run in an emulator, this machine cannot start such a program by itself: the command
/// then starts the emulator that `IMAGE_EMBEDDER_TEST_RUNNER` names, with `path` as its first
/// argument.
#[must_use]
pub fn program(path: impl AsRef<OsStr>) -> Command {
    program_with(env::var_os(VARIABLE), path.as_ref())
}

/// Whether tests run in an emulator.
pub(crate) fn is_emulated() -> bool {
    env::var_os(VARIABLE).is_some_and(|runner| !runner.is_empty())
}

fn program_with(runner: Option<OsString>, path: &OsStr) -> Command {
    match runner.filter(|runner| !runner.is_empty()) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(path);
            command
        }
        None => Command::new(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<&OsStr> {
        [command.get_program()].into_iter().chain(command.get_args()).collect()
    }

    #[test]
    fn the_program_is_started_by_the_runner_if_there_is_one() {
        let path = OsStr::new("/a/imgembed");
        assert_eq!(words(&program_with(None, path)), ["/a/imgembed"]);
        assert_eq!(words(&program_with(Some(OsString::new()), path)), ["/a/imgembed"]);
        let command = program_with(Some("qemu-arm".into()), path);
        assert_eq!(words(&command), ["qemu-arm", "/a/imgembed"]);
    }

    #[test]
    fn this_program_starts_itself() {
        let output = program(env::current_exe().unwrap()).arg("--list").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let listed = String::from_utf8(output.stdout).unwrap();
        assert!(listed.contains("this_program_starts_itself: test"), "{listed}");
    }
}
