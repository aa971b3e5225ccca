//! Paths of fixtures, models and reference data, or a panic that says how to get them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that names the folder with the reference implementation's results.
///
/// A relative path is taken from the workspace root, whatever folder the test runs in.
pub const REFERENCE_VARIABLE: &str = "IMAGE_EMBEDDER_REFERENCE";

/// The root folder of this workspace.
///
/// # Panics
///
/// Panics if no folder above the package under test holds the fixture manifest.
#[must_use]
pub fn workspace_root() -> PathBuf {
    // Cargo tells at run time where the package under test lies. What it said when it compiled is
    // the second choice: checkouts that share a target folder may share this crate.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .ancestors()
        .find(|folder| folder.join("fixtures/manifest.toml").is_file())
        .unwrap_or_else(|| panic!("no fixtures/manifest.toml above {}", package.display()))
        .to_path_buf()
}

/// The committed fixture at `path`, which is relative to `fixtures/`.
///
/// # Panics
///
/// Panics with the path that was looked for if there is no such file or folder.
///
/// # Examples
///
/// ```
/// let photo = image_embedder_test_support::fixture("images/cat.jpg");
/// assert!(photo.is_file());
/// ```
#[must_use]
#[track_caller]
pub fn fixture(path: impl AsRef<Path>) -> PathBuf {
    let found = workspace_root().join("fixtures").join(path);
    assert!(found.exists(), "no fixture {}", found.display());
    found
}

/// The reference data at `path`, which is relative to the folder that [`REFERENCE_VARIABLE`] names.
///
/// # Panics
///
/// Panics if the variable is not set, saying what to set, and if the path does not exist, naming it.
#[must_use]
#[track_caller]
pub fn reference(path: impl AsRef<Path>) -> PathBuf {
    match reference_in(env::var_os(REFERENCE_VARIABLE), path.as_ref()) {
        Ok(found) => found,
        Err(reason) => panic!("{reason}"),
    }
}

/// The model file called `name`, for example `deeplabv3.tflite`.
///
/// Looks in `crates/embedder/models`, then in `fixtures/models`, then in `.cache/models`, then in
/// the folder `models` of the reference data.
///
/// # Panics
///
/// Panics with the places that were looked in and the command that fetches models if the file is in
/// none of them.
#[must_use]
#[track_caller]
pub fn model(name: &str) -> PathBuf {
    let root = workspace_root();
    let mut folders: Vec<PathBuf> = ["crates/embedder/models", "fixtures/models", ".cache/models"]
        .map(|folder| root.join(folder))
        .into();
    folders.extend(
        reference_folder(env::var_os(REFERENCE_VARIABLE)).map(|folder| folder.join("models")),
    );
    match model_in(&folders, name) {
        Ok(found) => found,
        Err(reason) => panic!("{reason}"),
    }
}

fn reference_folder(variable: Option<OsString>) -> Option<PathBuf> {
    let folder = variable.filter(|value| !value.is_empty())?;
    Some(workspace_root().join(folder))
}

fn reference_in(variable: Option<OsString>, path: &Path) -> Result<PathBuf, String> {
    let Some(folder) = reference_folder(variable) else {
        return Err(format!(
            "needs {}: set {REFERENCE_VARIABLE} to the folder with the reference data",
            path.display()
        ));
    };
    let found = folder.join(path);
    if found.exists() {
        Ok(found)
    } else {
        Err(format!(
            "no {}, although {REFERENCE_VARIABLE} is set; expected {}",
            path.display(),
            found.display()
        ))
    }
}

fn model_in(folders: &[PathBuf], name: &str) -> Result<PathBuf, String> {
    for folder in folders {
        let candidate = folder.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let looked_in: Vec<String> =
        folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(format!(
        "no model {name} in {}; run: cargo xtask fetch models {name}",
        looked_in.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn finds_a_committed_fixture() {
        assert!(fixture("images/cat.jpg").is_file());
        assert!(fixture("images").is_dir());
    }

    #[test]
    #[should_panic(expected = "images/no_such_photo.jpg")]
    fn a_missing_fixture_is_named() {
        let _ = fixture("images/no_such_photo.jpg");
    }

    #[test]
    fn finds_the_bundled_model() {
        assert!(model("efficientnet_lite0_feature_vector_uint8.tflite").is_file());
    }

    #[test]
    #[should_panic(expected = "run: cargo xtask fetch models no_such_model.tflite")]
    fn a_missing_model_says_how_to_fetch_it() {
        let _ = model("no_such_model.tflite");
    }

    #[test]
    fn models_are_taken_from_the_first_folder_that_has_them() {
        let folders = [workspace_root().join("no_such_folder"), fixture("models")];
        let found = model_in(&folders, "mobilenet_v1_0.25_224_quant.tflite").unwrap();
        assert_eq!(found.parent(), Some(folders[1].as_path()));
    }

    #[test]
    fn unset_or_empty_reference_says_what_to_set() {
        for variable in [None, Some(OsString::new())] {
            let reason = reference_in(variable, Path::new("golden/pixels.json")).unwrap_err();
            assert!(reason.contains("golden/pixels.json"), "{reason}");
            assert!(reason.contains("set IMAGE_EMBEDDER_REFERENCE"), "{reason}");
        }
    }

    #[test]
    fn reference_data_is_relative_to_the_workspace_root() {
        let found = reference_in(Some("fixtures".into()), Path::new("images/cat.jpg")).unwrap();
        assert_eq!(found, fixture("images/cat.jpg"));
    }

    #[test]
    fn missing_reference_data_is_named() {
        let reason = reference_in(Some("fixtures".into()), Path::new("nothing.json")).unwrap_err();
        assert!(reason.contains("nothing.json"), "{reason}");
        assert!(reason.contains("is set"), "{reason}");
    }
}
