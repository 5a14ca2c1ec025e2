//! `provider-check`: hands the command line on to the crate of that name, which is built only for it.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;

use crate::root;

/// Becomes the check, in the caller's folder: an interrupt then reaches it alone, and its exit code is ours.
pub(crate) fn become_it(arguments: &[String]) -> anyhow::Result<Infallible> {
    let error = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "provider-check", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .arg("--")
        .args(arguments)
        .exec();
    Err(error).context("cargo does not start")
}
