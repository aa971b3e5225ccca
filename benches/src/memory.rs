//! How much memory a program has in use at most.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Result;

/// How often a running program is looked at.
const INTERVAL: Duration = Duration::from_micros(200);

/// Runs the program and returns its peak resident size in bytes: `VmHWM` of `/proc`, which never
/// falls, as it was when the program was last seen alive.
///
/// What the operating system reports when a program has ended is no better: it includes what the
/// program that started it had in use.
///
/// # Errors
///
/// If the program cannot be started, fails, or is never seen, as on systems without `/proc`.
pub fn peak_resident_bytes(command: &mut Command) -> Result<u64> {
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let path = format!("/proc/{}/status", process.id());
    let mut peak = None;
    let status = loop {
        let seen = fs::read_to_string(&path).ok().and_then(|status| high_water_mark(&status));
        peak = peak.max(seen);
        if let Some(status) = process.try_wait()? {
            break status;
        }
        thread::sleep(INTERVAL);
    };
    if !status.success() {
        return Err(format!("{}: {status}", command.get_program().display()).into());
    }
    peak.ok_or_else(|| format!("{path} does not tell VmHWM").into())
}

/// The bytes of the line `VmHWM:     1234 kB`.
fn high_water_mark(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        let status = "Name:\tx\nVmPeak:\t  9999 kB\nVmHWM:\t    1234 kB\nVmRSS:\t   999 kB\n";
        assert_eq!(high_water_mark(status), Some(1234 * 1024));
        // A program that has just ended has no memory.
        assert_eq!(high_water_mark("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
    fn memory_that_was_given_back_counts() {
        let script = "import time; time.sleep(0.05); x = b'x' * 60_000_000; del x; time.sleep(0.1)";
        let peak = peak_resident_bytes(Command::new("python3").args(["-c", script])).unwrap();
        assert!((60_000_000..120_000_000).contains(&peak), "{peak}");
        assert!(peak_resident_bytes(&mut Command::new("false")).is_err());
    }
}
