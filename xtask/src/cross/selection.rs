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

/// The package of the facade.
const FACADE: &str = "image-embedder";

/// The package with the tract backend.
const TRACT: &str = "image-embedder-backend-tract";

/// The package whose test files are the suite on one backend each.
const SUITE: &str = "image-embedder-backend-conformance";

/// Packages whose tests load foreign libraries where there are any.
const WITH_LIBRARIES: [&str; 5] =
    ["image-embedder-backend-tflite", "image-embedder-backend-litert", SUITE, FACADE, PROGRAM];

/// The test files, beside the unit tests, of what chooses its code by the processor that it finds:
/// the suite's on the native engine, and that engine's own.
const PROCESSOR_DEPENDENT: &[&str] = &["native", "allocations"];

/// What one call of cargo builds or tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The packages.
    pub(super) packages: Vec<String>,
    /// Arguments that choose features; none for those that the packages have by default.
    pub(super) features: &'static [&'static str],
    /// The test files to run beside the unit tests; if empty, every test runs.
    pub(super) test_files: &'static [&'static str],
}

impl Call {
    /// All of the packages, with their default features.
    pub(super) fn of(packages: Vec<String>) -> Self {
        Self { packages, features: &[], test_files: &[] }
    }

    /// Whether it runs tests that load foreign libraries.
    pub(super) fn needs_libraries(&self) -> bool {
        self.test_files.is_empty()
            && self.packages.iter().any(|package| WITH_LIBRARIES.contains(&package.as_str()))
    }
}

/// What is asked for where no package is named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Of a processor that others stand beside, only what depends on it.
    pub(super) by_default: bool,
    /// Foreign libraries are to be had for the target.
    pub(super) has_libraries: bool,
    /// The tests of tract, and of others on tract.
    pub(super) with_tract: bool,
}

/// What to test, and what is left out, each with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The calls of cargo.
    pub(super) calls: Vec<Call>,
    /// The packages that are left out, or a part of them, and why.
    pub(super) left_out: Vec<(String, String)>,
}

/// Every crate that can run on the target and the processor, as far as it is asked for.
pub(super) fn tested(
    members: &[Member],
    target: &Target,
    processor: Option<&Processor>,
    request: Request,
) -> Selection {
    let is_beside_another = processor
        .is_some_and(|processor| processor.by_default == ByDefault::WhatDependsOnIt)
        && request.by_default
        && request.has_libraries;
    if is_beside_another {
        return processor_dependent(tested(members, target, None, request));
    }
    let no_libraries = if request.has_libraries {
        processor.filter(|processor| !processor.runs_tflite).map(|processor| {
            format!(
                "the TensorFlow Lite library ends the process on an emulated {}",
                processor.name
            )
        })
    } else {
        Some("no TensorFlow Lite or LiteRT library is pinned for this target".to_owned())
    };
    // The tests of a target that could load libraries, if there were any, say by the target what they
    // need. Elsewhere the features must be off; they unite in one call, so there are several.
    let know_the_target = !request.has_libraries && !target.is_static();
    let mut packages = Vec::new();
    let mut own_calls = Vec::new();
    let mut left_out = Vec::new();
    for member in members {
        let package = member.package();
        let mut leave_out = |reason: &str| left_out.push((package.to_owned(), reason.to_owned()));
        if let Some(reason) = reason_to_leave_out(&member.folder, package, target) {
            leave_out(reason);
        } else if package == TRACT && !request.with_tract {
            leave_out("not asked for");
        } else if let Some(reason) = &no_libraries
            && WITH_LIBRARIES.contains(&package)
        {
            match package {
                FACADE | SUITE => {
                    left_out.push((format!("{package} on foreign libraries"), reason.clone()));
                    if know_the_target {
                        packages.push(package.to_owned());
                    } else {
                        own_calls.push(without_libraries(package, request.with_tract));
                    }
                }
                PROGRAM if know_the_target => packages.push(package.to_owned()),
                _ => leave_out(reason),
            }
        } else {
            packages.push(package.to_owned());
        }
    }
    let features: &[&str] =
        if request.with_tract && own_calls.is_empty() { &["--all-features"] } else { &[] };
    let all = Call { features, ..Call::of(packages) };
    let calls = [all].into_iter().chain(own_calls).collect();
    if !request.with_tract {
        left_out.push(("other packages on tract".to_owned(), "not asked for".to_owned()));
    }
    Selection { calls, left_out }
}

/// The call that tests the package, the facade or the suite, on the backends without foreign libraries.
fn without_libraries(package: &str, with_tract: bool) -> Call {
    let test_files: &[&str] = match (package, with_tract) {
        (SUITE, true) => &["native", "tract"],
        (SUITE, false) => &["native"],
        _ => &[],
    };
    Call {
        packages: vec![package.to_owned()],
        features: if with_tract { &["--features", "tract"] } else { &[] },
        test_files,
    }
}

/// Of what another processor tests, what depends on the processor. The packages stay the same, and
/// so do their features: nothing is compiled anew.
fn processor_dependent(Selection { calls, mut left_out }: Selection) -> Selection {
    let calls =
        calls.into_iter().map(|call| Call { test_files: PROCESSOR_DEPENDENT, ..call }).collect();
    let what = format!("test files but {}, and documentation", PROCESSOR_DEPENDENT.join(" and "));
    left_out.push((what, "another processor runs them".to_owned()));
    Selection { calls, left_out }
}

fn reason_to_leave_out(folder: &str, package: &str, target: &Target) -> Option<&'static str> {
    if !folder.starts_with("crates/") {
        return Some("it is a tool for the machine that builds");
    }
    (target.is_static() && package == PROGRAM)
        .then_some("its tests expect the backends that load foreign libraries")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// What is selected by default, for each processor of the target.
    fn selections(triple: &str, has_libraries: bool, with_tract: bool) -> Vec<Selection> {
        let members = workspace::members(&workspace::root()).unwrap();
        let target = Target::named(triple).unwrap();
        let request = Request { by_default: true, has_libraries, with_tract };
        let processors = target.processors(&[]).unwrap();
        processors
            .into_iter()
            .map(|processor| tested(&members, target, processor, request))
            .collect()
    }

    fn is_tested(selection: &Selection, package: &str) -> bool {
        selection.calls.iter().flat_map(|call| &call.packages).any(|known| known == package)
    }

    #[test]
    fn every_member_is_tested_or_left_out_with_a_reason() {
        let members = workspace::members(&workspace::root()).unwrap();
        let mut checked = 0;
        for (triple, has_libraries) in [
            ("aarch64-unknown-linux-gnu", true),
            ("armv7-unknown-linux-gnueabihf", false),
            ("x86_64-unknown-linux-musl", false),
        ] {
            for with_tract in [true, false] {
                for selection in selections(triple, has_libraries, with_tract) {
                    for member in &members {
                        let package = member.package();
                        let is_left_out =
                            selection.left_out.iter().any(|(name, _)| name == package);
                        assert_ne!(is_tested(&selection, package), is_left_out, "{package}");
                        checked += 1;
                    }
                    assert!(is_tested(&selection, "image-embedder-backend-native"));
                    assert!(!is_tested(&selection, "xtask"));
                    assert_eq!(
                        is_tested(&selection, TRACT),
                        with_tract && !selection.left_out.iter().any(|(name, _)| name == TRACT)
                    );
                }
            }
        }
        assert_eq!(checked, 2 * 4 * members.len());
    }

    #[test]
    fn one_processor_tests_all_and_another_what_depends_on_it() {
        let [all, some] = selections("aarch64-unknown-linux-gnu", true, true).try_into().unwrap();
        let tools = all.left_out.iter().map(|(package, _)| package.as_str());
        assert_eq!(tools.collect::<Vec<_>>(), ["xtask", "image-embedder-benches"]);
        assert_eq!(all.calls.len(), 1);
        assert_eq!(all.calls[0].features, ["--all-features"]);
        assert!(all.calls[0].needs_libraries());
        assert!(!some.calls.iter().any(Call::needs_libraries));
        assert_eq!(some.calls.len(), 1);
        assert_eq!(some.calls[0].packages, all.calls[0].packages);
        assert_eq!(some.calls[0].features, all.calls[0].features);
        assert_eq!(some.calls[0].test_files, ["native", "allocations"]);
    }

    #[test]
    fn where_there_is_no_library_everything_is_built_once() {
        let [all] = selections("armv7-unknown-linux-gnueabihf", false, true).try_into().unwrap();
        assert_eq!(all.calls.len(), 1);
        assert_eq!(all.calls[0].features, ["--all-features"]);
        assert!([SUITE, FACADE, PROGRAM].iter().all(|package| is_tested(&all, package)));
        for package in [SUITE, FACADE] {
            let what = format!("{package} on foreign libraries");
            assert!(all.left_out.iter().any(|(name, _)| *name == what));
        }
    }

    #[test]
    fn where_the_library_does_not_run_the_suite_and_the_facade_are_built_without_it() {
        let members = workspace::members(&workspace::root()).unwrap();
        let target = Target::named("aarch64-unknown-linux-gnu").unwrap();
        let processor = target.processors(&["cortex-a72".to_owned()]).unwrap()[0];
        let request = Request { by_default: false, has_libraries: true, with_tract: true };
        let calls = tested(&members, target, processor, request).calls;
        assert_eq!(calls.len(), 3);
        assert!(calls[0].features.is_empty());
        assert_eq!(calls[1].packages, [SUITE]);
        assert_eq!(calls[1].test_files, ["native", "tract"]);
        assert_eq!(calls[2].packages, [FACADE]);
        assert!(calls[1..].iter().all(|call| call.features == ["--features", "tract"]));
    }

    #[test]
    fn without_tract_nothing_has_it_compiled() {
        let [all, some] = selections("aarch64-unknown-linux-gnu", true, false).try_into().unwrap();
        assert!(!is_tested(&all, TRACT) && is_tested(&all, SUITE) && is_tested(&all, FACADE));
        assert!(all.calls.iter().chain(&some.calls).all(|call| call.features.is_empty()));
    }
}
