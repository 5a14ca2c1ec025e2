//! The job that applies a roster: step by step from its checkpoint, until it is done or the time is up.
//! Every step may be done twice, so the next run can start at the checkpoint.

use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{HoldKind, LineRefused, ReleaseRefused, RosterLine};
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::ActContext;
use bursar_core::store::{ActOutcome, Author, INVITED_AT_ONCE, Job, JobState, NewPerson, Step};
use bursar_core::web::Site;
use jiff::{SignedDuration, Timestamp};

const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// The longest time that a request spends on a job, since a person waits for its page.
const IN_A_REQUEST: Duration = Duration::from_secs(4);
/// The time that a request must keep for its answer.
const LEFT_OF_A_REQUEST: Duration = Duration::from_secs(20);
/// The time that one transaction with its retries may take.
const LEFT_OF_WORK: Duration = Duration::from_secs(12);

/// The instant at which a job stops, and the deadline of its calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobDeadlines {
    stop: Deadline,
    deadline: Deadline,
}

/// The deadlines of a job in the request that started it: some seconds.
pub(crate) fn in_a_request(deadline: Deadline) -> JobDeadlines {
    let stop = deadline.earlier_by(LEFT_OF_A_REQUEST).at_most(IN_A_REQUEST);
    JobDeadlines { stop, deadline }
}

/// The deadlines of a job in the work of a minute: most of its time.
pub(crate) fn in_the_work(deadline: Deadline) -> JobDeadlines {
    JobDeadlines { stop: deadline.earlier_by(LEFT_OF_WORK), deadline }
}

/// Continues a job that the caller holds the lease of, and returns its state. An unfinished job is
/// released.
pub(crate) async fn carry_on(site: &Site, mut job: Job, until: JobDeadlines) -> Result<JobState> {
    loop {
        let now = site.clock.now();
        let programme = site.table.programme(&job.programme).await?.context("a job without its programme")?;
        if programme.closed_at.is_some() {
            return end(site, job, Some("The programme was closed."), now, until.deadline).await;
        }
        if job.next >= job.steps {
            return end(site, job, None, now, until.deadline).await;
        }
        let steps = site.table.steps_from(job.import, job.next).await?;
        if steps.is_empty() {
            return end(site, job, Some("The preview is gone."), now, until.deadline).await;
        }
        for batch in batches(&steps) {
            let now = site.clock.now();
            if until.stop.left().is_zero() {
                // The lease ends now, so that the next minute's work takes the job.
                let freed = Job { state: JobState::Running { lease_until: now }, ..job };
                let state = freed.state.clone();
                site.table.set_job(freed, until.deadline).await?;
                return Ok(state);
            }
            let refused = apply(site, &job, batch, now, until.deadline).await?;
            let reached = Job {
                state: JobState::Running { lease_until: now + LEASE },
                next: job.next + u32::try_from(batch.len())?,
                refused: job.refused + refused,
                ..job
            };
            let state = reached.state.clone();
            // Another runner has taken the job over.
            let Some(after) = site.table.set_job(reached, until.deadline).await? else { return Ok(state) };
            job = after;
        }
    }
}

async fn end(site: &Site, job: Job, failed: Option<&str>, at: Timestamp, deadline: Deadline) -> Result<JobState> {
    let state = match failed {
        Some(why) => JobState::Failed { why: why.to_owned(), at },
        None => JobState::Done { at },
    };
    site.table.set_job(Job { state: state.clone(), ..job }, deadline).await?;
    Ok(state)
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
                let outcome = site.table.describe(at(job, grant, by), &line, &job.by).await?;
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
