//! Markdown files: links lead somewhere, and what they repeat from manifests is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::failure::{Context, Failure};
use crate::workspace::{self, Member};

/// The file whose table lists the crates.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// The file whose documentation has the lines of Rust in the README, where they are compiled.
const FACADE: &str = "crates/embedder/src/lib.rs";

/// Every broken link, and every statement about crates or the Rust version that is not true.
pub(super) fn check(
    root: &Path,
    workspace: &Table,
    members: &[Member],
) -> Result<Vec<String>, Failure> {
    let mut texts = BTreeMap::new();
    for path in workspace::files_below(root)? {
        if path.extension().is_some_and(|extension| extension == "md") {
            let text =
                fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
            texts.insert(workspace::relative(&path, root), text);
        }
    }
    let mut violations = Vec::new();
    for (place, text) in &texts {
        for (line, target) in links(text) {
            if let Some(complaint) = broken(root, place, &target, &texts) {
                violations.push(format!("{place}:{line}: {complaint}"));
            }
        }
    }
    if let Some(text) = texts.get(ARCHITECTURE) {
        let folders: Vec<&str> = members.iter().map(|member| member.folder.as_str()).collect();
        violations.extend(crate_table(text, &folders));
    }
    violations.extend(rust_version(workspace, members, &texts));
    if let Some(text) = texts.get("README.md") {
        let facade =
            fs::read_to_string(root.join(FACADE)).context(|| format!("cannot read {FACADE}"))?;
        violations.extend(example(text, &facade));
    }
    if root.join("clippy.toml").is_file()
        && workspace::read_toml(&root.join("clippy.toml"))?.contains_key("msrv")
    {
        violations.push("clippy.toml: the Rust version belongs in Cargo.toml alone".to_owned());
    }
    Ok(violations)
}

/// The lines outside of fenced code, counted from 1, with inline code left out.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            let outside: Vec<&str> = line.split('`').step_by(2).collect();
            lines.push((index + 1, outside.join("`")));
        }
    }
    lines
}

/// The targets of inline links, images and link definitions, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let mut add = |target: &str| {
            let target = target.split_whitespace().next().unwrap_or_default();
            links.push((number, target.trim_matches(['<', '>']).to_owned()));
        };
        for after in line.split("](").skip(1) {
            add(after.split(')').next().unwrap_or_default());
        }
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
            && !label.starts_with("[^")
        {
            add(target);
        }
    }
    links
}

/// Why the link `target` of the file `place` leads nowhere, if it is a local one that does.
fn broken(
    root: &Path,
    place: &str,
    target: &str,
    texts: &BTreeMap<String, String>,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let linked = if file.is_empty() {
        place.to_owned()
    } else {
        match resolve(place, file) {
            Some(linked) => linked,
            None => return Some(format!("the link {target} leads out of the repository")),
        }
    };
    if !root.join(&linked).exists() {
        return Some(format!("the link {target} leads to {linked}, which does not exist"));
    }
    if !anchor.is_empty() {
        let has_anchor = texts.get(&linked).is_some_and(|text| anchors(text).contains(anchor));
        if !has_anchor {
            return Some(format!("the link {target} leads to no heading of {linked}"));
        }
    }
    None
}

/// `file` as seen from the folder of `place`, relative to the root; nothing if it leaves the root.
fn resolve(place: &str, file: &str) -> Option<String> {
    if file.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = place.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that GitHub gives the headings of a Markdown text.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
        }
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|character| character.is_alphanumeric() || " -_".contains(*character))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect();
        let mut unique = anchor.clone();
        let mut repetition = 0;
        while !anchors.insert(unique) {
            repetition += 1;
            unique = format!("{anchor}-{repetition}");
        }
    }
    anchors
}

/// How the table with the head `Crate` differs from the folders below `crates/`.
///
/// The first cell of a row is the folder, `crates/frame` or just `frame`, in code or linked; rows
/// for folders outside of `crates/` may be there.
fn crate_table(text: &str, folders: &[&str]) -> Vec<String> {
    let mut listed = BTreeSet::new();
    let mut violations = Vec::new();
    let mut in_table = false;
    let mut found = false;
    for (index, line) in text.lines().enumerate() {
        let Some(row) = line.trim().strip_prefix('|') else {
            in_table = false;
            continue;
        };
        let cell = row.split('|').next().unwrap_or_default().trim();
        if !found && cell == "Crate" {
            (in_table, found) = (true, true);
        } else if in_table && !cell.starts_with("--") && !cell.starts_with(":-") {
            let name = cell.trim_start_matches('[').split(']').next().unwrap_or_default();
            let name = name.trim_matches('`').trim_end_matches('/');
            let folder = folders
                .iter()
                .find(|folder| **folder == name || folder.strip_prefix("crates/") == Some(name));
            match folder {
                Some(folder) => {
                    listed.insert(*folder);
                }
                None => violations.push(format!(
                    "{ARCHITECTURE}:{}: the table lists {name}, which is no crate of the workspace",
                    index + 1
                )),
            }
        }
    }
    if !found {
        return vec![format!("{ARCHITECTURE}: no table with the head `| Crate |`")];
    }
    for folder in folders {
        if folder.starts_with("crates/") && !listed.contains(folder) {
            violations.push(format!("{ARCHITECTURE}: the table does not list {folder}"));
        }
    }
    violations
}

/// Whether the README's Rust is the first example of the facade's documentation, which is run.
fn example(readme: &str, facade: &str) -> Option<String> {
    let after = |text: &str, start: &str| -> Vec<String> {
        let lines = text.lines().map(str::to_owned);
        lines.skip_while(|line| !line.contains(start)).skip(1).collect()
    };
    let shown: Vec<String> =
        after(readme, "```rust").into_iter().take_while(|line| line != "```").collect();
    let compiled: Vec<String> = after(facade, "doc = \"```ignore\"")
        .iter()
        .skip_while(|line| !line.starts_with("//!"))
        .map(|line| line.strip_prefix("//!").unwrap_or(line))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .take_while(|line| !line.starts_with("```"))
        // Hidden from readers.
        .filter(|line| !line.starts_with("# "))
        .map(str::to_owned)
        .collect();
    (shown.is_empty() || shown != compiled).then(|| {
        format!("README.md: its Rust is not the first example of {FACADE}, which is compiled")
    })
}

/// Every place but the workspace manifest that states a Rust version of its own.
fn rust_version(
    workspace: &Table,
    members: &[Member],
    texts: &BTreeMap<String, String>,
) -> Vec<String> {
    let stated = workspace
        .get("workspace")
        .and_then(|table| table.get("package"))
        .and_then(|package| package.get("rust-version"))
        .and_then(Value::as_str);
    let Some(stated) = stated else {
        return vec!["Cargo.toml: [workspace.package] has no rust-version".to_owned()];
    };
    let mut violations = Vec::new();
    for member in members {
        let own = member.manifest.get("package").and_then(|package| package.get("rust-version"));
        if own.is_some_and(Value::is_str) {
            violations.push(format!(
                "{}/Cargo.toml: rust-version must be `rust-version.workspace = true`",
                member.folder
            ));
        }
    }
    for (place, text) in texts {
        for (index, line) in text.lines().enumerate() {
            for after in line.split("Rust 1.").skip(1) {
                let minor: String =
                    after.chars().take_while(|character| character.is_ascii_digit()).collect();
                let mentioned = format!("1.{minor}");
                if !minor.is_empty() && mentioned != stated {
                    violations.push(format!(
                        "{place}:{}: says Rust {mentioned}, but the workspace needs {stated}",
                        index + 1
                    ));
                }
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_alone() {
        let text = "[a](a.md) ![b](b.png \"title\") `[c](c.md)`\n```\n[d](d.md)\n```\n\
                    [e]: <e.md>\n[^note]: not a link\n";
        let expected = [(1, "a.md"), (1, "b.png"), (5, "e.md")];
        let found = links(text);
        let found: Vec<_> = found.iter().map(|(line, target)| (*line, target.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_links_are_told_from_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docs")).unwrap();
        fs::write(folder.path().join("README.md"), "").unwrap();
        let heading = "# First part\n## `Second`, part!\n# First part\n";
        let texts = BTreeMap::from([
            ("README.md".to_owned(), heading.to_owned()),
            ("docs/a.md".to_owned(), String::new()),
        ]);
        let complaint = |target| broken(folder.path(), "docs/a.md", target, &texts);
        for good in [
            "../README.md",
            "..",
            "../README.md#first-part",
            "../README.md#second-part",
            "../README.md#first-part-1",
            "https://example.org/no-such-file",
            "mailto:someone@example.org",
        ] {
            assert_eq!(complaint(good), None, "{good}");
        }
        for (bad, reason) in [
            ("README.md", "leads to docs/README.md, which does not exist"),
            ("../README.md#third-part", "no heading of README.md"),
            ("#anything", "no heading of docs/a.md"),
            ("../../README.md", "leads out of the repository"),
            ("/README.md", "leads out of the repository"),
        ] {
            if bad == "#anything" {
                fs::write(folder.path().join("docs/a.md"), "").unwrap();
            }
            let found = complaint(bad).unwrap_or_default();
            assert!(found.contains(reason), "{bad}: {found}");
        }
    }

    #[test]
    fn the_crate_table_must_equal_the_workspace() {
        let folders = ["crates/frame", "crates/schema", "xtask"];
        let head = "| Crate | What |\n| --- | --- |\n";
        let good = format!("{head}| `frame` | a |\n| [`crates/schema`](crates/schema) | b |\n");
        assert_eq!(crate_table(&good, &folders), Vec::<String>::new());
        let with_xtask = format!("{good}| `xtask` | c |\n\n| Other | table |\n| --- | --- |\n");
        assert_eq!(crate_table(&with_xtask, &folders), Vec::<String>::new());

        let missing = crate_table(&format!("{head}| `frame` | a |\n"), &folders);
        assert_eq!(missing, ["ARCHITECTURE.md: the table does not list crates/schema"]);
        let unknown = crate_table(&format!("{good}| `gone` | a |\n"), &folders);
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        assert!(unknown[0].starts_with("ARCHITECTURE.md:5: the table lists gone"), "{unknown:?}");
        assert_eq!(crate_table("no table", &folders).len(), 1);
    }

    #[test]
    fn the_rust_of_the_readme_is_compiled_elsewhere() {
        let readme = "# Title\n\n```sh\nls\n```\n\n```rust\nlet a = 1;\n\nuse_it(a);\n```\n";
        let facade = "//! Doc.\n#![cfg_attr(x, doc = \"```ignore\")]\n//! # hidden();\n//! let a = 1;\n\
                      //!\n//! use_it(a);\n//! ```\n//! # More\n";
        assert_eq!(example(readme, facade), None);
        for changed in [readme.replace('1', "2"), readme.replace("use_it(a);\n", ""), String::new()]
        {
            assert!(example(&changed, facade).is_some(), "{changed}");
        }
    }

    #[test]
    fn the_rust_version_is_stated_once() {
        let workspace: Table = "[workspace.package]\nrust-version = \"1.91\"".parse().unwrap();
        let member =
            |text: &str| Member { folder: "crates/a".to_owned(), manifest: text.parse().unwrap() };
        let text = |text: &str| BTreeMap::from([("README.md".to_owned(), text.to_owned())]);
        let inherits = [member("[package]\nrust-version.workspace = true")];
        let states = [member("[package]\nrust-version = \"1.91\"")];

        let fine = rust_version(&workspace, &inherits, &text("Needs Rust 1.91 or newer."));
        assert_eq!(fine, Vec::<String>::new());
        assert_eq!(rust_version(&workspace, &states, &text("")).len(), 1);
        let drifted = rust_version(&workspace, &inherits, &text("\nNeeds Rust 1.90."));
        assert_eq!(drifted, ["README.md:2: says Rust 1.90, but the workspace needs 1.91"]);
        assert_eq!(rust_version(&Table::new(), &[], &text("")).len(), 1);
    }
}
