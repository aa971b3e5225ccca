//! `fixtures/manifest.toml`: what every fixture is, where it comes from and what it must contain.

use std::path::Path;

use serde::Deserialize;

use crate::failure::{Context, Failure};
use crate::pin::Pin;

/// The parsed manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixtureManifest {
    /// Committed files, grouped by where they come from.
    #[serde(default)]
    pub(crate) group: Vec<Group>,
    /// Models that are fetched, never committed.
    #[serde(default)]
    pub(crate) model: Vec<Model>,
    /// Builds of the TensorFlow Lite C library, one per platform.
    #[serde(default)]
    pub(crate) library: Vec<Library>,
}

/// Committed files of one folder that share a source and a licence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// The folder relative to `fixtures/`; one elsewhere begins with `../`.
    pub(crate) folder: String,
    /// Where the files come from.
    pub(crate) source: String,
    /// The licence of the files.
    pub(crate) licence: String,
    /// The files.
    pub(crate) files: Vec<CommittedFile>,
}

/// One committed file.
#[derive(Debug, Deserialize)]
pub(crate) struct CommittedFile {
    /// The file name inside the group's folder.
    pub(crate) name: String,
    /// What the file is there to show.
    pub(crate) purpose: String,
    /// What it must contain.
    #[serde(flatten)]
    pub(crate) pin: Pin,
}

/// One model that `fetch models` brings.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    /// The file name.
    pub(crate) name: String,
    /// What the model is good for.
    pub(crate) purpose: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// Its licence.
    pub(crate) licence: String,
    /// Where it can be downloaded, if anywhere.
    pub(crate) url: Option<String>,
    /// What it must contain.
    #[serde(flatten)]
    pub(crate) pin: Pin,
}

/// One build of the TensorFlow Lite C library inside a Python wheel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Library {
    /// The backend that loads it, which names its folder in `.cache`.
    pub(crate) name: String,
    /// The target triple the library runs on.
    pub(crate) target: String,
    /// The processor, spelled as `std::env::consts::ARCH`.
    pub(crate) arch: String,
    /// The operating system, spelled as `std::env::consts::OS`.
    pub(crate) os: String,
    /// The Python package.
    pub(crate) package: String,
    /// The exact version of the package.
    pub(crate) version: String,
    /// The platform tag of the wheel.
    pub(crate) platform: String,
    /// The licence of the library.
    pub(crate) licence: String,
    /// The library's path inside the wheel; its file name is kept.
    pub(crate) member: String,
    /// What the wheel must contain.
    pub(crate) wheel: Pin,
    /// What the library must contain.
    pub(crate) content: Pin,
}

/// Reads the manifest of the workspace at `root`.
pub(crate) fn read(root: &Path) -> Result<FixtureManifest, Failure> {
    let path = root.join("fixtures/manifest.toml");
    let text =
        std::fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).context(|| format!("cannot parse {}", path.display()))
}
