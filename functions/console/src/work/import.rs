//! The job that applies a roster: step by step from its checkpoint, until it is done or the time is up.
//! Every step may be done twice, so the next run can start at the checkpoint.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{HoldKind, LineRefused, ReleaseRefused, RosterLine};
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::ActContext;
use bursar_core::store::{ActOutcome, Author, INVITED_AT_ONCE, Job, JobState, NewPerson, Step, Work};
use bursar_core::web::Site;
use jiff::Timestamp;

use super::jobs::{self, JobDeadlines};

/// Continues an import that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, mut job: Job, until: JobDeadlines) -> Result<JobState> {
    let Work::Import { import } = job.work else { return Ok(job.state) };
    loop {
        if let Some(ended) = jobs::ended_early(site, &job).await? {
            return jobs::end(site, job, ended, until.deadline).await;
        }
        let at = site.clock.now();
        if job.pass.next >= job.all {
            return jobs::end(site, job, JobState::Done { at }, until.deadline).await;
        }
        let steps = site.table.steps_from(import, job.pass.next).await?;
        if steps.is_empty() {
            let gone = JobState::Failed { why: "The preview is gone.".to_owned(), at };
            return jobs::end(site, job, gone, until.deadline).await;
        }
        for batch in batches(&steps) {
            let now = site.clock.now();
            if until.is_time_up() {
                return jobs::leave(site, job, until.deadline).await;
            }
            job.refused += apply(site, &job, batch, now, until.deadline).await?;
            job.pass.next += u32::try_from(batch.len())?;
            (job.done, job.advanced_at) = (job.pass.next, now);
            let state = job.state.clone();
            // Another runner has taken the job over.
            let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else { return Ok(state) };
            job = after;
        }
    }
}

/// The steps between two checkpoints: a limited number, additions in one batch and other steps one by one.
fn batches(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
    let is_add = |step: &Step| matches!(step, Step::Add { .. });
    steps.chunk_by(move |one, next| is_add(one) == is_add(next)).flat_map(|alike| alike.chunks(INVITED_AT_ONCE))
}

/// Applies some steps, and returns how many the rules refused.
async fn apply(site: &Site, job: &Job, batch: &[Step], now: Timestamp, deadline: Deadline) -> Result<u32> {
    let by = Author { actor: &job.by, now, deadline };
    let mut added = Vec::new();
    let mut refused = 0;
    for step in batch {
        match step {
            Step::Add { person, group } => added.push(NewPerson { person: person.clone(), group: group.clone() }),
            Step::Change { grant, person, group } => {
                let line = RosterLine { person: person.clone(), group: group.clone() };
                let at = at(job, grant, by);
                let outcome = site.table.describe(at, &line, &job.by).await?;
                // Another group may have another cap. A repeated step follows up what its first runner left.
                site.orders().now_or_later(at).await;
                let forbidden = matches!(
                    outcome,
                    ActOutcome::Refused(LineRefused::AddressTaken | LineRefused::PotExhausted | LineRefused::Over)
                );
                refused += u32::from(forbidden);
            }
            Step::Drop { grant } => {
                let at = at(job, grant, by);
                site.table
                    .act(at, |view, now| view.hold(HoldKind::Dropped, &job.by, Some("not on the roster"), now))
                    .await?;
                site.orders().now_or_later(at).await;
            }
            Step::Return { grant } => {
                let at = at(job, grant, by);
                let outcome = site.table.act(at, |view, now| view.release(HoldKind::Dropped, &job.by, now)).await?;
                let forbidden =
                    matches!(outcome, ActOutcome::Refused(ReleaseRefused::PotExhausted | ReleaseRefused::Over));
                refused += u32::from(forbidden);
                // This follows a repeated step too: its first runner may have died before sending the
                // orders.
                site.orders().now_or_later(at).await;
            }
        }
    }
    if !added.is_empty() {
        site.table.invite(&job.programme, &added, by).await?;
    }
    Ok(refused)
}

fn at<'a>(job: &'a Job, grant: &'a GrantId, by: Author<'a>) -> ActContext<'a> {
    ActContext { programme: &job.programme, grant, now: by.now, deadline: by.deadline }
}
