//! Jobs that walk through the grants of a programme.
//!
//! The shards are walked side by side, each in the order of the grants' ids, with a checkpoint after some of them. What waits for
//! the provider at the end of a walk is looked at again in the next minute, by another walk. So every step is done again until
//! nothing waits any more, and may be done by two runners.

use anyhow::Result;
use bursar_core::domain::grant::{Attempt, GrantState, ListedLimit, NotMoved, Order, OrderKind};
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::orders::NotCarriedOut;
use bursar_core::store::{ActOutcome, Pass, StoreError, keys};
use futures_util::stream::{StreamExt, iter};
use tokio::sync::Mutex;

use super::Outage;
use super::jobs::{self, AGAIN_AFTER, JobDeadlines};
use crate::prelude::*;

/// How many shards are walked at once.
const SIDE_BY_SIDE: usize = 8;
/// How many grants lie between two checkpoints of a shard.
const BETWEEN_CHECKPOINTS: usize = 20;

/// A walk under way. Its shards write their checkpoints one after the other.
struct Walk<'a> {
    site: &'a Site,
    until: JobDeadlines,
    outage: &'a Outage,
    /// What keys are put under.
    guardrails: Vec<Guardrail>,
    /// The job as it was last written; `None` once somebody else has written it.
    job: Mutex<Option<Job>>,
}

/// Continues a walk that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, job: Job, until: JobDeadlines, outage: &Outage) -> Result<JobState> {
    if let Some(ended) = jobs::ended_early(site, &job).await? {
        return jobs::end(site, job, ended, until.deadline).await;
    }
    let guardrails = site.table.list(Guardrail::of_programme(&job.programme)).await?;
    let walk = Walk { site, until, outage, guardrails, job: Mutex::new(Some(job.clone())) };
    let shards: Vec<_> = keys::SHARDS.iter().map(|shard| Box::pin(walk.shard(&job, *shard))).collect();
    let ends: Vec<Result<bool>> = iter(shards).buffer_unordered(SIDE_BY_SIDE).collect().await;
    // Somebody else has it now.
    let Some(job) = walk.job.into_inner() else { return Ok(job.state) };
    let ends: Vec<bool> = ends.into_iter().collect::<Result<_>>()?;
    if !ends.into_iter().all(|has_ended| has_ended) {
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
            let (read, mut last) = (grants.len(), None);
            for (id, grant) in grants {
                if self.until.is_time_up() {
                    break;
                }
                ends.push(self.step(job, &id, grant).await?);
                last = Some(id);
            }
            let Some(last) = last else { return Ok(false) };
            let is_mine = self.note(&last, &ends).await?;
            after = Some(last);
            if !is_mine || ends.len() < read {
                return Ok(false);
            }
        }
    }

    async fn step(&self, job: &Job, id: &GrantId, grant: Result<Grant, StoreError>) -> Result<StepEnd> {
        match self.step_of(job, id, grant).await {
            // One grant that cannot be read does not keep the others from theirs.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(grant = %id, %error, "a step of a job cannot be done");
                Ok(StepEnd::Refused)
            }
            end => Ok(end?),
        }
    }

    async fn step_of(&self, job: &Job, id: &GrantId, grant: Result<Grant, StoreError>) -> Result<StepEnd, StoreError> {
        let (now, deadline) = (self.site.clock.now(), self.until.deadline);
        let at = ActContext { programme: &job.programme, grant: id, now, deadline };
        of_grant(self.site, job, at, &grant?, &self.guardrails, self.outage).await
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

/// The end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepEnd {
    /// Nothing is left to be done.
    Done,
    /// The provider is still to confirm something, or a key is just being made.
    Waits,
    /// It cannot be done: the provider does not know the key.
    Refused,
}

/// Does the step of a job's grant, which is done when the provider has confirmed it, and may be done any number of times.
pub(super) async fn of_grant(
    site: &Site,
    job: &Job,
    at: ActContext<'_>,
    grant: &Grant,
    guardrails: &[Guardrail],
    outage: &Outage,
) -> Result<StepEnd, StoreError> {
    match job.work {
        // Whoever makes the key may have read the settings of before. An invocation that died makes none.
        Work::Limits if is_being_made(grant, at.now) => Ok(StepEnd::Waits),
        Work::Limits => {
            let mut waits = false;
            if grant.live().is_some() {
                site.table.act(at, |view, now| view.order_limit(ListedLimit::Unasked, now)).await?;
                let moved = site.table.act(at, |view, now| view.order_rules(guardrails, now)).await?;
                waits = matches!(moved, ActOutcome::Refused(NotMoved::NotMade));
            }
            // Where nothing is left of the cap, the key is switched off.
            let end = carried_out(site, at, outage).await?;
            Ok(if waits { StepEnd::Waits } else { end })
        }
        Work::Close => {
            site.table.act(at, |view, now| view.end(&job.by, now)).await?;
            carried_out(site, at, outage).await
        }
        Work::Import { .. } | Work::Bulk { .. } => Ok(StepEnd::Done),
    }
}

/// Whether a key may still come of an attempt that is under way.
fn is_being_made(grant: &Grant, now: Moment) -> bool {
    matches!(grant.state, GrantState::Minting { lease_until, .. } if now < lease_until)
}

/// Sends the grant's switches, limits and rules that are due, and says whether all are confirmed by now.
async fn carried_out(site: &Site, at: ActContext<'_>, outage: &Outage) -> Result<StepEnd, StoreError> {
    let is_one = |order: &Order| order.kind != OrderKind::Read;
    if !outage.is_seen() {
        let sent = site.orders().carry_out(at, |order| is_one(order) && order.due <= at.now).await;
        outage.note(&sent);
        match sent {
            Err(NotCarriedOut::Table(error)) => return Err(error),
            Err(error) => tracing::warn!(grant = %at.grant, %error, "an order of a job is put off"),
            Ok(_) => {}
        }
    }
    let Some(grant) = site.table.get(Grant::key_of(at.programme, at.grant)).await? else { return Ok(StepEnd::Done) };
    let left: Vec<Order> = grant.orders().into_iter().filter(is_one).collect();
    let is_missing = |order: &Order| grant.attempt(order.epoch).is_some_and(Attempt::is_missing);
    Ok(match left.is_empty() {
        true => StepEnd::Done,
        false if left.iter().all(is_missing) => StepEnd::Refused,
        false => StepEnd::Waits,
    })
}
