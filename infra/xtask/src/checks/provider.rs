//! `provider-sdk`: the provider simulator against the provider's own SDK, which shares no code with ours.

use xshell::{Shell, cmd};

use crate::tools;
use crate::tools::emulator::Bursar;

pub(crate) fn provider_sdk(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    let bursar = Bursar::start(shell)?;
    let folder = shell.create_temp_dir()?;
    // The management key is in the bundle's secret. Python reads it there, since it parses JSON anyway.
    let (ready, key_file) = (&bursar.ready, folder.path().join("management-key"));
    Ok(cmd!(shell, "{python} infra/xtask/provider_sdk.py {ready} {key_file}").run()?)
}
