//! Jobs that walk through the grants of a programme: what is done with each stands in `steps`.
//!
//! The shards are walked side by side, each in the order of the grants' ids, with a checkpoint after some of them. What waits for
//! the provider at the end of a walk is looked at again in the next minute, by another walk. So every step is done again until
//! nothing waits any more, and may be done by two runners.

use anyhow::{Context, Result};
use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::rules::Rules;
use bursar_core::domain::values::id::{GrantId, RuleSetId};
use bursar_core::orders::ENOUGH_FOR_ONE;
use bursar_core::store::{ActContext, Job, JobState, Pass, StoreError, Work, keys};
use bursar_core::web::Site;
use futures_util::stream::{StreamExt, iter};
use jiff::SignedDuration;
use tokio::sync::Mutex;

use super::guardrails;
use super::jobs::{self, JobDeadlines};
use super::outage::Outage;
use super::steps::{self, StepEnd};

/// How many shards are walked at once.
const SIDE_BY_SIDE: usize = 8;
/// How many grants lie between two checkpoints of a shard.
const BETWEEN_CHECKPOINTS: usize = 20;
/// When steps that wait are looked at again: in the round of the next minute.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(45);

/// A walk under way. Its shards write their checkpoints one after the other.
struct Walk<'a> {
    site: &'a Site,
    until: JobDeadlines,
    outage: &'a Outage,
    /// The job as it was last written; `None` once somebody else has written it.
    job: Mutex<Option<Job>>,
}

/// Continues a walk that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, job: Job, until: JobDeadlines, outage: &Outage) -> Result<JobState> {
    if let Some(ended) = jobs::ended_early(site, &job).await? {
        return jobs::end(site, job, ended, until.deadline).await;
    }
    if job.work == Work::Rules && !have_guardrails(site, &job, until).await? {
        let until_then = JobState::Waiting { until: site.clock.now() + AGAIN_AFTER };
        return jobs::end(site, job, until_then, until.deadline).await;
    }
    let walk = Walk { site, until, outage, job: Mutex::new(Some(job.clone())) };
    let shards: Vec<_> = keys::SHARDS.iter().map(|shard| Box::pin(walk.shard(&job, *shard))).collect();
    let ends: Vec<Result<bool>> = iter(shards).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let mut is_whole = true;
    let mut failure = None;
    for end in ends {
        match end {
            Ok(has_ended) => is_whole &= has_ended,
            Err(error) => failure = Some(error),
        }
    }
    // Somebody else has it now.
    let Some(job) = walk.job.into_inner() else { return Ok(job.state) };
    if let Some(failure) = failure {
        jobs::leave(site, job, until.deadline).await?;
        return Err(failure);
    }
    if !is_whole {
        return jobs::leave(site, job, until.deadline).await;
    }
    let (now, Pass { seen, waiting, refused, .. }) = (site.clock.now(), job.pass);
    let state = match waiting {
        0 => JobState::Done { at: now },
        _ => JobState::Waiting { until: now + AGAIN_AFTER },
    };
    let job = Job { all: seen, refused, pass: Pass::default(), ..job };
    jobs::end(site, job, state, until.deadline).await
}

/// Whether all rules of the programme have a guardrail that keys can be put under.
async fn have_guardrails(site: &Site, job: &Job, until: JobDeadlines) -> Result<bool> {
    let programme = site.table.programme(&job.programme).await?.context("a job without its programme")?;
    let sets: Vec<RuleSetId> = programme.settings.all_rules().iter().map(Rules::id).collect();
    guardrails::are_confirmed(site, &sets, until.deadline.at_most(ENOUGH_FOR_ONE)).await
}

impl Walk<'_> {
    /// Walks a shard from its checkpoint on. Returns whether its end was reached.
    async fn shard(&self, job: &Job, shard: char) -> Result<bool> {
        let mut after = job.pass.reached.iter().find(|reached| reached.as_str().starts_with(shard)).cloned();
        loop {
            let limit = i32::try_from(BETWEEN_CHECKPOINTS)?;
            let grants = self.site.table.grants_after(&job.programme, shard, after.as_ref(), limit).await?;
            if grants.is_empty() {
                return Ok(true);
            }
            let mut ends = Vec::with_capacity(grants.len());
            for grant in &grants {
                if self.until.is_time_up() {
                    break;
                }
                ends.push(self.step(job, grant).await?);
            }
            let Some(last) = ends.len().checked_sub(1).and_then(|last| grants.get(last)) else { return Ok(false) };
            after = Some(last.id.clone());
            if !self.note(&last.id, &ends).await? || ends.len() < grants.len() {
                return Ok(false);
            }
        }
    }

    async fn step(&self, job: &Job, grant: &Grant) -> Result<StepEnd> {
        let (now, deadline) = (self.site.clock.now(), self.until.deadline);
        let at = ActContext { programme: &job.programme, grant: &grant.id, now, deadline };
        match steps::of_grant(self.site, job, at, grant, self.outage).await {
            // One grant that cannot be read does not keep the others from theirs.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(grant = %grant.id, %error, "a step of a job cannot be done");
                Ok(StepEnd::Refused)
            }
            end => Ok(end?),
        }
    }

    /// Writes the checkpoint of a shard. Returns `false` when somebody else has taken or ended the job.
    async fn note(&self, last: &GrantId, ends: &[StepEnd]) -> Result<bool> {
        let mut owned = self.job.lock().await;
        let Some(mut job) = owned.take() else { return Ok(false) };
        let count = |is: fn(&StepEnd) -> bool| ends.iter().filter(|end| is(end)).count();
        let pass = &mut job.pass;
        pass.reached.retain(|reached| reached.as_str().chars().next() != last.as_str().chars().next());
        pass.reached.push(last.clone());
        pass.seen += u32::try_from(ends.len())?;
        pass.waiting += u32::try_from(count(|end| *end == StepEnd::Waits))?;
        pass.refused += u32::try_from(count(|end| *end == StepEnd::Refused))?;
        let done = job.pass.seen - job.pass.waiting;
        if job.done < done {
            (job.done, job.advanced_at) = (done, self.site.clock.now());
        }
        job.all = job.all.max(job.pass.seen);
        job.refused = job.refused.max(job.pass.refused);
        *owned = jobs::checkpoint(self.site, job, self.until.deadline).await?;
        Ok(owned.is_some())
    }
}
