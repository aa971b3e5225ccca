//! Which packages of the workspace are built and tested for a target.

use super::target::Target;
use crate::workspace::Member;

/// The package with the command-line program.
pub(super) const PROGRAM: &str = "image-embedder-cli";

/// The features that [`PROGRAM`] is built with: the native engine, and the TensorFlow Lite library
/// where a program can load one.
pub(super) fn program_features(target: &Target) -> &'static str {
    if target.is_static() { "native" } else { "native,tflite" }
}

/// Packages whose tests all load foreign libraries.
const WITH_LIBRARIES: [&str; 3] = [
    "image-embedder-backend-tflite",
    "image-embedder-backend-litert",
    "image-embedder-backend-conformance",
];

/// The packages to test, and those that are left out, each with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The packages to test.
    pub(super) packages: Vec<String>,
    /// The packages that are left out, and why.
    pub(super) left_out: Vec<(String, &'static str)>,
}

/// Every crate that can run on the target.
pub(super) fn tested(members: &[Member], target: &Target, has_libraries: bool) -> Selection {
    let mut selection = Selection { packages: Vec::new(), left_out: Vec::new() };
    for member in members {
        let package = member.package();
        if let Some(reason) = reason_to_leave_out(&member.folder, package, target, has_libraries) {
            selection.left_out.push((package.to_owned(), reason));
        } else {
            selection.packages.push(package.to_owned());
        }
    }
    selection
}

fn reason_to_leave_out(
    folder: &str,
    package: &str,
    target: &Target,
    has_libraries: bool,
) -> Option<&'static str> {
    if !folder.starts_with("crates/") {
        return Some("it is a tool for the machine that builds");
    }
    if !has_libraries && WITH_LIBRARIES.contains(&package) {
        return Some("no TensorFlow Lite or LiteRT library is pinned for this target");
    }
    if target.is_static() && package == PROGRAM {
        return Some("its tests expect the backends that load foreign libraries");
    }
    (package == "image-embedder-backend-tract")
        .then_some("a foreign engine, tested by its own project; --package tests it all the same")
}

/// Whether any of `packages` loads foreign libraries in its tests; those of the program do where
/// there are any.
pub(super) fn needs_libraries(packages: &[String]) -> bool {
    packages.iter().any(|package| package == PROGRAM || WITH_LIBRARIES.contains(&package.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn every_member_is_tested_or_left_out_with_a_reason() {
        let members = workspace::members(&workspace::root()).unwrap();
        for (triple, has_libraries) in [
            ("aarch64-unknown-linux-gnu", true),
            ("armv7-unknown-linux-gnueabihf", false),
            ("x86_64-unknown-linux-musl", false),
        ] {
            let target = Target::named(triple).unwrap();
            let selection = tested(&members, target, has_libraries);
            assert_eq!(selection.packages.len() + selection.left_out.len(), members.len());
            let has = |package: &str| selection.packages.iter().any(|known| known == package);
            assert!(has("image-embedder"));
            assert!(has("image-embedder-backend-native"));
            assert_eq!(has(PROGRAM), !target.is_static());
            assert_eq!(WITH_LIBRARIES.iter().any(|package| has(package)), has_libraries);
            assert_eq!(needs_libraries(&selection.packages), has_libraries || has(PROGRAM));
            assert!(!has("xtask"));
        }
    }
}
