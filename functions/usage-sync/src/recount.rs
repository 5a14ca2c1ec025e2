//! The sums over a programme's grants: what its keys used day by day, its people, and what its
//! budget reserves, counted anew.
//!
//! What is reserved is counted as of the comparison, and for an instant before the listing: no
//! reading holds later use. All else of a grant in which something was found is counted once that
//! is repaired.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, View};
use bursar_core::domain::ledger::cut::LifetimeUse;
use bursar_core::domain::mail::digest::{Class, KeptPeople};
use bursar_core::domain::mail::failure::UnreachableReason;
use bursar_core::domain::programme::counts::{Counts, Stage};
use bursar_core::domain::programme::unreserved::Unreserved;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::forecast::{StandingOut, Weeks};
use bursar_core::domain::usage::pilot::WorkDays;
use bursar_core::domain::usage::reading::{DailyUse, Reading, is_used};
use bursar_core::domain::values::id::{GrantBytes, GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{StoreError, Totals, Unmailed};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::caps::CrossedCap;
use crate::runner::{Baseline, Gaps, RunContext, WRITES_AT_ONCE, is_of_one_programme};

#[derive(Debug)]
pub(crate) struct ProgrammeSums {
    pub(crate) programme: Arc<Programme>,
    /// The budget as it was before the grants were read.
    pub(crate) budget: Arc<Budget>,
    reserved: Usd,
    unreserved: Unreserved,
    /// The counts of the roster as they were before the grants were read, and by how much they are
    /// to move.
    counts: Counts,
    moves: Counts,
    used: DailyUse,
    by_group: BTreeMap<String, DailyUse>,
    unmailed: Unmailed,
    weeks: Vec<(GrantBytes, Weeks)>,
    work_days: WorkDays,
    class: Class,
    /// The part of the use from keys that no longer exist at the provider.
    gone: Usd,
    keys: usize,
    crossed: Vec<CrossedCap>,
    groups: GroupsOfGrants,
    /// Grants in which something was found, with what they cost before.
    later: Vec<(GrantId, Usd)>,
    /// Grants whose people have come to another stage by now.
    behind: Vec<(GrantId, Stage)>,
    /// Grants with a key that could not be read, of which nothing is given back.
    pub(crate) unread: HashSet<GrantId>,
}

/// The group of each grant, packed, since it is kept to the end of a run.
pub(crate) type GroupsOfGrants = BTreeMap<GrantBytes, Option<Box<str>>>;

#[derive(Debug, Default)]
pub(crate) struct OwnUse {
    pub(crate) used: DailyUse,
    pub(crate) by_programme: BTreeMap<ProgrammeId, LifetimeUse>,
    /// The part from keys that no longer exist at the provider.
    pub(crate) gone: Usd,
    pub(crate) keys: usize,
    /// The grants past a threshold of their cap.
    pub(crate) crossed: Vec<CrossedCap>,
    pub(crate) groups: HashMap<ProgrammeId, GroupsOfGrants>,
    pub(crate) gaps: Gaps,
}

/// Counts what was repaired, and writes the totals of all programmes and what their budgets
/// reserve, each only if it changed.
pub(crate) async fn all(
    runner: &RunContext,
    compared: Vec<ProgrammeSums>,
    is_whole: bool,
) -> Result<OwnUse> {
    let mut own_use = OwnUse::default();
    for mut sums in compared {
        let id = sums.programme.id.clone();
        let written = sums.write(runner, is_whole).await;
        own_use.crossed.append(&mut sums.crossed);
        match written {
            Ok(()) => {}
            Err(error) if is_of_one_programme(&error) => {
                own_use.gaps.has_failed = true;
                runner
                    .journal
                    .problem(format!("{id} could not be summed up: {error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        }
        own_use.used.add(&sums.used);
        own_use
            .by_programme
            .insert(id.clone(), LifetimeUse::sum(&sums.used));
        own_use.gone += sums.gone;
        own_use.keys += sums.keys;
        own_use.groups.insert(id, sums.groups);
    }
    Ok(own_use)
}

impl ProgrammeSums {
    /// Empty sums of a programme whose budget and counts were just read.
    pub(crate) fn new(
        programme: Programme,
        budget: Budget,
        counts: Counts,
        began_at: Moment,
    ) -> ProgrammeSums {
        ProgrammeSums {
            programme: programme.into(),
            budget: budget.into(),
            reserved: Usd::ZERO,
            unreserved: Unreserved::default(),
            counts,
            moves: -counts,
            used: DailyUse::default(),
            by_group: BTreeMap::new(),
            unmailed: Unmailed::default(),
            weeks: Vec::new(),
            work_days: WorkDays::default(),
            class: Class::new(began_at),
            gone: Usd::ZERO,
            keys: 0,
            crossed: Vec::new(),
            groups: BTreeMap::new(),
            later: Vec::new(),
            behind: Vec::new(),
            unread: HashSet::new(),
        }
    }

    /// A grant as its cost is decided on, for which no guardrail matters.
    pub(crate) fn view(&self, grant: Grant, readings: Vec<Reading>) -> View {
        let programme = self.programme.clone();
        let budget = self.budget.clone();
        View {
            programme,
            budget,
            grant,
            readings,
            guardrails: Arc::default(),
        }
    }

    /// Adds a grant as it was compared.
    pub(crate) fn add(&mut self, view: &View, runner: &RunContext, is_in_order: bool) {
        let grant = &view.grant;
        self.groups
            .insert(grant.id.to_bytes(), grant.group.as_deref().map(Box::from));
        self.moves.add(grant, 1);
        let cost = self.cost(view, &runner.baseline);
        if is_in_order {
            self.reserved += cost;
            self.count(grant, &view.readings, runner);
        } else {
            self.later.push((grant.id.clone(), cost));
        }
    }

    fn cost(&self, view: &View, baseline: &Baseline) -> Usd {
        let as_of = if self.unread.contains(&view.grant.id) {
            // Nothing that it may have used since its keys were read last is free.
            let readings = view.readings.iter();
            let last_read = readings
                .filter_map(|reading| {
                    reading
                        .unchanged_until
                        .or(baseline.listed_at)
                        .max(Some(reading.as_of))
                })
                .min();
            let first = view.grant.keys.first().map(|key| key.made_at);
            last_read.or(first).unwrap_or(baseline.began_at)
        } else {
            baseline.began_at
        };
        view.reservation().cost(as_of)
    }

    /// What the programme reserves, read once more since another run counted it or the settings
    /// were edited.
    async fn recount_reserved(&self, runner: &RunContext) -> Result<ProgrammeSums> {
        let table = &runner.table;
        let id = &self.programme.id;
        let budget = table
            .get(Budget::key_of(id))
            .await?
            .context("a budget is gone")?;
        let programme = table
            .get(Programme::key_of(id))
            .await?
            .context("a programme is gone")?;
        let counts = table.roster_counts(id).await?;
        let mut anew = ProgrammeSums::new(programme, budget, counts, runner.baseline.began_at);
        anew.unread.clone_from(&self.unread);
        let ids = [id.clone()];
        let mut shards = std::pin::pin!(table.shards_of_programmes(&ids));
        while let Some((_, grants)) = shards.try_next().await? {
            for (grant, readings) in grants {
                let view = anew.view(grant, readings);
                anew.unreserved
                    .add(&view.grant, Some(runner.baseline.began_at));
                anew.moves.add(&view.grant, 1);
                anew.reserved += anew.cost(&view, &runner.baseline);
            }
        }
        Ok(anew)
    }

    /// Counts the grants in which something was found, as they are by now.
    async fn count_the_repaired(&mut self, runner: &RunContext) -> Result<()> {
        let table = &runner.table;
        let id = self.programme.id.clone();
        let later = std::mem::take(&mut self.later);
        let id = &id;
        let reads = later.into_iter().map(|(grant, cost)| async move {
            // What a grant's version rests on is in the readings only if these are read after it.
            let stored = table.get(Grant::key_of(id, &grant)).await?;
            let readings = table.list(Reading::of_grant(id, &grant)).await?;
            Ok::<_, StoreError>((stored, readings, cost))
        });
        let mut reads = iter(reads).buffered(WRITES_AT_ONCE);
        while let Some((grant, readings, cost)) = reads.try_next().await? {
            let view = self.view(grant.context("a grant is gone")?, readings);
            // What was taken for it since is in the budget, and what its final reading frees is
            // free.
            let counts = cost.min(self.cost(&view, &runner.baseline));
            self.reserved += counts;
            // Its repair has noted that as free by the next count.
            self.moves.freed = self.moves.freed - (cost - counts);
            self.count(&view.grant, &view.readings, runner);
        }
        Ok(())
    }

    fn count(&mut self, grant: &Grant, readings: &[Reading], runner: &RunContext) {
        self.unreserved.add(grant, Some(runner.baseline.began_at));
        self.unmailed.add(grant, &runner.unreachable);
        self.crossed.extend(CrossedCap::find(
            &self.programme,
            grant,
            readings,
            runner.clock.now(),
        ));
        let mut used = DailyUse::default();
        for reading in readings {
            used.add(&reading.used);
            if !grant
                .shown(reading.epoch)
                .is_some_and(|key| key.gone.is_none() && !key.is_missing())
            {
                self.gone += reading.lifetime();
            }
        }
        self.keys += readings.len();
        self.used.add(&used);
        if let Some(group) = &grant.group {
            self.by_group.entry(group.clone()).or_default().add(&used);
        }
        let settings = &self.programme.settings;
        let days = used.days(settings.basis.byok);
        let not_mailed = runner
            .unreachable
            .get(grant.person.address.matched())
            .copied();
        self.class.add(settings, grant, readings, &days, not_mailed);
        let reached = match not_mailed {
            _ if is_used(readings) => Stage::Used,
            Some(UnreachableReason::Bounced | UnreachableReason::Suppressed) => Stage::Bounced,
            Some(UnreachableReason::Complained) | None => Stage::Invited,
        };
        if grant.stage.after(reached) != grant.stage {
            self.behind.push((grant.id.clone(), reached));
        }
        let looked = utc_date(runner.baseline.began_at);
        self.work_days.add(&days, looked);
        let weeks = Weeks::sum(&days, grant.first_shown_at(), looked);
        if !weeks.are_idle() {
            self.weeks.push((grant.id.to_bytes(), weeks));
        }
    }

    async fn write(&mut self, runner: &RunContext, is_whole: bool) -> Result<()> {
        self.count_the_repaired(runner).await?;
        // Where nothing was read yet, nothing is summed up.
        if is_whole || self.keys > 0 {
            self.write_totals(runner).await?;
        }
        if is_whole {
            let programme = self.programme.id.clone();
            let as_of = runner.baseline.began_at;
            let class = std::mem::replace(&mut self.class, Class::new(as_of));
            let kept = KeptPeople {
                programme,
                as_of,
                people: class.into_people(),
            };
            runner.table.put_later(&kept, as_of, runner.end()).await?;
        }
        let is_left = is_whole
            && !self.write_budget(runner).await?
            && !self
                .recount_reserved(runner)
                .await?
                .write_budget(runner)
                .await?;
        if is_left {
            runner.journal.problem(format!(
                "what {} reserves is counted in the next run",
                self.programme.id
            ));
        }
        // After the count, which else would find the counts moved since it began.
        let behind = std::mem::take(&mut self.behind);
        let raises = behind.iter().map(|(grant, reached)| {
            runner
                .table
                .raise_stage(&self.programme.id, grant, *reached, runner.end())
        });
        Ok(iter(raises)
            .map(Ok)
            .try_for_each_concurrent(WRITES_AT_ONCE, |raise| raise)
            .await?)
    }

    /// The stream brings these to `threshold-alerts`, which adds what the programme's foreign keys
    /// used.
    async fn write_totals(&self, runner: &RunContext) -> Result<()> {
        let began_at = runner.baseline.began_at;
        let totals = Totals {
            programme: self.programme.id.clone(),
            as_of: began_at,
            used: self.used.clone(),
            by_group: self.by_group.clone(),
            unmailed: self.unmailed,
            standing_out: StandingOut::find(&self.weeks),
            work_day: self.work_days.typical(),
        };
        Ok(runner.table.note_totals(&totals, runner.end()).await?)
    }

    /// Returns `false` when the budget was counted, the settings were edited, or somebody claimed
    /// or left, since they were read.
    async fn write_budget(&self, runner: &RunContext) -> Result<bool> {
        let budget = &self.budget;
        let began_at = runner.baseline.began_at;
        if budget
            .counted_at
            .is_some_and(|counted_at| counted_at > began_at)
        {
            return Ok(true);
        }
        let reserved = self.reserved + budget.assigned;
        let is_as_read = reserved == budget.reserved
            && self
                .unreserved
                .difference_from(&budget.unreserved)
                .is_empty();
        let counted = (reserved, &self.unreserved);
        if !is_as_read
            && !runner
                .table
                .recount_budget(&self.programme, budget, counted, began_at, runner.end())
                .await?
        {
            return Ok(false);
        }
        if self.moves == Counts::default() {
            return Ok(true);
        }
        Ok(runner
            .table
            .add_to_counts(
                &self.programme.id,
                self.moves,
                Some(self.counts),
                runner.end(),
            )
            .await?)
    }
}
