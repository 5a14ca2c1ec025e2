//! Tools that the recipes need and the toolchain does not have, each in one pinned version under `target/tools`.

pub(crate) mod background;
pub(crate) mod emulator;
pub(crate) mod missing;

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::root;
use crate::tools::missing::Missing;

const CARGO_TOOLS: [(&str, &str); 2] = [("cargo-deny", "0.20.2"), ("cargo-machete", "0.9.2")];

/// The Python tools: what links the packages is taken by its hash, the rest by version.
pub(crate) const LINKER: &str = "infra/xtask/linker.txt";
pub(crate) const REQUIREMENTS: &str = "infra/xtask/requirements.txt";

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
    python_in(shell, &folder().join("venv"))
}

fn python_in(shell: &Shell, venv: &Path) -> anyhow::Result<PathBuf> {
    let python = venv.join("bin/python");
    // Written last, so that an interrupted installation does not count as complete.
    let stamp = venv.join("requirements.txt");
    let wanted = shell.read_file(LINKER)? + &shell.read_file(REQUIREMENTS)?;
    let runs = || cmd!(shell, "{python} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if shell.read_file(&stamp).is_ok_and(|installed| installed == wanted) && runs() {
        return Ok(python);
    }
    let make = || cmd!(shell, "python3 -m venv --clear {venv}").quiet().ignore_stdout().run();
    if make().is_err() {
        let installed = install_from_debian(shell, &["python3", "python3-venv"]);
        if !installed.unwrap_or_default() || make().is_err() {
            return Err(Missing::Python.into());
        }
    }
    let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    cmd!(shell, "{python} {pip...} install --no-deps --require-hashes --requirement {LINKER}")
        .run()
        .context(Missing::Wheels)?;
    cmd!(shell, "{python} {pip...} install --no-deps --requirement {REQUIREMENTS}").run().context(Missing::Wheels)?;
    cmd!(shell, "{python} {pip...} check").run()?;
    shell.write_file(&stamp, wanted)?;
    Ok(python)
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

/// Where cargo keeps what it fetches.
pub(crate) fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir));
    target.join("tools")
}

/// A script for a test. Another process writes it: one that this process still had open could not be run.
#[cfg(test)]
pub(crate) fn write_program(shell: &Shell, path: &Path, text: &str) {
    cmd!(shell, "install -D -m 755 /dev/stdin {path}").quiet().stdin(text).run().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_python_it_says_what_to_install() {
        let shell = Shell::new().unwrap();
        shell.change_dir(root());
        let empty = shell.create_temp_dir().unwrap();
        shell.set_var("PATH", empty.path());
        let refused = python_in(&shell, &empty.path().join("venv")).unwrap_err();
        assert_eq!(refused.to_string(), Missing::Python.to_string());
    }

    #[test]
    fn without_the_network_it_says_what_pip_could_not_get() {
        let shell = Shell::new().unwrap();
        shell.change_dir(root());
        let folder = shell.create_temp_dir().unwrap();
        // A Python that makes environments, and whose pip gets nothing.
        let fake = "#!/bin/sh\ncase \"$*\" in\n*'-m venv'*) ;;\n*) exit 1 ;;\nesac\n";
        for path in ["python3", "venv/bin/python"] {
            write_program(&shell, &folder.path().join(path), fake);
        }
        shell.set_var("PATH", folder.path());
        let refused = python_in(&shell, &folder.path().join("venv")).unwrap_err();
        assert_eq!(refused.to_string(), Missing::Wheels.to_string());
    }
}
