//! `long`, `histories`, `weather`, `mails` and `flood`: tests that play a few cases in each run of the suite,
//! here with many and optimised.

use anyhow::bail;
use xshell::{Shell, cmd};

/// Plays as many histories of each kind as the command line says.
pub(crate) fn histories(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "histories", arguments, ("BURSAR_TEST_SEEDS", "5000"), &["promises::drawn", "acts::histories"])
}

/// Plays as many nights of bad weather as the command line says.
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

/// Mails as many students of a roster as the command line says, and prints the rate.
pub(crate) fn mails(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "mails", arguments, ("BURSAR_TEST_MAILS", "50000"), &["mail::many", "--nocapture"])
}

/// Floods the sign-in page with as many requests as the command line says, and prints how long everybody else waited.
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
