//! Packages that are a workspace of their own keep to the rules of the main one.

use toml::{Table, Value};

use crate::workspace::Member;

/// What the manifest of a workspace says for all its packages.
const SHARED: [&str; 2] = ["package", "lints"];

/// Every package apart that the workspace does not exclude, or that repeats its tables otherwise.
pub(super) fn check(workspace: &Table, packages: &[Member]) -> Vec<String> {
    let ours = workspace.get("workspace");
    let excluded = ours.and_then(|table| table.get("exclude")).and_then(Value::as_array);
    let mut violations = Vec::new();
    for package in packages.iter().filter(|package| package.is_apart()) {
        let folder = &package.folder;
        let is_excluded = excluded
            .is_some_and(|folders| folders.iter().any(|other| other.as_str() == Some(folder)));
        if !is_excluded {
            violations.push(format!("Cargo.toml: {folder} is a workspace, so exclude it"));
        }
        let theirs = package.manifest.get("workspace");
        for table in SHARED {
            let of = |workspace: Option<&Value>| workspace?.get(table).cloned();
            if of(theirs) != of(ours) {
                violations.push(format!(
                    "{folder}/Cargo.toml: [workspace.{table}] is not that of the main workspace"
                ));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_apart_is_excluded_and_has_the_same_tables() {
        let member =
            |text: &str| Member { folder: "crates/a".to_owned(), manifest: text.parse().unwrap() };
        let ours: Table =
            "[workspace]\nexclude = [\"crates/a\"]\n[workspace.package]\nedition = \"1\""
                .parse()
                .unwrap();
        let same = member("[workspace.package]\nedition = \"1\"");
        let inside = member("[package]\nedition.workspace = true");
        assert_eq!(check(&ours, &[same, inside]), Vec::<String>::new());

        let other = [member("[workspace.package]\nedition = \"2\"")];
        let expected = "crates/a/Cargo.toml: [workspace.package] is not that of the main workspace";
        assert_eq!(check(&ours, &other), [expected]);
        let lints =
            [member("[workspace.package]\nedition = \"1\"\n[workspace.lints.rust]\na = \"b\"")];
        assert_eq!(check(&ours, &lints).len(), 1);
        let ours: Table = "[workspace.package]\nedition = \"1\"".parse().unwrap();
        let expected = "Cargo.toml: crates/a is a workspace, so exclude it";
        assert_eq!(check(&ours, &[member("[workspace.package]\nedition = \"1\"")]), [expected]);
    }
}
