//! The digest of the account, for the admins: its money against what is reserved, a line for every programme,
//! and new foreign keys.

use std::cmp::Reverse;
use std::collections::HashSet;

use bursar_core::domain::ledger::foreign::KeyOwner;
use bursar_core::domain::mail::digest::{self, AccountDigest, Due, LastListing, ProgrammeLine, UnownedKey};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::{Forecast, SpendingLimits};
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Account, AccountDay, ForeignKey, HeldBack, SyncState};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::civil::Date;

use super::{DigestReport, ENOUGH_FOR_ONE, Look};
use crate::prelude::*;

/// Enough days of the account to find the one before the week, though some nights are missing.
const DAYS_READ: i32 = 16;
/// The most programmes and keys with a line of their own; more are only counted.
const MOST_PROGRAMMES: usize = 30;
const MOST_KEYS: usize = 10;
/// How many programmes are read at once.
const SIDE_BY_SIDE: usize = 16;

impl Look<'_> {
    pub(super) async fn at_account(&self, report: &mut DigestReport) -> Result<()> {
        let due_since = |born| digest::of_account(&self.programmes.read, born, self.asked, self.now);
        if due_since(Moment::MIN).is_none() {
            return Ok(());
        }
        let born = self.table.meta(self.now).await?.born;
        let Some(due) = due_since(born) else { return Ok(()) };
        let digest = match self.table.get(AccountDigest::key_of(due.week)).await? {
            Some(known) if known.is_queued() => return Ok(()),
            Some(known) => known,
            None if !self.deadline.leaves(ENOUGH_FOR_ONE) => {
                report.left += 1;
                return Ok(());
            }
            None => self.compute_account(self.programmes.all()?, due, born).await?,
        };
        let is_new = self.table.tell_admins(&digest, self.now, self.deadline).await?;
        report.digests += usize::from(is_new);
        Ok(())
    }

    async fn compute_account(&self, programmes: &[Programme], due: Due, born: Moment) -> Result<AccountDigest> {
        let (table, weeks) = (self.table, due.weeks);
        let (days, account, sync, promised, foreign, owners) = tokio::try_join!(
            table.newest(AccountDay::all(), DAYS_READ),
            table.get(Account::key_of()),
            table.sync_state(),
            table.budget_sums(programmes),
            table.foreign_keys(),
            table.key_owners(),
        )?;
        let need = table.credit_facts(programmes, promised.to_come, self.now).await?.need();
        let mut spent = Days::default();
        for used in account.iter().flat_map(|account| [&account.ours, &account.foreign]) {
            spent.add(&used.credits);
        }
        let looked = sync.listed_at.map_or(LastListing::Never, |at| LastListing::On(utc_date(at)));
        let [this_week, week_before] = weeks.map(|week| looked.sum(&spent, week));
        let unlimited =
            foreign.iter().filter(|key| key.enabled && key.limit.is_none() && key.gone_at.is_none()).count();
        let found = unowned_since(foreign, &owners, due.mornings);
        let (old, new): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|key| key.created_at.is_some_and(|made| made <= born));
        let (programmes, further) = self.lines(&sync, weeks[0]).await?;
        let (residual, residual_grew) = residual(&days, weeks[0]);
        let held_back = sync.held_back.as_ref().filter(|held| held.release.is_none());
        Ok(AccountDigest {
            week: due.week,
            found_at: self.now,
            days: weeks[0],
            balance: days.first().map(|day| day.bought - day.spent),
            reserved: promised.reserved,
            to_come: promised.to_come,
            need,
            this_week,
            week_before,
            new_keys: count(&new),
            first_new_keys: first_by_use(new),
            old_keys: count(&old),
            unlimited_keys: u32::try_from(unlimited).unwrap_or(u32::MAX),
            programmes,
            further,
            held_back: held_back.map_or(0, HeldBack::count),
            residual,
            residual_grew,
            health: super::health(&sync),
            recipients: Vec::new(),
            queued: 0,
        })
    }

    /// Each programme except those that ended long ago, with the highest spending of the week first.
    async fn lines(&self, sync: &SyncState, week: (Date, Date)) -> Result<(Vec<ProgrammeLine>, u32)> {
        let is_told = |programme: &&Programme| utc_date(programme.over_since()) >= week.0;
        let lines: Vec<_> =
            self.programmes.read.iter().filter(is_told).map(|programme| self.line(programme, sync, week)).collect();
        let mut lines: Vec<ProgrammeLine> = iter(lines).buffered(SIDE_BY_SIDE).try_collect().await?;
        lines.sort_by_key(|line| (Reverse(line.this_week.spent), Reverse(line.spent)));
        let further = lines.len().saturating_sub(MOST_PROGRAMMES);
        lines.truncate(MOST_PROGRAMMES);
        Ok((lines, u32::try_from(further).unwrap_or(u32::MAX)))
    }

    async fn line(&self, programme: &Programme, sync: &SyncState, week: (Date, Date)) -> Result<ProgrammeLine> {
        let (id, settings) = (&programme.id, &programme.settings);
        let (budget, used) = tokio::try_join!(self.table.get(Budget::key_of(id)), self.table.programme_use(id))?;
        let budget = budget.unwrap_or_else(|| Budget::new(id.clone(), Usd::ZERO));
        let spent = used.used().days(settings.basis.byok);
        let looked = super::last_listing(sync, used.has_keys(&budget) || sync.listed_at.is_none());
        let limits = SpendingLimits::of(&budget, used.owns_keys(), &spent);
        let forecast = || Forecast::of(&spent, limits, &settings.term, sync.listed_at, self.now).runs_out;
        Ok(ProgrammeLine {
            programme: id.clone(),
            this_week: looked.sum(&spent, week),
            spent: spent.total(),
            budget: budget.limit,
            runs_out: (!programme.is_over(self.now)).then(forecast),
        })
    }
}

/// Foreign keys without an owner that were first seen since the digest before.
fn unowned_since(foreign: Vec<ForeignKey>, owners: &[KeyOwner], (before, this): (Moment, Moment)) -> Vec<ForeignKey> {
    let owned: HashSet<&KeyHash> = owners.iter().map(|known| &known.key).collect();
    let is_found = |key: &ForeignKey| before <= key.first_seen_at && key.first_seen_at < this;
    foreign.into_iter().filter(|key| is_found(key) && !owned.contains(&key.key)).collect()
}

fn first_by_use(mut keys: Vec<ForeignKey>) -> Vec<UnownedKey> {
    keys.sort_by_cached_key(|key| (Reverse(key.used.credits.total()), key.name.clone(), key.key.clone()));
    let told = |key: ForeignKey| UnownedKey { spent: key.used.credits.total(), key: key.key, limit: key.limit };
    keys.into_iter().take(MOST_KEYS).map(told).collect()
}

fn count(keys: &[ForeignKey]) -> u32 {
    u32::try_from(keys.len()).unwrap_or(u32::MAX)
}

/// The residual, and how much of it arose in the week. `days` are the newest of the account, newest first.
fn residual(days: &[AccountDay], (from, to): (Date, Date)) -> (Option<Usd>, Usd) {
    // Spending of the last day is in the sums of the sync of the next night.
    let newest = days.iter().find(|day| day.day <= to.tomorrow().unwrap_or(to)).map(|day| day.residual);
    // A day holds the sums of its last sync, so those of the week's beginning are on the newest day up to `from`. The first
    // reconciliation leaves no residual.
    let before = days.iter().find(|day| day.day <= from).map_or(Usd::ZERO, |day| day.residual);
    (newest, newest.unwrap_or(before) - before)
}
