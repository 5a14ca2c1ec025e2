//! `provider-sdk`: the provider simulator against the provider's own SDK, which shares no code with ours.

use std::process::{Command, Stdio};
use std::time::Duration;

use xshell::{Shell, cmd};

use crate::background::Background;
use crate::tools;

pub(crate) fn provider_sdk(shell: &Shell) -> anyhow::Result<()> {
    let python = tools::python(shell)?;
    // As the tests build it for themselves, so that little is left to build.
    let build = ["build", "--profile", "test", "--locked", "--workspace", "--bins"];
    cmd!(shell, "cargo {build...}").run()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = shell.create_temp_dir()?;
    let data = folder.path().join("data");
    let mut bursar = Background::start(
        "bursar",
        Command::new(shell.current_dir().join(target).join("debug/bursar"))
            .args(["--empty", "--admin", "a@example.edu", "--port", "0", "--data"])
            .arg(&data)
            .current_dir(shell.current_dir())
            .stdout(Stdio::piped()),
    )?;
    let ready = bursar.line("ready ", Duration::from_secs(60))?;
    // The management key is in the bundle's secret. Python reads it there, since it parses JSON anyway.
    let key_file = folder.path().join("management-key");
    Ok(cmd!(shell, "{python} infra/xtask/provider_sdk.py {ready} {key_file}").run()?)
}
