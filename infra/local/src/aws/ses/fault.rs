//! The faults of the next sends. What a client sees of each is decided in `mod.rs` and `answer.rs`.

use serde::{Deserialize, Serialize};

/// A way for a send to fail.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// `Throttling`: to be retried later.
    Throttle,
    /// `MessageRejected`: final.
    Reject,
    /// The mail is accepted and kept, and the answer is lost.
    Lose,
    /// An internal failure: 500.
    Fail,
}

#[derive(Default)]
pub(super) struct Faults(Vec<Standing>);

struct Standing {
    fault: Fault,
    times: u32,
    to: Option<String>,
}

impl Faults {
    pub(super) fn set(&mut self, fault: Fault, times: u32, to: Option<&str>) {
        let to = to.map(str::to_lowercase);
        self.0.retain(|standing| standing.to != to);
        self.0.push(Standing { fault, times, to });
    }

    pub(super) fn lift(&mut self, to: Option<&str>) {
        let to = to.map(str::to_lowercase);
        self.0.retain(|standing| to.is_some() && standing.to != to);
    }

    /// The fault of a send to these addresses, which this call uses up.
    pub(super) fn next(&mut self, recipients: &[String]) -> Option<Fault> {
        self.0.retain(|standing| standing.times > 0);
        let concerned = |to: &String| recipients.iter().any(|recipient| recipient.to_lowercase() == *to);
        let named = self.0.iter().position(|standing| standing.to.as_ref().is_some_and(concerned));
        let index = named.or_else(|| self.0.iter().position(|standing| standing.to.is_none()))?;
        let standing = &mut self.0[index];
        standing.times -= 1;
        Some(standing.fault)
    }
}
