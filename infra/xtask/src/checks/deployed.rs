//! `deploy-test`: template.yaml and the packaged zips on an emulator of AWS that runs them, used as people would.

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::tools::emulator::{Bursar, Emulator};
use crate::{package, tools};

pub(crate) fn deploy_test(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    let (architecture, packages) = package::own(shell)?;
    let (emulator, bursar) = (Emulator::start(shell, None)?, Bursar::start(shell)?);
    let (architecture, ready, port) = (architecture.as_str(), &bursar.ready, emulator.port.to_string());
    cmd!(shell, "{python} infra/xtask/deploy_test.py {packages} {architecture} {ready} {port}")
        .run()
        .with_context(|| emulator.log(shell))
}
