//! The committed fixtures and their manifest say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::Path;

use crate::failure::{Context, Failure};
use crate::fixture_manifest::{self, FixtureManifest};
use crate::pin::Pin;
use crate::workspace;

/// Every file of `fixtures/`, or of another folder that the manifest names, that the manifest does
/// not describe, or describes wrongly.
pub(super) fn check(root: &Path) -> Result<Vec<String>, Failure> {
    let manifest = fixture_manifest::read(root)?;
    let folder = root.join("fixtures");
    let mut found = BTreeMap::new();
    let elsewhere = manifest.group.iter().map(|group| group.folder.as_str());
    let elsewhere: BTreeSet<_> = elsewhere.filter(|folder| folder.starts_with("../")).collect();
    for prefix in iter::once("").chain(elsewhere) {
        let folder = folder.join(prefix);
        for path in workspace::files_below(&folder)? {
            let name = workspace::relative(&path, &folder);
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if !describes_fixtures(&name) {
                let pin =
                    Pin::of_file(&path).context(|| format!("cannot read {}", path.display()))?;
                found.insert(name, pin);
            }
        }
    }
    Ok(compare(&manifest, found))
}

/// Whether the file is about fixtures instead of being one.
fn describes_fixtures(name: &str) -> bool {
    name == "manifest.toml"
        || name == "README.md"
        || name.ends_with("/README.md")
        || Path::new(name).extension().is_some_and(|extension| extension == "py")
}

fn compare(manifest: &FixtureManifest, mut found: BTreeMap<String, Pin>) -> Vec<String> {
    const PLACE: &str = "fixtures/manifest.toml";
    let mut violations = Vec::new();
    for group in &manifest.group {
        if group.source.trim().is_empty() || group.licence.trim().is_empty() {
            violations
                .push(format!("{PLACE}: a group in {} lacks its source or licence", group.folder));
        }
        for file in &group.files {
            let name = format!("{}/{}", group.folder, file.name);
            if file.purpose.trim().is_empty() {
                violations.push(format!("{PLACE}: {name} lacks its purpose"));
            }
            match found.remove(&name) {
                None => {
                    violations.push(format!("{PLACE}: {name} does not exist or is listed before"))
                }
                Some(pin) if pin != file.pin => {
                    violations.push(format!("fixtures/{name}: expected {}, found {pin}", file.pin))
                }
                Some(_) => {}
            }
        }
    }
    for model in &manifest.model {
        let texts = [&model.purpose, &model.source, &model.licence];
        if texts.iter().any(|text| text.trim().is_empty()) {
            violations
                .push(format!("{PLACE}: {} lacks its purpose, source or licence", model.name));
        }
    }
    for library in &manifest.library {
        if library.licence.trim().is_empty() {
            violations.push(format!("{PLACE}: {} lacks its licence", library.target));
        }
    }
    for (name, pin) in found {
        let file = name.rsplit('/').next().unwrap_or(&name);
        violations.push(format!(
            "fixtures/{name}: not in the manifest; add\n  {{ name = \"{file}\", size = {}, sha256 \
             = \"{}\", purpose = \"\" }},",
            pin.size, pin.sha256
        ));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(purpose: &str, source: &str) -> FixtureManifest {
        toml::from_str(&format!(
            "[[group]]\nfolder = \"images\"\nsource = \"{source}\"\nlicence = \"CC0-1.0\"\n\
             files = [{{ name = \"a.png\", size = 1, sha256 = \"00\", purpose = \"{purpose}\" }}]"
        ))
        .unwrap()
    }

    fn found(entries: &[(&str, u64)]) -> BTreeMap<String, Pin> {
        entries
            .iter()
            .map(|(name, size)| ((*name).to_owned(), Pin { size: *size, sha256: "00".to_owned() }))
            .collect()
    }

    #[test]
    fn agreement_passes() {
        assert!(compare(&manifest("p", "s"), found(&[("images/a.png", 1)])).is_empty());
    }

    #[test]
    fn each_disagreement_is_named() {
        let cases = [
            (manifest("p", "s"), found(&[]), "a.png does not exist"),
            (manifest("p", "s"), found(&[("images/a.png", 2)]), "expected 1 bytes"),
            (
                manifest("p", "s"),
                found(&[("images/a.png", 1), ("images/b.png", 3)]),
                "fixtures/images/b.png: not in the manifest; add\n  { name = \"b.png\", size = 3",
            ),
            (manifest(" ", "s"), found(&[("images/a.png", 1)]), "lacks its purpose"),
            (manifest("p", ""), found(&[("images/a.png", 1)]), "lacks its source"),
        ];
        for (manifest, found, expected) in cases {
            let violations = compare(&manifest, found);
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert!(violations[0].contains(expected), "{violations:?}");
        }
    }

    #[test]
    fn notes_and_generators_are_not_fixtures() {
        for name in ["manifest.toml", "README.md", "models/README.md", "generate.py"] {
            assert!(describes_fixtures(name), "{name}");
        }
        for name in ["images/manifest.toml", "images/cat.jpg", "golden/README.json"] {
            assert!(!describes_fixtures(name), "{name}");
        }
    }
}
