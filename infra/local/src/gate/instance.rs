//! A function's instance as the gate knows it: where it finds its services, and the end that a kill makes of its invocation.

use std::future::Future;

use super::Gate;
use super::call::Service;
use crate::invoke::FunctionName;

/// Whoever makes calls through the gate: one instance of a function, which runs one invocation at a time. When it is dropped,
/// what still comes from it is let in no more.
pub struct Instance {
    gate: Gate,
    function: FunctionName,
    number: u32,
}

/// The fault layer ended an invocation. Its instance is to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("killed by the fault layer")]
pub struct Killed;

impl Gate {
    /// A new instance of this function, numbered from 1.
    pub fn instance(&self, function: FunctionName) -> Instance {
        Instance {
            gate: self.clone(),
            function,
            number: self.inner().state().make_instance(function),
        }
    }
}

impl Instance {
    pub fn function(&self) -> FunctionName {
        self.function
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// What its services lie under: `{base}/dynamodb` and so on, as `AwsAccess::under` wants it.
    pub fn base(&self) -> String {
        format!("{}/{}/{}", self.gate.origin(), self.function, self.number)
    }

    /// Where it finds this service.
    pub fn url(&self, service: Service) -> String {
        format!("{}/{service}", self.base())
    }

    /// Runs an invocation until it is done or killed. The work is dropped at a kill.
    pub async fn run<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Killed> {
        let who = (self.function, self.number);
        let killed = self.gate.inner().change(|state| state.begin(who));
        let _end = End { gate: &self.gate, who };
        tokio::select! {
            biased;
            Ok(()) = killed => Err(Killed),
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

/// Ends the invocation for the gate, however it ended.
struct End<'a> {
    gate: &'a Gate,
    who: (FunctionName, u32),
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.gate.inner().change(|state| state.end(self.who));
    }
}
