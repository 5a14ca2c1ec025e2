//! One process of a function's real binary: its environment, its start, its end by SIGKILL, and what it says line by line.
//! It serves one invocation after the other; who decides which is `binaries`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::Value;
use tokio::io::Interest;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::invocation::{Invocation, Settings};
use super::logs::Capture;
use super::runtime_api::{RuntimeApi, Said};
use super::{FunctionName, InvokeError};
use crate::gate::{Instance, Service};

/// How long a process may take until it asks for its first event, as in Lambda.
const START: Duration = Duration::from_secs(10);

/// A running binary. It is killed when this is dropped.
pub(super) struct Process {
    function: FunctionName,
    number: u32,
    child: Child,
    api: RuntimeApi,
    output: Output,
}

impl Process {
    /// Starts the binary of this instance with exactly these variables and its ways to the services.
    pub(super) async fn start(
        folder: &Path,
        instance: &Instance,
        settings: &Settings,
        variables: &BTreeMap<String, String>,
    ) -> Result<Process> {
        let (function, number) = (instance.function(), instance.number());
        let api = RuntimeApi::open().await?;
        let (output, theirs) = Output::open(settings.logs.capture(function, number, ""))?;
        let binary = folder.join(function.as_str());
        let child = Command::new(&binary)
            .env_clear()
            .envs(variables)
            .envs(own_variables(instance, &settings.region, &api.address()))
            .stdin(Stdio::null())
            .stdout(theirs.try_clone()?)
            .stderr(theirs)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Process { function, number, child, api, output })
    }

    /// Serves one invocation. After an error of any other kind than `Failed` by the function itself the process is of no more use.
    pub(super) async fn serve(&mut self, settings: &Settings, event: Bytes) -> (Result<Value, InvokeError>, Fit) {
        let (invocation, said) = match self.hand_out(settings, event).await {
            Ok(handed) => handed,
            Err(error) => return (Err(error), Fit::No),
        };
        let said = tokio::select! {
            said = tokio::time::timeout(invocation.time_out, said) => said,
            _ = self.child.wait() => {
                let error = self.exited("exited during the invocation");
                return (Err(error), Fit::No);
            }
        };
        self.output.drain();
        match said {
            Ok(Ok(Said::Answer(answer))) => {
                let answer = serde_json::from_slice(&answer);
                (answer.map_err(|_| InvokeError::Failed("its answer is no JSON".to_owned())), Fit::Yes)
            }
            Ok(Ok(Said::Error(error))) => (Err(InvokeError::Failed(error)), Fit::Yes),
            Ok(Ok(Said::TooLarge)) => (Err(InvokeError::TooLarge), Fit::Yes),
            Ok(Err(_)) => (Err(InvokeError::Failed("its Runtime API has ended".to_owned())), Fit::No),
            Err(_) => (Err(InvokeError::TimedOut), Fit::No),
        }
    }

    /// Ends the process at once and keeps what it still said.
    pub(super) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(function = %self.function, %error, "cannot kill it, it has ended");
        }
        self.output.drain();
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn hand_out(
        &mut self,
        settings: &Settings,
        event: Bytes,
    ) -> Result<(Invocation, oneshot::Receiver<Said>), InvokeError> {
        let (function, number, output) = (self.function, self.number, &self.output);
        let handed = self.api.hand_out(|| {
            let invocation = Invocation::new(function, settings);
            // What it said until now belongs to what was before.
            output.drain();
            output.now_of(settings.logs.capture(function, number, &invocation.request_id));
            (invocation, event)
        });
        tokio::select! {
            handed = tokio::time::timeout(START, handed) => match handed {
                Ok(Some(handed)) => Ok(handed),
                Ok(None) => Err(InvokeError::Failed("its Runtime API has ended".to_owned())),
                Err(_) => Err(InvokeError::Failed("it asked for no event in ten seconds".to_owned())),
            },
            _ = self.child.wait() => Err(self.exited("exited at its start")),
        }
    }

    fn exited(&mut self, when: &str) -> InvokeError {
        self.output.drain();
        let status = self.child.try_wait().ok().flatten();
        let status = status.map_or_else(|| "?".to_owned(), |status| status.to_string());
        InvokeError::Failed(format!("it {when} ({status}): {}", self.output.said().trim_end()))
    }
}

/// Whether a process can serve another invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
}

/// What Lambda sets, and where this instance finds the services.
fn own_variables(instance: &Instance, region: &str, runtime_api: &str) -> [(&'static str, String); 19] {
    let name = format!("bursar-{}", instance.function());
    let local = || "local".to_owned();
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", instance.number().to_string()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_ACCESS_KEY_ID", local()),
        ("AWS_SECRET_ACCESS_KEY", local()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", instance.url(Service::DynamoDb)),
        ("AWS_ENDPOINT_URL_SES", instance.url(Service::Ses)),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", instance.url(Service::SecretsManager)),
        ("OPENROUTER_BASE_URL", instance.url(Service::Provider)),
    ]
}

/// What a process writes to standard output and standard error, which are one socket: unlike a pipe it can be read to the last byte
/// that was written before an answer, without waiting for more.
#[derive(Clone)]
struct Output(Arc<Mutex<Written>>);

struct Written {
    from: UnixStream,
    unfinished: Vec<u8>,
    capture: Capture,
    /// The lines since the capture was set.
    said: String,
}

impl Output {
    /// Also gives the end that the process writes to.
    fn open(capture: Capture) -> Result<(Output, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let watched = tokio::net::UnixStream::from_std(ours.try_clone()?)?;
        let output =
            Output(Arc::new(Mutex::new(Written { from: ours, unfinished: Vec::new(), capture, said: String::new() })));
        tokio::spawn(output.clone().follow(watched));
        Ok((output, theirs.into()))
    }

    /// Takes the lines as they come, until the process closes its end.
    async fn follow(self, watched: tokio::net::UnixStream) {
        while watched.readable().await.is_ok() {
            let read = watched
                .try_io(Interest::READABLE, || if self.drain() { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) });
            if read.is_ok() {
                return;
            }
        }
    }

    /// Takes every line that is there. True at the end.
    fn drain(&self) -> bool {
        self.lock().drain()
    }

    fn now_of(&self, capture: Capture) {
        let mut written = self.lock();
        written.capture = capture;
        written.said.clear();
    }

    fn said(&self) -> String {
        self.lock().said.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn drain(&mut self) -> bool {
        let mut buffer = [0; 8192];
        let ended = loop {
            match self.from.read(&mut buffer) {
                Ok(0) => break true,
                Ok(length) => self.unfinished.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        let complete = match self.unfinished.iter().rposition(|byte| *byte == b'\n') {
            _ if ended => self.unfinished.len(),
            Some(last) => last + 1,
            None => 0,
        };
        let lines: Vec<u8> = self.unfinished.drain(..complete).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            self.said.push_str(line);
            self.said.push('\n');
            self.capture.line(line);
        }
        ended
    }
}
