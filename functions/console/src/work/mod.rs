//! What the function does each minute: the orders that are still to be carried out, the jobs that nobody carries on, and the rules of
//! programmes that the provider has not confirmed. Each has its share of the time, so that one that cannot be done does not keep the others waiting.

mod guardrails;
pub(crate) mod import;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Urgency;
use bursar_core::store::ActContext;
use bursar_core::store::JobState;
use bursar_core::web::Site;
use futures_util::StreamExt;
use serde::Serialize;

/// What one round of work did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WorkReport {
    pub(crate) carried_out: u32,
    pub(crate) put_off: u32,
    /// The jobs that were carried on, by how they stand now.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) jobs: BTreeMap<&'static str, u32>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) guardrails: u32,
}

/// The most grants that are taken from the index at once; more follow while time is left.
const AT_ONCE: i32 = 100;
const SIDE_BY_SIDE: usize = 8;
const JOBS_AT_ONCE: i32 = 20;
/// What must be told the provider comes first; jobs and guardrails have what is left of a round beyond this, and at least so much.
const LEFT_FOR_THE_REST: Duration = Duration::from_secs(14);
const ENOUGH_FOR_THE_REST: Duration = Duration::from_secs(2);

pub(crate) async fn round(site: &Site, deadline: Deadline) -> Result<WorkReport> {
    let mut report = WorkReport::default();
    for urgency in [Urgency::Leak, Urgency::Disable, Urgency::Limit] {
        orders(site, urgency, &mut report, deadline).await?;
    }
    if deadline.leaves(ENOUGH_FOR_THE_REST) {
        report.guardrails = guardrails::tell_rules(site, deadline).await?;
        jobs(site, &mut report, deadline).await?;
    }
    Ok(report)
}

/// Carries out the due orders of one urgency, longest due first, while time is left. What fails is due later, so it blocks nothing.
async fn orders(site: &Site, urgency: Urgency, report: &mut WorkReport, deadline: Deadline) -> Result<()> {
    let mut seen = HashSet::new();
    while deadline.leaves(LEFT_FOR_THE_REST) {
        let now = site.clock.now();
        let mut due = site.table.grants_with_orders(urgency, now, AT_ONCE).await?;
        // The index is a moment behind, and a mark that failed leaves an order where it was.
        due.retain(|grant| seen.insert(grant.clone()));
        if due.is_empty() {
            return Ok(());
        }
        let rounds = due.into_iter().map(|(programme, grant)| async move {
            let at = ActContext { programme: &programme, grant: &grant, now, deadline };
            let outcome = site.orders().carry_out(at, |order| order.due <= now).await;
            if let Err(error) = &outcome {
                tracing::warn!(%grant, %error, "an order is put off");
            }
            outcome
        });
        let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(SIDE_BY_SIDE);
        while let Some(outcome) = rounds.next().await {
            match outcome {
                Ok(done) => report.carried_out += done,
                Err(_) => report.put_off += 1,
            }
        }
    }
    Ok(())
}

/// Goes on with the jobs that have no lease, one after the other.
async fn jobs(site: &Site, report: &mut WorkReport, deadline: Deadline) -> Result<()> {
    for programme in site.table.due_jobs(site.clock.now(), JOBS_AT_ONCE).await? {
        // Somebody may have taken it since the index named it.
        let Some(job) = site.table.take_job(&programme, site.clock.now(), deadline).await? else { continue };
        let state = match import::carry_on(site, job, import::in_the_work(deadline)).await {
            Ok(state) => JobState::as_str(&state),
            Err(error) => {
                tracing::warn!(%programme, error = format!("{error:#}"), "a job is left for the next minute");
                "interrupted"
            }
        };
        *report.jobs.entry(state).or_default() += 1;
    }
    Ok(())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
