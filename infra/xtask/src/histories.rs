//! `histories`: the tests that draw their histories from seeds, in an optimised build and with thousands of seeds instead of a few.

use anyhow::bail;
use xshell::{Shell, cmd};

const SEEDS: &str = "5000";

/// Plays so many of each kind as the command line says.
pub(crate) fn run(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    let seeds = match arguments {
        [] => SEEDS,
        [seeds] if seeds.parse::<u64>().is_ok() => seeds,
        _ => bail!("cargo xtask histories takes one number"),
    };
    let test = ["test", "--locked", "--profile", "bench", "--package", "bursar-tests", "--test", "bursar"];
    Ok(cmd!(shell, "cargo {test...} -- promises::drawn acts::histories").env("BURSAR_TEST_SEEDS", seeds).run()?)
}
