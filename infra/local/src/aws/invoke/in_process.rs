//! Functions in this process: their libraries, one instance for each concurrent invocation, each with its
//! own way through the fault layer. It also does what Lambda does: time-outs, kills, limits, logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::SharedHttpClient;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::{self, Function};
use futures_util::future::BoxFuture;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use tracing::instrument::WithSubscriber;

use super::invocation::{Invocation, Settings, fits};
use super::logs::Logs;
use super::{FunctionName, Invoke, InvokeError};
use crate::gate::{Gate, Instance, Killed, RunningInvocation, Service};

/// The five functions as libraries. An instance serves one invocation at a time; one that was killed or
/// timed out is discarded.
#[derive(Clone)]
pub struct InProcess(Arc<Pool>);

struct Pool {
    gate: Gate,
    settings: Settings,
    clock: Clock,
    http: SharedHttpClient,
    idle: Mutex<BTreeMap<FunctionName, Vec<Worker>>>,
}

struct Worker {
    instance: Instance,
    function: Box<dyn Answering>,
}

/// A type-erased function.
trait Answering: Send + Sync {
    fn answer(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, Diagnostic>>;
}

impl<F: Function> Answering for F {
    fn answer(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, Diagnostic>> {
        Box::pin(start::answer(self, event))
    }
}

impl InProcess {
    pub fn new(gate: Gate, settings: Settings, clock: Clock) -> InProcess {
        bursar_core::log::share();
        let http = aws_smithy_http_client::Builder::new().build_http();
        InProcess(Arc::new(Pool { gate, settings, clock, http, idle: Mutex::default() }))
    }

    /// The log lines of the functions.
    pub fn logs(&self) -> &Logs {
        &self.0.settings.logs
    }
}

impl Invoke for InProcess {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(async move {
            fits(&event)?;
            // This comes before the first await, so that instances are numbered in the order of
            // invocations.
            let mut worker = self.0.take(function);
            let begun = worker.instance.begin();
            // The function runs in a task of its own, since it continues when its caller is dropped.
            let task = tokio::spawn(self.0.clone().run(worker, begun, event));
            task.await.unwrap_or_else(|error| Err(InvokeError::Failed(error.to_string())))
        })
    }

    fn end_idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.0.idle().clear() })
    }
}

impl Pool {
    async fn run(
        self: Arc<Pool>,
        worker: Worker,
        begun: RunningInvocation,
        event: Value,
    ) -> Result<Value, InvokeError> {
        let function = worker.instance.function();
        let invocation = Invocation::new(function, &self.settings);
        let capture = self.settings.logs.capture(function, worker.instance.number(), &invocation.request_id);
        let logs = bursar_core::log::to(capture);
        let event = LambdaEvent::new(event, invocation.context());
        let work =
            tokio::time::timeout(invocation.time_out, worker.function.answer(event)).with_subscriber(logs.clone());
        let failure = match begun.run(work).await {
            Ok(Ok(answer)) => {
                self.idle().entry(function).or_default().push(worker);
                let answer = answer.map_err(|error| InvokeError::Failed(error.error_message))?;
                return fits(&answer).map(|()| answer);
            }
            Ok(Err(_)) => InvokeError::TimedOut,
            Err(Killed) => InvokeError::Killed,
        };
        tracing::dispatcher::with_default(&logs, || tracing::error!(%failure, "the instance is thrown away"));
        Err(failure)
    }

    /// The idle instance that was used last, or a new one.
    fn take(&self, function: FunctionName) -> Worker {
        let idle = self.idle().get_mut(&function).and_then(Vec::pop);
        idle.unwrap_or_else(|| {
            let instance = self.gate.instance(function);
            let mut config = Config {
                aws: AwsAccess::under(&instance.base(), &self.settings.region, self.http.clone()),
                ..self.settings.config.clone()
            };
            if self.gate.has_provider() {
                config.provider = instance.url(Service::Provider);
            }
            let clock = self.clock.clone();
            let function: Box<dyn Answering> = match function {
                FunctionName::Claim => Box::new(claim::App::new(config, clock)),
                FunctionName::Console => Box::new(console::App::new(config, clock)),
                FunctionName::UsageSync => Box::new(usage_sync::App::new(config, clock)),
                FunctionName::ThresholdAlerts => Box::new(threshold_alerts::App::new(config, clock)),
                FunctionName::Mail => Box::new(mail::App::new(config, clock)),
            };
            Worker { instance, function }
        })
    }

    fn idle(&self) -> MutexGuard<'_, BTreeMap<FunctionName, Vec<Worker>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
