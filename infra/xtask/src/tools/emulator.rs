//! The emulator of AWS by other authors than the stand-ins', and a running `bursar` for its provider.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use xshell::{Shell, TempDir, cmd};

use crate::tools;
use crate::tools::background::{Background, ask, free_port};

/// A running emulator, which ends when this is dropped.
pub(crate) struct Emulator {
    pub(crate) port: u16,
    _running: Background,
    folder: TempDir,
}

impl Emulator {
    /// Starts it with these services only, or with all of them.
    pub(crate) fn start(shell: &Shell, services: Option<&str>) -> anyhow::Result<Emulator> {
        let python = tools::python(shell)?;
        let (folder, port) = (shell.create_temp_dir()?, free_port()?);
        let log = File::create(folder.path().join(LOG))?;
        let mut command = Command::new(python.with_file_name("ministack"));
        command
            // By default it binds all addresses and starts listeners for other protocols.
            .envs([("BIND_HOST", "127.0.0.1"), ("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0")])
            .envs([("LOG_LEVEL", "WARNING")])
            .envs(services.map(|services| ("SERVICES", services)))
            .env("GATEWAY_PORT", port.to_string())
            // Functions that it runs find its services by this.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("TMPDIR", folder.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut running = Background::start("ministack", &mut command)?;
        let ready =
            || ask(port, "GET /_ministack/ready HTTP/1.1", "").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        let waited = running.until(Duration::from_secs(60), ready);
        let emulator = Emulator { port, _running: running, folder };
        waited.with_context(|| emulator.log(shell))?;
        Ok(emulator)
    }

    /// What it has logged.
    pub(crate) fn log(&self, shell: &Shell) -> String {
        shell.read_file(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

const LOG: &str = "ministack.log";

/// A running `bursar` without a demonstration, and its line `ready`.
pub(crate) struct Bursar {
    pub(crate) ready: String,
    _running: Background,
    _folder: TempDir,
}

impl Bursar {
    pub(crate) fn start(shell: &Shell) -> anyhow::Result<Bursar> {
        // As the tests build it for themselves, so that little is left to build.
        let build = ["build", "--profile", "test", "--locked", "--workspace", "--bins"];
        cmd!(shell, "cargo {build...}").run()?;
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let folder = shell.create_temp_dir()?;
        let mut running = Background::start(
            "bursar",
            Command::new(shell.current_dir().join(target).join("debug/bursar"))
                .args(["--empty", "--admin", "a@example.edu", "--port", "0", "--data"])
                .arg(folder.path().join("data"))
                .current_dir(shell.current_dir())
                .stdout(Stdio::piped()),
        )?;
        let ready = running.line("ready ", Duration::from_secs(60))?;
        Ok(Bursar { ready, _running: running, _folder: folder })
    }
}
