//! The release build of the functions for Lambda. Zig compiles and links what is C, so that one machine's compiler and
//! libraries make no other binary than another's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Cmd, Shell, cmd};

use super::{Architecture, libc};
use crate::tools;
use crate::tools::missing::Missing;

/// The compiler of a release. Another one makes other bytes.
pub(super) const TOOLCHAIN: &str = "1.95.0";

/// How far the linker optimises. A release is deployed with `Fat`. With `Off` what the functions share is translated once for
/// all of them, which is far quicker and makes larger binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lto {
    Fat,
    Off,
}

impl Lto {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Lto::Fat => "fat",
            Lto::Off => "off",
        }
    }
}

/// What was built, and with what.
#[derive(Debug)]
pub(super) struct Built {
    /// The folder of the binaries.
    pub(super) binaries: PathBuf,
    pub(super) lto: Lto,
    pub(super) rustc: String,
    pub(super) zigbuild: String,
    pub(super) zig: String,
}

/// Builds these packages.
pub(super) fn release(
    shell: &Shell,
    architecture: Architecture,
    lto: Lto,
    functions: &[String],
) -> anyhow::Result<Built> {
    let triple = architecture.triple();
    let toolchain = with_target(shell, triple)?;
    let python = tools::python(shell)?;
    let zigbuild = python.with_file_name("cargo-zigbuild");
    let (zigbuild_version, zig) = linker(shell, &python, &zigbuild)?;
    let tools = python.parent().context("a Python has a folder")?.display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let packages = functions.iter().flat_map(|function| ["--package", function]);
    let target = shell.current_dir().join("target/package");
    // What is only tried is built in many parts.
    let units = match lto {
        Lto::Fat => "1",
        Lto::Off => "16",
    };
    let root = shell.current_dir();
    // No path of this machine enters a binary.
    let remap = [(root, "bursar"), (tools::cargo_home(), "cargo")].map(|(from, to)| (from.display().to_string(), to));
    let rust: Vec<String> = remap.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    let c: Vec<String> = remap.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    let versioned = format!("{triple}.{}", libc::OF_THE_RUNTIME);
    let build =
        cmd!(shell, "{zigbuild} zigbuild --release --locked --target {versioned} --target-dir {target} {packages...}");
    without_wishes(build)
        .env("PATH", format!("{tools}:{path}"))
        .envs(toolchain)
        .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}"))
        .env("CFLAGS", c.join(" "))
        .env("SOURCE_DATE_EPOCH", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", lto.as_str())
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", units)
        .run()?;
    let rustc = cmd!(shell, "rustc --version").envs(toolchain).quiet().read()?;
    Ok(Built { binaries: target.join(triple).join("release"), lto, rustc, zigbuild: zigbuild_version, zig })
}

/// The command without what this machine's user wishes of cargo and of compilers by their environment.
fn without_wishes(command: xshell::Cmd<'_>) -> xshell::Cmd<'_> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_a_wish(name))
        .fold(command, Cmd::env_remove)
}

/// Whether a variable changes what is built.
fn is_a_wish(name: &str) -> bool {
    let begins = [
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_ZIGBUILD_",
        "RUSTC",
        "CFLAGS",
        "CXXFLAGS",
        "LDFLAGS",
    ];
    let whole = ["CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL", "RUSTFLAGS", "CC", "CXX", "AR"];
    let of_a_target = ["CC_", "CXX_", "AR_", "HOST_", "TARGET_"];
    whole.contains(&name) || begins.iter().chain(&of_a_target).any(|beginning| name.starts_with(beginning))
}

/// The versions of the linker's two parts, which are asked before minutes of building need them.
fn linker(shell: &Shell, python: &Path, zigbuild: &Path) -> anyhow::Result<(String, String)> {
    let version = cmd!(shell, "{zigbuild} --version").quiet().ignore_stderr().read().context(Missing::Linker)?;
    let zig = cmd!(shell, "{python} -m ziglang version").quiet().ignore_stderr().read().context(Missing::Linker)?;
    Ok((version, zig))
}

/// The variable that chooses the release's toolchain where this one is another. `rustup` installs what is missing of it,
/// and the standard library of the target.
fn with_target(shell: &Shell, triple: &'static str) -> anyhow::Result<Option<(&'static str, &'static str)>> {
    let own = cmd!(shell, "rustc --version").quiet().read().context(Missing::Toolchain(TOOLCHAIN))?;
    let other = (own.split(' ').nth(1) != Some(TOOLCHAIN)).then_some(("RUSTUP_TOOLCHAIN", TOOLCHAIN));
    if other.is_some() {
        let install = ["toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--no-self-update"];
        cmd!(shell, "rustup {install...}").run().context(Missing::Toolchain(TOOLCHAIN))?;
    }
    let libraries = cmd!(shell, "rustc --print target-libdir --target {triple}").envs(other).quiet().read();
    if !libraries.is_ok_and(|folder| shell.path_exists(folder)) {
        cmd!(shell, "rustup target add {triple}").envs(other).run().context(Missing::Target(triple))?;
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIPLE: &str = "aarch64-unknown-linux-gnu";

    /// A shell that finds these programs and no others.
    fn only(programs: &[(&str, &str)]) -> (Shell, xshell::TempDir) {
        let shell = Shell::new().unwrap();
        let folder = shell.create_temp_dir().unwrap();
        for (name, text) in programs {
            tools::write_program(&shell, &folder.path().join(name), &format!("#!/bin/sh\n{text}\n"));
        }
        shell.set_var("PATH", folder.path());
        (shell, folder)
    }

    fn refusal(programs: &[(&str, &str)]) -> String {
        let (shell, _folder) = only(programs);
        with_target(&shell, TRIPLE).unwrap_err().to_string()
    }

    #[test]
    fn a_machine_without_the_toolchain_or_the_target_is_told_what_to_install() {
        let (toolchain, target) = (Missing::Toolchain(TOOLCHAIN).to_string(), Missing::Target(TRIPLE).to_string());
        assert_eq!(refusal(&[]), toolchain, "no Rust at all");
        assert_eq!(refusal(&[("rustc", "echo rustc 1.80.0")]), toolchain, "another Rust, and no rustup");
        let own = format!("case $1 in --version) echo rustc {TOOLCHAIN} ;; *) echo /nowhere ;; esac");
        assert_eq!(refusal(&[("rustc", &own)]), target, "no library of the target, and no rustup");
        assert_eq!(refusal(&[("rustc", &own), ("rustup", "exit 1")]), target, "a rustup that cannot fetch it");
        assert_eq!(refusal(&[("rustc", "echo rustc 1.80.0"), ("rustup", "exit 1")]), toolchain);
    }

    #[test]
    fn what_a_user_wishes_of_compilers_enters_no_package() {
        for name in
            ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_PROFILE_RELEASE_STRIP", "CFLAGS_x86_64_unknown_linux_gnu", "CC"]
        {
            assert!(is_a_wish(name), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "PIP_INDEX_URL", "HTTPS_PROXY"] {
            assert!(!is_a_wish(name), "{name}");
        }
    }

    #[test]
    fn a_linker_that_does_not_run_is_named() {
        let (shell, folder) = only(&[("python", "exit 1"), ("cargo-zigbuild", "echo cargo-zigbuild 1")]);
        let [python, zigbuild] = ["python", "cargo-zigbuild"].map(|name| folder.path().join(name));
        let refused = linker(&shell, &python, &zigbuild).unwrap_err();
        assert_eq!(refused.to_string(), Missing::Linker.to_string(), "no Zig");
        let refused = linker(&shell, &zigbuild, &folder.path().join("nothing")).unwrap_err();
        assert_eq!(refused.to_string(), Missing::Linker.to_string(), "no cargo-zigbuild");
    }
}
