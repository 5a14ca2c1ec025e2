//! The version that `bursar --version` says, with the commit where git knows one, and whether
//! anything differs from it.

use std::process::Command;

fn main() {
    let git = |what: &[&str]| {
        let output = Command::new("git").args(what).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    let dirty = if changed.is_empty() { "" } else { " dirty" };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])
        .map(|commit| format!(" {commit}{dirty}"))
        .unwrap_or_default();
    println!(
        "cargo::rustc-env=BURSAR_VERSION={}{commit}",
        env!("CARGO_PKG_VERSION")
    );
    let log =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).unwrap_or_else(|| "build.rs".to_owned());
    for what in [
        log.as_str(),
        "src",
        "../../shared",
        "../../functions",
        "../../template.yaml",
    ] {
        println!("cargo::rerun-if-changed={what}");
    }
}
