//! What jobs do. A job keeps what it was asked and how far it has come, and whoever carries it on plans what is left: of a roster from
//! its file, of a close or of other limits from the programme, of an action on many from their list. It does some of that side by side,
//! notes how far it is, and goes on until all is written or the time is up.
//!
//! Whoever goes on may meet what was done after the last note. A file says itself that this is done; for all else the grant names the job.

use std::collections::VecDeque;

use anyhow::Result;
use bursar_core::domain::grant::{ChangeRefused, Hold, HoldKind, OfJob, Unchanged, View};
use bursar_core::store::{INVITED_AT_ONCE, Kept, NewPerson, WhyUndone};
use futures_util::future::join_all;

use super::grant_action::act_on;
use super::jobs::{self, JobDeadlines};
use crate::people::roster::compare::{self, AbsentRows, Step};
use crate::people::roster::parse;
use crate::prelude::*;

/// How many units are written at once.
const SIDE_BY_SIDE: usize = 8;
/// After so many failures a unit is passed over.
const MOST_TRIES: u32 = 3;

/// What is left of a job, in its order. It holds for the invocation that planned it, as long as nothing fails.
pub(crate) struct Plan {
    job: Ulid,
    import: Option<Import>,
    units: VecDeque<Unit>,
}

/// What is written together, beside others.
struct Unit {
    /// Where it comes among those of the job, whenever they are planned.
    place: String,
    /// Whose it is; people who are added have no grant yet.
    grant: Option<GrantId>,
    /// What a roster says of them; nothing where the job does one thing to each.
    steps: Vec<Step>,
}

impl Unit {
    fn count(&self) -> usize {
        self.steps.len().max(1)
    }

    /// Whether both may be written side by side: whoever loses an address does so before anybody gets it.
    fn goes_beside(&self, other: &Unit) -> bool {
        self.steps.is_empty() || self.place.chars().next() == other.place.chars().next()
    }
}

impl Plan {
    pub(crate) fn of_roster(import: Import, steps: Vec<Step>, after: Option<&str>) -> Plan {
        let unit = |step: Step| Unit { place: step.place(), grant: step.grant().cloned(), steps: vec![step] };
        Plan::in_order(import.import, Some(import), steps.into_iter().map(unit).collect(), after)
    }

    /// The units after this place: the steps of one grant together, and as many additions as fit one transaction.
    fn in_order(job: Ulid, import: Option<Import>, mut units: Vec<Unit>, after: Option<&str>) -> Plan {
        units.retain(|unit| Some(unit.place.as_str()) > after);
        units.sort_by(|one, other| one.place.cmp(&other.place));
        units.dedup_by(|next, last| {
            let are_added = next.grant.is_none() && last.grant.is_none() && last.steps.len() < INVITED_AT_ONCE;
            let joins = are_added || next.place == last.place;
            if joins {
                last.steps.append(&mut next.steps);
                last.place.clone_from(&next.place);
            }
            joins
        });
        Plan { job, import, units: units.into() }
    }

    /// What is left of a job; `None` where what it was asked is not kept any more.
    async fn new(site: &Site, job: &Job) -> Result<Option<Plan>> {
        let (table, programme, after) = (&site.table, &job.programme, job.after.as_deref());
        let import = table.get(Import::key_of(programme, job.job)).await?;
        let grants: Vec<GrantId> = match (&job.work, import.as_ref()) {
            (Work::Import, Some(asked)) => {
                let bytes = table.kept_bytes(job.job, Kept::Applied).await?;
                let Ok(file) = parse::file(&bytes, asked.email_column.as_deref()) else { return Ok(None) };
                let grants = table.readable_grants(programme).await?;
                let plan = compare::plan(&file, &grants, AbsentRows::replacing(asked.replaces));
                return Ok(import.map(|import| Plan::of_roster(import, plan.steps, after)));
            }
            (Work::Bulk, Some(_)) => {
                let bytes = table.kept_bytes(job.job, Kept::People).await?;
                let Ok(people) = serde_json::from_slice(&bytes) else { return Ok(None) };
                people
            }
            (Work::Import | Work::Bulk, None) => return Ok(None),
            (Work::Undo { import }, _) => {
                let lines = table.grant_lines(programme, None).await?.into_iter();
                lines.filter(|line| line.holds.dropped_by == Some(*import)).map(|line| line.id).collect()
            }
            (Work::Close | Work::Limits, _) => table.grant_ids(programme).await?,
        };
        let unit = |grant: GrantId| Unit { place: grant.to_string(), grant: Some(grant), steps: Vec::new() };
        Ok(Some(Plan::in_order(job.job, import, grants.into_iter().map(unit).collect(), after)))
    }
}

/// Continues a job that the caller owns, and returns the state in which it is left. The plan is that of the caller's invocation.
pub(super) async fn carry_on(
    site: &Site,
    mut job: Job,
    kept: &mut Option<Plan>,
    until: JobDeadlines,
) -> Result<JobState> {
    if let Some(ended) = jobs::ended_early(site, &job).await? {
        return jobs::end(site, job, ended, until.deadline).await;
    }
    if job.is_written {
        return jobs::finish(site, job, until.deadline).await;
    }
    let mut plan = kept.take().filter(|plan| plan.job == job.job);
    if plan.is_none() {
        plan = Plan::new(site, &job).await?;
    }
    let Some(mut plan) = plan else {
        let why = "What it was to do is not kept any more.".to_owned();
        return jobs::end(site, job, JobState::Failed { why, at: site.clock.now() }, until.deadline).await;
    };
    let left = u32::try_from(plan.units.iter().map(Unit::count).sum::<usize>())?;
    job.all = job.all.max(left);
    job.next = job.all - left;
    while let Some(first) = plan.units.front() {
        if until.is_time_up() {
            *kept = Some(plan);
            return jobs::leave(site, job, until.deadline).await;
        }
        let beside = plan.units.iter().take(SIDE_BY_SIDE).take_while(|unit| unit.goes_beside(first)).count();
        let round: Vec<Unit> = plan.units.drain(..beside).collect();
        let now = site.clock.now();
        let by = Author { actor: &job.by, now, deadline: until.deadline };
        // All end before one that failed is told, so that none is cut off.
        let written = join_all(round.iter().map(|unit| write(site, &job, plan.import.as_ref(), unit, by))).await;
        let mut has_failed = false;
        for (unit, written) in round.iter().zip(written) {
            let place = unit.place.clone();
            let undone = match written {
                Ok(refused) => refused.into_iter().map(WhyUndone::Refused).collect(),
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(place, %error, "a step of a job cannot be done");
                    vec![WhyUndone::Unreadable]
                }
                Err(error) => {
                    tracing::warn!(place, %error, "a step of a job failed");
                    let tries = job.tries.entry(place.clone()).or_default();
                    *tries += 1;
                    if *tries < MOST_TRIES {
                        has_failed = true;
                        continue;
                    }
                    vec![WhyUndone::Failed]
                }
            };
            // What comes after one that failed is planned once more, and found done.
            if !has_failed {
                job.note_undone(unit.grant.as_ref(), undone);
                job.next += u32::try_from(unit.count())?;
                (job.after, job.advanced_at) = (Some(place), now);
            }
        }
        if has_failed {
            return jobs::put_off(site, job, until.deadline).await;
        }
        job.tries.clear();
        let state = job.state.clone();
        // Another runner has taken the job over.
        let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else { return Ok(state) };
        job = after;
    }
    (job.after, job.is_written) = (None, true);
    jobs::finish(site, job, until.deadline).await
}

/// Writes a unit, and returns what of it the rules refused.
async fn write(
    site: &Site,
    job: &Job,
    import: Option<&Import>,
    unit: &Unit,
    by: Author<'_>,
) -> Result<Vec<ChangeRefused>, StoreError> {
    let (table, programme) = (&site.table, &job.programme);
    let of = OfJob { job: job.job, compared_at: None };
    let mut refused = Vec::new();
    if let (Some(grant), []) = (&unit.grant, &unit.steps[..]) {
        let at = ActContext { programme, grant, now: by.now, deadline: by.deadline };
        refused.extend(match (&job.work, import.and_then(|import| import.act.as_ref())) {
            (Work::Bulk, Some(act)) => act_on(site, at, act, (by.actor, Role::Faculty), Some(of)).await?,
            (Work::Undo { import }, _) => {
                let is_its = |view: &View| view.grant.holds.dropped_by == Some(*import);
                let returned = |view: &View, now| match is_its(view) {
                    true => view.release(HoldKind::Dropped, by.actor, now),
                    false => Err(ChangeRefused::Unchanged),
                };
                table.act_of(at, Some(of), returned).await?.refusal()
            }
            (Work::Close, _) => table.act_of(at, None, |view, now| Ok(view.end(by.actor, now)?)).await?.refusal(),
            (Work::Limits, _) => {
                let goes_on = |view: &View, now| view.go_on(by.actor, now).or_else(|Unchanged| view.look_again(now));
                table.act(at, goes_on).await?;
                table.move_invitation(programme, grant, by.now, by.deadline).await?;
                None
            }
            (Work::Import | Work::Bulk, _) => None,
        });
    } else if unit.grant.is_some() {
        let of = OfJob { compared_at: import.map(|import| import.made_at), ..of };
        for step in &unit.steps {
            refused.extend(take(site, programme, step, Some(of), by).await?);
        }
    } else {
        let people: Vec<NewPerson> = unit.steps.iter().filter_map(Step::added).cloned().collect();
        table.invite(programme, &people, by).await?;
    }
    refused.retain(|why| *why != ChangeRefused::Unchanged);
    Ok(refused)
}

/// Does one thing that a roster says, of a job or of a person who typed it. Returns why the rules refuse it, if they do.
pub(crate) async fn take(
    site: &Site,
    programme: &ProgrammeId,
    step: &Step,
    of: Option<OfJob>,
    by: Author<'_>,
) -> Result<Option<ChangeRefused>, StoreError> {
    let (table, actor) = (&site.table, by.actor);
    let at = |grant| ActContext { programme, grant, now: by.now, deadline: by.deadline };
    let outcome = match step {
        Step::Add { person, .. } => {
            table.invite(programme, std::slice::from_ref(person), by).await?;
            return Ok(None);
        }
        Step::Describe { grant, to } => table.describe(at(grant), of, to, actor).await?,
        Step::Move { grant, group } => {
            table.act_of(at(grant), of, |view, now| view.move_to(group.as_deref(), actor, now)).await?
        }
        Step::Drop { grant } => {
            let (hold, why) = (Hold::Dropped(of.map(|of| of.job)), Some("not on the roster"));
            table.act_of(at(grant), of, |view, now| view.hold(hold, actor, why, now)).await?
        }
        Step::Leave { grant, address } => {
            table.act_of(at(grant), of, |view, _| Ok(view.leave_address(address, actor)?)).await?
        }
        Step::Return { grant } => {
            table.act_of(at(grant), of, |view, now| view.release(HoldKind::Dropped, actor, now)).await?
        }
    };
    Ok(outcome.refusal())
}
