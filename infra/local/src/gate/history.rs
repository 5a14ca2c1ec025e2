//! A history: the verdicts on some calls of a run, as a value that can be replayed over the real handlers
//! and printed.

use std::fmt;

use super::call::{Call, CallName};
use super::verdict::Verdict;
use crate::base::function::FunctionName;

/// The verdict on one call, which is named so that another run of these handlers finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub function: FunctionName,
    pub instance: u32,
    pub name: CallName,
    /// The call's number among those of this name by this instance, from 1.
    pub nth: u64,
    /// The number of consecutive calls with this verdict; a client that retries makes more than one.
    pub times: u64,
    pub verdict: Verdict,
}

/// Steps in their order. Calls without a step pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(pub Vec<Step>);

impl Step {
    pub fn new(call: &Call, verdict: Verdict) -> Step {
        Step {
            function: call.function,
            instance: call.instance,
            name: call.name.clone(),
            nth: call.nth_of_instance,
            times: 1,
            verdict,
        }
    }

    /// Whether the step is about this call.
    pub fn is_of(&self, call: &Call) -> bool {
        self.function == call.function
            && self.instance == call.instance
            && self.name == call.name
            && (self.nth..self.nth.saturating_add(self.times)).contains(&call.nth_of_instance)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}#{}", self.function, self.instance, self.name, self.nth)?;
        if self.times != 1 {
            write!(f, "x{}", self.times)?;
        }
        write!(f, " -> {}", self.verdict)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{step}")?;
        }
        Ok(())
    }
}
