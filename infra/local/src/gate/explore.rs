//! Exploration: handlers run against each other with every call held, and one call at a time is released to
//! some verdict. The releases and faults, in their order, are the history. Choosing histories is left to
//! the caller.

use std::future::Future;

use super::call::Call;
use super::history::{History, Step};
use super::verdict::Verdict;
use super::{Gate, Matcher};

/// The parameters of a run.
#[derive(Debug, Clone)]
pub struct Exploration {
    /// The number of invocations that must begin before the first call is released, so that they race.
    pub actors: u64,
    /// The faults to consider, each where it fits.
    pub faults: Vec<Verdict>,
    /// The most faults in one history.
    pub most_faults: usize,
}

/// A completed run.
#[derive(Debug)]
pub struct Explored<T> {
    pub output: T,
    /// The steps in order, passes included.
    pub history: History,
}

impl Gate {
    /// Runs `work` to its end, one call after the other.
    ///
    /// `choose` returns the index of the next of some steps. The first step is always that a call passes,
    /// and their order is independent of timing. `after` sees each step once it has had its effect and
    /// nothing moves. It must bypass the gate, where its calls would be held.
    pub async fn explore<T>(
        &self,
        exploration: &Exploration,
        mut choose: impl FnMut(&[Step]) -> usize,
        work: impl Future<Output = T>,
        mut after: impl AsyncFnMut(&Step),
    ) -> Explored<T> {
        let inner = self.inner();
        let held = self.hold(Matcher::call("*").every());
        let begun = inner.state().begun();
        let mut history = History::default();
        let mut work = std::pin::pin!(work);
        let output = loop {
            // A call that nobody waits for is not part of the race.
            let next = inner.until(|state| {
                let raced = state.begun() - begun >= exploration.actors || !history.0.is_empty();
                let parked: Vec<(Call, bool)> =
                    state.parked(held.id()).map(|(call, waits)| (call.clone(), waits)).collect();
                (raced && state.is_quiet() && !parked.is_empty()).then_some(parked)
            });
            let parked = tokio::select! {
                biased;
                output = &mut work => break output,
                parked = next => parked,
            };
            let (awaited, forsaken): (Vec<_>, Vec<_>) = parked.into_iter().partition(|(_, waits)| *waits);
            for (call, _) in forsaken {
                held.drop_call(call.number);
            }
            if let Some(step) = history.0.last() {
                after(step).await;
            }
            let awaited: Vec<Call> = awaited.into_iter().map(|(call, _)| call).collect();
            let faults = history.0.iter().filter(|step| step.verdict != Verdict::Pass).count();
            let steps = possible(&awaited, exploration, faults);
            let Some(step) = steps.get(choose(&steps)).or(steps.first()) else {
                continue;
            };
            if let Some(call) = awaited.iter().find(|call| step.is_of(call)) {
                // The call can only be missing if its function has just disconnected; then there is nothing
                // to release.
                let _ = held.release_call(call.number, step.verdict.clone());
            }
            history.0.push(step.clone());
        };
        if let Some(step) = history.0.last() {
            after(step).await;
        }
        Explored { output, history }
    }
}

/// Every possible next step: each held call passing, then each with each fault that fits it.
fn possible(parked: &[Call], exploration: &Exploration, faults_so_far: usize) -> Vec<Step> {
    let mut calls: Vec<&Call> = parked.iter().collect();
    calls.sort_by_key(|call| (call.function, call.instance, call.name.clone(), call.nth_of_instance));
    let passing = calls.iter().map(|call| Step::new(call, Verdict::Pass));
    let faults = if faults_so_far < exploration.most_faults { exploration.faults.as_slice() } else { &[] };
    let failing = calls.iter().flat_map(|call| {
        faults.iter().filter(|fault| fault.fits(&call.name, &call.shape)).map(|fault| Step::new(call, fault.clone()))
    });
    passing.chain(failing).collect()
}
