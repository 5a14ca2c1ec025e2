//! Sums over a programme's grants: the totals of the day, and what its pot has reserved, counted anew.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Reading};
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::limit::{Spending, implied, reserved};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Pot, Programme, Settings};
use bursar_core::domain::reading::Used;
use bursar_core::store::items::Totals;
use bursar_core::store::{Table, keys};
use jiff::Timestamp;

use crate::list::Listing;

/// How often a sum is begun anew because somebody took or gave back a place meanwhile. Then the next run does it.
const TRIES: usize = 4;

/// What all grants of a programme come to.
#[derive(Default)]
struct Sums {
    used: Used,
    by_group: BTreeMap<String, Used>,
    implied: Usd,
    reserved: Usd,
    grants: u32,
    claimed: u32,
}

/// Writes the totals of a programme and what its pot has reserved, each only if it changed. `at` is an instant before the
/// listing began: what was used between a page and a later instant is in no reading, and at `at` it was still promised.
pub(crate) async fn sum_up(
    table: &Table,
    id: &ProgrammeId,
    listing: Listing,
    at: Timestamp,
    deadline: Deadline,
) -> Result<()> {
    for _ in 0..TRIES {
        // The pot first: its version tells whether anybody moved it while the rest was read.
        let pot = table.pot(id).await?.context("it has no pot")?;
        let programme = table.programme(id).await?.context("it is gone")?;
        let sums = sums_of(table, &programme, at).await?;
        note(table, id, &sums, at).await?;
        let is_known = listing == Listing::Whole;
        if !is_known || sums.reserved == pot.reserved || recount(table, &pot, &sums, at, deadline).await? {
            break;
        }
    }
    Ok(())
}

async fn sums_of(table: &Table, programme: &Programme, at: Timestamp) -> Result<Sums> {
    let mut sums = Sums::default();
    for shard in keys::SHARDS {
        for (grant, readings) in table.shard_of(&programme.id, shard).await? {
            sums.add(&grant, &readings, &programme.settings, at);
        }
    }
    Ok(sums)
}

async fn note(table: &Table, id: &ProgrammeId, sums: &Sums, at: Timestamp) -> Result<()> {
    let Sums { used, by_group, implied, grants, claimed, .. } = sums;
    let (used, implied, grants, claimed) = (used.clone(), *implied, *grants, *claimed);
    let (programme, by_group) = (id.clone(), by_group.clone());
    let totals = Totals { programme, as_of: at, used, by_group, implied, grants, claimed };
    let latest = table.totals(id).await?;
    if latest.is_some_and(|latest| Totals { as_of: at, ..latest } == totals) {
        return Ok(());
    }
    Ok(table.note_totals(&totals).await?)
}

async fn recount(table: &Table, pot: &Pot, sums: &Sums, at: Timestamp, deadline: Deadline) -> Result<bool> {
    let counted = table.recompute_reserved(pot, sums.reserved, at, deadline).await?;
    if counted {
        tracing::info!(programme = %pot.programme, before = %pot.reserved, now = %sums.reserved, "counted anew");
    }
    Ok(counted)
}

impl Sums {
    fn add(&mut self, grant: &Grant, readings: &[Reading], settings: &Settings, at: Timestamp) {
        let spending = Spending::of(grant, readings, settings, at);
        for reading in readings {
            self.used.add(&reading.used);
            if let Some(group) = &grant.group {
                self.by_group.entry(group.clone()).or_default().add(&reading.used);
            }
        }
        self.implied += implied(grant, &spending, settings, at);
        self.reserved += reserved(grant, &spending, settings, at);
        self.grants += 1;
        self.claimed += u32::from(grant.ever_shown);
    }
}
