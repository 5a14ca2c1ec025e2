//! Tools that the recipes need and the toolchain does not have, each in one pinned version under `target/tools`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use xshell::{Shell, cmd};

use crate::root;

const CARGO_TOOLS: [(&str, &str); 2] = [("cargo-deny", "0.20.2"), ("cargo-machete", "0.9.2")];

const REQUIREMENTS: &str = "infra/xtask/requirements.txt";

/// The path of a cargo tool, installed if it is not there in the wanted version.
///
/// No registry has a current build of either. Unoptimised they compile three times as fast, and still need only
/// seconds for a graph of this size.
pub(crate) fn cargo_tool(shell: &Shell, name: &str) -> anyhow::Result<PathBuf> {
    let (_, version) = CARGO_TOOLS.iter().find(|(tool, _)| *tool == name).context("an unknown tool")?;
    let tools = folder();
    let path = tools.join("bin").join(name);
    let installed = cmd!(shell, "{path} --version").quiet().ignore_stderr().read().unwrap_or_default();
    if !installed.split_whitespace().any(|word| word == *version) {
        cmd!(shell, "cargo install --quiet --debug --locked --force --root {tools} --version {version} {name}")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .run()?;
    }
    Ok(path)
}

/// A Python with exactly what `requirements.txt` lists, in an environment that is made again when the list changes.
pub(crate) fn python(shell: &Shell) -> anyhow::Result<PathBuf> {
    let venv = folder().join("venv");
    let python = venv.join("bin/python");
    // Written last, so that an interrupted installation does not count as complete.
    let stamp = venv.join("requirements.txt");
    let wanted = shell.read_file(REQUIREMENTS)?;
    if shell.read_file(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if cmd!(shell, "python3 -m venv --clear {venv}").ignore_stdout().run().is_err() {
        install_venv(shell)?;
        cmd!(shell, "python3 -m venv --clear {venv}").run()?;
    }
    let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    cmd!(shell, "{python} {pip...} install --no-deps --requirement {REQUIREMENTS}").run()?;
    cmd!(shell, "{python} {pip...} check").run()?;
    shell.write_file(&stamp, wanted)?;
    Ok(python)
}

/// Installs `venv`, which Debian splits off Python: a bare container may have neither.
fn install_venv(shell: &Shell) -> anyhow::Result<()> {
    if !install_from_debian(shell, &["python3", "python3-venv"])? {
        bail!("this recipe needs Python 3 with its venv module; install them and run it again");
    }
    Ok(())
}

/// Installs packages if that is possible without a question to the user, and returns whether it did.
pub(crate) fn install_from_debian(shell: &Shell, packages: &[&str]) -> anyhow::Result<bool> {
    let root = cmd!(shell, "id -u").quiet().read().is_ok_and(|id| id == "0");
    if !root || cmd!(shell, "apt-get --version").quiet().ignore_stdout().run().is_err() {
        return Ok(false);
    }
    cmd!(shell, "apt-get update --quiet").run()?;
    cmd!(shell, "apt-get install --yes --no-install-recommends {packages...}").run()?;
    Ok(true)
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir));
    target.join("tools")
}
