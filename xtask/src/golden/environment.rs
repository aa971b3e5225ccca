//! A Python environment with one package, and the system libraries that the package loads.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::process;

/// A Python package of an exact version.
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
    libraries: &'static [Library],
}

/// TensorFlow, whose converter writes model files.
pub(super) const TENSORFLOW: Package =
    Package { name: "tensorflow-cpu", version: "2.21.0", libraries: &[] };

/// A shared library that must be on the machine.
struct Library {
    file: &'static str,
    /// The Debian package that has it.
    package: &'static str,
}

/// LiteRT, which is what TensorFlow Lite is called now.
pub(crate) const LITERT: Package =
    Package { name: "ai-edge-litert", version: "2.3.0", libraries: &[] };

/// The Task Library in its last release; it has wheels for Python 3.11 and older only.
pub(crate) const TFLITE_SUPPORT: Package = Package {
    name: "tflite-support",
    version: "0.4.4",
    libraries: &[Library { file: "libusb-1.0.so.0", package: "libusb-1.0-0" }],
};

/// MediaPipe.
pub(crate) const MEDIAPIPE: Package = Package {
    name: "mediapipe",
    version: "1.2.2",
    libraries: &[
        Library { file: "libGL.so.1", package: "libgl1" },
        Library { file: "libEGL.so.1", package: "libegl1" },
        Library { file: "libGLESv2.so.2", package: "libgles2" },
        Library { file: "libportaudio.so.2", package: "libportaudio2" },
    ],
};

impl fmt::Display for Package {
    /// As pip writes it: `name==version`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=={}", self.name, self.version)
    }
}

/// An environment in which the package can be imported.
pub(crate) struct Environment {
    program: PathBuf,
}

impl Environment {
    /// Whether the environment is there, with the libraries that the package loads.
    pub(super) fn is_prepared(cache: &Path, package: &Package) -> bool {
        let loadable = loadable_libraries();
        loadable.is_ok_and(|loadable| missing(package.libraries, &loadable).is_empty())
            && Self::of(cache, package).has(package)
    }

    fn of(cache: &Path, package: &Package) -> Self {
        let folder = cache.join(format!("{}-{}", package.name, package.version));
        Self { program: folder.join("bin/python") }
    }

    /// Makes the environment below `cache` unless it is there.
    pub(crate) fn prepare(
        cache: &Path,
        package: &Package,
        python: &str,
        install: bool,
    ) -> Result<Self, Failure> {
        let missing = missing(package.libraries, &loadable_libraries()?);
        if !missing.is_empty() {
            install_libraries(package, &missing, install)?;
        }
        let environment = Self::of(cache, package);
        if environment.has(package) {
            return Ok(environment);
        }
        let version = process::output(Command::new(python).arg("--version"))?;
        if !version.starts_with("Python 3.11.") {
            return Err(Failure::new(format!(
                "{package} is run with Python 3.11, but {python} is {}; name another with --python",
                version.trim()
            )));
        }
        fs::create_dir_all(cache).context(|| format!("cannot create {}", cache.display()))?;
        let folder = cache.join(format!("{}-{}", package.name, package.version));
        process::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        process::run(
            environment
                .python()
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-input", "--only-binary=:all:"])
                .arg(package.to_string()),
        )?;
        if environment.has(package) {
            Ok(environment)
        } else {
            Err(Failure::new(format!("{package} was installed but is not in {}", folder.display())))
        }
    }

    /// The environment's interpreter.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// A call of the environment's Python that leaves no compiled files beside its scripts.
    pub(crate) fn python(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command
    }

    fn has(&self, package: &Package) -> bool {
        let script = format!(
            "import importlib.metadata as m; assert m.version('{}') == '{}'",
            package.name, package.version
        );
        self.python()
            .args(["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// What the dynamic linker says it can load, a library a line.
fn loadable_libraries() -> Result<String, Failure> {
    process::output(Command::new("/sbin/ldconfig").arg("--print-cache"))
}

/// The Debian packages of the libraries that are not in the linker's list.
fn missing(libraries: &[Library], loadable: &str) -> Vec<&'static str> {
    libraries
        .iter()
        .filter(|library| {
            !loadable.lines().any(|line| line.split_whitespace().next() == Some(library.file))
        })
        .map(|library| library.package)
        .collect()
}

fn install_libraries(package: &Package, missing: &[&str], install: bool) -> Result<(), Failure> {
    let names = missing.join(" ");
    if !install {
        return Err(Failure::new(format!(
            "{package} needs system libraries; run: apt-get install --no-install-recommends \
             {names}\nor call again as root with --install"
        )));
    }
    process::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(missing)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_are_named_by_their_debian_package() {
        let loadable = "2 libs found in cache `/etc/ld.so.cache'\n\
            \tlibGL.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libGL.so.1\n\
            \tlibEGL.so (libc6,x86-64) => /lib/x86_64-linux-gnu/libEGL.so\n";
        assert_eq!(
            missing(MEDIAPIPE.libraries, loadable),
            ["libegl1", "libgles2", "libportaudio2"]
        );
        assert!(missing(&MEDIAPIPE.libraries[..1], loadable).is_empty());
    }

    #[test]
    fn nothing_is_installed_unless_asked_for() {
        let failure = install_libraries(&TFLITE_SUPPORT, &["libusb-1.0-0"], false);
        let message = failure.unwrap_err().to_string();
        assert!(message.contains("apt-get install"), "{message}");
        assert!(message.contains("libusb-1.0-0"), "{message}");
    }

    #[test]
    fn packages_are_written_as_pip_wants_them() {
        assert_eq!(MEDIAPIPE.to_string(), "mediapipe==1.2.2");
    }
}
