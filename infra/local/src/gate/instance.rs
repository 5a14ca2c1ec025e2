//! A function's instance at the gate: its service URLs, and the way its invocation is killed.

use std::future::Future;

use tokio::sync::oneshot;

use super::Gate;
use super::call::Service;
use crate::base::function::FunctionName;

/// An instance of a function, which runs one invocation at a time and calls its services through the gate.
/// After drop, its calls are refused.
pub struct Instance {
    gate: Gate,
    function: FunctionName,
    number: u32,
}

/// An invocation that has begun, until it is dropped.
pub struct RunningInvocation {
    gate: Gate,
    who: (FunctionName, u32),
    killed: oneshot::Receiver<()>,
}

/// The error of an invocation that the fault layer killed. Its instance must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("killed by the fault layer")]
pub struct Killed;

impl Gate {
    /// A new instance of this function, numbered from 1.
    pub fn instance(&self, function: FunctionName) -> Instance {
        Instance { gate: self.clone(), function, number: self.inner().state().make_instance(function) }
    }
}

impl Instance {
    pub fn function(&self) -> FunctionName {
        self.function
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// The base URL of its services: `{base}/dynamodb` and so on, as `AwsAccess::under` wants it.
    pub fn base(&self) -> String {
        format!("{}/{}/{}", self.gate.base(), self.function, self.number)
    }

    /// The URL of this service.
    pub fn url(&self, service: Service) -> String {
        format!("{}/{service}", self.base())
    }

    /// Runs an invocation until it is done or killed. A kill drops the work.
    pub async fn run<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Killed> {
        self.begin().run(work).await
    }

    /// Begins an invocation now; the returned value runs it.
    pub fn begin(&mut self) -> RunningInvocation {
        let who = (self.function, self.number);
        RunningInvocation { gate: self.gate.clone(), who, killed: self.gate.inner().change(|state| state.begin(who)) }
    }
}

impl RunningInvocation {
    /// Runs the invocation until it is done or killed. A kill drops the work.
    pub async fn run<T>(mut self, work: impl Future<Output = T>) -> Result<T, Killed> {
        tokio::select! {
            biased;
            Ok(()) = &mut self.killed => Err(Killed),
            output = work => Ok(output),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let who = (self.function, self.number);
        self.gate.inner().change(|state| state.end_instance(who));
    }
}

impl Drop for RunningInvocation {
    fn drop(&mut self) {
        self.gate.inner().change(|state| state.end(self.who));
    }
}
