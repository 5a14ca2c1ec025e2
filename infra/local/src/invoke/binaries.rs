//! Functions as Lambda runs them: their real binaries, one process for each invocation at once, used again when idle. A process has
//! the variables of a deployment and no others, and finds its services through the fault layer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bursar_core::config::Config;
use bursar_core::domain::address::EmailAddress;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use super::build::build_binaries;
use super::invocation::{MOST_BYTES, Settings};
use super::logs::Logs;
use super::process::{Fit, Process};
use super::{FunctionName, Invoke, InvokeError};
use crate::gate::{Begun, Gate, Instance, Killed};

/// The five functions as binaries in one folder. Their clock is the machine's own.
#[derive(Clone)]
pub struct Binaries(Arc<Pool>);

struct Pool {
    folder: PathBuf,
    gate: Gate,
    settings: Settings,
    variables: BTreeMap<String, String>,
    idle: Mutex<BTreeMap<FunctionName, Vec<Worker>>>,
}

struct Worker {
    instance: Instance,
    /// Started with the first invocation.
    process: Option<Process>,
}

impl Binaries {
    pub fn new(gate: Gate, settings: Settings, folder: &Path) -> Binaries {
        let variables = variables_of(&settings.config);
        Binaries::with_variables(gate, settings, folder, variables)
    }

    /// With other variables than the configuration's.
    pub fn with_variables(
        gate: Gate,
        settings: Settings,
        folder: &Path,
        variables: BTreeMap<String, String>,
    ) -> Binaries {
        Binaries(Arc::new(Pool { folder: folder.to_owned(), gate, settings, variables, idle: Mutex::default() }))
    }

    /// What the functions have said.
    pub fn logs(&self) -> &Logs {
        &self.0.settings.logs
    }
}

impl Invoke for Binaries {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(async move {
            let event = serde_json::to_vec(&event).map_err(|error| InvokeError::Failed(error.to_string()))?;
            if event.len() > MOST_BYTES {
                return Err(InvokeError::TooLarge);
            }
            // Before the first wait, so that the order of invocations is the order of their instances.
            let mut worker = self.0.take(function);
            let begun = worker.instance.begin();
            // A task of its own: a function goes on when whoever woke it has gone.
            let task = tokio::spawn(self.0.clone().run(worker, begun, event.into()));
            task.await.unwrap_or_else(|error| Err(InvokeError::Failed(error.to_string())))
        })
    }

    fn end_idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let idle = std::mem::take(&mut *self.0.idle());
            for worker in idle.into_values().flatten() {
                worker.end().await;
            }
        })
    }
}

impl Pool {
    async fn run(self: Arc<Pool>, mut worker: Worker, begun: Begun, event: Bytes) -> Result<Value, InvokeError> {
        let Worker { instance, process } = &mut worker;
        let served = begun.run(async {
            let process = match process {
                Some(process) => process,
                None => {
                    let started = Process::start(&self.folder, instance, &self.settings, &self.variables).await;
                    process.insert(started.map_err(|error| InvokeError::Failed(format!("{error:#}")))?)
                }
            };
            Ok(process.serve(&self.settings, event).await)
        });
        match served.await {
            Ok(Ok((answer, Fit::Yes))) => {
                let function = worker.instance.function();
                self.idle().entry(function).or_default().push(worker);
                answer
            }
            Ok(Ok((answer, Fit::No))) => {
                worker.end().await;
                answer
            }
            Ok(Err(error)) => Err(error),
            Err(Killed) => {
                worker.end().await;
                Err(InvokeError::Killed)
            }
        }
    }

    /// An instance that is idle, the one used last, or a new one.
    fn take(&self, function: FunctionName) -> Worker {
        let mut idle = self.idle();
        let idle = idle.entry(function).or_default();
        while let Some(mut worker) = idle.pop() {
            if worker.process.as_mut().is_some_and(Process::runs) {
                return worker;
            }
        }
        Worker { instance: self.gate.instance(function), process: None }
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<FunctionName, Vec<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    async fn end(self) {
        if let Some(process) = self.process {
            process.kill().await;
        }
    }
}

/// The variables that say what this configuration says.
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
