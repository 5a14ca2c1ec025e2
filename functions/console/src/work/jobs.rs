//! The runner of jobs: takes the one whose turn it is, carries it on for some seconds, and leaves
//! the rest to whoever comes next. A job only writes. What the provider is to be told of it is sent
//! by the work of each minute, and the job is done once that is confirmed.

use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{JOB_LEASE, Job, JobState, Subject, UndoneStep, WhyUndone, Work};
use bursar_core::web::Site;
use jiff::SignedDuration;
use ulid::Ulid;

use super::steps;
use super::steps::Plan;

/// How long a job is carried on at a stretch: a person waits for the page, or what is urgent for
/// the work.
const AT_A_STRETCH: Duration = Duration::from_secs(4);
/// The time that is kept for the last steps with their retries, and for an answer.
const KEPT: Duration = Duration::from_secs(20);
/// When a job that waits, or failed, is looked at again: in the work of the next minute.
pub(crate) const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(45);
/// How long the provider may confirm nothing more before that is told as undone. Calls that fail
/// are repeated each hour at least.
const CONFIRMS_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// The instant after which no step begins, and the deadline of the calls of one that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobDeadlines {
    stop: Deadline,
    pub(crate) deadline: Deadline,
}

impl JobDeadlines {
    pub(crate) fn within(deadline: Deadline) -> JobDeadlines {
        JobDeadlines {
            stop: deadline.earlier_by(KEPT).limit_to(AT_A_STRETCH),
            deadline,
        }
    }

    pub(crate) fn is_time_up(&self) -> bool {
        self.stop.left().is_zero()
    }
}

/// Carries on the jobs of a programme for some seconds, in the request that started one. The job is
/// on record, so a failure is left to the work of the next minutes.
pub(crate) async fn run_in_request(site: &Site, programme: &ProgrammeId, deadline: Deadline) {
    as_planned(site, programme, None, deadline).await;
}

/// The same, where the request has planned already what it started.
pub(crate) async fn as_planned(
    site: &Site,
    programme: &ProgrammeId,
    mut plan: Option<Plan>,
    deadline: Deadline,
) {
    if let Err(error) =
        of_programme(site, programme, &mut plan, JobDeadlines::within(deadline)).await
    {
        tracing::warn!(%programme, error = format!("{error:#}"), "a job is left for the next minute");
    }
}

/// Carries on the jobs of one programme, the oldest first. Returns the state in which each was
/// left.
pub(super) async fn of_programme(
    site: &Site,
    programme: &ProgrammeId,
    plan: &mut Option<Plan>,
    until: JobDeadlines,
) -> Result<Vec<(Ulid, &'static str)>> {
    let mut states = Vec::new();
    // Another runner may have taken it since the index listed it.
    while !until.is_time_up()
        && let Some(job) = site
            .table
            .take_job(programme, site.clock.now(), until.deadline)
            .await?
    {
        let id = job.job;
        match Box::pin(steps::carry_on(site, job, plan, until)).await {
            Ok(state) => states.push((id, state.as_str())),
            Err(error) => {
                tracing::warn!(%programme, error = format!("{error:#}"), "a job is left until its lease ends");
                states.push((id, "interrupted"));
            }
        }
    }
    Ok(states)
}

/// Leaves a job that failed, or waits for the provider, to the next minute. One that is not written
/// keeps its place before the others.
pub(super) async fn put_off(site: &Site, job: Job, deadline: Deadline) -> Result<JobState> {
    end(
        site,
        job,
        JobState::Running {
            lease_until: site.clock.now() + AGAIN_AFTER,
        },
        deadline,
    )
    .await
}

/// Writes how far a job has come. Returns `None` when somebody else has taken or ended it.
pub(super) async fn checkpoint(site: &Site, job: Job, deadline: Deadline) -> Result<Option<Job>> {
    let lease_until = site.clock.now() + JOB_LEASE;
    Ok(site
        .table
        .set_job(
            Job {
                state: JobState::Running { lease_until },
                ..job
            },
            deadline,
        )
        .await?)
}

/// Ends a job that is written, once the provider has confirmed what came of it. Until then it is
/// looked at again.
pub(super) async fn finish(site: &Site, mut job: Job, deadline: Deadline) -> Result<JobState> {
    let now = site.clock.now();
    let waiting = site.table.list_waiting_for_provider(&job).await?;
    let done = job.next.saturating_sub(waiting.len() as u32);
    if job.done < done {
        (job.done, job.advanced_at) = (done, now);
    }
    if !waiting.is_empty() && now < job.advanced_at + CONFIRMS_WITHIN {
        return put_off(site, job, deadline).await;
    }
    let undone = waiting.into_iter().map(|grant| UndoneStep {
        of: Subject::Grant(grant),
        why: WhyUndone::NotConfirmed,
    });
    job.note_undone(undone.collect());
    job.done = job.total;
    end(site, job, JobState::Done { ended_at: now }, deadline).await
}

/// Writes the state in which a job is left, unless somebody else has written it.
pub(super) async fn end(
    site: &Site,
    job: Job,
    state: JobState,
    deadline: Deadline,
) -> Result<JobState> {
    if matches!(state, JobState::Done { .. })
        && let Err(error) = site
            .table
            .count_roster_mails_owed(&job.programme, deadline)
            .await
    {
        tracing::warn!(programme = %job.programme, %error, "how many roster mails are owed is counted after the next job");
    }
    site.table
        .set_job(
            Job {
                state: state.clone(),
                ..job
            },
            deadline,
        )
        .await?;
    Ok(state)
}

/// The state in which a job ends before its steps do, if its programme has become another
/// meanwhile.
pub(super) async fn find_early_end(site: &Site, job: &Job) -> Result<Option<JobState>> {
    let programme = site
        .table
        .get(Programme::key_of(&job.programme))
        .await?
        .context("a job without its programme")?;
    let now = site.clock.now();
    let why = match job.work {
        Work::Import | Work::Undo { .. } | Work::Bulk if programme.closed_at.is_some() => {
            "The programme was closed."
        }
        Work::Close if !programme.is_over(now) => "The term goes on.",
        Work::Import | Work::Undo { .. } | Work::Bulk | Work::Close | Work::Limits => {
            return Ok(None);
        }
    };
    Ok(Some(JobState::Failed {
        why: why.to_owned(),
        ended_at: now,
    }))
}
