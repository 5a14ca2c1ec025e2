//! `costs`: what a month costs, counted and computed anew, in `infra/COSTS.md`. All of it is left to `tests/costs`.

use xshell::{Shell, cmd};

pub(crate) fn costs(shell: &Shell) -> anyhow::Result<()> {
    // By the profile of the tests, whose dependencies are there already.
    let bench = ["bench", "--profile", "test", "--locked", "--package", "bursar-tests", "--bench", "costs"];
    Ok(cmd!(shell, "cargo {bench...}").run()?)
}
