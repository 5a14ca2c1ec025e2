//! `bench sync`, `resume` and `paced`: the sync's figures, in optimised builds; `bench changes`: those of jobs. What is measured
//! is left to `tests/bench`.

use xshell::{Shell, cmd};

/// Builds the benchmark and hands the rest of the command line on to it.
pub(crate) fn run(shell: &Shell, arguments: &[String]) -> anyhow::Result<()> {
    let bench = ["bench", "--locked", "--package", "bursar-tests", "--bench", "sync"];
    Ok(cmd!(shell, "cargo {bench...} -- {arguments...}").run()?)
}
