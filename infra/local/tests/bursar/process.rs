//! `bursar` as its users have it: a process with arguments, one line on standard output, and an end.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use aws_smithy_http_client::Builder as HttpClients;
use bursar_local::stack::Ready;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bursar");

/// A running `bursar`. It is killed when it is dropped.
pub(crate) struct Bursar {
    pub(crate) ready: Ready,
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: JoinHandle<String>,
}

/// The end of a `bursar`: its status and its output.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The standard output after the `ready` line, or all of it if there was none.
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bursar {
    /// Starts a `bursar` with an empty table in this folder, on a free port.
    pub(crate) async fn start(data: &Path) -> Result<Bursar> {
        Bursar::start_with(data, &[]).await
    }

    /// Starts a `bursar` in this folder, on a free port, with more arguments.
    pub(crate) async fn start_with(data: &Path, arguments: &[&str]) -> Result<Bursar> {
        let mut command = command(data);
        command.args(arguments);
        match begin(command).await? {
            Ok(running) => Ok(running),
            Err(ended) => bail!("bursar ended before it was ready: {ended:?}"),
        }
    }

    /// Interrupts the process, as Ctrl-C does.
    pub(crate) async fn interrupt(self) -> Result<Ended> {
        self.signal("-INT").await
    }

    /// Kills the process, as a power cut would.
    pub(crate) async fn kill(self) -> Result<Ended> {
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
pub(crate) async fn refused(data: &Path, arguments: &[&str]) -> Result<Ended> {
    let mut command = command(data);
    command.args(arguments);
    match begin(command).await? {
        Ok(running) => bail!("bursar started, at {}", running.ready.web),
        Err(ended) => Ok(ended),
    }
}

/// Runs a `bursar` to its end with exactly these arguments.
pub(crate) async fn run(arguments: &[&str]) -> Result<Ended> {
    let output = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { status: output.status, out: text(output.stdout), err: text(output.stderr) })
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--empty", "--admin", "admin@example.edu", "--port", "0", "--data"]).arg(data);
    command
}

/// Sends a request, and returns the answer's status with its JSON, `null` if it has none.
pub(crate) async fn answer(request: RequestBuilder) -> Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
}

/// The management key, read from the secret as the functions read it.
pub(crate) async fn management_key(ready: &Ready) -> Result<String> {
    let asked = reqwest::Client::new()
        .post(&ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.GetSecretValue")
        .header("content-type", "application/x-amz-json-1.1")
        .body(json!({"SecretId": ready.secret}).to_string());
    let (_, secret) = answer(asked).await?;
    Ok(secret["SecretString"].as_str().context("the secret has no value")?.to_owned())
}

/// A client of the table. The engine accepts any credentials.
pub(crate) fn dynamodb(ready: &Ready) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(ready.region.clone()))
        .credentials_provider(Credentials::new("any", "any", None, None, "a test"))
        .http_client(HttpClients::new().build_http())
        .endpoint_url(&ready.dynamodb);
    aws_sdk_dynamodb::Client::from_conf(config.build())
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
