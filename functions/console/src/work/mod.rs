//! The work of each minute: grants that are due, jobs without a runner, and rules that the provider has not
//! confirmed. Each has a share of the time, so that none blocks the others.

pub(crate) mod guardrails;
pub(crate) mod import;
pub(crate) mod jobs;
mod walk;

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use bursar_core::domain::grant::Urgency;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::settle::NotSettled;
use futures_util::StreamExt;
use serde::Serialize;

use self::jobs::JobDeadlines;
use crate::erase;
use crate::prelude::*;

/// The result of one round of work.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WorkReport {
    pub(crate) settled: u32,
    pub(crate) put_off: u32,
    /// The number of continued jobs, by their new state.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) jobs: BTreeMap<&'static str, u32>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) guardrails: u32,
}

/// The most grants in one query of the index; more follow while time is left.
const AT_ONCE: i32 = 100;
const SIDE_BY_SIDE: usize = 8;
/// The time of a round that grants, which come first, leave to guardrails and jobs.
const LEFT_FOR_THE_REST: Duration = Duration::from_secs(14);
/// The least time left of a round in which guardrails and jobs begin.
const ENOUGH_FOR_THE_REST: Duration = Duration::from_secs(2);

pub(crate) async fn round(site: &Site, deadline: Deadline) -> Result<WorkReport> {
    let outage = Outage::default();
    let report = work(site, &outage, deadline).await;
    if let Some(cause) = outage.alarm.into_inner() {
        site.raise_in_time(cause, deadline).await;
    }
    report
}

async fn work(site: &Site, outage: &Outage, deadline: Deadline) -> Result<WorkReport> {
    let mut report = WorkReport::default();
    for urgency in [Urgency::Leak, Urgency::Disable] {
        due_grants(site, urgency, &mut report, outage, deadline).await?;
    }
    // Keys are put under guardrails that are made.
    if deadline.leaves(ENOUGH_FOR_THE_REST) {
        match guardrails::tell_rules(site, deadline).await {
            Ok(told) => report.guardrails = told,
            // One guardrail that cannot be read keeps no job from going on.
            Err(error) => tracing::error!(error = format!("{error:#}"), "the rules of guardrails could not be told"),
        }
    }
    due_grants(site, Urgency::Limit, &mut report, outage, deadline).await?;
    if deadline.leaves(ENOUGH_FOR_THE_REST) {
        let mut states = jobs::in_the_work(site, deadline, outage).await?;
        states.extend(erase::in_the_work(site, JobDeadlines::of_the_work(deadline)).await?);
        for state in states {
            *report.jobs.entry(state).or_default() += 1;
        }
    }
    Ok(report)
}

/// Settles the grants of one urgency that are due, longest due first, while time is left. One that fails is due later, so it blocks no
/// other. Those that an outage keeps from being settled stay due.
async fn due_grants(
    site: &Site,
    urgency: Urgency,
    report: &mut WorkReport,
    outage: &Outage,
    deadline: Deadline,
) -> Result<()> {
    let mut seen = HashSet::new();
    while deadline.leaves(LEFT_FOR_THE_REST) && !outage.is_seen() {
        let now = site.clock.now();
        let mut due = site.table.due_grants(urgency, now, AT_ONCE).await?;
        // The index is eventually consistent, and a grant whose mark could not be written stays in it.
        due.retain(|grant| seen.insert(grant.clone()));
        if due.is_empty() {
            return Ok(());
        }
        let rounds = due.into_iter().map(|(programme, grant)| async move {
            if outage.is_seen() {
                return Ok(0);
            }
            let at = ActContext { programme: &programme, grant: &grant, now, deadline };
            let outcome = site.settler().settle(at, |_| true).await;
            outage.note(&outcome);
            if let Err(error) = &outcome {
                tracing::warn!(%grant, %error, "a grant is not settled");
            }
            outcome
        });
        let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(SIDE_BY_SIDE);
        while let Some(outcome) = rounds.next().await {
            match outcome {
                Ok(done) => report.settled += done,
                Err(_) => report.put_off += 1,
            }
        }
    }
    Ok(())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// After so many calls in a row that came to nothing, no more are made.
const FAILED_IN_A_ROW: u32 = 8;

/// What a round has learned about the provider: after a few calls in a row without an answer it is left alone until the next round,
/// since each of them costs seconds.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    failed: AtomicU32,
    /// What the admins are to be told of it.
    pub(super) alarm: OnceLock<Cause>,
}

impl Outage {
    pub(super) fn is_seen(&self) -> bool {
        self.failed.load(Ordering::Relaxed) >= FAILED_IN_A_ROW
    }

    /// Notes what became of a grant. What the provider answered about one key says that it answers.
    pub(super) fn note(&self, sent: &Result<u32, NotSettled>) {
        if let Err(NotSettled::Provider(error)) = sent
            && let Some(cause) = error.refusal()
        {
            self.alarm.get_or_init(|| cause);
        }
        match sent {
            Err(NotSettled::Provider(error)) if error.may_pass() || error.is_of_the_key() => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(1..) | Err(NotSettled::Provider(_) | NotSettled::NotFound) => {
                self.failed.store(0, Ordering::Relaxed);
            }
            Ok(0) | Err(_) => {}
        }
    }
}
