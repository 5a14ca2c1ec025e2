//! The recipes that only check: format, lints, documentation, dependencies, tests, template.

pub(crate) mod browser;
pub(crate) mod changed;
pub(crate) mod deployed;
pub(crate) mod engine;
pub(crate) mod provider;
pub(crate) mod runbook;

use xshell::{Shell, cmd};

use crate::package::advisories;
use crate::tools;

/// The seconds for which each exploration draws seeds.
const SECONDS: &str = "45";

pub(crate) fn fmt(shell: &Shell) -> anyhow::Result<()> {
    Ok(cmd!(shell, "cargo fmt --all --check").run()?)
}

pub(crate) fn clippy(shell: &Shell) -> anyhow::Result<()> {
    let all = ["--workspace", "--all-targets", "--features", "bursar-tests/browser"];
    Ok(cmd!(shell, "cargo clippy {all...} --locked -- -D warnings").run()?)
}

pub(crate) fn docs(shell: &Shell) -> anyhow::Result<()> {
    let docs = cmd!(shell, "cargo doc --workspace --no-deps --locked");
    Ok(docs.env("RUSTDOCFLAGS", "-D warnings").run()?)
}

pub(crate) fn deny(shell: &Shell) -> anyhow::Result<()> {
    let deny = tools::cargo_tool(shell, "cargo-deny")?;
    cmd!(shell, "{deny} --locked --workspace check --hide-inclusion-graph bans licenses sources").run()?;
    advisories::check(shell)?;
    Ok(())
}

pub(crate) fn unused(shell: &Shell) -> anyhow::Result<()> {
    let machete = tools::cargo_tool(shell, "cargo-machete")?;
    Ok(cmd!(shell, "{machete}").run()?)
}

pub(crate) fn test(shell: &Shell) -> anyhow::Result<()> {
    let seconds = std::env::var("BURSAR_TEST_SECONDS").unwrap_or_else(|_| SECONDS.to_owned());
    Ok(cmd!(shell, "cargo test --workspace").env("BURSAR_TEST_SECONDS", seconds).run()?)
}

pub(crate) fn template(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    cmd!(shell, "{python} infra/xtask/template.py").run()?;
    Ok(cmd!(shell, "{python} infra/xtask/template.py --self-test").run()?)
}
