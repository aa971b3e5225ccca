//! The targets that `cross` knows: what links for them, what runs them, and which Debian packages
//! bring that.

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    /// Rust's name of it.
    pub(crate) triple: &'static str,
    /// The architecture whose Debian package has the compiled standard library, if there is one.
    pub(crate) packaged_std: Option<&'static str>,
    /// The C library that programs are linked with.
    pub(crate) c_library: CLibrary,
    /// The program that links.
    pub(crate) linker: Linker,
    /// What is needed to link.
    pub(crate) link_requirements: &'static [Requirement],
    /// What runs programs for this target.
    pub(crate) runner: Runner,
    /// What is needed to run.
    pub(crate) run_requirements: &'static [Requirement],
}

/// Where the C library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CLibrary {
    /// Debian's cross-compilation packages; the linker knows where.
    Glibc,
    /// musl, linked statically, out of Debian's packages for this architecture.
    Musl {
        /// Debian's name of the architecture.
        architecture: &'static str,
        /// The name in Debian's folders, `x86_64-linux-musl`.
        folder: &'static str,
        /// The C compiler whose start files are linked.
        compiler: &'static str,
        /// The archiver of that compiler.
        archiver: &'static str,
    },
    /// Debian's `wasi-libc`.
    Wasi,
    /// Android's, which only Google's NDK has: programs are checked, not linked.
    Android,
}

/// The program that links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linker {
    /// A C compiler.
    Compiler(&'static str),
    /// LLVM's linker for WebAssembly, of the LLVM version that the Rust compiler has.
    WasmLd,
    /// None.
    None,
}

/// What runs programs.
#[derive(Debug)]
pub(crate) enum Runner {
    /// This machine.
    Directly,
    /// QEMU's user-mode emulation.
    Qemu {
        /// The program, `qemu-aarch64`.
        program: &'static str,
        /// The folder that has the target's `lib`; none for programs that are linked statically.
        libraries: Option<&'static str>,
        /// The processors that can be asked for, the ones that run by default first.
        processors: &'static [Processor],
    },
    /// Node.js with its `node:wasi` module.
    Node,
    /// Nothing.
    None,
}

/// A processor that QEMU emulates.
#[derive(Debug)]
pub(crate) struct Processor {
    /// QEMU's name.
    pub(crate) name: &'static str,
    /// A board that has it, and what its instructions are here to show.
    pub(crate) purpose: &'static str,
    /// What is tested on it if no processor is asked for.
    pub(crate) by_default: ByDefault,
    /// Whether the TensorFlow Lite library runs on it under emulation.
    pub(crate) runs_tflite: bool,
    /// The line `CPU part` of Linux' `/proc/cpuinfo`.
    pub(crate) part: &'static str,
    /// The line `Features` of Linux' `/proc/cpuinfo`.
    pub(crate) features: &'static str,
}

/// What is tested on a processor if none is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByDefault {
    /// Everything that runs there.
    Everything,
    /// What chooses its code by the processor.
    WhatDependsOnIt,
    /// Nothing.
    Nothing,
}

/// Something outside of Rust that must be on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// A program on the path, or an absolute path.
    pub(crate) evidence: &'static str,
    /// The Debian package that has it.
    pub(crate) package: &'static str,
}

pub(super) const fn requirement(evidence: &'static str, package: &'static str) -> Requirement {
    Requirement { evidence, package }
}

/// The 64-bit processors of the Raspberry Pi. The first two are those with and without the
/// dot-product instructions.
///
/// The TensorFlow Lite library ends the process on an emulated processor without them.
const AARCH64: [Processor; 3] = [
    Processor {
        name: "cortex-a76",
        purpose: "Raspberry Pi 5: NEON with dot product",
        by_default: ByDefault::Everything,
        runs_tflite: true,
        part: "0xd0b",
        features: "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm \
                   lrcpc dcpop asimddp",
    },
    Processor {
        name: "cortex-a72",
        purpose: "Raspberry Pi 4: NEON without dot product",
        by_default: ByDefault::WhatDependsOnIt,
        runs_tflite: false,
        part: "0xd08",
        features: "fp asimd evtstrm crc32 cpuid",
    },
    Processor {
        name: "cortex-a53",
        purpose: "Raspberry Pi 3: NEON without dot product",
        by_default: ByDefault::Nothing,
        runs_tflite: false,
        part: "0xd03",
        features: "fp asimd evtstrm crc32 cpuid",
    },
];

/// 32-bit processors.
const ARMV7: [Processor; 2] = [
    Processor {
        name: "cortex-a7",
        purpose: "Raspberry Pi 2: 32-bit NEON",
        by_default: ByDefault::Everything,
        runs_tflite: false,
        part: "0xc07",
        features: "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
    },
    Processor {
        name: "cortex-a9",
        purpose: "boards older than the Raspberry Pi 2: no division and no fused multiply-add",
        by_default: ByDefault::Nothing,
        runs_tflite: false,
        part: "0xc09",
        features: "half thumb fastmult vfp edsp neon vfpv3 tls vfpd32",
    },
];

const LINK_AARCH64: [Requirement; 2] = [
    requirement("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    requirement("/usr/aarch64-linux-gnu/lib/crt1.o", "libc6-dev-arm64-cross"),
];

const RUN_AARCH64: [Requirement; 2] = [
    requirement("qemu-aarch64", "qemu-user"),
    // The TensorFlow Lite library is written in C++.
    requirement("/usr/aarch64-linux-gnu/lib/libstdc++.so.6", "libstdc++6-arm64-cross"),
];

/// Every target.
pub(crate) const TARGETS: [Target; 6] = [
    Target {
        triple: "aarch64-unknown-linux-gnu",
        packaged_std: Some("arm64"),
        c_library: CLibrary::Glibc,
        linker: Linker::Compiler("aarch64-linux-gnu-gcc"),
        link_requirements: &LINK_AARCH64,
        runner: Runner::Qemu {
            program: "qemu-aarch64",
            libraries: Some("/usr/aarch64-linux-gnu/lib"),
            processors: &AARCH64,
        },
        run_requirements: &RUN_AARCH64,
    },
    Target {
        triple: "armv7-unknown-linux-gnueabihf",
        packaged_std: Some("armhf"),
        c_library: CLibrary::Glibc,
        linker: Linker::Compiler("arm-linux-gnueabihf-gcc"),
        link_requirements: &[
            requirement("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
            requirement("/usr/arm-linux-gnueabihf/lib/crt1.o", "libc6-dev-armhf-cross"),
        ],
        runner: Runner::Qemu {
            program: "qemu-arm",
            libraries: Some("/usr/arm-linux-gnueabihf/lib"),
            processors: &ARMV7,
        },
        run_requirements: &[requirement("qemu-arm", "qemu-user")],
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        packaged_std: None,
        c_library: CLibrary::Musl {
            architecture: "arm64",
            folder: "aarch64-linux-musl",
            compiler: "aarch64-linux-gnu-gcc",
            archiver: "aarch64-linux-gnu-ar",
        },
        linker: Linker::Compiler("aarch64-linux-gnu-gcc"),
        link_requirements: &LINK_AARCH64,
        runner: Runner::Qemu { program: "qemu-aarch64", libraries: None, processors: &AARCH64 },
        run_requirements: &[requirement("qemu-aarch64", "qemu-user")],
    },
    Target {
        triple: "x86_64-unknown-linux-musl",
        packaged_std: None,
        c_library: CLibrary::Musl {
            architecture: "amd64",
            folder: "x86_64-linux-musl",
            compiler: "gcc",
            archiver: "ar",
        },
        linker: Linker::Compiler("gcc"),
        link_requirements: &[requirement("gcc", "gcc")],
        runner: Runner::Directly,
        run_requirements: &[],
    },
    Target {
        triple: "wasm32-wasip1",
        packaged_std: None,
        c_library: CLibrary::Wasi,
        linker: Linker::WasmLd,
        link_requirements: &[requirement("/usr/lib/wasm32-wasi/libc.a", "wasi-libc")],
        runner: Runner::Node,
        run_requirements: &[requirement("node", "nodejs")],
    },
    Target {
        triple: "aarch64-linux-android",
        packaged_std: None,
        c_library: CLibrary::Android,
        linker: Linker::None,
        link_requirements: &[],
        runner: Runner::None,
        run_requirements: &[],
    },
];

impl Target {
    /// The target that Rust calls `triple`.
    pub(crate) fn named(triple: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.triple == triple)
    }

    /// Whether programs are linked statically, and can load no library when they run.
    pub(crate) fn is_static(&self) -> bool {
        matches!(self.c_library, CLibrary::Musl { .. } | CLibrary::Wasi)
    }

    /// The processors to run on: the `wanted` ones, or the target's own choice if that is empty.
    ///
    /// An unknown processor is an error that lists the known ones. A target that is not emulated
    /// has no processor to choose, and one nameless run.
    pub(crate) fn processors(
        &self,
        wanted: &[String],
    ) -> Result<Vec<Option<&'static Processor>>, String> {
        let Runner::Qemu { processors, .. } = self.runner else {
            return if wanted.is_empty() {
                Ok(vec![None])
            } else {
                Err(format!("{} is not emulated, so no processor can be chosen", self.triple))
            };
        };
        if wanted.is_empty() {
            return Ok(processors
                .iter()
                .filter(|processor| processor.by_default != ByDefault::Nothing)
                .map(Some)
                .collect());
        }
        wanted
            .iter()
            .map(|name| {
                processors.iter().find(|processor| processor.name == name).map(Some).ok_or_else(
                    || {
                        let known: Vec<String> = processors
                            .iter()
                            .map(|processor| format!("{} ({})", processor.name, processor.purpose))
                            .collect();
                        format!(
                            "{} has no processor {name}; known: {}",
                            self.triple,
                            known.join(", ")
                        )
                    },
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_is_found_by_its_name() {
        let names: BTreeSet<_> = TARGETS.iter().map(|target| target.triple).collect();
        assert_eq!(names.len(), TARGETS.len());
        for name in names {
            assert_eq!(Target::named(name).unwrap().triple, name);
        }
        assert!(Target::named("aarch64-unknown-linux").is_none());
    }

    #[test]
    fn every_linker_and_runner_is_required() {
        let mut checked = 0;
        for target in &TARGETS {
            let named = |requirements: &[Requirement], program| {
                requirements.iter().any(|requirement| requirement.evidence == program)
            };
            if let Linker::Compiler(program) = target.linker {
                assert!(named(target.link_requirements, program), "{target:?}");
                checked += 1;
            }
            let runner = match target.runner {
                Runner::Directly | Runner::None => continue,
                Runner::Qemu { program, .. } => program,
                Runner::Node => "node",
            };
            assert!(named(target.run_requirements, runner), "{target:?}");
            checked += 1;
        }
        assert_eq!(checked, 8);
    }

    #[test]
    fn the_default_processors_of_aarch64_differ_in_the_dot_product() {
        let target = Target::named("aarch64-unknown-linux-gnu").unwrap();
        let has_dot_product: Vec<bool> = target
            .processors(&[])
            .unwrap()
            .into_iter()
            .map(|processor| {
                let mut features = processor.unwrap().features.split_whitespace();
                features.any(|feature| feature == "asimddp")
            })
            .collect();
        assert_eq!(has_dot_product, [true, false]);
    }

    #[test]
    fn processors_are_chosen_by_name() {
        let target = Target::named("armv7-unknown-linux-gnueabihf").unwrap();
        let chosen = target.processors(&["cortex-a9".to_owned()]).unwrap();
        assert_eq!(chosen.len(), 1);
        assert_eq!(chosen[0].unwrap().name, "cortex-a9");

        let error = target.processors(&["cortex-a72".to_owned()]).unwrap_err();
        assert!(error.contains("no processor cortex-a72; known: cortex-a7 (Raspberry Pi 2"));

        let error = Target::named("wasm32-wasip1")
            .unwrap()
            .processors(&["cortex-a72".to_owned()])
            .unwrap_err();
        assert!(error.contains("is not emulated"), "{error}");
    }
}
