//! Outside programs: started from the workspace root, echoed, and failed loudly.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::workspace;

/// A call of the cargo that runs this task, from the workspace root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// Prints the command and runs it; anything but success is a failure.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().context(|| format!("cannot start {shown}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{shown}: {status}"))) }
}

/// Runs the command and returns its standard output; anything but success is a failure.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = shown(command);
    let output =
        command.stderr(Stdio::inherit()).output().context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        return Err(Failure::new(format!("{shown}: {}", output.status)));
    }
    String::from_utf8(output.stdout).context(|| format!("{shown} printed text that is not UTF-8"))
}

/// Runs the command with what it prints in the file `log`; a failure shows the end of that.
pub(crate) fn run_logged(command: &mut Command, log: &Path) -> Result<(), Failure> {
    const SHOWN_LINES: usize = 20;
    let shown = shown(command);
    let unwritable = || format!("cannot write {}", log.display());
    let file = File::create(log).context(unwritable)?;
    let errors = file.try_clone().context(unwritable)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .status()
        .context(|| format!("cannot start {shown}"))?;
    if status.success() {
        return Ok(());
    }
    let printed =
        fs::read(log).context(|| format!("{shown}: {status}; cannot read {}", log.display()))?;
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<&str> = printed.lines().collect();
    let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Err(Failure::new(format!(
        "{shown}: {status}\n{}\n(all of it: {})",
        end.join("\n"),
        log.display()
    )))
}

/// The program's file name and its arguments, as one would type them.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_returned() {
        let printed = output(&mut cargo(&["--version"])).unwrap();
        assert!(printed.starts_with("cargo "), "{printed}");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failure =
            output(cargo(&["no-such-command"]).stdout(Stdio::null())).unwrap_err().to_string();
        assert!(failure.starts_with("cargo no-such-command: "), "{failure}");
    }

    #[test]
    fn a_logged_failure_shows_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            command
        };
        run_logged(&mut script("echo out; echo err >&2"), &log).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "out\nerr\n");
        let failure = run_logged(&mut script("seq 100 130; exit 3"), &log).unwrap_err().to_string();
        assert!(failure.contains("exit status: 3\n111\n112\n"), "{failure}");
        assert!(failure.contains("\n130\n(all of it: "), "{failure}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(failure.starts_with("cannot start no-such-program: "), "{failure}");
    }
}
