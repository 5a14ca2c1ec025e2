//! `provider-check`: hands the command line on to the crate of that name, which is built only for it.

use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::root;

/// Runs the check in the caller's folder, and ends as it ends.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let manifest = root().join("Cargo.toml");
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "provider-check", "--manifest-path"])
        .arg(manifest)
        .arg("--")
        .args(arguments)
        .status()
        .context("cargo does not start")?;
    // A check that a signal ended has no code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
