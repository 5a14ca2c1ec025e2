//! Which version a checkout is, and `release`: what a person would forget when they make the next.

use std::fmt::{self, Display, Formatter};

use anyhow::{Context, ensure};
use semver::Version;
use xshell::{Shell, cmd};

use crate::{package, tools};

/// The workspace's version, since this recipe is a part of it.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The raw form of every stored item.
const RECORD: &str = "shared/src/store/snapshots/bursar_core__store__tests__every_item_is_written_as_it_is_on_record.snap";
const UNRELEASED: &str = "## Unreleased\n";

/// What is built here: `0.1.0 1a2b3c4d5e6f`, with ` dirty` where tracked files differ from the
/// commit.
pub(crate) struct Checkout {
    /// Empty outside git.
    pub(crate) commit: String,
    pub(crate) is_dirty: bool,
}

impl Checkout {
    pub(crate) fn read(shell: &Shell) -> Checkout {
        let git = |words: &[&str]| {
            cmd!(shell, "git {words...}")
                .quiet()
                .ignore_stderr()
                .read()
                .unwrap_or_default()
        };
        let commit = git(&["rev-parse", "--short=12", "HEAD"]);
        Checkout {
            commit,
            is_dirty: !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty(),
        }
    }
}

impl Display for Checkout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dirty = if self.is_dirty { " dirty" } else { "" };
        f.write_str(format!("{VERSION} {}{dirty}", self.commit).trim_end())
    }
}

/// `release N`: a commit, and the archive that is published. What can be checked is checked before
/// anything is written.
pub(crate) fn release(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let [next] = words else {
        anyhow::bail!("cargo xtask release takes one version, such as 1.2.3")
    };
    let version =
        Version::parse(next).with_context(|| format!("{next} is no version, such as 1.2.3"))?;
    ensure!(
        version >= Version::parse(VERSION)?,
        "{next} is below the present version, {VERSION}"
    );
    let changed = cmd!(shell, "git status --porcelain").quiet().read()?;
    ensure!(
        changed.is_empty(),
        "a release begins at a commit: commit or remove first\n{changed}"
    );
    let changelog = shell.read_file("CHANGELOG.md")?;
    let record = shell.read_file(RECORD)?;
    ensure!(
        !changelog.contains(&format!("\n## {next}, ")),
        "{next} has a section in CHANGELOG.md, so it is released"
    );
    let (before, after) = changelog
        .split_once(UNRELEASED)
        .context("CHANGELOG.md has no section Unreleased")?;
    let section = after.split("\n## ").next().unwrap_or_default();
    ensure!(
        section.contains("\n- "),
        "the section Unreleased of CHANGELOG.md says nothing of what changes"
    );
    let cargo = shell.read_file("Cargo.toml")?;
    let lock = shell.read_file("Cargo.lock")?;
    let present = format!("\nversion = \"{VERSION}\"\n");
    let new = format!("\nversion = \"{next}\"\n");
    ensure!(
        cargo.matches(&present).count() == 1,
        "Cargo.toml does not say the version {VERSION} once"
    );
    // What has no source is a crate of this workspace.
    let of_lock = |package: &str| {
        if package.contains("\nsource = ") {
            package.to_owned()
        } else {
            package.replacen(&present, &new, 1)
        }
    };
    let lock: Vec<String> = lock.split("\n\n").map(of_lock).collect();
    let today = cmd!(shell, "date -u +%Y-%m-%d").quiet().read()?;
    tools::deny(shell, &["all"])?;

    let kept = format!("shared/src/store/releases/{next}.snap");
    shell.write_file("Cargo.toml", cargo.replacen(&present, &new, 1))?;
    shell.write_file("Cargo.lock", lock.join("\n\n"))?;
    shell.write_file(
        "CHANGELOG.md",
        format!("{before}{UNRELEASED}\n## {next}, {today}\n{after}"),
    )?;
    shell.write_file(&kept, record)?;
    // A data folder as this version writes it, for those that come.
    cmd!(
        shell,
        "cargo test --locked --package bursar-tests --test bursar -- --ignored folders::written"
    )
    .run()?;
    cmd!(
        shell,
        "git add -- Cargo.toml Cargo.lock CHANGELOG.md {kept} tests/suite/folders"
    )
    .quiet()
    .run()?;
    let subject = format!("release: {next}");
    cmd!(shell, "git commit --quiet --message {subject}")
        .quiet()
        .run()
        .context("the files are written, not committed")?;
    // By the recipes of that commit, which say its version.
    cmd!(shell, "cargo xtask publish")
        .run()
        .context("the release is committed; cargo xtask publish makes its archive")?;
    eprintln!(
        "release: {next} is committed. Before it is published, cargo xtask long is to have passed. What remains is for whoever \
         publishes:\n\n  git tag --sign v{next} --message \"$(cat target/bursar-{next}.tar.gz.sha256)\"\n  git push --atomic origin HEAD v{next}"
    );
    Ok(())
}

/// `publish`: the archive of this version.
pub(crate) fn publish(shell: &Shell) -> anyhow::Result<()> {
    let changelog = shell.read_file("CHANGELOG.md")?;
    let section = changelog
        .split("\n## ")
        .find(|section| section.starts_with(&format!("{VERSION}, ")));
    let section = section.with_context(|| {
        format!("CHANGELOG.md has no section {VERSION}: cargo xtask release {VERSION}")
    })?;
    let notes = format!(
        "# Bursar {}\n\n{}\n## {section}",
        Checkout::read(shell),
        include_str!("notes.txt")
    );
    let archive = package::published(shell, VERSION, &notes)?;
    eprintln!(
        "publish: {0} and {0}.sha256 are what is published, beside the tag v{VERSION} whose message has that sum",
        archive.display()
    );
    Ok(())
}
