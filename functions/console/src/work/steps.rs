//! What jobs do: some steps side by side, then a checkpoint, until all are written or the time is up. Those of a roster and of one act on
//! many are kept; a close and other limits walk through the grants of their programme, in the order of their ids.
//!
//! Whoever goes on at a checkpoint may meet steps that were done after it. Each is written on the grant by its number, and not done again,
//! whatever somebody did to the grant since.

use anyhow::Result;
use bursar_core::domain::grant::{ChangeRefused, GrantAct, HoldKind, JobStep, Unchanged, View};
use bursar_core::store::{INVITED_AT_ONCE, NewPerson, UndoneStep, WhyUndone};
use futures_util::stream::{StreamExt, iter};

use super::grant_action::act_on;
use super::jobs::{self, JobDeadlines};
use crate::prelude::*;

/// How many units of steps are applied at once.
const SIDE_BY_SIDE: usize = 8;

/// Steps that are done one after the other, beside others.
enum Unit {
    /// Some of the kept ones, from this number on.
    Kept(u32, Vec<Step>),
    /// That of a walk.
    Of(GrantId),
}

/// Continues a job that the caller owns, and returns the state in which it is left.
pub(super) async fn carry_on(site: &Site, mut job: Job, until: JobDeadlines) -> Result<JobState> {
    let act = match job.work {
        Work::Import { import, .. } | Work::Bulk { import } => {
            site.table.get(Import::key_of(&job.programme, import)).await?.and_then(|import| import.act)
        }
        Work::Close | Work::Limits => None,
    };
    loop {
        if let Some(ended) = jobs::ended_early(site, &job).await? {
            return jobs::end(site, job, ended, until.deadline).await;
        }
        let Some(rounds) = rounds_of(site, &job).await? else {
            let why = "What it was to do is not kept any more.".to_owned();
            return jobs::end(site, job, JobState::Failed { why, at: site.clock.now() }, until.deadline).await;
        };
        if rounds.is_empty() {
            (job.all, job.after) = (job.next, None);
            return jobs::finish(site, job, until.deadline).await;
        }
        for round in rounds {
            if until.is_time_up() {
                return jobs::leave(site, job, until.deadline).await;
            }
            let now = site.clock.now();
            let by = Author { actor: &job.by, now, deadline: until.deadline };
            let written: Vec<_> = round.iter().map(|unit| write(site, &job, act.as_ref(), unit, by)).collect();
            // All end before one that failed is told, so that none is cut off.
            let written: Vec<Result<Vec<_>, StoreError>> = iter(written).buffer_unordered(SIDE_BY_SIDE).collect().await;
            let undone = written.into_iter().collect::<Result<Vec<_>, _>>()?;
            job.note_undone(undone.concat());
            for unit in round {
                match unit {
                    Unit::Kept(_, steps) => job.next += u32::try_from(steps.len())?,
                    Unit::Of(grant) => (job.next, job.after) = (job.next + 1, Some(grant)),
                }
            }
            job.advanced_at = now;
            let state = job.state.clone();
            // Another runner has taken the job over.
            let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else { return Ok(state) };
            job = after;
        }
    }
}

/// The next units of a job in rounds; none once all is written, and `None` where its steps are not kept any more.
async fn rounds_of(site: &Site, job: &Job) -> Result<Option<Vec<Vec<Unit>>>> {
    match job.work {
        Work::Import { import, .. } | Work::Bulk { import } => {
            let left = usize::try_from(job.all.saturating_sub(job.next))?;
            if left == 0 {
                return Ok(Some(Vec::new()));
            }
            let mut steps = site.table.steps_from(import, job.next).await?;
            steps.truncate(left);
            Ok((!steps.is_empty()).then(|| rounds(job.next, &steps)))
        }
        Work::Close | Work::Limits => {
            // It has come to the end before.
            if job.next > 0 && job.after.is_none() {
                return Ok(Some(Vec::new()));
            }
            let most = i32::try_from(SIDE_BY_SIDE)?;
            let grants = site.table.grants_after(&job.programme, job.after.as_ref(), most).await?;
            let round: Vec<Unit> = grants.into_iter().map(|(grant, _)| Unit::Of(grant)).collect();
            Ok(Some(if round.is_empty() { Vec::new() } else { vec![round] }))
        }
    }
}

/// Some kept steps in rounds, each of some units. Whoever loses an address does so in a round before anybody gets it.
fn rounds(first: u32, steps: &[Step]) -> Vec<Vec<Unit>> {
    let (mut rounds, mut next) = (Vec::new(), first);
    for alike in steps.chunk_by(|one, other| one.is_leave() == other.is_leave()) {
        // Additions that fit one transaction, or the steps of one grant.
        let of_one = alike.chunk_by(|one, other| one.grant() == other.grant());
        let mut round = Vec::new();
        for unit in of_one.flat_map(|of_one| of_one.chunks(INVITED_AT_ONCE)) {
            round.push(Unit::Kept(next, unit.to_vec()));
            next += u32::try_from(unit.len()).unwrap_or(u32::MAX);
            if round.len() == SIDE_BY_SIDE {
                rounds.push(std::mem::take(&mut round));
            }
        }
        if !round.is_empty() {
            rounds.push(round);
        }
    }
    rounds
}

/// Writes the steps of a unit, and returns which were not done. One grant that cannot be read does not keep the others from theirs.
async fn write(
    site: &Site,
    job: &Job,
    act: Option<&GrantAct>,
    unit: &Unit,
    by: Author<'_>,
) -> Result<Vec<UndoneStep>, StoreError> {
    let numbered = |step| JobStep { job: job.job, step };
    let (grant, refused) = match unit {
        Unit::Kept(first, steps) => {
            let grant = steps.first().and_then(Step::grant).cloned();
            (grant, apply(site, &job.programme, act, steps, Some(numbered(*first)), by).await)
        }
        Unit::Of(grant) => {
            let at = ActContext { programme: &job.programme, grant, now: by.now, deadline: by.deadline };
            let rule = |view: &View, now| match job.work {
                Work::Close => view.end(&job.by, now),
                Work::Limits => view.go_on(&job.by, now).or_else(|Unchanged| view.look_again(now)),
                Work::Import { .. } | Work::Bulk { .. } => Err(Unchanged),
            };
            let walked = site.table.act_once(at, Some(numbered(0)), rule).await;
            if walked.is_ok() && job.work == Work::Limits {
                site.table.move_invitation(&job.programme, grant, by.now, by.deadline).await?;
            }
            (Some(grant.clone()), walked.map(|_| Vec::new()))
        }
    };
    match (refused, grant) {
        (Err(error @ StoreError::Corrupt { .. }), Some(grant)) => {
            tracing::error!(%grant, %error, "a step of a job cannot be done");
            Ok(vec![UndoneStep { grant, why: WhyUndone::Unreadable }])
        }
        (refused, _) => {
            let undone = |(grant, why)| UndoneStep { grant, why: WhyUndone::Refused(why) };
            Ok(refused?.into_iter().map(undone).collect())
        }
    }
}

/// Applies steps of one grant, or some additions, and returns whose the rules refused, and why. Those of a job have numbers, beginning with
/// this one.
pub(crate) async fn apply(
    site: &Site,
    programme: &ProgrammeId,
    act: Option<&GrantAct>,
    steps: &[Step],
    first: Option<JobStep>,
    by: Author<'_>,
) -> Result<Vec<(GrantId, ChangeRefused)>, StoreError> {
    let table = &site.table;
    let at = |grant| ActContext { programme, grant, now: by.now, deadline: by.deadline };
    let mut added = Vec::new();
    let mut refused = Vec::new();
    for (number, step) in (0..).zip(steps) {
        let once = first.map(|first| JobStep { step: first.step + number, ..first });
        let outcome = match step {
            Step::Act { grant } => match act {
                Some(act) => act_on(site, at(grant), act, (by.actor, Role::Faculty), once).await?,
                None => None,
            },
            Step::Add { person, group } => {
                added.push(NewPerson { person: person.clone(), group: group.clone() });
                None
            }
            Step::Describe { grant, to } => table.describe(at(grant), once, to, by.actor).await?.refusal(),
            Step::Move { grant, group } => {
                let moved = |view: &View, now| view.move_to(group.as_deref(), by.actor, now);
                table.act_once(at(grant), once, moved).await?.refusal()
            }
            Step::Drop { grant } => {
                let why = Some("not on the roster");
                let dropped = |view: &View, now| view.hold(HoldKind::Dropped, by.actor, why, now);
                table.act_once(at(grant), once, dropped).await?;
                None
            }
            Step::Leave { grant, address } => {
                table.act_once(at(grant), once, |view, _| view.leave_address(address, by.actor)).await?;
                None
            }
            Step::Return { grant } => {
                let returned = |view: &View, now| view.release(HoldKind::Dropped, by.actor, now);
                table.act_once(at(grant), once, returned).await?.refusal()
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
        let back = [Step::Return { grant: grant(8) }, Step::Move { grant: grant(8), group: None }];
        let steps: Vec<Step> = (0..9).map(leave).chain(back).collect();
        let numbers = |round: &Vec<Unit>| {
            let of = |unit: &Unit| if let Unit::Kept(first, steps) = unit { (*first, steps.len()) } else { (0, 0) };
            round.iter().map(of).collect::<Vec<_>>()
        };
        let numbers: Vec<_> = rounds(3, &steps).iter().map(numbers).collect();
        let eight: Vec<(u32, usize)> = (3..11).map(|number| (number, 1)).collect();
        assert_eq!(numbers, [eight, vec![(11, 1)], vec![(12, 2)]]);
    }
}
