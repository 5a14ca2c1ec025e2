//! What jobs do. A job keeps what it was asked and how far it has come, and whoever carries it on
//! plans what is left: of a roster from its file, of a close or of other limits from the programme,
//! of an action on many from their list. It does some of that side by side, notes how far it is,
//! and goes on until all is written or the time is up.
//!
//! Whoever goes on may meet what was done after the last note. A file says itself that this is
//! done; for all else the grant names the job.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::Result;
use bursar_core::domain::grant::{
    ChangeRefused, Grant, GrantAct, Hold, HoldKind, OfJob, Unchanged,
};
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::store::{
    ActContext, Author, INVITED_AT_ONCE, Import, Job, JobPlace, JobState, Kept, StoreError,
    Subject, UndoneStep, WhyUndone, Work,
};
use bursar_core::web::Site;
use futures_util::future::join_all;
use ulid::Ulid;

use super::grant_action::act_on;
use super::jobs;
use super::jobs::JobDeadlines;
use crate::people::roster::compare::{AbsentRows, ConfirmedImport, RosterStep};
use crate::people::roster::{compare, parse};

/// How many units are written at once.
const SIDE_BY_SIDE: usize = 8;
/// After so many failures a unit is passed over.
const MOST_TRIES: u32 = 3;

/// What is left of a job, in its order. It holds for the invocation that planned it, as long as
/// nothing fails.
pub(crate) struct Plan {
    job: Ulid,
    /// How far the job has come by it. Where somebody else took it further, it is planned anew.
    next: u32,
    /// What is done to each of many.
    act: Option<GrantAct>,
    /// How long the timeline of each grant was when a roster was compared with it.
    compared: BTreeMap<GrantId, u64>,
    /// How much there is in all, what is done included.
    total: usize,
    units: VecDeque<Unit>,
}

/// What is written together, beside others: to one grant, or to people who are added.
struct Unit {
    /// What has one is written side by side: whoever loses an address does so before anybody gets
    /// it.
    turn: u8,
    subjects: Vec<Subject>,
    /// What a roster says of them; nothing where the job does one thing to each.
    steps: Vec<RosterStep>,
}

impl Unit {
    fn new(place: JobPlace) -> Unit {
        Unit {
            turn: place.turn,
            subjects: vec![place.of],
            steps: Vec::new(),
        }
    }

    /// How far a job is that has written it and all before it.
    fn place(&self) -> Option<String> {
        Some(
            JobPlace {
                turn: self.turn,
                of: self.subjects.last()?.clone(),
            }
            .to_string(),
        )
    }

    /// `None` for people who are added.
    fn grant(&self) -> Option<&GrantId> {
        match self.subjects.first() {
            Some(Subject::Grant(grant)) => Some(grant),
            Some(Subject::Line(_)) | None => None,
        }
    }

    fn undone(&self, why: WhyUndone) -> Vec<UndoneStep> {
        self.subjects
            .iter()
            .map(|subject| UndoneStep {
                of: subject.clone(),
                why,
            })
            .collect()
    }
}

impl Plan {
    /// What was confirmed of a roster, as far as it is not done. What else the file says by now is
    /// not done, and whoever came since is named.
    pub(crate) fn plan_roster(
        job: &Job,
        steps: Vec<RosterStep>,
        confirmed: ConfirmedImport,
        grants: &[Grant],
    ) -> Plan {
        let grants_by_id: HashMap<&GrantId, &Grant> =
            grants.iter().map(|grant| (&grant.id, grant)).collect();
        let units = confirmed
            .places
            .into_iter()
            .map(|place| (place.clone(), Unit::new(place)));
        let mut units: BTreeMap<JobPlace, Unit> = units.collect();
        for step in steps {
            let place = step.place();
            if let Some(unit) = units.get_mut(&place) {
                unit.steps.push(step);
            } else if step.grant().is_some() {
                units.insert(place.clone(), Unit::new(place));
            }
        }
        let total = units.len();
        units.retain(|place, unit| match &place.of {
            Subject::Line(line) => !grants_by_id.contains_key(&GrantId::from_line(job.job, *line)),
            Subject::Grant(grant) => {
                let mark = grants_by_id.get(grant).and_then(|grant| grant.job);
                !unit.steps.is_empty() || mark.is_none_or(|mark| mark.job != job.job)
            }
        });
        Plan {
            compared: confirmed.grants,
            total,
            ..Plan::in_order(job, units.into_values().collect())
        }
    }

    /// The units that are left: of a roster's lines as many together as fit one transaction, but
    /// those that failed each by itself, so that it is told whom it concerns.
    fn in_order(job: &Job, mut units: Vec<Unit>) -> Plan {
        let total = units.len();
        let failed = job.tries.keys().next_back().cloned();
        units.retain(|unit| unit.place() > job.after);
        units.dedup_by(|next, last| {
            let are_added = next.grant().is_none()
                && last.grant().is_none()
                && last.subjects.len() < INVITED_AT_ONCE;
            let joins = are_added && last.place() > failed;
            if joins {
                last.subjects.append(&mut next.subjects);
                last.steps.append(&mut next.steps);
            }
            joins
        });
        Plan {
            job: job.job,
            next: job.next,
            act: None,
            compared: BTreeMap::new(),
            total,
            units: units.into(),
        }
    }

    /// What is left of a job; `None` where what it was asked is not kept any more.
    async fn new(site: &Site, job: &Job) -> Result<Option<Plan>> {
        let table = &site.table;
        let programme = &job.programme;
        let import = table.get(Import::key_of(programme, job.job)).await?;
        let mut grants: Vec<GrantId> = match (&job.work, import.as_ref()) {
            (Work::Import, Some(upload)) => {
                let bytes = table.read_kept(job.job, Kept::Applied).await?;
                let confirmed = table.read_kept(job.job, Kept::People).await?;
                let (Ok(file), Ok(confirmed)) = (
                    parse::file(&bytes, upload.email_column.as_deref()),
                    serde_json::from_slice(&confirmed),
                ) else {
                    return Ok(None);
                };
                let grants = table.readable_grants(programme).await?;
                let plan =
                    compare::plan(&file, &grants, AbsentRows::from_replaces(upload.replaces));
                return Ok(Some(Plan::plan_roster(job, plan.steps, confirmed, &grants)));
            }
            (Work::Bulk, Some(_)) => {
                let people = table.read_kept(job.job, Kept::People).await?;
                let Ok(people) = serde_json::from_slice(&people) else {
                    return Ok(None);
                };
                people
            }
            (Work::Import | Work::Bulk, None) => return Ok(None),
            (Work::Undo { import }, _) => {
                let grants = table.readable_grants(programme).await?.into_iter();
                grants
                    .filter(|grant| grant.holds.dropped_by == Some(*import))
                    .map(|grant| grant.id)
                    .collect()
            }
            (Work::Close | Work::Limits, _) => table.grant_ids(programme).await?,
        };
        grants.sort_unstable();
        let units = grants.into_iter().map(|grant| {
            Unit::new(JobPlace {
                turn: 0,
                of: Subject::Grant(grant),
            })
        });
        let act = import.and_then(|import| import.act);
        Ok(Some(Plan {
            act,
            ..Plan::in_order(job, units.collect())
        }))
    }

    /// What a roster's job may do to a grant; nothing where it was not confirmed.
    fn of_job(&self, grant: &GrantId) -> Option<OfJob> {
        self.compared.get(grant).map(|compared| OfJob {
            job: self.job,
            compared: Some(*compared),
        })
    }
}

/// Continues a job that the caller owns, and returns the state in which it is left. The plan is
/// that of the caller's invocation.
pub(super) async fn carry_on(
    site: &Site,
    mut job: Job,
    kept: &mut Option<Plan>,
    until: JobDeadlines,
) -> Result<JobState> {
    if let Some(ended) = jobs::find_early_end(site, &job).await? {
        return jobs::end(site, job, ended, until.deadline).await;
    }
    if job.is_written {
        return jobs::finish(site, job, until.deadline).await;
    }
    let mut plan = kept
        .take()
        .filter(|plan| (plan.job, plan.next) == (job.job, job.next));
    if plan.is_none() {
        plan = Plan::new(site, &job).await?;
    }
    let Some(mut plan) = plan else {
        let why = "The details of this change are no longer kept.".to_owned();
        return jobs::end(
            site,
            job,
            JobState::Failed {
                why,
                ended_at: site.clock.now(),
            },
            until.deadline,
        )
        .await;
    };
    let subjects_left: usize = plan.units.iter().map(|unit| unit.subjects.len()).sum();
    job.total = job.total.max(plan.total as u32);
    job.next = job.total - subjects_left as u32;
    while let Some(first) = plan.units.front() {
        if until.is_time_up() {
            *kept = Some(Plan {
                next: job.next,
                ..plan
            });
            let state = JobState::Running {
                lease_until: site.clock.now(),
            };
            return jobs::end(
                site,
                Job {
                    done: job.next,
                    ..job
                },
                state,
                until.deadline,
            )
            .await;
        }
        let beside = plan
            .units
            .iter()
            .take(SIDE_BY_SIDE)
            .take_while(|unit| unit.turn == first.turn)
            .count();
        let round: Vec<Unit> = plan.units.drain(..beside).collect();
        let now = site.clock.now();
        let author = Author {
            actor: &job.actor,
            now,
            deadline: until.deadline,
        };
        // All end before one that failed is told, so that none is cut off.
        let written = join_all(
            round
                .iter()
                .map(|unit| write(site, &job, &plan, unit, author)),
        )
        .await;
        let mut has_failed = false;
        for (unit, written) in round.iter().zip(written) {
            let Some(place) = unit.place() else { continue };
            let undone = match written {
                Ok(undone) => undone,
                // Of several, who cannot be read is found when each is tried alone.
                Err(error @ StoreError::Corrupt { .. }) if unit.subjects.len() == 1 => {
                    tracing::error!(place, %error, "a step of a job cannot be done");
                    unit.undone(WhyUndone::Unreadable)
                }
                Err(error) => {
                    tracing::warn!(place, %error, "a step of a job failed");
                    let tries = job.tries.entry(place.clone()).or_default();
                    *tries += 1;
                    if *tries < MOST_TRIES {
                        has_failed = true;
                        continue;
                    }
                    unit.undone(WhyUndone::Failed)
                }
            };
            // What comes after one that failed is planned once more, and found done.
            if !has_failed {
                job.note_undone(undone);
                job.next += unit.subjects.len() as u32;
                (job.after, job.advanced_at) = (Some(place), now);
            }
        }
        if has_failed {
            return jobs::put_off(site, job, until.deadline).await;
        }
        job.tries.clear();
        let state = job.state.clone();
        // Another runner has taken the job over.
        let Some(after) = jobs::checkpoint(site, job, until.deadline).await? else {
            return Ok(state);
        };
        job = after;
    }
    (job.after, job.is_written) = (None, true);
    jobs::finish(site, job, until.deadline).await
}

/// Writes a unit, and returns what of it is not done.
async fn write(
    site: &Site,
    job: &Job,
    plan: &Plan,
    unit: &Unit,
    author: Author<'_>,
) -> Result<Vec<UndoneStep>, StoreError> {
    let table = &site.table;
    let programme = &job.programme;
    let Some(grant) = unit.grant() else {
        return add(site, job, unit, author).await;
    };
    let context = ActContext {
        programme,
        grant,
        now: author.now,
        deadline: author.deadline,
    };
    let origin = OfJob {
        job: job.job,
        compared: None,
    };
    let refused = match (&job.work, &plan.act) {
        (Work::Import, _) => change(site, plan, context, &unit.steps, author).await?,
        (Work::Bulk, Some(act)) => {
            act_on(site, context, act, (author.actor, Role::Faculty), Some(job)).await?
        }
        (Work::Bulk, None) => None,
        (Work::Undo { import }, _) => {
            let outcome = table.act_of(context, Some(origin), |view, now| {
                if view.grant.holds.dropped_by != Some(*import) {
                    return Err(ChangeRefused::Unchanged);
                }
                view.release(HoldKind::Dropped, author.actor, now)
            });
            outcome.await?.refusal()
        }
        (Work::Close, _) => table
            .act_of(context, None, |view, now| Ok(view.end(author.actor, now)?))
            .await?
            .refusal(),
        (Work::Limits, _) => {
            table
                .act(context, |view, now| {
                    view.go_on(author.actor, now)
                        .or_else(|Unchanged| view.refresh_due(now))
                })
                .await?;
            None
        }
    };
    let refused = refused.filter(|why| *why != ChangeRefused::Unchanged);
    Ok(refused.map_or_else(Vec::new, |why| unit.undone(WhyUndone::Refused(why))))
}

/// Adds people who have the same grants however often that is begun. Whoever is enrolled meanwhile
/// is left as they are.
async fn add(
    site: &Site,
    job: &Job,
    unit: &Unit,
    author: Author<'_>,
) -> Result<Vec<UndoneStep>, StoreError> {
    let invited = unit.steps.iter().filter_map(|step| {
        let RosterStep::Add {
            line,
            person,
            group,
        } = step
        else {
            return None;
        };
        let grant = GrantId::from_line(job.job, *line);
        Some(Grant::invited(
            job.programme.clone(),
            grant,
            person.clone(),
            group.clone(),
        ))
    });
    let invited: Vec<Grant> = invited.collect();
    let added = site.table.invite(&job.programme, &invited, author).await?;
    let mut undone = unit.undone(WhyUndone::Refused(ChangeRefused::ChangedSince));
    undone.retain(|step| match step.of {
        Subject::Line(line) => !added.contains(&GrantId::from_line(job.job, line)),
        Subject::Grant(_) => false,
    });
    Ok(undone)
}

/// Does what a roster says of a grant, each thing by itself. Returns the first reason why something
/// is not done. To whom it says nothing more, something else was done since.
async fn change(
    site: &Site,
    plan: &Plan,
    context: ActContext<'_>,
    steps: &[RosterStep],
    author: Author<'_>,
) -> Result<Option<ChangeRefused>, StoreError> {
    let Some(origin) = plan.of_job(context.grant).filter(|_| !steps.is_empty()) else {
        return Ok(Some(ChangeRefused::ChangedSince));
    };
    let mut refused = None;
    for step in steps {
        let why = if may_be_taken(site, plan, context.programme, step).await? {
            take(site, context.programme, step, Some(origin), author).await?
        } else {
            Some(ChangeRefused::ChangedSince)
        };
        refused = refused.or(why.filter(|why| *why != ChangeRefused::Unchanged));
    }
    Ok(refused)
}

/// Whether nothing else was done since to those with whom an address passes on: else somebody would
/// lose one and get none.
async fn may_be_taken(
    site: &Site,
    plan: &Plan,
    programme: &ProgrammeId,
    step: &RosterStep,
) -> Result<bool, StoreError> {
    let RosterStep::Leave { with, .. } = step else {
        return Ok(true);
    };
    for id in with {
        let grant = site.table.get(Grant::key_of(programme, id)).await?;
        if grant
            .zip(plan.of_job(id))
            .is_none_or(|(grant, origin)| grant.lets_readdress(origin).is_err())
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does one thing that a roster says, of a job or of a person who typed it. Returns why the rules
/// refuse it, if they do.
pub(crate) async fn take(
    site: &Site,
    programme: &ProgrammeId,
    step: &RosterStep,
    origin: Option<OfJob>,
    author: Author<'_>,
) -> Result<Option<ChangeRefused>, StoreError> {
    let table = &site.table;
    let actor = author.actor;
    let context_for = |grant| ActContext {
        programme,
        grant,
        now: author.now,
        deadline: author.deadline,
    };
    let outcome = match step {
        RosterStep::Add { person, group, .. } => {
            let grant = Grant::invited(
                programme.clone(),
                GrantId::random(),
                person.clone(),
                group.clone(),
            );
            table.invite(programme, &[grant], author).await?;
            return Ok(None);
        }
        RosterStep::Describe { grant, change } => {
            table
                .describe(context_for(grant), origin, change, actor)
                .await?
        }
        RosterStep::Move { grant, group } => {
            table
                .act_of(context_for(grant), origin, |view, now| {
                    view.move_to(group.as_deref(), actor, now)
                })
                .await?
        }
        RosterStep::Drop { grant } => {
            let hold = Hold::Dropped(origin.map(|origin| origin.job));
            let why = Some("not on the roster");
            table
                .act_of(context_for(grant), origin, |view, now| {
                    view.hold(hold, actor, why, now)
                })
                .await?
        }
        RosterStep::Leave { grant, address, .. } => {
            table
                .act_of(context_for(grant), origin, |view, _| {
                    Ok(view.leave_address(address, actor)?)
                })
                .await?
        }
        RosterStep::Return { grant } => {
            table
                .act_of(context_for(grant), origin, |view, now| {
                    view.release(HoldKind::Dropped, actor, now)
                })
                .await?
        }
    };
    Ok(outcome.refusal())
}
