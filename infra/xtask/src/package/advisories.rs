//! The check of all dependencies against the RustSec advisory database, and which state of it was asked.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::tools;
use crate::tools::background::ends_well_within;

const DATABASE: &str = "https://github.com/RustSec/advisory-db";

/// What was found out. An advisory that holds is an error, and no outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advisories {
    /// None holds, by the database's commit of this date.
    Checked {
        commit: String,
        date: String,
    },
    NotChecked {
        why: String,
    },
}

impl Advisories {
    /// As `provenance.json` tells it.
    pub(super) fn recorded(&self) -> Value {
        match self {
            Advisories::Checked { commit, date } => json!({ "database": DATABASE, "commit": commit, "date": date }),
            Advisories::NotChecked { why } => json!({ "database": null, "why": why }),
        }
    }
}

/// Checks, and says in a line of its own when that was not possible.
pub(crate) fn check(shell: &Shell) -> Result<Advisories> {
    if !reachable(DATABASE) {
        eprintln!("advisories: not checked");
        return Ok(Advisories::NotChecked { why: format!("{DATABASE} could not be reached") });
    }
    let deny = tools::cargo_tool(shell, "cargo-deny")?;
    cmd!(shell, "{deny} --locked --workspace check advisories").run().context("see above which advisories hold")?;
    let (copy, format) = (copy(shell)?, "--format=%H %cI");
    let told = cmd!(shell, "git -C {copy} log -1 {format}").quiet().read()?;
    let (commit, date) = told.split_once(' ').context("the copy of the advisory database has no commit")?;
    eprintln!("advisories: none holds, by {DATABASE} at {commit} of {date}");
    Ok(Advisories::Checked { commit: commit.to_owned(), date: date.to_owned() })
}

/// Where cargo-deny keeps its copy of the database.
fn copy(shell: &Shell) -> Result<PathBuf> {
    let copies = tools::cargo_home().join("advisory-dbs");
    let is_copy = |folder: &PathBuf| {
        let of = cmd!(shell, "git -C {folder} config remote.origin.url").quiet().ignore_stderr().read();
        of.is_ok_and(|of| of == DATABASE)
    };
    let folders = shell.read_dir(&copies).unwrap_or_default();
    let found = folders.into_iter().filter(|folder| folder.is_dir()).find(is_copy);
    found.with_context(|| format!("cargo-deny left no copy of the advisory database in {}", copies.display()))
}

/// Whether git can read a repository. git itself is asked, since it knows the configured proxies.
fn reachable(repository: &str) -> bool {
    let mut git = Command::new("git");
    git.args(["ls-remote", "--exit-code", repository, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ends_well_within(&mut git, Duration::from_secs(10))
}
