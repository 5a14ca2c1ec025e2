//! The one way to a function: an event in, its answer out, as Lambda does it. `in_process` runs the function's library and
//! `binaries` the real executables; who wants a function woken does not know which.

#[cfg(unix)]
pub mod binaries;
#[cfg(unix)]
mod build;
pub mod in_process;
mod invocation;
pub mod logs;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod runtime_api;

use std::fmt;
use std::str::FromStr;

use futures_util::future::BoxFuture;
use serde_json::Value;

pub use self::invocation::Settings;
pub(crate) use self::invocation::fits;

/// One of the five functions of the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionName {
    Claim,
    Console,
    UsageSync,
    ThresholdAlerts,
    Mail,
}

impl FunctionName {
    pub const ALL: [FunctionName; 5] = [
        FunctionName::Claim,
        FunctionName::Console,
        FunctionName::UsageSync,
        FunctionName::ThresholdAlerts,
        FunctionName::Mail,
    ];

    /// As its folder, its binary and its crate are called.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionName::Claim => "claim",
            FunctionName::Console => "console",
            FunctionName::UsageSync => "usage-sync",
            FunctionName::ThresholdAlerts => "threshold-alerts",
            FunctionName::Mail => "mail",
        }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FunctionName {
    type Err = String;

    fn from_str(text: &str) -> Result<FunctionName, String> {
        FunctionName::ALL
            .into_iter()
            .find(|function| function.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no function"))
    }
}

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
