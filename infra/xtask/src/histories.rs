//! `long`, `histories`, `weather`, `mails` and `flood`: tests that are of a few in each run of all tests, in an optimised build and of many.

use anyhow::bail;
use xshell::{Shell, cmd};

/// Plays so many histories of each kind as the command line says.
pub(crate) fn histories(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "histories", arguments, ("BURSAR_TEST_SEEDS", "5000"), &["promises::drawn", "acts::histories"])
}

/// Lives through so many nights of bad weather.
pub(crate) fn weather(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "weather", arguments, ("BURSAR_TEST_SEEDS", "200"), &["sync::weather"])
}

/// Plays many seeds of every exploration.
pub(crate) fn long(shell: &Shell) -> anyhow::Result<()> {
    histories(shell, &[])?;
    weather(shell, &[])?;
    play(shell, "long", &[], ("BURSAR_TEST_SEEDS", "200"), &["promises::whatever_the_provider_is_like"])?;
    play(shell, "long", &[], ("BURSAR_TEST_SEEDS", "50"), &["sync::windows"])
}

/// Mails so many students of a roster, and tells the pace.
pub(crate) fn mails(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "mails", arguments, ("BURSAR_TEST_MAILS", "50000"), &["mail::many", "--nocapture"])
}

/// Floods the door with so many asks, and tells how long everybody else waited.
pub(crate) fn flood(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "flood", arguments, ("BURSAR_TEST_FLOOD", "20000"), &["claim::flood", "--nocapture"])
}

fn play(
    shell: &Shell,
    recipe: &str,
    arguments: &[String],
    (name, many): (&str, &str),
    tests: &[&str],
) -> anyhow::Result<()> {
    let seeds = match arguments {
        [] => many,
        [seeds] if seeds.parse::<u64>().is_ok() => seeds,
        _ => bail!("cargo xtask {recipe} takes one number"),
    };
    let test = ["test", "--locked", "--profile", "bench", "--package", "bursar-tests", "--test", "bursar"];
    Ok(cmd!(shell, "cargo {test...} -- {tests...}").env(name, seeds).run()?)
}
