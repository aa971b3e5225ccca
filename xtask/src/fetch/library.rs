//! `fetch tflite` and `fetch litert`: foreign libraries out of pinned Python wheels.

use std::env::consts;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use zip::ZipArchive;

use crate::failure::{Context, Failure};
use crate::fixture_manifest::{self, Library};
use crate::pin::{self, Pin};
use crate::{process, workspace};

/// The options of `fetch tflite` and `fetch litert`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The target triple to fetch for; this machine if not given
    #[arg(long)]
    target: Option<String>,
}

/// Fetches the library `name`.
pub(crate) fn run(name: &str, arguments: &Arguments) -> Result<(), Failure> {
    let libraries = fixture_manifest::read(&workspace::root())?.library;
    let named: Vec<&Library> = libraries.iter().filter(|library| library.name == name).collect();
    let library = match &arguments.target {
        Some(target) => named.iter().find(|library| library.target == *target),
        None => named.iter().find(|library| is_for_host(library)),
    };
    let Some(library) = library else {
        let wanted = arguments
            .target
            .clone()
            .unwrap_or_else(|| format!("{} on {}", consts::ARCH, consts::OS));
        let pinned: Vec<&str> = named.iter().map(|library| library.target.as_str()).collect();
        return Err(Failure::new(format!(
            "no library {name} is pinned for {wanted}; pinned: {}",
            pinned.join(", ")
        )));
    };
    fetch_library(library).map(|_| ())
}

/// The pinned libraries for this machine.
pub(crate) fn libraries_for_host() -> Result<Vec<Library>, Failure> {
    let mut libraries = fixture_manifest::read(&workspace::root())?.library;
    libraries.retain(is_for_host);
    Ok(libraries)
}

/// The pinned libraries for the target triple.
pub(crate) fn libraries_for_target(triple: &str) -> Result<Vec<Library>, Failure> {
    let mut libraries = fixture_manifest::read(&workspace::root())?.library;
    libraries.retain(|library| library.target == triple);
    Ok(libraries)
}

fn is_for_host(library: &Library) -> bool {
    library.arch == consts::ARCH && library.os == consts::OS
}

/// Where `library` is kept.
fn destination(library: &Library) -> PathBuf {
    let name = library.member.rsplit('/').next().unwrap_or(&library.member);
    let folder = format!(".cache/{}/{}-{}", library.name, library.arch, library.os);
    workspace::root().join(folder).join(name)
}

/// Where `library` lies if it was fetched before and still has its pinned content.
pub(crate) fn cached_library(library: &Library) -> Option<PathBuf> {
    Some(destination(library)).filter(|path| library.content.matches_file(path))
}

/// Fetches `library` unless it is there already, and returns where it lies.
pub(crate) fn fetch_library(library: &Library) -> Result<PathBuf, Failure> {
    if let Some(path) = cached_library(library) {
        println!("cached  {}", path.display());
        return Ok(path);
    }
    let destination = destination(library);
    pin::create_parent(&destination)?;
    // Inside the cache folder, so an interrupted call leaves nothing anywhere else.
    let wheels = destination.with_file_name(format!("wheel.{}", std::process::id()));
    let installed = download_wheel(library, &wheels)
        .and_then(|wheel| install_from_wheel(&wheel, library, &destination));
    if wheels.exists() {
        fs::remove_dir_all(&wheels)
            .context(|| format!("cannot remove the folder {}", wheels.display()))?;
    }
    installed?;
    println!("fetched {}", destination.display());
    Ok(destination)
}

/// Lets pip download the wheel into `folder`, and returns its path.
fn download_wheel(library: &Library, folder: &Path) -> Result<PathBuf, Failure> {
    let has_pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_pip {
        return Err(Failure::new(
            "`python3 -m pip` does not run; install Python 3 with pip (Debian: apt install \
             python3-pip) and call again",
        ));
    }
    process::run(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-input", "--no-deps"])
            .args(["--disable-pip-version-check", "--only-binary=:all:"])
            .args(["--python-version", "3.11", "--platform", &library.platform])
            .arg("--dest")
            .arg(folder)
            .arg(format!("{}=={}", library.package, library.version))
            .stdin(Stdio::null()),
    )?;
    let wheels: Vec<PathBuf> = workspace::files_below(folder)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match wheels.as_slice() {
        [wheel] => Ok(wheel.clone()),
        _ => Err(Failure::new(format!("pip downloaded {} wheels, expected 1", wheels.len()))),
    }
}

/// Verifies the wheel, then its library, then makes the library visible.
fn install_from_wheel(wheel: &Path, library: &Library, destination: &Path) -> Result<(), Failure> {
    let found =
        Pin::of_file(wheel).context(|| format!("cannot read the wheel {}", wheel.display()))?;
    library.wheel.check(&found, &format!("the wheel of {}", library.package))?;

    let unreadable = || format!("cannot read {} in {}", library.member, wheel.display());
    let mut archive =
        ZipArchive::new(File::open(wheel).context(unreadable)?).context(unreadable)?;
    let member = archive.by_name(&library.member).context(unreadable)?;
    let mut content = Vec::new();
    // One byte more than expected is enough to see that the size is wrong.
    member
        .take(library.content.size.saturating_add(1))
        .read_to_end(&mut content)
        .context(unreadable)?;
    library.content.check(&Pin::of_bytes(&content), &library.member)?;
    pin::publish(&content, destination)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const CONTENT: &[u8] = b"stands for a shared library";

    fn wheel_with(folder: &Path, member: &str) -> (PathBuf, Library) {
        let path = folder.join("package-1.0-py3-none-any.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        writer.start_file(member, SimpleFileOptions::default()).unwrap();
        writer.write_all(CONTENT).unwrap();
        writer.finish().unwrap();
        let library = Library {
            name: "tflite".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            arch: "x86_64".to_owned(),
            os: "linux".to_owned(),
            package: "package".to_owned(),
            version: "1.0".to_owned(),
            platform: "any".to_owned(),
            licence: "Apache-2.0".to_owned(),
            member: "package/lib/library.so".to_owned(),
            wheel: Pin::of_file(&path).unwrap(),
            content: Pin::of_bytes(CONTENT),
        };
        (path, library)
    }

    #[test]
    fn a_verified_library_is_extracted() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, library) = wheel_with(folder.path(), "package/lib/library.so");
        let destination = folder.path().join("cache/library.so");
        install_from_wheel(&wheel, &library, &destination).unwrap();
        assert_eq!(fs::read(destination).unwrap(), CONTENT);
    }

    #[test]
    fn nothing_becomes_visible_when_a_pin_does_not_match() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("cache/library.so");
        let (wheel, library) = wheel_with(folder.path(), "package/lib/library.so");

        let other_wheel = Library { wheel: Pin::of_bytes(b"other"), ..library.clone() };
        let failure = install_from_wheel(&wheel, &other_wheel, &destination).unwrap_err();
        assert!(failure.to_string().starts_with("the wheel of package is refused"), "{failure}");
        assert!(!destination.exists());

        let other_content = Library { content: Pin::of_bytes(b"other"), ..library };
        let failure = install_from_wheel(&wheel, &other_content, &destination).unwrap_err();
        assert!(failure.to_string().starts_with("package/lib/library.so is refused"), "{failure}");
        assert!(!destination.exists());
    }

    #[test]
    fn a_wheel_without_the_library_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("cache/library.so");
        let (wheel, library) = wheel_with(folder.path(), "package/lib/something_else.so");
        let failure = install_from_wheel(&wheel, &library, &destination).unwrap_err();
        assert!(failure.to_string().contains("cannot read package/lib/library.so"), "{failure}");
        assert!(!destination.exists());
    }

    #[test]
    fn libraries_are_pinned_for_both_linux_processors() {
        let libraries = fixture_manifest::read(&workspace::root()).unwrap().library;
        let mut pinned: Vec<_> =
            libraries.iter().map(|library| (&*library.name, &*library.target)).collect();
        pinned.sort_unstable();
        assert_eq!(
            pinned,
            [
                ("litert", "aarch64-unknown-linux-gnu"),
                ("litert", "x86_64-unknown-linux-gnu"),
                ("tflite", "aarch64-unknown-linux-gnu"),
                ("tflite", "x86_64-unknown-linux-gnu"),
            ]
        );
        for library in &libraries {
            let file = if library.name == "litert" { "libLiteRt" } else { "libtensorflowlite_c" };
            let place = format!(".cache/{}/{}-linux/{file}.so", library.name, library.arch);
            assert!(destination(library).ends_with(place));
            assert!(library.target.starts_with(&library.arch));
        }
    }

    #[test]
    fn a_library_that_is_not_pinned_is_named_with_those_that_are() {
        let arguments = Arguments { target: Some("armv7-unknown-linux-gnueabihf".to_owned()) };
        let failure = run("litert", &arguments).unwrap_err().to_string();
        assert!(failure.starts_with("no library litert is pinned for armv7"), "{failure}");
        assert!(failure.contains("aarch64-unknown-linux-gnu, x86_64"), "{failure}");
    }
}
