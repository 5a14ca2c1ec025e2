//! Sums over a programme's grants: the use day by day, and what its budget reserves, computed afresh.

use bursar_core::domain::grant::Reservation;
use bursar_core::domain::programme::Budget;
use bursar_core::domain::programme::unreserved::Unreserved;
use bursar_core::domain::usage::forecast::{StandingOut, Weeks};
use bursar_core::store::{PeopleCounts, Totals};

use crate::prelude::*;

/// The sums of one programme.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProgrammeSums {
    budget: Budget,
    used: DailyUse,
    by_group: BTreeMap<String, DailyUse>,
    unreserved: Unreserved,
    reserved: Usd,
    /// Whether some grant costs less because of what this run read.
    moved: bool,
    people: PeopleCounts,
    weeks: Vec<(GrantId, Weeks)>,
}

impl ProgrammeSums {
    /// Empty sums of a programme whose budget was just read.
    pub(crate) fn of(budget: Budget) -> ProgrammeSums {
        ProgrammeSums {
            budget,
            used: DailyUse::default(),
            by_group: BTreeMap::new(),
            unreserved: Unreserved::default(),
            reserved: Usd::ZERO,
            moved: false,
            people: PeopleCounts::default(),
            weeks: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, view: &View, runner: &Runner<'_>) {
        let (grant, at) = (&view.grant, runner.baseline.began_at);
        // What this run listed counts as read up to its beginning.
        let reservation = Reservation { read_until: Some(at), ..view.reservation() };
        let mut used = DailyUse::default();
        view.readings.iter().for_each(|reading| used.add(&reading.used));
        if !view.readings.is_empty() {
            self.used.add(&used);
            if let Some(group) = &grant.group {
                self.by_group.entry(group.clone()).or_default().add(&used);
            }
            let days = used.days(view.programme.settings.basis.byok);
            let weeks = Weeks::of(&days, utc_date(at));
            if !weeks.are_idle() {
                self.weeks.push((grant.id.clone(), weeks));
            }
        }
        let cost = reservation.cost(at);
        self.unreserved.add(grant);
        self.people.add(grant, &runner.unreachable);
        self.reserved += cost;
        self.moved |= cost != view.reservation().cost(at);
    }

    /// The budget as it was before the grants were read.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The use of the programme's keys.
    pub(crate) fn used(&self) -> &DailyUse {
        &self.used
    }

    /// Writes the totals and what the budget reserves, each only if it changed. Returns `false` when the budget
    /// moved since it was read.
    ///
    /// The sums are for an instant before the listing began. Use between the answer of a page and a later
    /// instant would be in no reading, although it was reserved.
    pub(crate) async fn write(&self, runner: &Runner<'_>, programme: &Programme, is_whole: bool) -> Result<bool> {
        let (id, at) = (&programme.id, runner.baseline.began_at);
        let totals = Totals {
            programme: id.clone(),
            as_of: at,
            used: self.used.clone(),
            by_group: self.by_group.clone(),
            people: self.people.clone(),
            standing_out: StandingOut::of(&self.weeks),
        };
        let known = runner.table.totals(id).await?;
        if known.is_none_or(|known| Totals { as_of: at, ..known } != totals) {
            ensure_written(runner.fenced().note_totals(&totals).await?)?;
        }
        let budget = &self.budget;
        // Where something could not be read, the sum may be below what is reserved. When a grant costs less
        // by now, the budget is written even if another costs as much more, so that the difference is given
        // back.
        let reserved = self.reserved + budget.assigned;
        if !is_whole || (reserved == budget.reserved && self.unreserved == budget.unreserved && !self.moved) {
            return Ok(true);
        }
        let counted = runner.fenced().recompute_reserved(budget, reserved, &self.unreserved, at).await?;
        if counted {
            tracing::info!(programme = %id, before = %budget.reserved, now = %reserved, "counted anew");
        }
        Ok(counted)
    }
}
