//! Where the workspace lies and which files and crates it has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::failure::{Context, Failure};

/// The root folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo tells at run time where this package lies. What it said when it compiled is the second
    // choice: checkouts that share a target folder may share this program.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().expect("xtask lies below the root").to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// One package.
#[derive(Debug)]
pub(crate) struct Member {
    /// The folder relative to the root, with forward slashes: `crates/frame`, `xtask`.
    pub(crate) folder: String,
    /// The parsed `Cargo.toml`.
    pub(crate) manifest: Table,
}

impl Member {
    /// The package name, or an empty string if the manifest has none.
    pub(crate) fn package(&self) -> &str {
        self.manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    }

    /// Whether the package is a workspace of its own.
    pub(crate) fn is_apart(&self) -> bool {
        self.manifest.contains_key("workspace")
    }
}

/// Reads and parses the TOML file at `path`.
pub(crate) fn read_toml(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
    text.parse().context(|| format!("cannot parse {}", path.display()))
}

/// Every package of the workspace: the folders of `crates/` in name order, then `xtask` and
/// `benches`.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, Failure> {
    let mut packages = packages(root)?;
    packages.retain(|package| !package.is_apart());
    Ok(packages)
}

/// Every package in the same order, those that are a workspace of their own included.
pub(crate) fn packages(root: &Path) -> Result<Vec<Member>, Failure> {
    let crates = root.join("crates");
    let mut folders = Vec::new();
    for entry in fs::read_dir(&crates).context(|| format!("cannot list {}", crates.display()))? {
        let entry = entry.context(|| format!("cannot list {}", crates.display()))?;
        if entry.path().join("Cargo.toml").is_file() {
            folders.push(format!("crates/{}", entry.file_name().to_string_lossy()));
        }
    }
    folders.sort();
    folders.extend(["xtask".to_owned(), "benches".to_owned()]);
    folders
        .into_iter()
        .map(|folder| {
            let manifest = read_toml(&root.join(&folder).join("Cargo.toml"))?;
            Ok(Member { folder, manifest })
        })
        .collect()
}

/// Every file below `folder`, in path order, without build results, caches and version control.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    const SKIPPED: [&str; 4] = [".git", ".cache", "target", "__pycache__"];
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(next) = pending.pop() {
        let entries = fs::read_dir(&next).context(|| format!("cannot list {}", next.display()))?;
        for entry in entries {
            let entry = entry.context(|| format!("cannot list {}", next.display()))?;
            let kind = entry
                .file_type()
                .context(|| format!("cannot inspect {}", entry.path().display()))?;
            if kind.is_file() {
                found.push(entry.path());
            } else if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped)
            {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `path` relative to `base`, with forward slashes.
pub(crate) fn relative(path: &Path, base: &Path) -> String {
    let inner = path.strip_prefix(base).unwrap_or(path);
    let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
