//! Functions in this process: their libraries, one instance for each concurrent invocation. It does
//! what Lambda does: time-outs, kills, limits, logs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::config::SharedHttpClient;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::{self, Function};
use futures_util::future::BoxFuture;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::Value;
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::logs::Logs;
use super::{Between, FunctionName, Invoke, InvokeError, fits};
use crate::aws::wiring::time_out;
use crate::base::lock;

pub struct Settings {
    /// The deployment's configuration. Each instance replaces the URLs of AWS by its own, and that
    /// of the provider if something stands between.
    pub config: Config,
    /// The client of all their calls to AWS.
    pub http: SharedHttpClient,
    pub region: String,
    /// The prefix of the functions' own calls to AWS.
    pub aws: String,
    pub provider: Option<String>,
    pub between: Option<Arc<dyn Between>>,
    pub logs: Logs,
}

/// The five functions as libraries. An instance serves one invocation at a time; one that was
/// killed or timed out is discarded.
#[derive(Clone)]
pub struct InProcess(Arc<Pool>);

struct Pool {
    settings: Settings,
    clock: Clock,
    idle: Mutex<BTreeMap<FunctionName, Vec<Worker>>>,
    /// The number of instances that each function has had.
    made: [AtomicU32; FunctionName::ALL.len()],
}

struct Worker {
    name: FunctionName,
    instance: u32,
    function: Box<dyn Answering>,
}

trait Answering: Send + Sync {
    fn answer(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, Diagnostic>>;
}

impl<F: Function> Answering for F {
    fn answer(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, Diagnostic>> {
        Box::pin(start::answer(self, event))
    }
}

impl InProcess {
    pub fn new(settings: Settings, clock: Clock) -> InProcess {
        bursar_core::log::share();
        InProcess(Arc::new(Pool {
            settings,
            clock,
            idle: Mutex::default(),
            made: Default::default(),
        }))
    }
}

impl Invoke for InProcess {
    fn invoke(
        &self,
        function: FunctionName,
        event: Value,
    ) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(async move {
            fits(&event)?;
            // This comes before the first await, so that instances are numbered in the order of
            // invocations.
            let worker = self.0.take(function);
            let between = self.0.settings.between.as_ref();
            let killed = between.map_or_else(
                || Box::pin(std::future::pending()) as BoxFuture<'static, ()>,
                |between| between.invocation(function, worker.instance),
            );
            // The function runs in a task of its own, since it continues when its caller is
            // dropped.
            let task = tokio::spawn(self.0.clone().run(worker, killed, event));
            task.await
                .unwrap_or_else(|error| Err(InvokeError::Failed(error.to_string())))
        })
    }

    fn end_idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { lock(&self.0.idle).clear() })
    }
}

impl Pool {
    async fn run(
        self: Arc<Pool>,
        worker: Worker,
        killed: BoxFuture<'static, ()>,
        event: Value,
    ) -> Result<Value, InvokeError> {
        let function = worker.name;
        let logs = bursar_core::log::dispatch_to(self.settings.logs.capture(function));
        let mut context = Context::default();
        context.request_id = Uuid::new_v4().to_string();
        let deadline = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            + time_out(function);
        context.deadline = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let answer = worker.function.answer(LambdaEvent::new(event, context));
        let work = tokio::time::timeout(time_out(function), answer).with_subscriber(logs.clone());
        let ended = tokio::select! {
            biased;
            () = killed => None,
            ended = work => Some(ended),
        };
        let failure = match ended {
            Some(Ok(answer)) => {
                lock(&self.idle).entry(function).or_default().push(worker);
                let answer = answer.map_err(|error| InvokeError::Failed(error.error_message))?;
                return fits(&answer).map(|()| answer);
            }
            Some(Err(_)) => InvokeError::TimedOut,
            None => InvokeError::Killed,
        };
        tracing::dispatcher::with_default(
            &logs,
            || tracing::error!(%failure, "the instance is thrown away"),
        );
        Err(failure)
    }

    /// The idle instance that was used last, or a new one.
    fn take(&self, function: FunctionName) -> Worker {
        let idle = lock(&self.idle).get_mut(&function).and_then(Vec::pop);
        idle.unwrap_or_else(|| self.made(function))
    }

    fn made(&self, name: FunctionName) -> Worker {
        let instance = 1 + self.made[name as usize].fetch_add(1, Ordering::SeqCst);
        let Settings {
            config,
            http,
            region,
            aws,
            provider,
            between,
            ..
        } = &self.settings;
        let mut config = Config {
            aws: AwsAccess::under(&format!("{aws}/{name}/{instance}"), region, http.clone()),
            ..config.clone()
        };
        if let (Some(provider), Some(_)) = (provider, between) {
            config.provider = format!("{provider}/{name}/{instance}/api/v1");
        }
        let clock = self.clock.clone();
        let function: Box<dyn Answering> = match name {
            FunctionName::Claim => Box::new(claim::App::new(config, clock)),
            FunctionName::Console => Box::new(console::App::new(config, clock)),
            FunctionName::UsageSync => Box::new(usage_sync::App::new(config, clock)),
            FunctionName::ThresholdAlerts => Box::new(threshold_alerts::App::new(config, clock)),
            FunctionName::Mail => Box::new(mail::App::new(config, clock)),
        };
        Worker {
            name,
            instance,
            function,
        }
    }
}
