//! Debian packages: which are missing, installing them, and unpacking others without installing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::progress;
use super::target::Requirement;
use crate::failure::{Context, Failure};
use crate::process;

/// The packages of the requirements that are not met, each once, in order.
pub(super) fn missing<'a>(
    requirements: impl IntoIterator<Item = &'a Requirement>,
    is_there: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut packages: Vec<String> = Vec::new();
    for requirement in requirements {
        if !is_there(requirement.evidence)
            && !packages.iter().any(|known| known == requirement.package)
        {
            packages.push(requirement.package.to_owned());
        }
    }
    packages
}

/// Whether `evidence`, an absolute path or the name of a program on the path, is on this machine.
pub(crate) fn is_there(evidence: &str) -> bool {
    if Path::new(evidence).is_absolute() {
        return Path::new(evidence).exists();
    }
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(evidence).is_file()))
}

/// Whether dpkg says that `package` is installed.
pub(crate) fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Abbrev}", package])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"ii"))
}

/// Installs `packages` if this is Debian and root runs this; otherwise says what to install.
pub(crate) fn install(packages: &[String]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !is_there("apt-get") {
        return Err(Failure::new(format!(
            "missing on this machine: what the Debian packages {names} have"
        )));
    }
    if process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err(Failure::new(format!(
            "missing packages; run this as root, or first: sudo apt-get install \
             --no-install-recommends {names}"
        )));
    }
    progress(&format!("installing {names}"));
    // Another installation may be running on this machine; apt waits for it.
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "DPkg::Lock::Timeout=600"])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    // A list of one repository that cannot be had does not stop the others.
    if process::run(apt().arg("update")).is_err() {
        progress("apt-get update reported errors; going on with the lists that are there");
    }
    process::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Debian's packages of one architecture, seen through lists of their own.
///
/// The machine's own apt stays as it is, with no foreign architecture added. The lists are separate
/// for each architecture, because apt drops a whole suite if the list of one architecture in it
/// cannot be verified.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// The packages of `architecture`, with current lists in `folder`.
    pub(super) fn new(folder: &Path, architecture: &str) -> Result<Self, Failure> {
        if !is_there("apt-get") || !is_there("dpkg") {
            return Err(Failure::new(
                "this machine has no apt-get and dpkg, and the Rust compiler has no standard \
                 library for the target; on a machine with rustup, call again with --rustup",
            ));
        }
        let folder = folder.join(architecture);
        let sources = folder.join("sources.d");
        for needed in ["state/lists/partial", "cache/archives/partial", "sources.d"] {
            let needed = folder.join(needed);
            fs::create_dir_all(&needed)
                .context(|| format!("cannot create {}", needed.display()))?;
        }
        write(&folder.join("status"), "")?;
        let system = Path::new("/etc/apt/sources.list.d/debian.sources");
        if system.is_file() {
            fs::copy(system, sources.join("debian.sources"))
                .context(|| format!("cannot copy {}", system.display()))?;
        }
        write(&folder.join("apt.conf"), &configuration(&folder, architecture))?;
        let apt = Self { folder };
        let log = apt.folder.join("update.log");
        // What the lists lack is seen when a package is asked for.
        if apt.run("apt-get", &["-qq", "update"], None, &log).is_err() {
            progress(&format!(
                "Debian's package lists for {architecture} are incomplete, see {}",
                log.display()
            ));
        }
        Ok(apt)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("APT_CONFIG", self.folder.join("apt.conf"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program with what it prints in the file `log`.
    fn run(
        &self,
        program: &str,
        arguments: &[&str],
        folder: Option<&Path>,
        log: &Path,
    ) -> Result<(), Failure> {
        let mut command = self.command(program, arguments);
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        process::run_logged(&mut command, log)
    }

    /// The newest version of `package`.
    pub(super) fn version(&self, package: &str) -> Result<String, Failure> {
        let policy = process::output(&mut self.command("apt-cache", &["policy", package]))?;
        candidate(&policy).ok_or_else(|| {
            Failure::new(format!(
                "no package {package} in the apt sources of this machine; is it Debian 12 or newer \
                 with its security updates?"
            ))
        })
    }

    /// The packages that `version` of `package` depends on.
    pub(super) fn dependencies(
        &self,
        package: &str,
        version: &str,
    ) -> Result<Vec<String>, Failure> {
        let described = process::output(
            &mut self.command("apt-cache", &["show", &format!("{package}={version}")]),
        )?;
        Ok(dependencies(&described))
    }

    /// Downloads `package` and unpacks it into `destination`; fails if `version` is asked for but
    /// not offered.
    pub(super) fn unpack(
        &self,
        package: &str,
        version: Option<&str>,
        destination: &Path,
    ) -> Result<(), Failure> {
        let downloads = self.folder.join("downloads");
        if downloads.exists() {
            fs::remove_dir_all(&downloads)
                .context(|| format!("cannot remove {}", downloads.display()))?;
        }
        for folder in [&downloads, destination] {
            fs::create_dir_all(folder).context(|| format!("cannot create {}", folder.display()))?;
        }
        let wanted =
            version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        progress(&format!("downloading {wanted}"));
        self.run(
            "apt-get",
            &["-qq", "download", &wanted],
            Some(&downloads),
            &self.folder.join("download.log"),
        )?;
        let mut unpacked = 0;
        let unreadable = || format!("cannot list {}", downloads.display());
        for entry in fs::read_dir(&downloads).context(unreadable)? {
            let archive = entry.context(unreadable)?.path();
            process::output(Command::new("dpkg").arg("--extract").arg(&archive).arg(destination))?;
            unpacked += 1;
        }
        fs::remove_dir_all(&downloads)
            .context(|| format!("cannot remove {}", downloads.display()))?;
        if unpacked == 1 {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "apt-get downloaded {unpacked} packages for {wanted}, expected 1"
            )))
        }
    }
}

/// Writes a small file of ours.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

/// An apt configuration that keeps everything in `folder`.
fn configuration(folder: &Path, architecture: &str) -> String {
    let folder = folder.display();
    format!(
        "APT::Architecture \"{architecture}\";\n\
         APT::Architectures {{ \"{architecture}\"; }};\n\
         APT::Sandbox::User \"root\";\n\
         Dir::State \"{folder}/state\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Etc::SourceParts \"{folder}/sources.d\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         Acquire::Retries \"3\";\n"
    )
}

/// The candidate version in the output of `apt-cache policy`.
fn candidate(policy: &str) -> Option<String> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(ToOwned::to_owned)
}

/// The names in the first `Depends` line of the output of `apt-cache show`, without versions.
fn dependencies(described: &str) -> Vec<String> {
    described
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .unwrap_or_default()
        .split([',', '|'])
        .filter_map(|dependency| dependency.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
    use super::*;

    #[test]
    fn only_the_packages_of_missing_things_are_named_each_once() {
        let target = Target::named("aarch64-unknown-linux-gnu").unwrap();
        let requirements = || {
            target
                .link_requirements
                .iter()
                .chain(target.run_requirements)
                .chain(target.link_requirements)
        };
        assert_eq!(missing(requirements(), |evidence| evidence != "qemu-aarch64"), ["qemu-user"]);
        assert!(missing(requirements(), |_| true).is_empty());
        assert_eq!(
            missing(requirements(), |_| false),
            [
                "gcc-aarch64-linux-gnu",
                "libc6-dev-arm64-cross",
                "qemu-user",
                "libstdc++6-arm64-cross"
            ]
        );
    }

    #[test]
    fn evidence_is_a_path_or_a_program() {
        assert!(is_there("/"));
        assert!(is_there("sh"));
        assert!(!is_there("/no/such/file"));
        assert!(!is_there("no-such-program"));
    }

    #[test]
    fn the_candidate_is_read() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  \
                      Version table:\n     1.85.0 500\n";
        assert_eq!(candidate(policy).unwrap(), "1.96.0+dfsg1-1~deb12u2");
        assert_eq!(candidate("a:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn dependencies_are_names_alone() {
        let described = "Package: a\nDepends: libc6 (>= 2.34), libllvm22 (>= 1:22~), b | c\n\
                         Package: a\nDepends: old\n";
        assert_eq!(dependencies(described), ["libc6", "libllvm22", "b", "c"]);
        assert!(dependencies("Package: a\n").is_empty());
    }

    #[test]
    fn the_configuration_names_one_architecture_and_stays_in_its_folder() {
        let text = configuration(Path::new("/cache/apt/armhf"), "armhf");
        assert!(text.contains("APT::Architectures { \"armhf\"; };"), "{text}");
        let folders: Vec<&str> = text.lines().filter(|line| line.starts_with("Dir::")).collect();
        assert_eq!(folders.len(), 4);
        assert!(folders.iter().all(|line| line.contains("\"/cache/apt/armhf/")), "{text}");
    }
}
