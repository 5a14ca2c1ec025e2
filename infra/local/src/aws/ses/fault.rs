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

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str) -> Vec<String> {
        vec![address.into()]
    }

    #[test]
    fn a_fault_of_an_address_goes_before_one_of_all_and_each_is_used_up() {
        let mut faults = Faults::default();
        faults.set(Fault::Throttle, 1, None);
        faults.set(Fault::Lose, 1, Some("Ada@example.edu"));
        assert_eq!(faults.next(&to("ada@EXAMPLE.edu")), Some(Fault::Lose));
        assert_eq!(faults.next(&to("ada@example.edu")), Some(Fault::Throttle));
        assert_eq!(faults.next(&to("ada@example.edu")), None);
    }

    #[test]
    fn a_later_fault_replaces_an_earlier_one_of_the_same_scope_only() {
        let mut faults = Faults::default();
        faults.set(Fault::Fail, 5, Some("ada@example.edu"));
        faults.set(Fault::Throttle, 5, None);
        faults.set(Fault::Reject, 1, None);
        assert_eq!(faults.next(&to("bob@example.edu")), Some(Fault::Reject));
        assert_eq!(faults.next(&to("bob@example.edu")), None);
        assert_eq!(faults.next(&to("ada@example.edu")), Some(Fault::Fail));
    }

    #[test]
    fn lifting_ends_the_faults_of_one_address_or_all() {
        let mut faults = Faults::default();
        faults.set(Fault::Fail, 5, Some("ada@example.edu"));
        faults.set(Fault::Throttle, 5, None);
        faults.lift(Some("ada@example.edu"));
        assert_eq!(faults.next(&to("ada@example.edu")), Some(Fault::Throttle));
        faults.lift(None);
        assert_eq!(faults.next(&to("ada@example.edu")), None);
    }
}
