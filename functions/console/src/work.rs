//! What the function does each minute: the disables that are still owed, the jobs that nobody carries on, and the guardrails that
//! programmes wait for. Each has its share of the time, so that one that cannot be done does not keep the others waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::debts;
use bursar_core::store::{At, JobState};
use bursar_core::web::Site;
use futures_util::StreamExt;
use serde::Serialize;

use crate::{guardrails, import};

/// What one round of work did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) paid: u32,
    pub(crate) still_owed: u32,
    /// The jobs that were carried on, by how they stand now.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) jobs: BTreeMap<&'static str, u32>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) guardrails: u32,
}

/// More wait for the next minute.
const AT_ONCE: i32 = 100;
const SIDE_BY_SIDE: usize = 8;
const JOBS_AT_ONCE: i32 = 20;
/// Keys that must be disabled come first; jobs and guardrails have at least this much.
const LEFT_FOR_THE_REST: Duration = Duration::from_secs(2);

pub(crate) async fn round(site: &Site, deadline: Deadline) -> Result<Report> {
    let mut report = Report::default();
    debts_of_grants(site, &mut report, deadline).await?;
    if deadline.leaves(LEFT_FOR_THE_REST) {
        report.guardrails = guardrails::make_missing(site, deadline).await?;
        jobs(site, &mut report, deadline).await?;
    }
    Ok(report)
}

/// Tells the provider to disable each key that is owed it, or to enable it, oldest debt first.
async fn debts_of_grants(site: &Site, report: &mut Report, deadline: Deadline) -> Result<()> {
    let now = site.clock.now();
    let owing = site.table.grants_in_debt(AT_ONCE).await?;
    let rounds = owing.into_iter().map(|(programme, grant)| async move {
        let at = At { programme: &programme, grant: &grant, now, deadline };
        let outcome = debts::pay(&site.table, &site.provider, at, |_| true).await;
        if let Err(error) = &outcome {
            tracing::warn!(%grant, %error, "the provider was not told what it is owed");
        }
        outcome
    });
    let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(SIDE_BY_SIDE);
    while let Some(outcome) = rounds.next().await {
        match outcome {
            Ok(paid) => report.paid += paid,
            Err(_) => report.still_owed += 1,
        }
    }
    Ok(())
}

/// Goes on with the jobs that are nobody's, one after the other.
async fn jobs(site: &Site, report: &mut Report, deadline: Deadline) -> Result<()> {
    for programme in site.table.due_jobs(site.clock.now(), JOBS_AT_ONCE).await? {
        // Somebody may have taken it since the index named it.
        let Some(job) = site.table.take_job(&programme, site.clock.now()).await? else { continue };
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
