//! The one way to invoke a function: an event in, its answer out, as in Lambda. `in_process` runs
//! the function's library.

pub mod in_process;
pub mod logs;

use axum::Router;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use crate::base::function::FunctionName;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    #[error("the function failed: {0}")]
    Failed(String),
    #[error("the function did not answer in time")]
    TimedOut,
    /// It was ended at a call, as a crash would.
    #[error("the function was killed")]
    Killed,
    #[error("the event or the answer is larger than 6 MB")]
    TooLarge,
}

/// What stands between the functions and all that they call, as the fault layer of the tests does.
pub trait Between: Send + Sync {
    /// The service, with this before it. Calls of functions come under `/{function}/{instance}`,
    /// after the services' own prefix; all others are to pass.
    fn before(&self, service: Router) -> Router;

    /// Begins an invocation. The future is ready when the invocation is to be killed, and dropped
    /// when it has ended.
    fn invocation(&self, function: FunctionName, instance: u32) -> BoxFuture<'static, ()>;
}

/// The trait to invoke functions. Invocations may be concurrent, of one function too.
pub trait Invoke: Send + Sync + 'static {
    fn invoke(
        &self,
        function: FunctionName,
        event: Value,
    ) -> BoxFuture<'_, Result<Value, InvokeError>>;

    /// Ends the idle instances with all that they cache, as Lambda does at any time. The default
    /// has none.
    fn end_idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The largest event and the largest answer of a function.
const MOST_BYTES: usize = 6 << 20;

pub(crate) fn fits(value: &Value) -> Result<(), InvokeError> {
    if value.to_string().len() > MOST_BYTES {
        Err(InvokeError::TooLarge)
    } else {
        Ok(())
    }
}
