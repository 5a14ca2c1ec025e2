//! Sums over a programme's grants: what was used day by day, and what its pot has reserved, counted anew.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Place, View};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::reading::Used;
use bursar_core::store::items::Totals;
use bursar_core::store::keys;
use jiff::Timestamp;

use crate::grants::is_of_one_programme;
use crate::listing::Listing;
use crate::progress::{Progress, Sums};
use crate::run::{Run, Step};

/// How often a sum is begun anew because somebody took or gave back a place meanwhile. Then the next run does it.
const TRIES: usize = 4;

impl Run<'_> {
    /// Sums up the programmes in which something was done, or whose pot moved while they were summed up.
    pub(crate) async fn sum_up_touched(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        if progress.listing == Listing::Broken {
            return Ok(Step::Done);
        }
        while let Some(number) = progress.touched.first().copied() {
            if !self.goes_on(deadline).await? {
                return Ok(Step::TimeIsUp);
            }
            let programme = self.programmes.get(usize::from(number)).context("a programme is gone")?;
            match self.sum_up(programme, progress, deadline).await {
                Ok(()) => {}
                Err(error) if is_of_one_programme(&error) => {
                    progress.report.problem(format!("{} could not be summed up: {error:#}", programme.id));
                    progress.has_failed = true;
                }
                Err(error) => return Err(error),
            }
            progress.touched.remove(&number);
        }
        Ok(Step::Done)
    }

    async fn sum_up(&self, programme: &Programme, progress: &Progress, deadline: Deadline) -> Result<()> {
        for _ in 0..TRIES {
            let pot = self.table.pot(&programme.id).await?.with_context(|| format!("{} has no pot", programme.id))?;
            let mut sums = Sums::of(pot.clone());
            for shard in keys::SHARDS {
                for (grant, readings) in self.table.shard_of(&programme.id, shard).await? {
                    let view = View { programme: programme.clone(), pot: pot.clone(), grant, readings };
                    sums.add(&view, progress.began_at);
                }
            }
            if self.write_sums(programme, &sums, progress.began_at, progress.is_whole(), deadline).await? {
                break;
            }
        }
        Ok(())
    }

    /// Writes the totals and what the pot has reserved, each only if it changed. False when the pot moved since it was read.
    ///
    /// The sums are for an instant before the listing began: what was used between a page and a later instant is in no reading, and
    /// then it was still promised.
    pub(crate) async fn write_sums(
        &self,
        programme: &Programme,
        sums: &Sums,
        at: Timestamp,
        is_whole: bool,
        deadline: Deadline,
    ) -> Result<bool> {
        let id = &programme.id;
        let totals = Totals {
            programme: id.clone(),
            as_of: at,
            used: sums.used.clone(),
            by_group: sums.by_group.clone(),
            implied: sums.implied,
            grants: sums.grants,
            claimed: sums.claimed,
        };
        let known = self.table.totals(id).await?;
        if known.is_none_or(|known| Totals { as_of: at, ..known } != totals) {
            self.ensure_written(self.under(deadline).note_totals(&totals).await?)?;
        }
        let pot = &sums.pot;
        // Where something could not be read, less may seem to be reserved than is. What a grant costs less by now is given back by this
        // count, though another may cost as much more.
        if !is_whole || (sums.reserved == pot.reserved && !sums.moved) {
            return Ok(true);
        }
        let counted = self.under(deadline).recompute_reserved(pot, sums.reserved, at).await?;
        if counted {
            tracing::info!(programme = %id, before = %pot.reserved, now = %sums.reserved, "counted anew");
        }
        Ok(counted)
    }
}

impl Sums {
    /// Nothing yet, of a programme whose pot was just read.
    pub(crate) fn of(pot: Pot) -> Sums {
        Sums {
            pot,
            used: Used::default(),
            by_group: BTreeMap::new(),
            implied: Usd::ZERO,
            reserved: Usd::ZERO,
            moved: false,
            grants: 0,
            claimed: 0,
        }
    }

    pub(crate) fn add(&mut self, view: &View, at: Timestamp) {
        let grant = &view.grant;
        // Whatever this run listed is read until it began.
        let place = Place { read_until: Some(at), ..view.place() };
        for reading in &view.readings {
            self.used.add(&reading.used);
            if let Some(group) = &grant.group {
                self.by_group.entry(group.clone()).or_default().add(&reading.used);
            }
        }
        let cost = place.cost(at);
        self.implied += place.implied(at);
        self.reserved += cost;
        self.moved |= cost != view.place().cost(at);
        self.grants += 1;
        self.claimed += u32::from(grant.ever_shown);
    }
}
