//! `browser` and `screenshots`: Bursar in a real browser. What is done there is left to `tests/browser`.

use anyhow::{Context, bail};
use xshell::{Shell, cmd};

use crate::tools;

const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    run(shell, &["check"])
}

pub(crate) fn screenshots(shell: &Shell) -> anyhow::Result<()> {
    draw(shell, "screenshots", "docs/screenshots")
}

fn draw(shell: &Shell, what: &str, folder: &str) -> anyhow::Result<()> {
    // A test's working directory is the folder of its package.
    let folder = shell.current_dir().join(folder);
    run(shell, &[what, folder.to_str().context("the folder has a strange name")?])
}

fn run(shell: &Shell, what: &[&str]) -> anyhow::Result<()> {
    let missing =
        |program: &&str| cmd!(shell, "{program} --version").quiet().ignore_stdout().ignore_stderr().run().is_err();
    if PROGRAMS.iter().any(missing) && !tools::install_from_debian(shell, &PACKAGES)? {
        bail!("this recipe needs Chromium and its driver, chromedriver, on the path; install them and run it again");
    }
    let test = ["test", "--locked", "--package", "bursar-tests", "--features", "browser", "--test", "browser"];
    Ok(cmd!(shell, "cargo {test...} -- {what...}").run()?)
}
