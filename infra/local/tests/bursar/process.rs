//! `bursar` as its users have it: a process with arguments, one line on standard output, and an
//! end.

use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use bursar_core::tls;
use bursar_local::stack::Ready;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bursar");

/// A running `bursar`, with what it said when it was ready. It is killed when it is dropped.
pub(crate) struct Bursar<R = Ready> {
    pub(crate) ready: R,
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: NamedTempFile,
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
    pub(crate) async fn start(data: &Path) -> Bursar {
        Bursar::begin(data, &[]).await.unwrap()
    }

    /// Starts a `bursar` with more arguments, or tells how it ended before it was ready.
    pub(crate) async fn begin(data: &Path, arguments: &[&str]) -> Result<Bursar, Ended> {
        let options = [
            "--empty",
            "--admin",
            "admin@example.edu",
            "--port",
            "0",
            "--data",
            data.to_str().unwrap(),
        ];
        Bursar::begin_as(&[&options, arguments].concat()).await
    }
}

impl<R: DeserializeOwned> Bursar<R> {
    /// Starts a `bursar` with exactly these arguments, or tells how it ended before it was ready.
    pub(crate) async fn begin_as(arguments: &[&str]) -> Result<Bursar<R>, Ended> {
        Bursar::begin_under(arguments, &[]).await
    }

    /// The same, with these variables in its environment.
    pub(crate) async fn begin_under(
        arguments: &[&str],
        variables: &[(&str, &Path)],
    ) -> Result<Bursar<R>, Ended> {
        let mut command = Command::new(PROGRAM);
        let err = NamedTempFile::new().unwrap();
        command.args(arguments).envs(variables.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err.reopen().unwrap())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = out.next_line().await.unwrap() else {
            return Err(Ended {
                status: child.wait().await.unwrap(),
                out: String::new(),
                err: text_of(&err),
            });
        };
        let ready = serde_json::from_str(line.strip_prefix("ready ").unwrap()).unwrap();
        Ok(Bursar {
            ready,
            child,
            out,
            err,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Ends the process by a signal: `INT` as Ctrl-C does, `KILL` as a power cut would.
    pub(crate) async fn end(mut self, signal: &str) -> Ended {
        let id = self.child.id().unwrap();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id.to_string()])
                .status()
                .await
                .unwrap()
                .success()
        );
        let mut out = String::new();
        while let Some(line) = self.out.next_line().await.unwrap() {
            out.push_str(&line);
        }
        Ended {
            status: self.child.wait().await.unwrap(),
            out,
            err: text_of(&self.err),
        }
    }
}

fn text_of(file: &NamedTempFile) -> String {
    fs::read_to_string(file.path()).unwrap()
}

/// Runs a `bursar` to its end with exactly these arguments.
pub(crate) async fn run(arguments: &[&str]) -> Ended {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended {
        status: output.status,
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Sends a request, and returns the answer's status with its JSON, `null` if it has none.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
    )
}

/// A client of what runs on this machine.
pub(crate) fn http() -> Client {
    tls::loopback().build().unwrap()
}

/// Posts to the inbox origin, where the control routes are, or only reads where there is no body.
pub(crate) async fn inbox(ready: &Ready, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}{path}", ready.inbox);
    let request = match body {
        Some(body) => http().post(url).json(&body),
        None => http().get(url),
    };
    let (status, told) = answer(request).await;
    assert_eq!(status, 200, "{path}: {told}");
    told
}

/// Reads the secret with the management key as the functions read it.
pub(crate) async fn secret(ready: &Ready) -> (u16, Value) {
    let asked = http()
        .post(&ready.secretsmanager)
        .header("x-amz-target", "secretsmanager.GetSecretValue");
    answer(asked.json(&json!({"SecretId": ready.secret}))).await
}
