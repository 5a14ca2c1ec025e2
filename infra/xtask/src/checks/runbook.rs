//! `runbook`: the commands of `infra/RUNBOOK.md` and of `doctor`, tried on the parser of the AWS CLI, which sends nothing.

use xshell::{Shell, cmd};

use crate::tools;

pub(crate) fn runbook(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    // The recipe runs itself for the questions of `doctor` and for the templates of `restored`.
    let xtask = std::env::current_exe()?;
    cmd!(shell, "{python} infra/xtask/runbook/check.py {xtask}").run()?;
    Ok(cmd!(shell, "{python} infra/xtask/runbook/check.py {xtask} --self-test").run()?)
}
