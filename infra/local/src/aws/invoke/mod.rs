//! The one way to a function: an event in, its answer out, as Lambda does it. `in_process` runs the function's library and
//! `binaries` the real executables; who wants a function woken does not know which.

pub mod binaries;
mod build;
pub mod in_process;
mod invocation;
pub mod logs;
mod runtime_api;

use futures_util::future::BoxFuture;
use serde_json::Value;

pub use self::invocation::Settings;
pub(crate) use self::invocation::fits;
pub use crate::base::function::FunctionName;

/// Why there is no answer of the function's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function answered an error; its log says why.
    #[error("the function failed: {0}")]
    Failed(String),
    /// It was still running at its time-out and was ended.
    #[error("the function did not answer in time")]
    TimedOut,
    /// The fault layer ended it at a call.
    #[error("the function was killed")]
    Killed,
    /// Event or answer is larger than Lambda carries (6 MB).
    #[error("the event or the answer is larger than 6 MB")]
    TooLarge,
}

/// Wakes functions. Many invocations may be under way at once, also of one function.
pub trait Invoke: Send + Sync + 'static {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>>;

    /// Ends the instances that serve nobody just now, and all that they keep, as Lambda does at any time. Who has none ends none.
    fn end_idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
