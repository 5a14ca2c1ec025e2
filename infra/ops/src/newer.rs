//! Which releases are newer than what runs, and which advisories concern it: the repository's tags,
//! the lock of the release that runs, and the advisories of RustSec, each asked by `git`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use clap::Args;
use rustsec::report::Settings;
use rustsec::{Database, Lockfile};
use semver::Version;

use crate::aws::{Found, MEND, NOT_CHECKED, OK, Report};

/// The advisories of all crates of crates.io.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

#[derive(Args)]
pub(crate) struct Releases {
    /// Where Bursar's releases are, if not where this checkout came from: a URL that git takes
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Where the advisories are
    #[arg(long, value_name = "URL", default_value = ADVISORIES)]
    advisories: String,
}

impl Releases {
    /// Tells whether a release is newer than the one that runs, and which advisories concern that.
    /// Returns the tags.
    pub(crate) fn tell(&self, report: &mut Report, running: &str) -> anyhow::Result<String> {
        let unknown = |why: anyhow::Error| (NOT_CHECKED, format!("{why:#}"));
        match tags(self.repository.as_deref()) {
            Ok((repository, tags)) => {
                report.tell("newer release", release(&tags, running))?;
                let advisories = advisories(&repository, &tags, running, &self.advisories);
                report.tell("advisories", advisories.unwrap_or_else(unknown))?;
                Ok(tags)
            }
            Err(why) => {
                report.tell("newer release", unknown(why))?;
                report.tell("advisories", (NOT_CHECKED, "not looked either".to_owned()))?;
                Ok(String::new())
            }
        }
    }
}

/// The tags of a repository, a line each. `None` names the one that this checkout of Bursar came
/// from.
fn tags(repository: Option<&str>) -> anyhow::Result<(String, String)> {
    let origin;
    let repository = match repository {
        Some(repository) => repository,
        None => {
            let is_checkout = Path::new("infra/ops/Cargo.toml").exists();
            ensure!(
                is_checkout,
                "not looked: name Bursar's repository by --repository"
            );
            origin = git(&["remote", "get-url", "origin"])
                .context("name Bursar's repository by --repository")?;
            origin.trim()
        }
    };
    let listed = git(&["ls-remote", "--tags", "--refs", repository])?;
    let tags: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.rsplit_once("refs/tags/"))
        .map(|(_, tag)| tag)
        .collect();
    Ok((repository.to_owned(), tags.join("\n")))
}

/// Whether a release is newer than the one that runs.
fn release(tags: &str, deployed: &str) -> Found {
    let Some(running) = number(deployed) else {
        return (NOT_CHECKED, format!("“{deployed}” is no version"));
    };
    match released(tags).max().filter(|newest| running < *newest) {
        Some(newest) => (
            MEND,
            format!("v{newest} is there, and v{running} runs: read its notes, and deploy it."),
        ),
        None if !released(tags).any(|version| version == running) => (
            NOT_CHECKED,
            format!(
                "the repository has no tag v{running}, so it may be another than Bursar's: name that by --repository"
            ),
        ),
        None => (OK, format!("none is newer than v{running}")),
    }
}

/// Whether advisories concern what the release that runs is made of, and whether the newest mends
/// them.
fn advisories(
    repository: &str,
    tags: &str,
    deployed: &str,
    database: &str,
) -> anyhow::Result<Found> {
    let running = number(deployed).with_context(|| format!("“{deployed}” is no version"))?;
    let folder = tempfile::tempdir()?;
    let database = cloned(database, None, &folder.path().join("advisories"))?;
    let database = Database::open(&database)?;
    let concern = |version: &Version| -> anyhow::Result<BTreeMap<String, String>> {
        let tag = format!("v{version}");
        let checkout = cloned(repository, Some(&tag), &folder.path().join(&tag))?;
        let lock = Lockfile::load(checkout.join("Cargo.lock"))?;
        let vulnerabilities = rustsec::Report::generate(&database, &lock, &Settings::default())
            .vulnerabilities
            .list;
        Ok(vulnerabilities
            .into_iter()
            .map(|vulnerability| {
                (
                    vulnerability.advisory.id.to_string(),
                    format!(
                        "{} {}",
                        vulnerability.package.name, vulnerability.package.version
                    ),
                )
            })
            .collect())
    };
    let of_running = concern(&running)?;
    if of_running.is_empty() {
        return Ok((OK, format!("none concerns v{running}")));
    }
    let newest = released(tags).max().filter(|newest| running < *newest);
    let of_newest = newest.as_ref().map(concern).transpose()?;
    let sentences = of_running
        .iter()
        .map(|(advisory, package)| match (&newest, &of_newest) {
            (Some(newest), Some(unmended)) if !unmended.contains_key(advisory) => {
                format!("{advisory} ({package}): v{newest} mends it")
            }
            _ => format!("{advisory} ({package}): no release mends it yet"),
        });
    Ok((
        MEND,
        format!(
            "v{running} runs. {}.",
            sentences.collect::<Vec<_>>().join("; ")
        ),
    ))
}

/// `0.1.0 1a2b3c4d5e6f` is how a version is said.
pub(crate) fn number(version: &str) -> Option<Version> {
    Version::parse(version.split(' ').next().unwrap_or_default()).ok()
}

/// The versions that were released.
pub(crate) fn released(tags: &str) -> impl Iterator<Item = Version> {
    let versions = tags
        .lines()
        .filter_map(|tag| Version::parse(tag.trim().strip_prefix('v')?).ok());
    versions.filter(|version| version.pre.is_empty())
}

fn cloned(repository: &str, tag: Option<&str>, into: &Path) -> anyhow::Result<std::path::PathBuf> {
    let path = into.to_str().context("a folder's name is no text")?;
    let branch: Vec<&str> = tag.into_iter().flat_map(|tag| ["--branch", tag]).collect();
    let words = [
        &["clone", "--quiet", "--depth", "1"],
        &branch[..],
        &[repository, path],
    ]
    .concat();
    git(&words)?;
    Ok(into.to_owned())
}

/// A text whose addresses have no name and password before the host.
fn without_logins(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', '\'']);
    words
        .map(|word| match (word.find("://"), word.rfind('@')) {
            (Some(scheme), Some(login)) if scheme < login => {
                format!("{}://{}", &word[..scheme], &word[login + 1..])
            }
            _ => word.to_owned(),
        })
        .collect()
}

fn git(words: &[&str]) -> anyhow::Result<String> {
    // Nobody is there who could type a password.
    let git = Command::new("git")
        .args(words)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .output();
    let output = git.context("the command git is missing: install the package git")?;
    if !output.status.success() {
        let why = without_logins(&String::from_utf8_lossy(&output.stderr));
        bail!(
            "not looked: git {} says {}",
            words.first().copied().unwrap_or_default(),
            why.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Commits what lies in a folder.
    fn committed(folder: &Path, tag: &str) {
        let commit = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.edu",
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "a",
        ];
        for words in [
            &["init", "--quiet"][..],
            &["add", "."],
            &commit,
            &["tag", tag],
        ] {
            git(&[&["-C", folder.to_str().unwrap()], words].concat()).unwrap();
        }
    }

    fn lock(version: &str) -> String {
        let source = "registry+https://github.com/rust-lang/crates.io-index";
        format!(
            "version = 4\n\n[[package]]\nname = \"leaky\"\nversion = \"{version}\"\nsource = \"{source}\"\n"
        )
    }

    #[test]
    fn a_newer_release_and_what_it_mends_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [bursar, advisories_at] = ["bursar", "advisories"].map(|name| folder.path().join(name));
        fs::create_dir_all(&bursar).unwrap();
        fs::create_dir_all(advisories_at.join("crates/leaky")).unwrap();
        let [repository, database] =
            [&bursar, &advisories_at].map(|folder| format!("file://{}", folder.display()));
        for (id, patched) in [
            ("RUSTSEC-2026-0001", ">= 1.0.1"),
            ("RUSTSEC-2026-0002", ">= 1.0.9"),
        ] {
            let advisory = format!(
                "```toml\n[advisory]\nid = \"{id}\"\npackage = \"leaky\"\ndate = \"2026-11-01\"\n\n[versions]\npatched = [\"{patched}\"]\n```\n\n# It leaks\n\nMuch.\n"
            );
            fs::write(
                advisories_at.join(format!("crates/leaky/{id}.md")),
                advisory,
            )
            .unwrap();
        }
        committed(&advisories_at, "a");
        for (tag, version) in [
            ("v0.1.0", "1.0.0"),
            ("v0.1.2", "1.0.1"),
            ("v0.2.0-rc1", "1.0.9"),
            ("v0.3.0", "1.0.9"),
        ] {
            fs::write(bursar.join("Cargo.lock"), lock(version)).unwrap();
            committed(&bursar, tag);
            if tag == "v0.1.2" {
                let (_, listed) = tags(Some(&repository)).unwrap();
                let newer = "v0.1.2 is there, and v0.1.0 runs: read its notes, and deploy it.";
                assert_eq!(
                    release(&listed, "0.1.0 1a2b3c4d5e6f"),
                    (MEND, newer.to_owned())
                );
                let unmended = "v0.1.0 runs. RUSTSEC-2026-0001 (leaky 1.0.0): v0.1.2 mends it; RUSTSEC-2026-0002 (leaky 1.0.0): no release mends it yet.";
                let found = advisories(&repository, &listed, "0.1.0", &database).unwrap();
                assert_eq!(found, (MEND, unmended.to_owned()));
            }
        }
        let (_, listed) = tags(Some(&repository)).unwrap();
        assert_eq!(release(&listed, "0.3.0").0, OK);
        assert_eq!(
            advisories(&repository, &listed, "0.3.0", &database)
                .unwrap()
                .0,
            OK
        );
        assert_eq!(release(&listed, "0.4.0").0, NOT_CHECKED);
        assert!(
            tags(folder.path().join("nowhere").to_str())
                .unwrap_err()
                .to_string()
                .starts_with("not looked")
        );
        assert_eq!(
            without_logins("at 'https://me:secret@git.edu/b': no"),
            "at 'https://git.edu/b': no"
        );
        assert!(
            advisories(&repository, &listed, "0.9.0", &database).is_err(),
            "what was never released has no lock"
        );
    }
}
