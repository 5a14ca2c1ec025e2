//! What every function's `main` does: read the configuration, start the logs, answer events until Lambda ends the process.

use std::future::Future;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use crate::clock::Clock;
use crate::config::Config;
use crate::log;

/// One of the five functions. `infra/local` runs the same value in its own process.
pub trait Function: Send + Sync + 'static {
    /// Makes the function without any input or output; clients connect when they are first used.
    fn new(config: Config, clock: Clock) -> Self;

    /// Answers one event. An error is a fault of ours or of a service, and Lambda may send the event again.
    fn handle(&self, event: LambdaEvent<Value>) -> impl Future<Output = anyhow::Result<Value>> + Send;
}

/// Runs a function as a Lambda binary, until the process is ended.
pub async fn run<F: Function>() -> ExitCode {
    let config = match Config::from_environment().await {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    log::start();
    let function = F::new(config, Clock::system());
    match lambda_runtime::run(service_fn(|event| answer(&function, event))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("the Lambda runtime ended: {error}")),
    }
}

/// One invocation: an error is logged here, once, and Lambda is told no more than that there was one.
pub async fn answer<F: Function>(function: &F, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    // On the heap, since a whole function's future is too deep for the compiler to lay out inside another.
    Box::pin(function.handle(event)).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "the invocation failed");
        Diagnostic {
            error_type: "InvocationFailed".to_owned(),
            error_message: "the invocation failed; its log says why".to_owned(),
        }
    })
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
