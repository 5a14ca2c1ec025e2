//! Jobs that walk through the grants of a programme.
//!
//! Some grants at a time, in the order of their ids, each time with a checkpoint. What waits for the provider at the end of a walk is
//! looked at again in the next minute, by another walk. So every step is done again until nothing waits any more, and may be done by
//! two runners.

use anyhow::Result;
use bursar_core::domain::grant::{Key, KeyCall, Tell, Unchanged, View};
use bursar_core::settle::NotSettled;
use bursar_core::store::{Pass, UndoneStep, WhyUndone};
use futures_util::future::try_join_all;

use super::Outage;
use super::jobs::{self, AGAIN_AFTER, JobDeadlines};
use crate::prelude::*;

/// How many grants lie between two checkpoints; their steps are done side by side.
const SIDE_BY_SIDE: i32 = 8;

/// Continues a walk that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, mut job: Job, until: JobDeadlines, outage: &Outage) -> Result<JobState> {
    if let Some(ended) = jobs::ended_early(site, &job).await? {
        return jobs::end(site, job, ended, until.deadline).await;
    }
    loop {
        let grants = site.table.grants_after(&job.programme, job.pass.after.as_ref(), SIDE_BY_SIDE).await?;
        let Some((last, _)) = grants.last() else { break };
        if until.is_time_up() {
            return jobs::leave(site, job, until.deadline).await;
        }
        let (last, now) = (last.clone(), site.clock.now());
        let steps = grants.into_iter().map(|(id, grant)| {
            let job = &job;
            Box::pin(async move {
                let at = ActContext { programme: &job.programme, grant: &id, now, deadline: until.deadline };
                let end = step(site, job, at, grant, outage).await?;
                Ok::<_, StoreError>((id, end))
            })
        });
        let ends = try_join_all(steps).await?;
        if job.pass.after.is_none() {
            job.undone.clear();
        }
        let undone: Vec<UndoneStep> = ends.iter().filter_map(undone).collect();
        let Pass { seen, waiting, refused, .. } = job.pass;
        job.pass = Pass {
            after: Some(last),
            seen: seen + u32::try_from(ends.len())?,
            waiting: waiting + u32::try_from(ends.iter().filter(|(_, end)| *end == StepEnd::Waits).count())?,
            refused: refused + u32::try_from(undone.len())?,
            ..job.pass
        };
        job.note_undone(undone);
        let done = job.pass.seen - job.pass.waiting;
        if job.done < done {
            (job.done, job.advanced_at) = (done, site.clock.now());
        }
        job.all = job.all.max(job.pass.seen);
        job.refused = job.refused.max(job.pass.refused);
        let state = job.state.clone();
        // Another runner has taken the job over.
        let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else { return Ok(state) };
        job = after;
    }
    let (now, Pass { seen, waiting, refused, .. }) = (site.clock.now(), job.pass);
    let state = match waiting {
        0 => JobState::Done { at: now },
        _ => JobState::Waiting { until: now + AGAIN_AFTER },
    };
    let job = Job { all: seen, refused, pass: Pass::default(), ..job };
    jobs::end(site, job, state, until.deadline).await
}

/// The end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepEnd {
    /// Nothing is left to be done.
    Done,
    /// The provider is still to confirm something.
    Waits,
    /// It cannot be done.
    Refused(WhyUndone),
}

fn undone((grant, end): &(GrantId, StepEnd)) -> Option<UndoneStep> {
    let StepEnd::Refused(why) = end else { return None };
    Some(UndoneStep { grant: grant.clone(), why: *why })
}

/// Does a step. One grant that cannot be read does not keep the others from theirs.
async fn step(
    site: &Site,
    job: &Job,
    at: ActContext<'_>,
    grant: Result<Grant, StoreError>,
    outage: &Outage,
) -> Result<StepEnd, StoreError> {
    let end = match grant {
        Ok(_) => of_grant(site, job, at, outage).await,
        Err(error) => Err(error),
    };
    if let Err(error @ StoreError::Corrupt { .. }) = &end {
        tracing::error!(grant = %at.grant, %error, "a step of a job cannot be done");
        return Ok(StepEnd::Refused(WhyUndone::Unreadable));
    }
    end
}

/// The step of a job's grant, which is done when the provider has confirmed it, and may be done any number of times.
async fn of_grant(site: &Site, job: &Job, at: ActContext<'_>, outage: &Outage) -> Result<StepEnd, StoreError> {
    match job.work {
        Work::Limits => {
            let after = |view: &View, now| view.go_on(&job.by, now).or_else(|Unchanged| view.look_again(now));
            site.table.act(at, after).await?;
            settled(site, at, outage).await
        }
        Work::Close => {
            site.table.act(at, |view, now| view.end(&job.by, now)).await?;
            settled(site, at, outage).await
        }
        Work::Import { .. } | Work::Bulk { .. } => Ok(StepEnd::Done),
    }
}

/// Tells the provider what is due for the grant, and says whether all is confirmed by now.
async fn settled(site: &Site, at: ActContext<'_>, outage: &Outage) -> Result<StepEnd, StoreError> {
    let is_told = |call: &KeyCall| call.tell != Tell::Read;
    let is_put_off = |grant: &Grant| grant.backoff.is_some_and(|backoff| at.now < backoff.until);
    let Some(grant) = site.table.get(Grant::key_of(at.programme, at.grant)).await? else { return Ok(StepEnd::Done) };
    if !outage.is_seen() && !is_put_off(&grant) {
        let settled = site.settler().settle(at, is_told).await;
        outage.note(&settled);
        match settled {
            Err(NotSettled::Table(error)) => return Err(error),
            Err(error) => tracing::warn!(grant = %at.grant, %error, "a grant of a job is not settled"),
            Ok(_) => {}
        }
    }
    let Some(view) = site.table.view(at.programme, at.grant).await? else { return Ok(StepEnd::Done) };
    let left: Vec<KeyCall> = view.calls(at.now).into_iter().filter(is_told).collect();
    let is_missing = |call: &KeyCall| view.grant.key_with(&call.key).is_some_and(Key::is_missing);
    Ok(match left.is_empty() {
        true => StepEnd::Done,
        false if left.iter().all(is_missing) => StepEnd::Refused(WhyUndone::NoSuchKey),
        false => StepEnd::Waits,
    })
}
