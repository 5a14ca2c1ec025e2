//! The bound on what one run disables on its own judgement. Beyond it none of that is done: an orphan that nobody saw harms nobody,
//! a live key that is taken for one does. A person looks, and lets the next run do it.

use anyhow::Result;
use bursar_core::store::{HeldBack, HeldKey};

use crate::look::What;
use crate::progress::Progress;
use crate::row::Row;
use crate::run::Run;

/// A run may always disable so many.
const ALWAYS: usize = 5;
/// Of so many listed keys it may disable one.
const ONE_IN: usize = 50;
/// So many of the keys that are held back are named: all of them would not fit into an item.
const MOST_NAMED: usize = 100;

impl Run<'_> {
    /// Counts what would be disabled before any of it is marked, and drops all of that where it is too much.
    pub(crate) async fn hold_back(&self, progress: &mut Progress) -> Result<()> {
        let bound = ALWAYS.max(progress.report.keys_listed / ONE_IN);
        let (sweeps, recoveries) = counted(progress);
        if sweeps + recoveries <= bound {
            return Ok(());
        }
        let keys = self.named(progress);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (sweeps, recoveries, bound) = (count(sweeps), count(recoveries), count(bound));
        let last = self.table.sync_state().await?.held_back;
        // What was let through is what somebody saw, and a few orphans more; a key that a recovery would end is never one of those.
        let released = last.as_ref().filter(|last| last.released_by.is_some());
        let is_seen = |last: &HeldBack| {
            let mut ends = keys.iter().filter(|key| key.by_recovery);
            sweeps <= last.sweeps + bound && recoveries <= last.recoveries && ends.all(|key| last.keys.contains(key))
        };
        if released.is_some_and(is_seen) {
            return Ok(());
        }
        progress.findings.retain(|finding| !is_counted(&finding.what));
        progress.is_undone = true;
        progress.report.problem(format!(
            "{} keys would have been disabled, and one run disables {bound} at most on its own judgement: none was. An admin can \
             let the next run do it.",
            sweeps + recoveries
        ));
        // While it is the same, whoever looks at the page of an earlier run may still let it through.
        let same = last.filter(|last| (last.sweeps, last.recoveries, &last.keys) == (sweeps, recoveries, &keys));
        let at = same.map_or(progress.began_at, |last| last.at);
        progress.held_back = Some(HeldBack { at, sweeps, recoveries, bound, keys, released_by: None });
        Ok(())
    }

    /// The keys that would be disabled, so that a person can look at them: those first that may be in use, and in an order, so that the
    /// same are the same again.
    fn named(&self, progress: &Progress) -> Vec<HeldKey> {
        let mut named = Vec::new();
        for finding in &progress.findings {
            let Some(programme) = self.programmes.get(usize::from(finding.programme)) else { continue };
            let held = |row: &Row, by_recovery| HeldKey {
                name: self.name(programme, row).to_string(),
                key: row.key(),
                by_recovery,
            };
            match &finding.what {
                What::Sweep { row } => named.push(held(row, false)),
                What::Recover { rows, ends, .. } => {
                    named.extend(rows.iter().filter(|row| ends.contains(&row.key())).map(|row| held(row, true)));
                }
                _ => {}
            }
        }
        named.sort_by(|one, other| other.by_recovery.cmp(&one.by_recovery).then_with(|| one.cmp(other)));
        named.truncate(MOST_NAMED);
        named
    }
}

/// How many attempts would be swept, and how many keys recoveries would end.
fn counted(progress: &Progress) -> (usize, usize) {
    progress.findings.iter().fold((0, 0), |(sweeps, recoveries), finding| match &finding.what {
        What::Sweep { .. } => (sweeps + 1, recoveries),
        What::Recover { ends, .. } => (sweeps, recoveries + ends.len()),
        _ => (sweeps, recoveries),
    })
}

fn is_counted(what: &What) -> bool {
    match what {
        What::Sweep { .. } => true,
        What::Recover { ends, .. } => !ends.is_empty(),
        _ => false,
    }
}
