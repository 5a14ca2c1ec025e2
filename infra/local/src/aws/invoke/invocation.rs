//! One invocation as Lambda describes it to a function, and the size limits of
//! events and answers.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bursar_core::config::Config;
use lambda_runtime::Context;
use serde_json::Value;
use uuid::Uuid;

use super::logs::Logs;
use super::{Between, FunctionName, InvokeError};
use crate::aws::wiring::time_out;

/// The settings of all invocations.
#[derive(Clone)]
pub struct Settings {
    /// The deployment's configuration. Each instance replaces the URLs of AWS by its own, and that of the provider if
    /// something stands between.
    pub config: Config,
    pub region: String,
    /// The prefix of the functions' own calls to AWS.
    pub aws: String,
    /// The built-in provider's origin.
    pub provider: Option<String>,
    pub between: Option<Arc<dyn Between>>,
    pub logs: Logs,
}

pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) arn: String,
    pub(super) trace_id: String,
    pub(super) time_out: Duration,
    /// The deadline on the wall clock, as Lambda gives it.
    pub(super) deadline_ms: u64,
}

/// The largest event and the largest answer of a function.
const MOST_BYTES: usize = 6 << 20;

impl Invocation {
    pub(super) fn new(function: FunctionName, settings: &Settings) -> Invocation {
        let time_out = time_out(function);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Invocation {
            request_id: Uuid::new_v4().to_string(),
            arn: format!("arn:aws:lambda:{}:000000000000:function:bursar-{function}", settings.region),
            trace_id: format!("Root=1-{:08x}-{}", now.as_secs(), &Uuid::new_v4().simple().to_string()[..24]),
            time_out,
            deadline_ms: u64::try_from((now + time_out).as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn context(&self) -> Context {
        let mut context = Context::default();
        context.request_id.clone_from(&self.request_id);
        context.deadline = self.deadline_ms;
        context.invoked_function_arn.clone_from(&self.arn);
        context.xray_trace_id = Some(self.trace_id.clone());
        context
    }
}

/// Refuses an event or answer that is too large for Lambda.
pub(crate) fn fits(value: &Value) -> Result<(), InvokeError> {
    let mut counted = Counted(0);
    match serde_json::to_writer(&mut counted, value) {
        Ok(()) if counted.0 <= MOST_BYTES => Ok(()),
        _ => Err(InvokeError::TooLarge),
    }
}

/// A writer that counts bytes and discards them.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
