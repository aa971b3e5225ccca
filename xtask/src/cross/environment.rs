//! What the cargo of a cross build is told, and what of this process it must not see.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::target::{Processor, Runner, Target};

/// Variables of a normal build that would leak into one for another target: compilers, flags, and
/// the library path that cargo sets for this program.
const NORMAL_BUILD: [&str; 10] = [
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTDOCFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

/// Variables that name a program around the compiler. Empty ones count for more than what the
/// user's configuration of cargo says.
const WRAPPERS: [&str; 2] = ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER"];

/// The variable that names the program with which a test must start a program for the target.
///
/// Cargo starts test programs in the emulator; what these start themselves, it cannot.
pub(super) const RUNNER_VARIABLE: &str = "IMAGE_EMBEDDER_TEST_RUNNER";

/// Takes the variables of a normal build from `command`.
pub(super) fn isolate(command: &mut Command) {
    for variable in NORMAL_BUILD {
        command.env_remove(variable);
    }
    for variable in WRAPPERS {
        command.env(variable, "");
    }
}

/// What one toolchain needs cargo to know.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// The compiler and the documentation tool, if they are not cargo's own.
    pub(super) compiler: Option<[OsString; 2]>,
    /// The linker, if it is not the compiler's own choice.
    pub(super) linker: Option<String>,
    /// Arguments for the compiler.
    pub(super) flags: Vec<String>,
}

/// The configuration for cargo, each a value of its option `--config`.
pub(super) fn configuration(target: &Target, tools: &Tools, wasi: Option<&Path>) -> Vec<String> {
    let set = |key: &str, value: String| format!("target.{}.{key}={value}", target.triple);
    let mut configuration = Vec::new();
    if let Some(linker) = &tools.linker {
        configuration.push(set("linker", quoted(linker)));
    }
    if !tools.flags.is_empty() {
        configuration.push(set("rustflags", list(&tools.flags)));
    }
    match (&target.runner, wasi) {
        (Runner::Qemu { program, .. }, _) => {
            configuration.push(set("runner", list(&[(*program).to_owned()])));
        }
        (Runner::Node, Some(wasi)) => configuration.push(set(
            "runner",
            list(&[
                "node".to_owned(),
                "--no-warnings".to_owned(),
                wasi.to_string_lossy().into_owned(),
            ]),
        )),
        (Runner::Node, None) | (Runner::Directly | Runner::None, _) => {}
    }
    configuration
}

/// The variables for cargo and for what it starts.
pub(super) fn variables(
    target: &Target,
    tools: &Tools,
    emulated: Option<(&Processor, &Path)>,
) -> Vec<(&'static str, OsString)> {
    let mut variables = Vec::new();
    if let Some([rustc, rustdoc]) = &tools.compiler {
        variables.push(("RUSTC", rustc.clone()));
        variables.push(("RUSTDOC", rustdoc.clone()));
    }
    if let (Runner::Qemu { program, .. }, Some((processor, files))) = (&target.runner, emulated) {
        variables.push(("QEMU_CPU", processor.name.into()));
        variables.push(("QEMU_LD_PREFIX", files.into()));
        variables.push((RUNNER_VARIABLE, (*program).into()));
    }
    variables
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `texts` as a TOML array of strings.
fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emulated() -> (&'static Target, &'static Processor) {
        let target = Target::named("aarch64-unknown-linux-gnu").unwrap();
        let processor = target.processors(&["cortex-a76".to_owned()]).unwrap()[0].unwrap();
        (target, processor)
    }

    #[test]
    fn a_compiler_of_its_own_comes_with_its_documentation_tool() {
        let (target, processor) = emulated();
        let tools = Tools {
            compiler: Some(["/c/bin/rustc".into(), "/c/bin/rustdoc".into()]),
            linker: Some("aarch64-linux-gnu-gcc".to_owned()),
            flags: Vec::new(),
        };
        let expected: [(&str, OsString); 5] = [
            ("RUSTC", "/c/bin/rustc".into()),
            ("RUSTDOC", "/c/bin/rustdoc".into()),
            ("QEMU_CPU", "cortex-a76".into()),
            ("QEMU_LD_PREFIX", "/c/qemu".into()),
            ("IMAGE_EMBEDDER_TEST_RUNNER", "qemu-aarch64".into()),
        ];
        assert_eq!(variables(target, &tools, Some((processor, Path::new("/c/qemu")))), expected);
        assert_eq!(
            configuration(target, &tools, None),
            [
                "target.aarch64-unknown-linux-gnu.linker=\"aarch64-linux-gnu-gcc\"",
                "target.aarch64-unknown-linux-gnu.runner=[\"qemu-aarch64\"]"
            ]
        );
    }

    #[test]
    fn cargo_keeps_its_own_compiler_where_that_has_the_target() {
        let (target, processor) = emulated();
        let names: Vec<&str> =
            variables(target, &Tools::default(), Some((processor, Path::new("/c/qemu"))))
                .into_iter()
                .map(|(name, _)| name)
                .collect();
        assert_eq!(names, ["QEMU_CPU", "QEMU_LD_PREFIX", RUNNER_VARIABLE]);
    }

    #[test]
    fn a_runner_in_a_folder_with_a_space_stays_one_argument() {
        let target = Target::named("wasm32-wasip1").unwrap();
        let tools = Tools { flags: vec!["-Clink-arg=/a b/t.o".to_owned()], ..Tools::default() };
        assert_eq!(
            configuration(target, &tools, Some(Path::new("/a b/run.mjs"))),
            [
                "target.wasm32-wasip1.rustflags=[\"-Clink-arg=/a b/t.o\"]",
                "target.wasm32-wasip1.runner=[\"node\",\"--no-warnings\",\"/a b/run.mjs\"]"
            ]
        );
        assert!(variables(target, &tools, None).is_empty());
    }

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn the_variables_of_a_normal_build_are_taken_away() {
        let mut command = Command::new("cargo");
        command.env("RUSTFLAGS", "-Ctarget-cpu=native");
        isolate(&mut command);
        let removed: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(removed, NORMAL_BUILD);
        for wrapper in WRAPPERS {
            let set = command.get_envs().find(|(name, _)| *name == wrapper).unwrap().1;
            assert_eq!(set.unwrap(), "");
        }
    }
}
