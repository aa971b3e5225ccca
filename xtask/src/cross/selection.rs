//! Which packages of the workspace are built and tested for a target.

use super::target::{ByDefault, Processor, Target};
use crate::workspace::Member;

/// The package with the command-line program.
pub(super) const PROGRAM: &str = "image-embedder-cli";

/// The features that [`PROGRAM`] is built with: the native engine, and the TensorFlow Lite library
/// where a program can load one.
pub(super) fn program_features(target: &Target) -> &'static str {
    if target.is_static() { "native" } else { "native,tflite" }
}

/// Packages whose tests load foreign libraries, each with those test files that do not.
const WITH_LIBRARIES: [(&str, &[&str]); 3] = [
    ("image-embedder-backend-tflite", &[]),
    ("image-embedder-backend-litert", &[]),
    ("image-embedder-backend-conformance", &["native", "tract"]),
];

/// Packages that choose their code by the processor that they find.
const PROCESSOR_DEPENDENT: [&str; 3] = [
    "image-embedder-backend-native",
    "image-embedder-backend-conformance",
    "image-embedder-preprocess",
];

/// What to test, and what is left out, each with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The packages whose every test runs.
    pub(super) packages: Vec<String>,
    /// The packages of which the unit tests and some test files run.
    pub(super) parts: Vec<(String, &'static [&'static str])>,
    /// The packages that are left out, or a part of them, and why.
    pub(super) left_out: Vec<(String, String)>,
}

/// Every crate that can run on the target and the processor; of all, if `by_default`, those that
/// are tested there if no processor is asked for.
pub(super) fn tested(
    members: &[Member],
    target: &Target,
    processor: Option<&Processor>,
    by_default: bool,
    has_libraries: bool,
) -> Selection {
    let mut selection = Selection { packages: Vec::new(), parts: Vec::new(), left_out: Vec::new() };
    let no_libraries = if !has_libraries {
        Some("no TensorFlow Lite or LiteRT library is pinned for this target".to_owned())
    } else {
        processor.filter(|processor| !processor.runs_tflite).map(|processor| {
            format!(
                "the TensorFlow Lite library ends the process on an emulated {}",
                processor.name
            )
        })
    };
    for member in members {
        let package = member.package();
        if let Some(reason) = reason_to_leave_out(&member.folder, package, target) {
            selection.left_out.push((package.to_owned(), reason.to_owned()));
            continue;
        }
        if let Some(processor) = processor
            && by_default
            && processor.by_default == ByDefault::WhatDependsOnIt
            && !PROCESSOR_DEPENDENT.contains(&package)
        {
            let reason = "another processor tests it, and it does not choose its code by them";
            selection.left_out.push((package.to_owned(), reason.to_owned()));
            continue;
        }
        if let Some(reason) = &no_libraries
            && has_libraries
            && package == PROGRAM
        {
            selection.left_out.push((package.to_owned(), reason.clone()));
            continue;
        }
        let with_libraries = WITH_LIBRARIES.iter().find(|(name, _)| *name == package);
        match (with_libraries, &no_libraries) {
            (Some((_, others)), Some(reason)) => {
                if others.is_empty() {
                    selection.left_out.push((package.to_owned(), reason.clone()));
                } else {
                    let what = format!("{package}, all but the tests {}", others.join(" and "));
                    selection.left_out.push((what, reason.clone()));
                    selection.parts.push((package.to_owned(), others));
                }
            }
            _ => selection.packages.push(package.to_owned()),
        }
    }
    selection
}

fn reason_to_leave_out(folder: &str, package: &str, target: &Target) -> Option<&'static str> {
    if !folder.starts_with("crates/") {
        return Some("it is a tool for the machine that builds");
    }
    (target.is_static() && package == PROGRAM)
        .then_some("its tests expect the backends that load foreign libraries")
}

/// Whether any of `packages` loads foreign libraries in its tests; those of the program do where
/// there are any.
pub(super) fn needs_libraries(packages: &[String]) -> bool {
    let has_tests = |package: &str| WITH_LIBRARIES.iter().any(|(name, _)| *name == package);
    packages.iter().any(|package| package == PROGRAM || has_tests(package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// What is selected by default, for each processor of the target.
    fn selections(triple: &str, has_libraries: bool) -> Vec<Selection> {
        let members = workspace::members(&workspace::root()).unwrap();
        let target = Target::named(triple).unwrap();
        let processors = target.processors(&[]).unwrap();
        processors
            .into_iter()
            .map(|processor| tested(&members, target, processor, true, has_libraries))
            .collect()
    }

    fn has(selection: &Selection, package: &str) -> bool {
        selection.packages.iter().any(|known| known == package)
    }

    #[test]
    fn every_member_is_tested_or_left_out_with_a_reason() {
        let members = workspace::members(&workspace::root()).unwrap();
        for (triple, has_libraries) in [
            ("aarch64-unknown-linux-gnu", true),
            ("armv7-unknown-linux-gnueabihf", false),
            ("x86_64-unknown-linux-musl", false),
        ] {
            for selection in selections(triple, has_libraries) {
                assert_eq!(selection.packages.len() + selection.left_out.len(), members.len());
                assert!(has(&selection, "image-embedder-backend-native"));
                assert!(!has(&selection, "xtask"));
            }
        }
    }

    #[test]
    fn one_processor_tests_all_and_another_what_depends_on_it() {
        let [all, some] = selections("aarch64-unknown-linux-gnu", true).try_into().unwrap();
        let tools = all.left_out.iter().map(|(package, _)| package.as_str());
        assert_eq!(tools.collect::<Vec<_>>(), ["xtask", "image-embedder-benches"]);
        assert!(needs_libraries(&all.packages));
        assert!(has(&all, "image-embedder") && !has(&some, "image-embedder"));
        assert!(!needs_libraries(&some.packages));
        let native: &[&str] = &["native", "tract"];
        assert_eq!(some.parts, [("image-embedder-backend-conformance".to_owned(), native)]);
    }

    #[test]
    fn the_suite_runs_where_there_is_no_library() {
        let selections = selections("armv7-unknown-linux-gnueabihf", false);
        assert_eq!(selections.len(), 1);
        assert_eq!(selections[0].parts.len(), 1);
        assert!(has(&selections[0], "image-embedder"));
    }
}
