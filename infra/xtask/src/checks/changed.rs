//! `check`: the unit tests of the crates that have changes which `origin/main` has not.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use xshell::{Shell, cmd};

/// Files on which every crate depends, or which the stand-ins read.
const OF_ALL: [&str; 3] = ["Cargo.toml", "Cargo.lock", "template.yaml"];

pub(crate) fn unit_tests(shell: &Shell) -> anyhow::Result<()> {
    let (root, files) = (shell.current_dir(), changed_files(shell)?);
    for (folder, executable) in unit_tests_of_all(shell)? {
        let of = folder.strip_prefix(&root)?;
        if files.iter().any(|file| OF_ALL.contains(&file.as_str()) || Path::new(file).starts_with(of)) {
            eprintln!("check: unit tests of {}", of.display());
            let _here = shell.push_dir(&folder);
            cmd!(shell, "{executable} --quiet").quiet().env("CARGO_MANIFEST_DIR", &folder).run()?;
        }
    }
    Ok(())
}

/// The files that differ from the commit where this branch left `origin/main`, uncommitted ones included.
/// Without that branch, the last commit is compared.
fn changed_files(shell: &Shell) -> anyhow::Result<Vec<String>> {
    let base = cmd!(shell, "git merge-base HEAD origin/main").quiet().ignore_stderr().read();
    let base = base.unwrap_or_else(|_| "HEAD".to_owned());
    let differ = cmd!(shell, "git diff --name-only {base}").quiet().read()?;
    let new = cmd!(shell, "git ls-files --others --exclude-standard").quiet().read()?;
    Ok(differ.lines().chain(new.lines()).map(str::to_owned).collect())
}

/// The folder of each crate with the executable of its unit tests. All crates are built together: built alone,
/// one would have other features of its dependencies, which would be rebuilt.
fn unit_tests_of_all(shell: &Shell) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let build = ["test", "--workspace", "--lib", "--bins", "--locked", "--no-run", "--quiet"];
    let told = cmd!(shell, "cargo {build...} --message-format json-render-diagnostics").quiet().read()?;
    let mut found = Vec::new();
    for line in told.lines() {
        let artifact: Value = serde_json::from_str(line).with_context(|| format!("cargo said {line}"))?;
        if let (Some(manifest), Some(executable)) =
            (artifact["manifest_path"].as_str(), artifact["executable"].as_str())
            && artifact["profile"]["test"] == true
        {
            let folder = Path::new(manifest).parent().context("a manifest without a folder")?;
            found.push((folder.to_owned(), PathBuf::from(executable)));
        }
    }
    Ok(found)
}
