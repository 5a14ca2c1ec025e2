//! A hold: calls, or their answers, stop at the gate until the test says what becomes of them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::call::Call;
use super::verdict::{FaultMoment, Verdict};
use super::{Gate, Matcher};

/// Parks the calls of a matcher. When it is dropped, those whose function still waits pass and the others are never executed.
pub struct HeldCalls {
    gate: Gate,
    id: u64,
    when: FaultMoment,
    told: Mutex<BTreeSet<u64>>,
}

/// Why a call was not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    #[error("no such call is held")]
    NotHeld,
    #[error("{name} cannot come to {verdict}", name = .call.name)]
    DoesNotFit { call: Box<Call>, verdict: Verdict },
}

impl Gate {
    /// Parks the calls of this matcher from now on. A call that a rule decides about is not parked.
    pub fn hold(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_when(matcher.into(), FaultMoment::Before)
    }

    /// Lets the calls of this matcher take effect from now on, and parks their answers. Such a call can come only to what
    /// becomes of an answer. When the hold is dropped, its effect stays.
    pub fn hold_answers(&self, matcher: impl Into<Matcher>) -> HeldCalls {
        self.hold_when(matcher.into(), FaultMoment::After)
    }

    fn hold_when(&self, matcher: Matcher, when: FaultMoment) -> HeldCalls {
        let id = self.inner().state().add_hold(matcher, when);
        HeldCalls { gate: self.clone(), id, when, told: Mutex::default() }
    }
}

impl HeldCalls {
    /// Waits for the next call to be parked that this was not told of before.
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

    /// What is parked and still waited for, in the order of arrival.
    pub fn parked(&self) -> Vec<Call> {
        self.list(true)
    }

    /// What is parked although its function hung up or ended. It may still be released: a request can reach a service after
    /// everybody has given it up.
    pub fn forsaken(&self) -> Vec<Call> {
        self.list(false)
    }

    /// Lets the call that arrived first go on to this.
    pub fn release(&self, verdict: Verdict) -> Result<Call, ReleaseError> {
        let first = self.gate.inner().state().parked(self.id).next().map(|(call, _)| call.number);
        self.release_call(first.ok_or(ReleaseError::NotHeld)?, verdict)
    }

    /// Lets the call of this number go on to this.
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

    /// Forgets the call of this number: it is never executed, and its connection is closed.
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
