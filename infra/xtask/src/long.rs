//! `long`: what proves more than a run of CI has time for. A part that fails keeps none from
//! running.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use xshell::{Shell, cmd};

use crate::tools::{self, Bursar, Emulator};
use crate::{Step, figures, package};

const PARTS: &[(&str, Step, &str)] = &[
    (
        "tests",
        tests,
        "every seed, pair, fault and night that the suite samples: the tests of the target `long`",
    ),
    (
        "demonstration",
        demonstration,
        "the demonstration at each hour, at a month's end, on a Sunday and a Monday",
    ),
    (
        "second-engine",
        second_engine,
        "what we rely on in the table, on an engine of other authors",
    ),
    (
        "coding-agents",
        coding_agents,
        "each coding agent, set up as a student's page says, and what it asks for",
    ),
    (
        "provider-sdk",
        provider_sdk,
        "the provider simulator, through the provider's own SDK",
    ),
    (
        "machine-test",
        machine_test,
        "`bursar serve` under kills, power cuts and copies while students claim; it needs strace",
    ),
    (
        "deploy-test",
        deploy_test,
        "a release, deployed from its archive to an emulator of AWS and used there; it needs the AWS CLI and openssl",
    ),
    (
        "browser",
        browser,
        "what only a real browser shows: journeys, and every page before axe; its pictures are in target/browser",
    ),
    (
        "sign-on",
        sign_on,
        "students and staff sign on in a real browser, at an OpenID provider by other authors",
    ),
    (
        "deny",
        |shell| tools::deny(shell, &["all"]),
        "licences, bans, sources and advisories of the dependencies; it needs RustSec's database",
    ),
    (
        "docs",
        docs,
        "does the documentation build, and do its links lead somewhere?",
    ),
    ("unused", unused, "are there dependencies that nobody uses?"),
    (
        "package",
        package_arm64,
        "the five functions for arm64, each small enough",
    ),
    (
        "cold-start",
        |shell| crate::bench(shell, &["cold-start".to_owned()]),
        "each function to its first answer under the share of a processor that its memory gives; it needs openssl and strace",
    ),
];

/// Building takes some minutes more than without, and what is played about half of the time.
const OPTIMISED: &str = "--profile=bench";

pub(crate) fn long(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    let recorded = figures::Run::begin(shell, words)?;
    let names = &recorded.words;
    if let Some(unknown) = names
        .iter()
        .find(|name| PARTS.iter().all(|(part, ..)| part != name))
    {
        let parts: Vec<String> = PARTS
            .iter()
            .map(|(name, _, what)| format!("  {name:14} {what}"))
            .collect();
        bail!("long has no part {unknown}, only\n{}", parts.join("\n"));
    }
    let mut rows = Vec::new();
    for (name, run, _) in PARTS
        .iter()
        .filter(|(part, ..)| names.is_empty() || names.iter().any(|name| name == part))
    {
        eprintln!("\nlong: {name}");
        let started = Instant::now();
        let outcome = run(shell);
        if let Err(error) = &outcome {
            eprintln!("long: {name} failed: {error:#}");
        }
        rows.push((name, started.elapsed().as_secs(), outcome.is_ok()));
    }
    let mut table = "| part | took | |\n| --- | --- | --- |\n".to_owned();
    for (name, seconds, has_passed) in &rows {
        let verdict = if *has_passed { "passed" } else { "FAILED" };
        writeln!(
            table,
            "| {name} | {} min {:02} s | {verdict} |",
            seconds / 60,
            seconds % 60
        )?;
    }
    write!(std::io::stdout().lock(), "\n{table}")?;
    let name = ["long"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    recorded.record(shell, &name, &table)?;
    let failed = rows.iter().filter(|(.., has_passed)| !has_passed).count();
    ensure!(failed == 0, "{failed} of {} parts failed", rows.len());
    Ok(())
}

/// The words that cargo is given to play the target `long`.
const LONG: [&str; 9] = [
    "test",
    "--locked",
    OPTIMISED,
    "--package",
    "bursar-tests",
    "--features",
    "long",
    "--test",
    "long",
];

fn tests(shell: &Shell) -> anyhow::Result<()> {
    Ok(cmd!(
        shell,
        "cargo {LONG...} -- --skip second_engine --skip coding_agents"
    )
    .run()?)
}

fn demonstration(shell: &Shell) -> anyhow::Result<()> {
    let test = [
        "test",
        "--locked",
        OPTIMISED,
        "--package",
        "bursar-local",
        "--test",
        "bursar",
    ];
    Ok(cmd!(shell, "cargo {test...} -- --ignored").run()?)
}

fn second_engine(shell: &Shell) -> anyhow::Result<()> {
    let emulator = Emulator::start(shell)?;
    Ok(cmd!(shell, "cargo {LONG...} -- second_engine")
        .env("BURSAR_TEST_DYNAMODB", emulator.url())
        .run()?)
}

fn coding_agents(shell: &Shell) -> anyhow::Result<()> {
    let agents = tools::coding_agents(shell)?;
    Ok(cmd!(shell, "cargo {LONG...} -- coding_agents")
        .env("BURSAR_TEST_AGENTS", agents)
        .run()?)
}

fn provider_sdk(shell: &Shell) -> anyhow::Result<()> {
    beside_bursar(shell, "provider_sdk.py")
}

fn machine_test(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "cargo build --locked --package bursar-ops").run()?;
    beside_bursar(shell, "machine_test.py")
}

/// Runs a script that is told where a bursar runs.
fn beside_bursar(shell: &Shell, script: &str) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    let bursar = Bursar::start(shell)?;
    let ready = &bursar.ready;
    Ok(cmd!(shell, "{python} infra/xtask/{script} {ready}").run()?)
}

/// What a release would be, deployed from its archive to an emulator of AWS that runs it, and used
/// as people and operators would, with no Rust on the path.
fn deploy_test(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "aws --version")
        .quiet()
        .ignore_stdout()
        .run()
        .context("this recipe needs the AWS CLI: on Debian, install awscli")?;
    let python = tools::python(shell)?;
    let script = crate::root().join("infra/xtask/deploy_test.py");
    let unpacked = shell.create_temp_dir()?;
    let folder = package::tried_release(shell, unpacked.path())?;
    let emulator = Emulator::start(shell)?;
    let bursar = Bursar::start(shell)?;
    let architecture = package::here()?;
    let ready = &bursar.ready;
    let url = emulator.url();
    let has_no_rust = |folder: &PathBuf| {
        ["cargo", "rustc"]
            .iter()
            .all(|program| !folder.join(program).exists())
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&path).filter(has_no_rust))?;
    let _in_folder = shell.push_dir(folder);
    cmd!(shell, "{python} {script} {architecture} {ready} {url}")
        .env("PATH", path)
        .run()
        .inspect_err(|_| eprintln!("deploy-test: the emulator said\n{}", emulator.log(shell)))?;
    Ok(())
}

fn browser(shell: &Shell) -> anyhow::Result<()> {
    let axe = tools::axe(shell)?;
    in_browser(shell, &["journeys".as_ref()])?;
    in_browser(shell, &["pages".as_ref(), axe.as_os_str()])
}

fn sign_on(shell: &Shell) -> anyhow::Result<()> {
    let provider = tools::openid_provider(shell)?;
    in_browser(shell, &["sign-on".as_ref(), provider.as_os_str()])
}

/// What is done there is left to `tests/browser`.
pub(crate) fn in_browser(shell: &Shell, what: &[&OsStr]) -> anyhow::Result<()> {
    tools::chromium(shell)?;
    let test = [
        "test",
        "--locked",
        "--package",
        "bursar-tests",
        "--features",
        "browser",
        "--test",
        "browser",
    ];
    Ok(cmd!(shell, "cargo {test...} -- {what...}").run()?)
}

/// With private items, since the head of a file may name any. Of a link to another site nobody asks
/// whether it is right.
fn docs(shell: &Shell) -> anyhow::Result<()> {
    let lychee = tools::python(shell)?.with_file_name("lychee");
    let pages = cmd!(shell, "git ls-files *.md").read()?;
    let pages = pages.lines();
    cmd!(
        shell,
        "{lychee} --offline --no-progress --include-fragments {pages...}"
    )
    .run()?;
    crate::steps(shell, &[crate::DOCS])
}

fn unused(shell: &Shell) -> anyhow::Result<()> {
    let machete = tools::cargo_tool(shell, "cargo-machete")?;
    Ok(cmd!(shell, "{machete} machete").run()?)
}

fn package_arm64(shell: &Shell) -> anyhow::Result<()> {
    package::package(shell, &[])
}

pub(crate) fn cold_start(shell: &Shell) -> anyhow::Result<String> {
    let python = tools::python(shell)?;
    let folder = package::tried(shell)?;
    let bursar = Bursar::start(shell)?;
    let ready = &bursar.ready;
    Ok(cmd!(shell, "{python} infra/xtask/cold_start.py {folder} {ready}").read()?)
}
