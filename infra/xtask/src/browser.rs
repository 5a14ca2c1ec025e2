//! `browser`, `screenshots` and `gallery`: Bursar in a real browser. What is done there is the business of `tests/browser`.

use anyhow::bail;
use xshell::{Shell, cmd};

use crate::tools;

const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    run(shell, &["check"])
}

pub(crate) fn screenshots(shell: &Shell) -> anyhow::Result<()> {
    run(shell, &["screenshots", "docs/screenshots"])
}

pub(crate) fn gallery(shell: &Shell) -> anyhow::Result<()> {
    run(shell, &["gallery", "target/gallery"])
}

fn run(shell: &Shell, what: &[&str]) -> anyhow::Result<()> {
    let missing =
        |program: &&str| cmd!(shell, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_err();
    if PROGRAMS.iter().any(missing) && !tools::install_from_debian(shell, &PACKAGES)? {
        bail!("this recipe needs Chromium and its driver, chromedriver, on the path; install them and run it again");
    }
    Ok(cmd!(shell, "cargo run --quiet --locked --package bursar-tests --features browser --bin browser -- {what...}")
        .run()?)
}
