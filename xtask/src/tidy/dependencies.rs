//! Who may depend on whom, and on what from outside.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::workspace::Member;

/// What one package may name in its manifest.
struct Rule {
    /// The package's folder.
    folder: &'static str,
    /// The folders below `crates/` of the packages it may depend on.
    inside: &'static [&'static str],
    /// The outside crates it may depend on.
    outside: &'static [&'static str],
    /// The folders below `crates/` that only its tests, examples and benches may use.
    inside_tests: &'static [&'static str],
}

/// The packages, lowest layer first. A dependency that is not here is a violation.
const RULES: [Rule; 18] = [
    Rule {
        folder: "crates/schema",
        inside: &[],
        outside: &["flatbuffers"],
        inside_tests: &["test-support"],
    },
    Rule { folder: "crates/frame", inside: &[], outside: &[], inside_tests: &["test-support"] },
    Rule {
        folder: "crates/embedding",
        inside: &[],
        outside: &["half"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend",
        inside: &[],
        outside: &["half"],
        inside_tests: &["test-support"],
    },
    Rule { folder: "crates/fixed-point", inside: &[], outside: &[], inside_tests: &[] },
    Rule {
        folder: "crates/metadata",
        inside: &["schema"],
        outside: &["zip"],
        inside_tests: &["test-support", "backend", "backend-native"],
    },
    Rule {
        folder: "crates/preprocess",
        inside: &["frame"],
        outside: &["fast_image_resize"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend-native",
        inside: &["backend", "fixed-point", "schema"],
        outside: &["libm"],
        inside_tests: &["test-support", "backend-tflite"],
    },
    Rule {
        folder: "crates/backend-tflite",
        inside: &["backend", "schema"],
        outside: &["libloading"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend-litert",
        inside: &["backend", "schema"],
        outside: &["libloading"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend-tract",
        inside: &["backend", "fixed-point", "schema"],
        outside: &["tract-core"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend-tflite-vendored",
        inside: &["backend", "schema"],
        outside: &["self_cell", "tflite"],
        inside_tests: &["test-support", "backend-conformance", "embedder"],
    },
    Rule {
        folder: "crates/embedder",
        inside: &[
            "schema",
            "frame",
            "embedding",
            "backend",
            "metadata",
            "preprocess",
            "backend-native",
            "backend-tflite",
            "backend-litert",
            "backend-tract",
        ],
        outside: &["image", "memmap2", "sha2"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/cli",
        inside: &["embedder"],
        outside: &["clap", "image", "serde", "serde_json"],
        inside_tests: &["test-support"],
    },
    Rule {
        folder: "crates/backend-conformance",
        inside: &["backend", "schema", "backend-tflite", "backend-tract", "test-support"],
        outside: &["serde_json"],
        inside_tests: &["backend-native", "backend-litert"],
    },
    Rule { folder: "crates/test-support", inside: &["schema"], outside: &[], inside_tests: &[] },
    Rule {
        folder: "xtask",
        inside: &[],
        outside: &["clap", "serde", "sha2", "toml", "zip"],
        inside_tests: &[],
    },
    Rule {
        folder: "benches",
        inside: &[
            "schema",
            "frame",
            "embedding",
            "backend",
            "metadata",
            "preprocess",
            "backend-native",
            "backend-tflite",
            "backend-litert",
            "backend-tract",
            "backend-conformance",
            "embedder",
            "test-support",
        ],
        outside: &["clap", "criterion", "fast_image_resize", "serde", "serde_json"],
        inside_tests: &["test-support"],
    },
];

/// Outside crates that any package's tests may use.
const OUTSIDE_TESTS: [&str; 6] =
    ["criterion", "proptest", "serde", "serde_json", "sha2", "tempfile"];

/// Every dependency that [`RULES`] does not allow, is not inherited from the workspace, or is
/// declared there for nobody.
pub(super) fn check(workspace: &Table, members: &[Member]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut used = BTreeSet::new();
    for member in members {
        let place = format!("{}/Cargo.toml", member.folder);
        let Some(rule) = RULES.iter().find(|rule| rule.folder == member.folder) else {
            violations.push(format!("{place}: xtask/src/tidy/dependencies.rs has no rule for it"));
            continue;
        };
        for (section, name, declaration) in declarations(&member.manifest) {
            if is_own_features(member, section, name, declaration) {
                continue;
            }
            used.insert(name.to_owned());
            if declaration.get("workspace").and_then(Value::as_bool) != Some(true) {
                violations.push(format!("{place}: {name} must be `workspace = true`"));
            }
            if let Some(complaint) = complaint(rule, section, name, members) {
                violations.push(format!("{place}: {complaint}"));
            }
        }
    }
    for name in workspace_dependencies(workspace) {
        if !used.contains(name) {
            violations.push(format!("Cargo.toml: nothing uses the workspace dependency {name}"));
        }
    }
    for rule in &RULES {
        if !members.iter().any(|member| member.folder == rule.folder) {
            violations.push(format!(
                "xtask/src/tidy/dependencies.rs: there is a rule for {}, which does not exist",
                rule.folder
            ));
        }
    }
    violations
}

/// The part of a manifest that names a dependency.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Section {
    Normal,
    Development,
    Build,
}

/// Every dependency of a manifest, those for one target only included.
fn declarations(manifest: &Table) -> Vec<(Section, &str, &Value)> {
    const SECTIONS: [(&str, Section); 3] = [
        ("dependencies", Section::Normal),
        ("dev-dependencies", Section::Development),
        ("build-dependencies", Section::Build),
    ];
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(Value::as_table));
    let mut declarations = Vec::new();
    for table in std::iter::once(manifest).chain(targets) {
        for (key, section) in SECTIONS {
            if let Some(dependencies) = table.get(key).and_then(Value::as_table) {
                declarations.extend(
                    dependencies.iter().map(|(name, value)| (section, name.as_str(), value)),
                );
            }
        }
    }
    declarations
}

/// Whether the package names itself, which turns on its features in its tests.
fn is_own_features(member: &Member, section: Section, name: &str, declaration: &Value) -> bool {
    section == Section::Development
        && name == member.package()
        && declaration.get("path").and_then(Value::as_str) == Some(".")
}

/// Why `rule` does not allow the dependency `name`, if it does not.
fn complaint(rule: &Rule, section: Section, name: &str, members: &[Member]) -> Option<String> {
    let inside = members.iter().find(|member| member.package() == name);
    let allowed = match (section, inside) {
        (Section::Build, _) => false,
        (Section::Normal, None) => rule.outside.contains(&name),
        (Section::Development, None) => {
            rule.outside.contains(&name) || OUTSIDE_TESTS.contains(&name)
        }
        (Section::Normal | Section::Development, Some(member)) => {
            let folder = member.folder.trim_start_matches("crates/");
            rule.inside.contains(&folder)
                || section == Section::Development && rule.inside_tests.contains(&folder)
        }
    };
    let kind = match section {
        Section::Normal => "dependency",
        Section::Development => "dev-dependency",
        Section::Build => "build-dependency",
    };
    (!allowed).then(|| format!("{name} is not an allowed {kind}"))
}

fn workspace_dependencies(workspace: &Table) -> impl Iterator<Item = &str> {
    workspace
        .get("workspace")
        .and_then(|table| table.get("dependencies"))
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(|dependencies| dependencies.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Empty packages for every rule, but `changed` with the manifest `extra`.
    fn members(changed: &str, extra: &str) -> Vec<Member> {
        RULES
            .iter()
            .map(|rule| {
                let package = match rule.folder {
                    "crates/embedder" => "image-embedder".to_owned(),
                    folder => folder.replace("crates/", "image-embedder-"),
                };
                let mut text = format!("[package]\nname = \"{package}\"\n");
                if rule.folder == changed {
                    text.push_str(extra);
                }
                Member { folder: rule.folder.to_owned(), manifest: text.parse().unwrap() }
            })
            .collect()
    }

    #[test]
    fn allowed_dependencies_pass() {
        let cases = [
            ("crates/metadata", "[dependencies]\nimage-embedder-schema.workspace = true"),
            ("crates/metadata", "[dependencies]\nzip.workspace = true"),
            ("crates/frame", "[dev-dependencies]\nproptest.workspace = true"),
            ("crates/frame", "[dev-dependencies]\nimage-embedder-test-support.workspace = true"),
            ("crates/cli", "[dependencies]\nimage-embedder = { workspace = true, features = [] }"),
        ];
        for (folder, extra) in cases {
            let violations = check(&Table::new(), &members(folder, extra));
            assert!(violations.is_empty(), "{extra}: {violations:?}");
        }
    }

    #[test]
    fn each_forbidden_dependency_is_named() {
        let cases = [
            ("crates/schema", "[dependencies]\nimage-embedder-metadata.workspace = true"),
            ("crates/frame", "[dependencies]\nimage-embedder-test-support.workspace = true"),
            ("crates/frame", "[dependencies]\nproptest.workspace = true"),
            ("crates/frame", "[target.'cfg(unix)'.dependencies]\nlibc.workspace = true"),
            ("crates/schema", "[build-dependencies]\nflatbuffers.workspace = true"),
            ("crates/cli", "[dependencies]\nimage-embedder-frame.workspace = true"),
            ("crates/embedder", "[dev-dependencies]\nxtask.workspace = true"),
            ("crates/schema", "[dependencies]\nflatbuffers = \"25\""),
        ];
        for (folder, extra) in cases {
            let violations = check(&Table::new(), &members(folder, extra));
            assert_eq!(violations.len(), 1, "{extra}: {violations:?}");
            assert!(violations[0].starts_with(&format!("{folder}/Cargo.toml: ")), "{violations:?}");
        }
    }

    #[test]
    fn a_package_without_a_rule_and_a_rule_without_a_package_are_named() {
        let mut all = members("", "");
        all[0].folder = "crates/novelty".to_owned();
        let violations = check(&Table::new(), &all);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("crates/novelty/Cargo.toml: "), "{violations:?}");
        assert!(violations[1].contains("a rule for crates/schema"), "{violations:?}");
    }

    #[test]
    fn an_unused_workspace_dependency_is_named() {
        let workspace = "[workspace.dependencies]\nzip = \"1\"\nserde = \"1\"".parse().unwrap();
        let members = members("crates/metadata", "[dependencies]\nzip.workspace = true");
        assert_eq!(
            check(&workspace, &members),
            ["Cargo.toml: nothing uses the workspace dependency serde"]
        );
    }
}
