//! The version that `bursar --version` says, with the commit where git knows one.

use std::process::Command;

fn main() {
    let git = |what: &[&str]| {
        let told = Command::new("git").arg("rev-parse").args(what).output().ok()?;
        told.status.success().then(|| String::from_utf8_lossy(&told.stdout).trim().to_owned())
    };
    let commit = git(&["--short", "HEAD"]).map(|commit| format!(" ({commit})")).unwrap_or_default();
    println!("cargo::rustc-env=BURSAR_VERSION={}{commit}", env!("CARGO_PKG_VERSION"));
    // Every commit adds a line to this file.
    println!("cargo::rerun-if-changed={}", git(&["--git-path", "logs/HEAD"]).as_deref().unwrap_or("build.rs"));
}
