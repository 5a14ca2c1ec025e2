//! Functions as Lambda runs them: the real binaries, one process for each concurrent invocation, reused
//! when idle. A process has only a deployment's variables, and reaches its services through the fault
//! layer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use bursar_core::config::Config;
use bursar_core::domain::values::address::EmailAddress;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

pub use super::build::build_binaries;
use super::invocation::{Invocation, Settings, fits};
use super::logs::Capture;
use super::runtime_api::{RuntimeApi, Work};
use super::{FunctionName, Invoke, InvokeError};
use crate::gate::{Gate, Instance, RunningInvocation, Service};

/// The five functions as binaries of one folder. They read the machine's own clock.
#[derive(Clone)]
pub struct Binaries(Arc<Pool>);

struct Pool {
    folder: PathBuf,
    gate: Gate,
    settings: Settings,
    idle: Mutex<BTreeMap<FunctionName, Vec<Worker>>>,
}

struct Worker {
    instance: Instance,
    /// The process, started at the first invocation.
    process: Option<Process>,
}

/// A running binary, which is killed on drop.
struct Process {
    child: Child,
    api: RuntimeApi,
}

impl Binaries {
    pub fn new(gate: Gate, settings: Settings, folder: &Path) -> Binaries {
        Binaries(Arc::new(Pool { folder: folder.to_owned(), gate, settings, idle: Mutex::default() }))
    }
}

impl Invoke for Binaries {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(async move {
            fits(&event)?;
            // This comes before the first await, so that instances are numbered in the order of
            // invocations.
            let idle = self.0.idle().get_mut(&function).and_then(Vec::pop);
            let instance = || Worker { instance: self.0.gate.instance(function), process: None };
            let mut worker = idle.unwrap_or_else(instance);
            let begun = worker.instance.begin();
            // The function runs in a task of its own, since it continues when its caller is dropped.
            let task = tokio::spawn(self.0.clone().run(worker, begun, event));
            task.await.unwrap_or_else(|error| Err(InvokeError::Failed(error.to_string())))
        })
    }
}

impl Pool {
    /// Runs one invocation. An instance that answered becomes idle; any other ends.
    async fn run(
        self: Arc<Pool>,
        mut worker: Worker,
        begun: RunningInvocation,
        event: Value,
    ) -> Result<Value, InvokeError> {
        let Worker { instance, process } = &mut worker;
        let function = instance.function();
        let served = begun.run(async {
            let process = match process {
                Some(process) => process,
                None => {
                    let started = Process::start(&self.folder, instance, &self.settings).await;
                    process.insert(started.map_err(|error| InvokeError::Failed(format!("{error:#}")))?)
                }
            };
            process.serve(Invocation::new(function, &self.settings), event).await
        });
        let answer = served.await.map_err(|_| InvokeError::Killed)??;
        self.idle().entry(function).or_default().push(worker);
        fits(&answer).map(|()| answer)
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<FunctionName, Vec<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    async fn start(folder: &Path, instance: &Instance, settings: &Settings) -> Result<Process> {
        let api = RuntimeApi::open().await?;
        let binary = folder.join(instance.function().as_str());
        let mut child = Command::new(&binary)
            .env_clear()
            .envs(variables_of(&settings.config))
            .envs(own_variables(instance, &settings.region, &api.address))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let capture = settings.logs.capture(instance.function(), instance.number(), "");
        tokio::spawn(note(child.stdout.take(), capture.clone()));
        tokio::spawn(note(child.stderr.take(), capture));
        Ok(Process { child, api })
    }

    async fn serve(&mut self, invocation: Invocation, event: Value) -> Result<Value, InvokeError> {
        let (time_out, (answer, answered)) = (invocation.time_out, oneshot::channel());
        let gone = |why: String| InvokeError::Failed(format!("its process ended: {why}"));
        self.api.work.send(Work { invocation, event, answer }).await.map_err(|error| gone(error.to_string()))?;
        tokio::select! {
            answered = tokio::time::timeout(time_out, answered) => match answered {
                Ok(answer) => answer.map_err(|error| gone(error.to_string()))?,
                Err(_) => Err(InvokeError::TimedOut),
            },
            ended = self.child.wait() => Err(gone(format!("{ended:?}"))),
        }
    }
}

/// Records the output of a process, line by line.
async fn note(said: Option<impl AsyncRead + Unpin>, capture: Capture) {
    let Some(said) = said else { return };
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        capture.line(&line);
    }
}

/// The variables that Lambda sets and our runtime reads, and this instance's service URLs.
fn own_variables(instance: &Instance, region: &str, runtime_api: &str) -> [(&'static str, String); 17] {
    let name = format!("bursar-{}", instance.function());
    let local = || "local".to_owned();
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", instance.number().to_string()),
        ("TZ", ":UTC".to_owned()),
        ("AWS_REGION", region.to_owned()),
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

/// The environment variables of a configuration.
pub fn variables_of(config: &Config) -> BTreeMap<String, String> {
    let admins: Vec<&str> = config.admins.iter().map(EmailAddress::as_written).collect();
    let required = [
        ("BURSAR_TABLE", config.table.clone()),
        ("BURSAR_ORIGIN", config.origin.as_str().to_owned()),
        ("BURSAR_MAIL_FROM", config.mail_from.as_written().to_owned()),
        ("BURSAR_ADMINS", admins.join(",")),
        ("BURSAR_MANAGEMENT_KEY_SECRET", config.management_key_secret.clone()),
        ("BURSAR_INSTITUTION", config.institution.clone()),
    ];
    let optional = [
        ("BURSAR_MAIL_EVENTS", config.mail_events.clone()),
        ("BURSAR_SUPPORT", config.support.clone()),
        ("BURSAR_PRIVACY_URL", config.privacy_url.clone()),
        ("BURSAR_RETENTION_DAYS", Some(config.retention_days.to_string())),
        ("BURSAR_PROVIDER_AT_ONCE", config.provider_at_once.map(|at_once| at_once.to_string())),
    ];
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    required.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
