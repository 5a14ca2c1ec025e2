//! The main of every function: it reads the configuration, starts the logs, and answers events
//! until Lambda ends the process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tracing::Instrument;
use tracing::field::Empty;

use crate::clock::Clock;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::store::{StoreError, Table};
use crate::{log, tls, version};

/// One of the five functions. `infra/local` runs the same value in its own process.
pub trait Function: Send + Sync + 'static {
    /// Makes the function without input or output; clients connect when they are first used.
    fn new(config: Config, clock: Clock) -> Self;

    /// Answers one event. An error is a fault of ours or of a service, after which Lambda may send
    /// the event again.
    fn handle(
        &self,
        event: LambdaEvent<Value>,
    ) -> impl Future<Output = anyhow::Result<Value>> + Send;
}

/// A start has ten seconds.
const FIRST_READ: Duration = Duration::from_secs(2);

/// Runs a function as a Lambda binary, until the process is ended.
pub async fn run<F: Function>() -> ExitCode {
    let config = match Config::from_environment().await {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    log::start();
    keep_panics_quiet();
    tracing::info!(
        version = version::VERSION,
        commit = version::COMMIT,
        dirty = version::is_dirty(),
        "started"
    );
    if tls::roots().is_empty() {
        tracing::error!("no root certificates: look at SSL_CERT_FILE and SSL_CERT_DIR");
    }
    // Lambda gives a start the whole processor and an event only a share, so the connection to the
    // table is made now. Whoever needs it is told if that cannot be done.
    let table = Table::new(&config);
    if let Ok(Err(error @ StoreError::OtherShape(_))) = Deadline::after(FIRST_READ)
        .wait_for(table.find_meta())
        .await
    {
        return refuse(&error.to_string());
    }
    let function = F::new(config, Clock::system());
    match lambda_runtime::run(service_fn(|event| answer(&function, event))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("the Lambda runtime ended: {error}")),
    }
}

/// Makes a panic print its place and not its message, which may hold personal data.
pub fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(
            at = panic.location().map(ToString::to_string),
            "a part of the program gave up"
        );
    }));
}

/// What a mutex guards. A panic while it was held ended that request or event, and no other.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one invocation. Each of its lines in the log has its id and, as far as they are known by
/// then, its route and its grant.
pub async fn answer<F: Function>(
    function: &F,
    event: LambdaEvent<Value>,
) -> Result<Value, Diagnostic> {
    let request = event.context.request_id.clone();
    outcome(function, event)
        .instrument(tracing::info_span!(
            "invocation",
            request,
            route = Empty,
            grant = Empty
        ))
        .await
}

/// An error or a panic is logged here, once, and Lambda only learns that there was one. The
/// instance goes on, since it keeps nothing of an invocation that is not read again.
async fn outcome<F: Function>(
    function: &F,
    event: LambdaEvent<Value>,
) -> Result<Value, Diagnostic> {
    // The future is boxed, since a whole function's is too deep for the compiler to lay out inside
    // another.
    match AssertUnwindSafe(Box::pin(function.handle(event)))
        .catch_unwind()
        .await
    {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "the invocation failed"),
        Err(_) => tracing::error!("the invocation ended in a panic"),
    }
    Err(Diagnostic {
        error_type: "InvocationFailed".to_owned(),
        error_message: "the invocation failed; its log says why".to_owned(),
    })
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;
    use serde_json::json;

    use super::*;

    struct Obedient;

    impl Function for Obedient {
        fn new(_: Config, _: Clock) -> Obedient {
            Obedient
        }

        async fn handle(&self, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
            assert_ne!(event.payload, "panic", "what nobody may read");
            Ok(event.payload)
        }
    }

    /// A panic ends its invocation without exposing its message, and the instance continues.
    #[tokio::test]
    async fn a_panic_ends_one_invocation() {
        let asked = |event: &str| {
            answer(
                &Obedient,
                LambdaEvent::new(json!(event), Context::default()),
            )
        };
        assert_eq!(
            asked("panic").await.unwrap_err().error_message,
            "the invocation failed; its log says why"
        );
        assert_eq!(asked("go on").await.unwrap(), "go on");
    }
}
