//! A hold: calls, or their answers, wait at the gate until the test releases them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::call::Call;
use super::verdict::{FaultMoment, Verdict};
use super::{Gate, Matcher};

/// The parked calls of a matcher. On drop, those whose function still waits pass, and the others are never
/// executed.
pub struct HeldCalls {
    gate: Gate,
    id: u64,
    when: FaultMoment,
    told: Mutex<BTreeSet<u64>>,
}

/// The reason why a call was not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    #[error("no such call is held")]
    NotHeld,
    #[error("{name} cannot come to {verdict}", name = .call.name)]
    DoesNotFit { call: Box<Call>, verdict: Verdict },
}

impl Gate {
    /// Parks the calls of this matcher from now on. A call with a rule is not parked.
    pub fn hold(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_when(matcher.into(), FaultMoment::Before)
    }

    /// Executes the calls of this matcher from now on and parks their answers. Such a call can only be
    /// released to a verdict on its answer. Dropping the hold does not undo the effect.
    pub fn hold_answers(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_when(matcher.into(), FaultMoment::After)
    }

    fn hold_when(&self, matcher: Matcher, when: FaultMoment) -> HeldCalls {
        let id = self.inner().state().add_hold(matcher, when);
        HeldCalls { gate: self.clone(), id, when, told: Mutex::default() }
    }
}

impl HeldCalls {
    /// Waits for the next parked call that this method has not returned yet.
    pub async fn arrived(&self) -> Call {
        self.gate
            .inner()
            .until(|state| {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                let (call, _) = state.parked(self.id).find(|(call, _)| !told.contains(&call.number))?;
                told.insert(call.number);
                Some(call.clone())
            })
            .await
    }

    /// The parked calls whose function still waits, in the order of arrival.
    pub fn parked(&self) -> Vec<Call> {
        self.list(true)
    }

    /// The parked calls whose function has disconnected or ended. They may still be released, since a
    /// request can reach a service after its client has given up.
    pub fn forsaken(&self) -> Vec<Call> {
        self.list(false)
    }

    /// Releases the call that arrived first to this verdict.
    pub fn release(&self, verdict: Verdict) -> Result<Call, ReleaseError> {
        let first = self.gate.inner().state().parked(self.id).next().map(|(call, _)| call.number);
        self.release_call(first.ok_or(ReleaseError::NotHeld)?, verdict)
    }

    /// Releases the call of this number to this verdict.
    pub fn release_call(&self, number: u64, verdict: Verdict) -> Result<Call, ReleaseError> {
        self.gate.inner().change(|state| {
            let call = state.parked(self.id).find(|(call, _)| call.number == number);
            let call = call.ok_or(ReleaseError::NotHeld)?.0.clone();
            let is_late = self.when == FaultMoment::After && !verdict.is_of_an_answer();
            if is_late || !verdict.fits(&call.name, &call.shape) {
                let call = Box::new(call);
                return Err(ReleaseError::DoesNotFit { call, verdict });
            }
            state.release(number, Some(verdict));
            Ok(call)
        })
    }

    /// Discards the call of this number: it is never executed, and its connection is closed.
    pub fn drop_call(&self, number: u64) {
        self.gate.inner().change(|state| {
            if state.parked(self.id).any(|(call, _)| call.number == number) {
                state.release(number, None);
            }
        });
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    fn list(&self, awaited: bool) -> Vec<Call> {
        let state = self.gate.inner().state();
        state.parked(self.id).filter(|(_, waits)| *waits == awaited).map(|(call, _)| call.clone()).collect()
    }
}

impl Drop for HeldCalls {
    fn drop(&mut self) {
        self.gate.inner().change(|state| state.lift(self.id));
    }
}
