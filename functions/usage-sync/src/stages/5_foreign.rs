//! Stage 5, foreign: the keys that Bursar did not make. They and their use are recorded, and counted for the programmes that own
//! some; nothing is ever done to them.

use std::collections::{HashMap, HashSet, VecDeque};

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::ledger::cut::{KeyChange, LifetimeUse};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::reading::{DailyUse, UnusableReport};
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::KeyName;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{AssignedUse, CutKeys, ForeignKey, OrphanName, StoreError, keys};
use futures_util::stream::{FuturesUnordered, StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};

use super::list::Listing;
use super::scan::Scan;
use crate::journal::Journal;
use crate::money::account_use::ForeignUse;
use crate::runner::{Baseline, Runner, StageEnd, ensure_written};
use crate::scan::finding::renamed;
use crate::scan::row::ForeignRow;
use crate::scan::rows::Rows;
use crate::scan::write_queue::{FOR_ONE_WRITE, REFUSED_IN_A_ROW, SIDE_BY_SIDE};

/// The tries at the sums of owners while keys are given or taken back. After that the next run counts them.
const TRIES: usize = 4;

/// The most keys with an unknown grant's name that are named one by one.
const MOST_ORPHANS: usize = 100;

/// The state of stage 5: the next shard of foreign keys, and sums over those before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ForeignScan {
    /// The first digit of the hashes that are next.
    next: u8,
    total: ForeignUse,
    orphans: Vec<OrphanName>,
    has_gaps: bool,
}

/// The foreign keys whose hashes begin with one digit. They count once all are written.
#[derive(Default)]
struct ForeignShard {
    total: ForeignUse,
    orphans: Vec<OrphanName>,
    problems: Vec<String>,
    has_gaps: bool,
    /// The keys whose use is another than in the newest cut.
    changes: Vec<KeyChange>,
    writes: VecDeque<ForeignWrite>,
}

enum ForeignWrite {
    Note(Box<ForeignKey>),
    /// The removal of a record whose key turned out to be a grant's.
    Forget(KeyHash),
}

impl ForeignScan {
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        listing: &Listing,
        scan: &Scan,
        rows: &Rows,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        let renamed = renamed(scan.findings());
        while let Some(digit) = keys::SHARDS.get(usize::from(self.next)) {
            if !runner.goes_on().await? {
                return Ok(StageEnd::TimeIsUp);
            }
            let mut shard = self.scan_shard(runner, *digit, listing, &renamed, rows).await?;
            for keys in CutKeys::of(runner.baseline.began_at, *digit, &shard.changes) {
                ensure_written(runner.fenced().put_later(&keys, keys.as_of).await?)?;
            }
            if !write_all(runner, std::mem::take(&mut shard.writes)).await? {
                return Ok(StageEnd::TimeIsUp);
            }
            self.total.used.add(&shard.total.used);
            self.total.gone += shard.total.gone;
            self.total.keys += shard.total.keys;
            let room = MOST_ORPHANS.saturating_sub(self.orphans.len());
            self.orphans.extend(shard.orphans.into_iter().take(room));
            journal.problems_of(shard.problems);
            self.has_gaps |= shard.has_gaps;
            self.next += 1;
        }
        Box::pin(self.count_for_owners(runner, journal)).await
    }

    /// Counts what keys with an owner used for their programmes, now that all of it is written.
    async fn count_for_owners(&mut self, runner: &Runner<'_>, journal: &mut Journal) -> Result<StageEnd> {
        let mut left: Vec<&Programme> = runner.programmes().iter().collect();
        for _ in 0..TRIES {
            if !runner.goes_on().await? {
                return Ok(StageEnd::TimeIsUp);
            }
            // They are read before the keys, so that a key that changes its owner meanwhile is noticed.
            let each: Vec<_> = left.iter().map(|programme| runner.table.assigned_use(&programme.id)).collect();
            let before: Vec<AssignedUse> = iter(each).buffered(SIDE_BY_SIDE).try_collect().await?;
            let owned = runner.table.owned_keys().await?;
            let mut stale = Vec::new();
            for (programme, before) in left.into_iter().zip(&before) {
                match runner.fenced().recount_assigned(before, &owned, programme.settings.basis.byok).await {
                    Ok(true) => {}
                    Ok(false) => stale.push(programme),
                    Err(error) if error.may_pass() => return Err(error.into()),
                    Err(error) => {
                        journal.problem(format!("what foreign keys used for {} is not counted: {error}", programme.id));
                        self.has_gaps = true;
                    }
                }
            }
            left = stale;
            if left.is_empty() {
                break;
            }
        }
        for programme in left {
            journal.problem(format!("what foreign keys used for {} is counted in the next run", programme.id));
        }
        Ok(StageEnd::Done)
    }

    async fn scan_shard(
        &self,
        runner: &Runner<'_>,
        digit: char,
        listing: &Listing,
        renamed: &HashSet<KeyHash>,
        rows: &Rows,
    ) -> Result<ForeignShard> {
        let known = runner.table.list(ForeignKey::of_shard(digit)).await?;
        let mut known: HashMap<KeyHash, ForeignKey> = known.into_iter().map(|key| (key.key.clone(), key)).collect();
        let mut foreign = rows.foreign(self.next)?;
        let mut shard = ForeignShard::default();
        foreign.extend(shard.add_orphans(runner, rows.orphans(self.next)?).await?);
        shard.total.keys = known.len() + foreign.iter().filter(|row| !known.contains_key(&row.key())).count();
        for row in foreign {
            let before = known.remove(&row.key());
            // The hash is that of a grant's recorded key, whatever its name is now.
            if renamed.contains(&row.key()) {
                if let Some(before) = before {
                    shard.take_out(before, row.state.asked, &runner.baseline);
                }
                shard.problems.push(format!("the key {} of ours has another name at the provider", row.key()));
                continue;
            }
            let after = shard.take_in(before.as_ref(), &row, &runner.baseline);
            shard.total.used.add(&after.used);
            shard.compare(&after.key, in_cut(before.as_ref(), &runner.baseline), LifetimeUse::of(&after.used));
            shard.note(before, after);
        }
        for before in known.into_values() {
            shard.compare(&before.key, before.used_by(runner.baseline.cut_at), LifetimeUse::of(&before.used));
            shard.total.used.add(&before.used);
            shard.total.gone += before.used.credits.total();
            if listing.is_whole() && before.gone_at.is_none() {
                let began_at = runner.baseline.began_at;
                let after = ForeignKey { gone_at: Some(began_at), as_of: began_at, ..before.clone() };
                shard.note(Some(before), after);
            }
        }
        Ok(shard)
    }

    pub(crate) fn next(&self) -> u8 {
        self.next
    }

    pub(crate) fn total(&self) -> &ForeignUse {
        &self.total
    }

    /// Keys that bear a grant's name where there is no such grant.
    pub(crate) fn orphans(&self) -> &[OrphanName] {
        &self.orphans
    }

    /// Whether some key's use is not known.
    pub(crate) fn has_gaps(&self) -> bool {
        self.has_gaps
    }
}

impl ForeignShard {
    /// Keys that bear a grant's name where there is no such grant. One that exists by now was created since
    /// the run began, and belongs to the next run.
    async fn add_orphans(&mut self, runner: &Runner<'_>, rows: Vec<ForeignRow>) -> Result<Vec<ForeignRow>> {
        let mut orphans = Vec::new();
        for row in rows {
            let Ok(name) = row.name.parse::<KeyName>() else { continue };
            if runner.table.get(Grant::key_of(&name.programme, &name.grant)).await?.is_some() {
                continue;
            }
            if self.orphans.len() < MOST_ORPHANS {
                self.orphans.push(OrphanName::of(&row.key(), &name, row.state.enabled));
            }
            orphans.push(row);
        }
        Ok(orphans)
    }

    /// Notes a key for the cut, if it was used since the one before.
    fn compare(&mut self, key: &KeyHash, before: LifetimeUse, after: LifetimeUse) {
        if before != after {
            self.changes.push(KeyChange { key: key.clone(), before, after });
        }
    }

    /// Queues a foreign key to be written, if it changed.
    fn note(&mut self, before: Option<ForeignKey>, after: ForeignKey) {
        if before.is_none_or(|before| ForeignKey { as_of: after.as_of, ..before } != after) {
            self.writes.push_back(ForeignWrite::Note(Box::new(after)));
        }
    }

    /// Takes out a key that turned out to be a grant's. It is recorded without use until a cut has it without, so that statements
    /// see it leave, and then forgotten.
    fn take_out(&mut self, before: ForeignKey, asked: Moment, baseline: &Baseline) {
        let in_cut = before.used_by(baseline.cut_at);
        if in_cut == LifetimeUse::default() {
            self.writes.push_back(ForeignWrite::Forget(before.key));
            return;
        }
        self.compare(&before.key, in_cut, LifetimeUse::default());
        let recorded_by = if before.used == DailyUse::default() { before.recorded_by } else { baseline.began_at };
        let as_of = latest(asked, Some(&before));
        let after = ForeignKey { used: DailyUse::default(), recorded_by, in_cut, as_of, ..before.clone() };
        self.note(Some(before), after);
    }

    fn take_in(&mut self, before: Option<&ForeignKey>, row: &ForeignRow, baseline: &Baseline) -> ForeignKey {
        let asked = row.state.asked;
        // A key that was made since the last listing had no use by then. An older one that is seen for the first time has earlier
        // use that cannot be told apart by days.
        let made_since = row.state.created_at.filter(|made| baseline.listed_at.is_some_and(|listed| listed <= *made));
        let known = match before {
            Some(before) => baseline.listed_at.max(Some(before.as_of)),
            None => made_since.map(|made| made.min(asked)),
        };
        let was = before.map(|before| before.used.clone()).unwrap_or_default();
        let told = row.state.report.as_ref().ok_or(UnusableReport::Silent);
        let used = match told.and_then(|told| was.with(told, utc_date(asked), known.map(utc_date))) {
            Ok((used, doubt)) => {
                self.problems.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
                used
            }
            Err(doubtful) => {
                self.problems.push(format!("of the key {} nothing is recorded: {doubtful}", row.key()));
                self.has_gaps = true;
                was
            }
        };
        let has_changed = before.is_none_or(|before| before.used != used);
        let (recorded_by, in_cut) = match before.filter(|_| !has_changed) {
            Some(before) => (before.recorded_by, before.in_cut),
            None => (baseline.began_at, in_cut(before, baseline)),
        };
        let last_used_at = row.state.report.as_ref().and_then(|told| told.last_used_at);
        ForeignKey {
            key: row.key(),
            name: row.name.clone(),
            enabled: row.state.enabled,
            limit: row.state.limit,
            used,
            created_at: row.state.created_at,
            last_used_at: last_used_at.max(before.and_then(|before| before.last_used_at)),
            first_seen_at: before.map_or(baseline.began_at, |before| before.first_seen_at),
            gone_at: None,
            as_of: latest(asked, before),
            recorded_by,
            in_cut,
        }
    }
}

/// The lifetime use of a key in the newest cut; nothing where it was not known by then.
fn in_cut(key: Option<&ForeignKey>, baseline: &Baseline) -> LifetimeUse {
    key.map_or(LifetimeUse::default(), |key| key.used_by(baseline.cut_at))
}

fn latest(asked: Moment, before: Option<&ForeignKey>) -> Moment {
    before.map_or(asked, |before| before.as_of.max(asked))
}

/// Writes several at once. Throttled writes are retried after the others. Returns `false` when the time is
/// up.
async fn write_all(runner: &Runner<'_>, mut writes: VecDeque<ForeignWrite>) -> Result<bool> {
    let (mut under_way, mut refused) = (FuturesUnordered::new(), 0);
    loop {
        let goes_on = runner.goes_on().await?;
        while goes_on
            && under_way.len() < SIDE_BY_SIDE
            && let Some(foreign_write) = writes.pop_front()
        {
            under_way.push(Box::pin(write(runner, foreign_write)));
        }
        match under_way.next().await {
            Some((_, Ok(()))) => refused = 0,
            Some((write, Err(error))) if error.may_pass() && refused < REFUSED_IN_A_ROW => {
                refused += 1;
                writes.push_back(write);
            }
            Some((_, Err(error))) => return Err(error.into()),
            None => return Ok(writes.is_empty()),
        }
    }
}

async fn write(runner: &Runner<'_>, write: ForeignWrite) -> (ForeignWrite, Result<(), StoreError>) {
    let deadline = runner.deadline.at_most(FOR_ONE_WRITE);
    let written = match &write {
        ForeignWrite::Note(key) => runner.table.put_later(&**key, key.as_of, deadline).await,
        ForeignWrite::Forget(key) => runner.table.forget_foreign_key(key, deadline).await,
    };
    (write, written)
}
