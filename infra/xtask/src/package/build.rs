//! The release build of the functions for Lambda. Zig compiles and links what is C, so that one machine's compiler and
//! libraries make no other binary than another's.

use std::path::PathBuf;

use anyhow::Context;
use xshell::{Shell, cmd};

use super::{Architecture, libc};
use crate::tools;

/// The compiler of a release. Another one makes other bytes.
const TOOLCHAIN: &str = "1.95.0";

/// How far the linker optimises. A release is deployed with `Fat`; `Thin` takes half the time and makes binaries that are
/// a third larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lto {
    Fat,
    Thin,
}

/// Builds these packages, and returns the folder of their binaries.
pub(super) fn release(
    shell: &Shell,
    architecture: Architecture,
    lto: Lto,
    functions: &[String],
) -> anyhow::Result<PathBuf> {
    let triple = architecture.triple();
    let toolchain = with_target(shell, triple)?;
    let python = tools::python(shell)?;
    let zigbuild = python.with_file_name("cargo-zigbuild");
    let tools = python.parent().context("a Python has a folder")?.display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let packages = functions.iter().flat_map(|function| ["--package", function]);
    let target = shell.current_dir().join("target/package");
    // Thin packages are for trying, so that they are built in many parts.
    let (lto, units) = match lto {
        Lto::Fat => ("fat", "1"),
        Lto::Thin => ("thin", "16"),
    };
    let root = shell.current_dir();
    let cargo_home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()));
    // No path of this machine enters a binary.
    let remap = [(root.display().to_string(), "bursar"), (cargo_home, "cargo")];
    let rust: Vec<String> = remap.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    let c: Vec<String> = remap.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    let versioned = format!("{triple}.{}", libc::OF_THE_RUNTIME);
    cmd!(shell, "{zigbuild} zigbuild --release --locked --target {versioned} --target-dir {target} {packages...}")
        .env("PATH", format!("{tools}:{path}"))
        .envs(toolchain)
        .env("RUSTFLAGS", rust.join(" "))
        .env("CFLAGS", c.join(" "))
        .env("SOURCE_DATE_EPOCH", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", lto)
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", units)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
    Ok(target.join(triple).join("release"))
}

/// The variable that chooses the release's toolchain where this one is another. `rustup` installs what is missing of it,
/// and the standard library of the target.
fn with_target(shell: &Shell, triple: &str) -> anyhow::Result<Option<(&'static str, &'static str)>> {
    let own = cmd!(shell, "rustc --version").quiet().read()?;
    let other = (own.split(' ').nth(1) != Some(TOOLCHAIN)).then_some(("RUSTUP_TOOLCHAIN", TOOLCHAIN));
    if other.is_some() {
        let install = ["toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--no-self-update"];
        cmd!(shell, "rustup {install...}").run().with_context(|| {
            format!(
                "a release is built with Rust {TOOLCHAIN}: install rustup (https://rustup.rs), or that version of Rust"
            )
        })?;
    }
    let libraries = cmd!(shell, "rustc --print target-libdir --target {triple}").envs(other).quiet().read();
    if !libraries.is_ok_and(|folder| shell.path_exists(folder)) {
        cmd!(shell, "rustup target add {triple}").envs(other).run().with_context(|| {
            format!(
                "Rust's standard library for {triple} is missing: install rustup (https://rustup.rs), or that library"
            )
        })?;
    }
    Ok(other)
}
