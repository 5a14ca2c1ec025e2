//! `histories` and `weather`: the tests that draw what happens from seeds, in an optimised build and with many seeds instead of a few.

use anyhow::bail;
use xshell::{Shell, cmd};

/// Plays so many histories of each kind as the command line says.
pub(crate) fn histories(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "histories", arguments, "5000", &["promises::drawn", "acts::histories"])
}

/// Lives through so many nights of bad weather.
pub(crate) fn weather(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    play(shell, "weather", arguments, "200", &["sync::weather"])
}

fn play(shell: &Shell, recipe: &str, arguments: &[String], many: &str, tests: &[&str]) -> anyhow::Result<()> {
    let seeds = match arguments {
        [] => many,
        [seeds] if seeds.parse::<u64>().is_ok() => seeds,
        _ => bail!("cargo xtask {recipe} takes one number"),
    };
    let test = ["test", "--locked", "--profile", "bench", "--package", "bursar-tests", "--test", "bursar"];
    Ok(cmd!(shell, "cargo {test...} -- {tests...}").env("BURSAR_TEST_SEEDS", seeds).run()?)
}
