//! The runner of jobs: takes the one whose turn it is, carries it on while there is time, and leaves the rest to the next minute.

use anyhow::{Context, Result};
use bursar_core::store::JOB_LEASE;

use super::{Outage, import, walk};
use crate::prelude::*;

/// The most programmes whose jobs are carried on in one round; the rest wait for the next minute.
const AT_ONCE: i32 = 20;
/// The longest time that a request spends on a job, since a person waits for its page.
const IN_A_REQUEST: Duration = Duration::from_secs(4);
/// The time that a request must keep for its answer.
const LEFT_OF_A_REQUEST: Duration = Duration::from_secs(20);
/// When a job that waits, or failed, is looked at again: in the round of the next minute.
pub(crate) const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(45);
/// The time that one step with its retries may take.
const LEFT_OF_WORK: Duration = Duration::from_secs(12);

/// The instant after which no step begins, and the deadline of the calls of one that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobDeadlines {
    stop: Deadline,
    pub(crate) deadline: Deadline,
}

impl JobDeadlines {
    pub(crate) fn of_a_request(deadline: Deadline) -> JobDeadlines {
        JobDeadlines { stop: deadline.earlier_by(LEFT_OF_A_REQUEST).at_most(IN_A_REQUEST), deadline }
    }

    pub(super) fn of_the_work(deadline: Deadline) -> JobDeadlines {
        JobDeadlines { stop: deadline.earlier_by(LEFT_OF_WORK), deadline }
    }

    pub(crate) fn is_time_up(&self) -> bool {
        self.stop.left().is_zero()
    }
}

/// Carries on the jobs of a programme for some seconds, in the request that started one. The job is on record, so a failure is
/// left to the work of the next minutes.
pub(crate) async fn in_a_request(site: &Site, programme: &ProgrammeId, deadline: Deadline) {
    if let Err(error) = of_programme(site, programme, JobDeadlines::of_a_request(deadline), &Outage::default()).await {
        tracing::warn!(%programme, error = format!("{error:#}"), "a job is left for the next minute");
    }
}

/// Carries on the jobs that nobody owns, one after the other. Returns the state in which each was left.
pub(super) async fn in_the_work(site: &Site, deadline: Deadline, outage: &Outage) -> Result<Vec<&'static str>> {
    let until = JobDeadlines::of_the_work(deadline);
    let mut states = Vec::new();
    for programme in site.table.due_jobs(site.clock.now(), AT_ONCE).await? {
        match of_programme(site, &programme, until, outage).await {
            Ok(reached) => states.extend(reached.iter().map(JobState::as_str)),
            Err(error) => {
                tracing::warn!(%programme, error = format!("{error:#}"), "a job is left for the next minute");
                states.push("interrupted");
            }
        }
    }
    Ok(states)
}

/// Carries on the jobs of one programme, the oldest first.
async fn of_programme(
    site: &Site,
    programme: &ProgrammeId,
    until: JobDeadlines,
    outage: &Outage,
) -> Result<Vec<JobState>> {
    let (mut states, mut failed) = (Vec::new(), None);
    // Another runner may have taken it since the index listed it.
    while !until.is_time_up()
        && let Some(job) = site.table.take_job(programme, site.clock.now(), until.deadline).await?
    {
        let id = job.job;
        let reached = match job.work {
            Work::Import { .. } | Work::Bulk { .. } => Box::pin(import::carry_on(site, job, until)).await,
            Work::Close | Work::Limits => Box::pin(walk::carry_on(site, job, until, outage)).await,
        };
        match reached {
            Ok(state) => states.push(state),
            Err(error) => {
                put_off(site, programme, id, until.deadline).await?;
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(states), Err)
}

/// Lets the programme's other jobs go before one that failed.
async fn put_off(site: &Site, programme: &ProgrammeId, id: Ulid, deadline: Deadline) -> Result<()> {
    let jobs = site.table.jobs(programme).await?.into_iter();
    for job in jobs.filter(|job| job.job == id && job.is_running()) {
        end(site, job, JobState::Waiting { until: site.clock.now() + AGAIN_AFTER }, deadline).await?;
    }
    Ok(())
}

/// Writes how far a job has come. Returns `None` when somebody else has taken or ended it.
pub(super) async fn checkpoint(site: &Site, job: Job, deadline: Deadline) -> Result<Option<Job>> {
    let lease_until = site.clock.now() + JOB_LEASE;
    Ok(site.table.set_job(Job { state: JobState::Running { lease_until }, ..job }, deadline).await?)
}

/// Leaves a job to whoever has time next.
pub(super) async fn leave(site: &Site, job: Job, deadline: Deadline) -> Result<JobState> {
    end(site, job, JobState::Running { lease_until: site.clock.now() }, deadline).await
}

/// Writes the state in which a job is left, unless somebody else has written it.
pub(super) async fn end(site: &Site, job: Job, state: JobState, deadline: Deadline) -> Result<JobState> {
    if matches!(state, JobState::Done { .. })
        && let Err(error) = site.table.count_unreserved(&job.programme, deadline).await
    {
        tracing::warn!(programme = %job.programme, %error, "who has no reservation is counted by the next sync");
    }
    site.table.set_job(Job { state: state.clone(), ..job }, deadline).await?;
    Ok(state)
}

/// The state in which a job ends before its steps do, if its programme has become another meanwhile.
pub(super) async fn ended_early(site: &Site, job: &Job) -> Result<Option<JobState>> {
    let programme = site.table.get(Programme::key_of(&job.programme)).await?.context("a job without its programme")?;
    let now = site.clock.now();
    let why = match job.work {
        Work::Import { .. } | Work::Bulk { .. } if programme.closed_at.is_some() => "The programme was closed.",
        Work::Close if !programme.is_over(now) => "The term goes on.",
        Work::Import { .. } | Work::Bulk { .. } | Work::Close | Work::Limits => return Ok(None),
    };
    Ok(Some(JobState::Failed { why: why.to_owned(), at: now }))
}
