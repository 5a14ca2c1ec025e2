//! The job that applies a roster, or does one act to many grants: some steps side by side, then a checkpoint, until it is done or the time is up. Every step may be
//! done twice, so the next run starts at the checkpoint.

use anyhow::Result;
use bursar_core::domain::grant::{ChangeRefused, HoldKind};
use bursar_core::store::{GrantAct, INVITED_AT_ONCE, NewPerson, UndoneStep, WhyUndone};
use futures_util::stream::{StreamExt, iter};

use super::jobs::{self, AGAIN_AFTER, JobDeadlines};
use crate::grants::bulk;
use crate::prelude::*;

/// How many units of steps are applied at once.
const SIDE_BY_SIDE: usize = 8;

/// Continues an import that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, mut job: Job, until: JobDeadlines) -> Result<JobState> {
    let (Work::Import { import, .. } | Work::Bulk { import }) = job.work else { return Ok(job.state) };
    let act = site.table.get(Import::key_of(&job.programme, import)).await?.and_then(|import| import.act);
    loop {
        if let Some(ended) = jobs::ended_early(site, &job).await? {
            return jobs::end(site, job, ended, until.deadline).await;
        }
        let at = site.clock.now();
        if job.pass.next >= job.all {
            let waiting = match &act {
                Some(act) => {
                    let waiting = site.table.waiting_for_provider(&job, import, act).await?;
                    waiting.min(job.all.saturating_sub(job.refused))
                }
                None => 0,
            };
            if waiting > 0 {
                // Its keys are told by the work of each minute.
                let job = Job { done: job.all.saturating_sub(waiting), ..job };
                let until_then = JobState::Waiting { until: at + AGAIN_AFTER };
                return jobs::end(site, job, until_then, until.deadline).await;
            }
            let job = Job { done: job.all, ..job };
            return jobs::end(site, job, JobState::Done { at }, until.deadline).await;
        }
        let mut steps = site.table.steps_from(import, job.pass.next).await?;
        steps.truncate(usize::try_from(job.all - job.pass.next)?);
        if steps.is_empty() {
            let gone = JobState::Failed { why: "What it was to do is not kept any more.".to_owned(), at };
            return jobs::end(site, job, gone, until.deadline).await;
        }
        for round in rounds(&steps) {
            let now = site.clock.now();
            if until.is_time_up() {
                return jobs::leave(site, job, until.deadline).await;
            }
            let by = Author { actor: &job.by, now, deadline: until.deadline };
            let applied: Vec<_> =
                round.iter().map(|unit| apply(site, &job.programme, act.as_ref(), unit, by)).collect();
            // All end before one that failed is told, so that none is cut off.
            let applied: Vec<Result<Vec<_>>> = iter(applied).buffer_unordered(SIDE_BY_SIDE).collect().await;
            let refused: Vec<Vec<_>> = applied.into_iter().collect::<Result<_>>()?;
            job.refused += u32::try_from(refused.iter().map(Vec::len).sum::<usize>())?;
            let undone = refused.into_iter().flatten();
            job.note_undone(undone.map(|(grant, why)| UndoneStep { grant, why: WhyUndone::Refused(why) }));
            job.pass.next += u32::try_from(round.iter().map(|unit| unit.len()).sum::<usize>())?;
            (job.done, job.advanced_at) = (job.pass.next, now);
            let state = job.state.clone();
            // Another runner has taken the job over.
            let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else { return Ok(state) };
            job = after;
        }
    }
}

/// Some steps in rounds, each of some units. Whoever loses an address does so in a round before anybody gets it.
fn rounds(steps: &[Step]) -> Vec<Vec<&[Step]>> {
    let alike = steps.chunk_by(|one, next| one.is_leave() == next.is_leave());
    let rounds = |alike| units(alike).chunks(SIDE_BY_SIDE).map(<[&[Step]]>::to_vec).collect::<Vec<_>>();
    alike.flat_map(rounds).collect()
}

/// Some steps in units that do not depend on each other: additions that fit one transaction, or the steps of one grant.
fn units(steps: &[Step]) -> Vec<&[Step]> {
    let belong_together = |one: &Step, next: &Step| one.grant() == next.grant();
    steps.chunk_by(belong_together).flat_map(|alike| alike.chunks(INVITED_AT_ONCE)).collect()
}

/// Applies the steps of a unit, and returns whose the rules refused, and why.
pub(crate) async fn apply(
    site: &Site,
    programme: &ProgrammeId,
    act: Option<&GrantAct>,
    unit: &[Step],
    by: Author<'_>,
) -> Result<Vec<(GrantId, ChangeRefused)>> {
    let table = &site.table;
    let at = |grant| ActContext { programme, grant, now: by.now, deadline: by.deadline };
    let mut added = Vec::new();
    let mut refused = Vec::new();
    for step in unit {
        let outcome = match step {
            Step::Act { grant, allowed } => match act {
                Some(act) => bulk::act_on(site, at(grant), act, *allowed, by.actor).await?,
                None => None,
            },
            Step::Add { person, group } => {
                added.push(NewPerson { person: person.clone(), group: group.clone() });
                None
            }
            Step::Describe { grant, to } => table.describe(at(grant), to, by.actor).await?.refusal(),
            // A repeated step follows up what its first runner left: it may have died before it told the provider.
            Step::Move { grant, group } => {
                let moved = table.act(at(grant), |view, now| view.move_to(group.as_deref(), by.actor, now)).await?;
                site.settler().settle_or_leave(at(grant)).await;
                moved.refusal()
            }
            Step::Drop { grant } => {
                let why = Some("not on the roster");
                table.act(at(grant), |view, now| view.hold(HoldKind::Dropped, by.actor, why, now)).await?;
                site.settler().settle_or_leave(at(grant)).await;
                None
            }
            Step::Leave { grant, address } => {
                table.act(at(grant), |view, _| view.leave_address(address, by.actor)).await?;
                None
            }
            Step::Return { grant } => {
                let returned = table.act(at(grant), |view, now| view.release(HoldKind::Dropped, by.actor, now)).await?;
                site.settler().settle_or_leave(at(grant)).await;
                returned.refusal()
            }
            Step::Absent { .. } => None,
        };
        let why = outcome.filter(|why| *why != ChangeRefused::Unchanged);
        refused.extend(step.grant().cloned().zip(why));
    }
    if !added.is_empty() {
        table.invite(programme, &added, by).await?;
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_lost_in_a_round_before_that_in_which_somebody_gets_it() {
        let grant = |number: usize| format!("{number:016x}").parse().unwrap();
        let address = EmailAddress::parse("ada@uni.edu").unwrap();
        let leave = |number| Step::Leave { grant: grant(number), address: address.matched().clone() };
        let steps: Vec<Step> = (0..9).map(leave).chain([Step::Drop { grant: grant(8) }]).collect();
        let lengths: Vec<usize> = rounds(&steps).iter().map(Vec::len).collect();
        assert_eq!(lengths, [SIDE_BY_SIDE, 1, 1]);
    }
}
