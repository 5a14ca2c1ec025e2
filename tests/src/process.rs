//! `bursar` as its users have it: a process with arguments, one line on standard output, and an end.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use bursar_local::invoke::binaries::build_binaries;
use bursar_local::stack::Ready;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// A running `bursar`. It is killed when it is dropped.
pub struct Bursar {
    pub ready: Ready,
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: JoinHandle<String>,
}

/// The end of a `bursar`: its status and its output.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// The standard output after the `ready` line, or all of it if there was none.
    pub out: String,
    pub err: String,
}

impl Bursar {
    /// Starts a `bursar` with an empty table in this folder, on a free port.
    pub async fn start(data: &Path) -> Result<Bursar> {
        Bursar::start_with(data, &[]).await
    }

    /// Starts a `bursar` in this folder, on a free port, with more arguments.
    pub async fn start_with(data: &Path, arguments: &[&str]) -> Result<Bursar> {
        let mut command = command(data).await?;
        command.args(arguments);
        match begin(command).await? {
            Ok(running) => Ok(running),
            Err(ended) => bail!("bursar ended before it was ready: {ended:?}"),
        }
    }

    /// Interrupts the process, as Ctrl-C does.
    pub async fn interrupt(self) -> Result<Ended> {
        self.signal("-INT").await
    }

    /// Kills the process, as a power cut would.
    pub async fn kill(self) -> Result<Ended> {
        self.signal("-KILL").await
    }

    async fn signal(mut self, signal: &str) -> Result<Ended> {
        let id = self.child.id().context("it has ended already")?;
        let sent = Command::new("kill").args([signal, &id.to_string()]).status().await?;
        anyhow::ensure!(sent.success(), "the signal was not sent");
        let mut out = String::new();
        while let Some(line) = self.out.next_line().await? {
            out.push_str(&line);
        }
        Ok(Ended { status: self.child.wait().await?, out, err: self.err.await? })
    }
}

/// Runs a `bursar` that is expected to refuse to start.
pub async fn refused(data: &Path, arguments: &[&str]) -> Result<Ended> {
    let mut command = command(data).await?;
    command.args(arguments);
    match begin(command).await? {
        Ok(running) => bail!("bursar started, at {}", running.ready.web),
        Err(ended) => Ok(ended),
    }
}

/// Runs a `bursar` to its end with exactly these arguments.
pub async fn run(arguments: &[&str]) -> Result<Ended> {
    let output = Command::new(program().await?).args(arguments).stdin(Stdio::null()).output().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { status: output.status, out: text(output.stdout), err: text(output.stderr) })
}

async fn program() -> Result<std::path::PathBuf> {
    Ok(build_binaries().await?.join("bursar"))
}

async fn command(data: &Path) -> Result<Command> {
    let mut command = Command::new(program().await?);
    command.args(["--empty", "--admin", "admin@example.edu", "--port", "0", "--data"]).arg(data);
    Ok(command)
}

async fn begin(mut command: Command) -> Result<Result<Bursar, Ended>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("bursar cannot be run")?;
    let mut said = child.stderr.take().context("no standard error")?;
    let err = tokio::spawn(async move {
        let mut text = String::new();
        let _ = said.read_to_string(&mut text).await;
        text
    });
    let mut out = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    match out.next_line().await? {
        Some(line) => {
            let ready = line.strip_prefix("ready ").with_context(|| format!("the first line is {line:?}"))?;
            Ok(Ok(Bursar { ready: serde_json::from_str(ready)?, child, out, err }))
        }
        None => Ok(Err(Ended { status: child.wait().await?, out: String::new(), err: err.await? })),
    }
}
