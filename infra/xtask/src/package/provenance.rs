//! `provenance.json`: from which commit, with which tools and dependencies a package was made, and the hashes of what it holds.
//! Two builds of one commit say the same.

use anyhow::Result;
use serde_json::{Map, Value, json};
use xshell::{Shell, cmd};

use super::advisories::Advisories;
use super::archive::{File, sha256};
use super::build::Built;
use super::{Architecture, Zip};

/// The text of the file.
pub(super) fn of(
    shell: &Shell,
    architecture: Architecture,
    built: &Built,
    zips: &[Zip],
    packed: &[[File; 3]],
    advisories: &Advisories,
) -> Result<String> {
    let hash_of = |path: &str| -> Result<String> { Ok(sha256(&shell.read_binary_file(path)?)) };
    let mut functions = Map::new();
    for (zip, files) in zips.iter().zip(packed) {
        let files: Map<String, Value> =
            files.iter().map(|file| (file.name.to_owned(), sha256(&file.bytes).into())).collect();
        functions.insert(zip.function.clone(), json!({ "zip": zip.sha256, "bytes": zip.bytes, "files": files }));
    }
    let changed = changed_files(shell)?;
    let provenance = json!({
        "commit": cmd!(shell, "git rev-parse HEAD").quiet().read()?,
        "changed_since": changed,
        "architecture": architecture.as_str(),
        "link_time_optimisation": built.lto.as_str(),
        "tools": { "rustc": built.rustc, "cargo-zigbuild": built.zigbuild, "zig": built.zig },
        "sha256_of": { "Cargo.lock": hash_of("Cargo.lock")?, "template.yaml": hash_of("template.yaml")? },
        "advisories": advisories.recorded(),
        "functions": functions,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&provenance)?))
}

/// The files that differ from the commit, new ones too.
pub(super) fn changed_files(shell: &Shell) -> Result<Vec<String>> {
    let status = cmd!(shell, "git status --porcelain").quiet().read()?;
    Ok(status.lines().map(|line| line.get(3..).unwrap_or(line).to_owned()).collect())
}
