//! The keys that Bursar did not make. They and their use are recorded, and counted for the
//! programmes that own some; nothing is ever done to them.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::ledger::cut::LifetimeUse;
use bursar_core::domain::ledger::foreign::ForeignKey;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::reading::{DailyUse, UnusableReport};
use bursar_core::domain::values::id::{KeyHash, KeyName, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::schema::SHARDS;
use bursar_core::store::{AssignedUse, OwnedKey, UnknownKey};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::compare::FOR_ONE_WRITE;
use crate::list::{ForeignRow, KeyListing};
use crate::runner::{Gaps, RunContext, WRITES_AT_ONCE};

/// The tries at the sums of owners while keys are given or taken back. After that the next run
/// counts them.
const TRIES: usize = 4;

const MOST_NAMED: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct ForeignUse {
    pub(crate) used: DailyUse,
    /// The part from keys that no longer exist at the provider.
    pub(crate) gone: Usd,
    /// What keys used while a programme owned them.
    pub(crate) assigned: BTreeMap<ProgrammeId, LifetimeUse>,
    pub(crate) keys: usize,
    /// Keys with names of ours that the table does not know.
    pub(crate) unknown: Vec<UnknownKey>,
    pub(crate) gaps: Gaps,
}

/// What is written of the foreign keys whose hashes begin with one digit.
#[derive(Default)]
struct Shard {
    writes: Vec<ForeignWrite>,
    has_unread: bool,
}

enum ForeignWrite {
    Note(Box<ForeignKey>),
    /// The removal of a record whose key turned out to be a grant's.
    Forget(KeyHash),
}

/// Records all foreign keys, and counts those with an owner. `renamed` are keys of grants that may
/// be listed under other names.
pub(crate) async fn record(
    runner: &RunContext,
    listing: &mut KeyListing,
    renamed: &HashSet<KeyHash>,
) -> Result<ForeignUse> {
    let mut foreign_use = ForeignUse::default();
    let mut foreign = std::mem::take(&mut listing.foreign);
    foreign.extend(
        foreign_use
            .really_unknown(runner, std::mem::take(&mut listing.unknown))
            .await?,
    );
    for digit in SHARDS {
        let stored_keys = runner.table.list(ForeignKey::of_shard(digit)).await?;
        let rows = foreign
            .extract_if(.., |row| row.key.as_str().starts_with(digit))
            .collect();
        let shard = foreign_use.compare(runner, listing, stored_keys, renamed, rows);
        foreign_use.gaps.has_unread |= shard.has_unread;
        iter(shard.writes)
            .map(Ok)
            .try_for_each_concurrent(WRITES_AT_ONCE, |write| write_foreign(runner, write))
            .await?;
    }
    foreign_use.count_for_owners(runner).await?;
    let named = foreign_use.unknown.iter();
    let named = named.map(|unknown| {
        format!(
            "the key {} bears a name of ours that this table does not know",
            unknown.key
        )
    });
    runner.journal.problems_of(named);
    Ok(foreign_use)
}

impl ForeignUse {
    /// Counts what keys with an owner used for their programmes, now that all of it is written.
    async fn count_for_owners(&mut self, runner: &RunContext) -> Result<()> {
        let mut programmes: Vec<&Programme> = runner.programmes.iter().collect();
        for _ in 0..TRIES {
            // They are read before the keys, so that a key that changes its owner meanwhile is
            // noticed.
            let queries: Vec<_> = programmes
                .iter()
                .map(|programme| runner.table.read_assigned_use(&programme.id))
                .collect();
            let before: Vec<AssignedUse> =
                iter(queries).buffered(WRITES_AT_ONCE).try_collect().await?;
            let owned = runner.table.list_owned_keys().await?;
            self.assigned.clear();
            for OwnedKey { owner, key } in &owned {
                let share = owner.share(LifetimeUse::sum(&key.used));
                *self.assigned.entry(owner.owner.clone()).or_default() += share;
            }
            let mut stale = Vec::new();
            for (programme, before) in programmes.into_iter().zip(&before) {
                let byok = programme.settings.basis.byok;
                match runner
                    .table
                    .recount_assigned(before, &owned, byok, runner.end())
                    .await
                {
                    Ok(true) => {}
                    Ok(false) => stale.push(programme),
                    Err(error) if error.may_pass() => return Err(error.into()),
                    Err(error) => {
                        self.gaps.has_failed = true;
                        let what = format!(
                            "what foreign keys used for {} is not counted: {error}",
                            programme.id
                        );
                        runner.journal.problem(what);
                    }
                }
            }
            programmes = stale;
            if programmes.is_empty() {
                break;
            }
        }
        for programme in programmes {
            runner.journal.problem(format!(
                "what foreign keys used for {} is counted in the next run",
                programme.id
            ));
        }
        Ok(())
    }

    /// Keys with names of ours whose grant, or the claim that made them, is not in the table. What
    /// was begun since the run read it belongs to the next run.
    async fn really_unknown(
        &mut self,
        runner: &RunContext,
        rows: Vec<ForeignRow>,
    ) -> Result<Vec<ForeignRow>> {
        let mut unknown = Vec::new();
        for row in rows {
            let Ok(name) = row.name.parse::<KeyName>() else {
                continue;
            };
            let grant: Option<Grant> = runner
                .table
                .get(Grant::key_of(&name.programme, &name.grant))
                .await?;
            if grant.is_some_and(|grant| name.epoch <= grant.epoch) {
                continue;
            }
            if self.unknown.len() < MOST_NAMED {
                self.unknown.push(UnknownKey::new(
                    &row.key,
                    &name,
                    row.state.enabled,
                    runner.baseline.began_at,
                ));
            }
            unknown.push(row);
        }
        Ok(unknown)
    }

    /// Compares some known keys with the listed ones, and adds them up.
    fn compare(
        &mut self,
        runner: &RunContext,
        listing: &KeyListing,
        stored_keys: Vec<ForeignKey>,
        renamed: &HashSet<KeyHash>,
        foreign: Vec<ForeignRow>,
    ) -> Shard {
        let mut shard = Shard::default();
        let mut stored_keys: HashMap<KeyHash, ForeignKey> = stored_keys
            .into_iter()
            .map(|key| (key.key.clone(), key))
            .collect();
        self.keys += stored_keys.len()
            + foreign
                .iter()
                .filter(|row| !stored_keys.contains_key(&row.key))
                .count();
        for row in foreign {
            let before = stored_keys.remove(&row.key);
            // The hash is that of a grant's recorded key, whatever its name is now.
            if renamed.contains(&row.key) {
                shard
                    .writes
                    .extend(before.map(|before| ForeignWrite::Forget(before.key)));
                runner.journal.problem(format!(
                    "the key {} of ours has another name at the provider",
                    row.key
                ));
                continue;
            }
            if let Some(newer) = before
                .as_ref()
                .filter(|before| before.as_of > row.state.asked_at)
            {
                self.used.add(&newer.used);
                continue;
            }
            let after = shard.take_in(before.as_ref(), &row, runner);
            self.used.add(&after.used);
            shard.note(before, after);
        }
        let shows_absence = listing.shows_absence() && !listing.has_nameless;
        for before in stored_keys.into_values() {
            self.used.add(&before.used);
            let is_missing = shows_absence && !listing.unreadable.contains(&before.key);
            if before.gone_at.is_some() || is_missing {
                self.gone += before.used.credits.total();
            }
            if is_missing && before.gone_at.is_none() {
                let began_at = runner.baseline.began_at;
                let after = ForeignKey {
                    gone_at: Some(began_at),
                    as_of: began_at,
                    ..before.clone()
                };
                shard.note(Some(before), after);
            }
        }
        shard
    }
}

impl Shard {
    /// Queues a foreign key to be written, if it changed.
    fn note(&mut self, before: Option<ForeignKey>, after: ForeignKey) {
        if before.is_none_or(|before| {
            ForeignKey {
                as_of: after.as_of,
                ..before
            } != after
        }) {
            self.writes.push(ForeignWrite::Note(Box::new(after)));
        }
    }

    fn take_in(
        &mut self,
        before: Option<&ForeignKey>,
        row: &ForeignRow,
        runner: &RunContext,
    ) -> ForeignKey {
        let asked_at = row.state.asked_at;
        let baseline = &runner.baseline;
        // A key that was made since the last listing had no use by then. An older one that is seen
        // for the first time has earlier use that cannot be told apart by days.
        let made_since = row.state.created_at.filter(|created_at| {
            baseline
                .listed_at
                .is_some_and(|listed| listed <= *created_at)
        });
        let known_since = match before {
            Some(before) => baseline.listed_at.max(Some(before.as_of)),
            None => made_since.map(|created_at| created_at.min(asked_at)),
        };
        let was = before.map(|before| before.used.clone()).unwrap_or_default();
        let report = row.state.report.as_ref().ok_or(UnusableReport::Silent);
        let used = match report.and_then(|report| {
            was.with(report, utc_date(asked_at), known_since.map(utc_date), None)
        }) {
            Ok((used, doubt)) => {
                runner
                    .journal
                    .problems_of(doubt.map(|doubt| format!("of the key {} {doubt}", row.key)));
                used
            }
            Err(doubtful) => {
                self.has_unread = true;
                runner.journal.problem(format!(
                    "of the key {} nothing is recorded: {doubtful}",
                    row.key
                ));
                was
            }
        };
        let last_used_at = row
            .state
            .report
            .as_ref()
            .and_then(|report| report.last_used_at);
        ForeignKey {
            key: row.key.clone(),
            name: row.name.clone(),
            label: row
                .state
                .label
                .clone()
                .or_else(|| before.and_then(|before| before.label.clone())),
            enabled: row.state.enabled,
            limit: row.state.limit,
            used,
            created_at: row.state.created_at,
            last_used_at: last_used_at.max(before.and_then(|before| before.last_used_at)),
            first_seen_at: before.map_or(baseline.began_at, |before| before.first_seen_at),
            gone_at: None,
            as_of: before.map_or(asked_at, |before| before.as_of.max(asked_at)),
        }
    }
}

async fn write_foreign(runner: &RunContext, write: ForeignWrite) -> Result<()> {
    let deadline = runner.end().limit_to(FOR_ONE_WRITE);
    match &write {
        ForeignWrite::Note(key) => runner.table.put_later(&**key, key.as_of, deadline).await?,
        ForeignWrite::Forget(key) => runner.table.forget_foreign_key(key, deadline).await?,
    }
    Ok(())
}
