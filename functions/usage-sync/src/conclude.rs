//! The conclusion: the account's spending against the use of all known keys, whether the run is
//! complete, and how the sync stands from now on. It is written after all sums, since it says how
//! far they are known. The first complete run determines the opening; from then on what no key
//! explains is the residual. Each complete run leaves a cut.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use bursar_core::clock::Moment;
use bursar_core::domain::ledger::cut::{
    AccountCut, AccountSpending, ProgrammeCut, Reconciled, is_new,
};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::id::{KeyHash, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::account::Credits;
use bursar_core::store::{Account, HeldBack, KnownAccount, StubbornDisable, SyncState, UnknownKey};
use jiff::SignedDuration;

use crate::foreign::ForeignUse;
use crate::list::KeyListing;
use crate::recount::OwnUse;
use crate::repair::Repaired;
use crate::runner::{Gaps, RunContext};

/// How long keys may be unread before what they may have used is told as a residual.
const UNREAD_FOR: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The number of keys by which the account is known: more than one, since one may be deleted before
/// it is needed.
const KEPT: usize = 3;
/// After so many nights a disable that fails keeps no run from being complete, if no more than so
/// many fail.
const STUBBORN_AFTER: u32 = 3;
const MOST_STUBBORN: usize = 5;
/// The most of them that are counted: with so many no run is complete anyway.
const MOST_KEPT: usize = 100;
/// The tries at the sync's state while an admin writes it.
const TRIES: usize = 5;

/// The account's money, with what its keys used.
pub(crate) struct Books {
    /// The credits bought by the end.
    bought: Usd,
    spent: AccountSpending,
    pub(crate) parts: Reconciled,
    /// The part of the residual that may come from rounding: less than a micro-dollar for each key,
    /// those that are gone included.
    tolerance: Usd,
    /// The residual that admins were told last.
    pub(crate) told_residual: Usd,
}

/// The account's credits; nothing where the provider does not say, which the report does.
pub(crate) async fn credits(runner: &RunContext) -> Option<Credits> {
    match runner.provider.credits(runner.until()).await {
        Ok(credits) => Some(credits),
        Err(error) => {
            runner
                .journal
                .answered(format!("the credits could not be read: {error}"), &error);
            None
        }
    }
}

/// Compares the account's money before the listing and after the last reading with what keys used,
/// and writes both.
///
/// Money is spent while keys are listed and compared, when students refresh theirs. What was spent
/// by the end bounds all of it.
pub(crate) async fn account(
    runner: &RunContext,
    credits: Option<(Credits, Credits)>,
    own_use: &OwnUse,
    foreign: &ForeignUse,
    is_complete: bool,
    gaps: Gaps,
) -> Result<Option<Books>> {
    let table = &runner.table;
    let as_of = runner.baseline.began_at;
    if !gaps.has_failed {
        let account = Account {
            as_of,
            ours: own_use.used.clone(),
            foreign: foreign.used.clone(),
        };
        table.put_later(&account, as_of, runner.end()).await?;
    }
    let state = table.sync_state().await?;
    // What could not be read tonight is no residual, as far as anybody knows; after some nights
    // somebody should look.
    let is_patient = gaps.has_unread
        && state
            .unread_since
            .is_none_or(|since| as_of < since + UNREAD_FOR);
    // Only a complete run that read each key can tell what was spent before the first; a key that
    // is never read keeps no sum back for ever.
    let can_tell = state.opening.is_some() || (is_complete && !is_patient);
    let Some((before, after)) = credits.filter(|_| can_tell) else {
        return Ok(None);
    };
    let mut books = Books::new((before, after), own_use, foreign, &state);
    if is_new(books.parts.residual, books.told_residual, books.tolerance) && !is_patient {
        books.told_residual = tell_of_the_residual(runner, &books).await?;
    }
    runner
        .journal
        .report(|report| report.residual = Some(books.parts.residual));
    Ok(Some(books))
}

/// Raises an alarm about a residual that is new. Returns the one that admins were told last. An
/// alarm recorded today keeps its text; what is new is reported on another day.
async fn tell_of_the_residual(runner: &RunContext, books: &Books) -> Result<Usd> {
    let now = runner.clock.now();
    let residual = books.parts.residual;
    let news = residual - books.told_residual;
    let alarm = Alarm::now(
        Cause::Residual {
            residual,
            news,
            tolerance: books.tolerance,
        },
        now,
    );
    runner
        .table
        .tell_admins(&alarm, alarm.found_at, runner.deadline)
        .await?;
    let stored: Option<Alarm> = runner
        .table
        .get(Alarm::key_of(alarm.day, &alarm.name()))
        .await?;
    if let Some(Cause::Residual { residual, .. }) = stored.map(|alarm| alarm.cause) {
        Ok(residual)
    } else {
        Ok(books.told_residual)
    }
}

impl Books {
    fn new(
        (before, after): (Credits, Credits),
        own_use: &OwnUse,
        foreign: &ForeignUse,
        state: &SyncState,
    ) -> Books {
        // Neither sum ever shrinks, but the later answer may come from an older state.
        let spent = AccountSpending {
            before: before.used,
            after: after.used.max(before.used),
        };
        let used = own_use.used.credits.total() + foreign.used.credits.total();
        let parts = Reconciled::compare(spent, used, state.opening);
        Books {
            bought: after.bought.max(before.bought),
            spent,
            parts,
            tolerance: Usd::from_micros(
                i64::try_from(own_use.keys + foreign.keys).unwrap_or(i64::MAX),
            ),
            told_residual: state.residual_told,
        }
    }

    pub(crate) fn cut(&self, as_of: Moment, own_use: &OwnUse, foreign: &ForeignUse) -> AccountCut {
        let Reconciled {
            opening,
            residual,
            unsettled,
        } = self.parts;
        let ids: BTreeSet<&ProgrammeId> = own_use
            .by_programme
            .keys()
            .chain(foreign.assigned.keys())
            .collect();
        let programmes = ids.into_iter().map(|id| ProgrammeCut {
            programme: id.clone(),
            used: own_use.by_programme.get(id).copied().unwrap_or_default(),
            assigned: foreign.assigned.get(id).copied().unwrap_or_default(),
        });
        AccountCut {
            as_of,
            bought: self.bought,
            spent: self.spent,
            programmes: programmes.collect(),
            ours_gone: own_use.gone,
            foreign: foreign.used.credits.total(),
            foreign_gone: foreign.gone,
            opening: opening.least,
            residual,
            unsettled,
            tolerance: self.tolerance,
        }
    }
}

/// What a run leaves to the next.
pub(crate) struct Conclusion {
    pub(crate) is_complete: bool,
    pub(crate) books: Option<Books>,
    pub(crate) cut: Option<AccountCut>,
    pub(crate) unknown: Vec<UnknownKey>,
    pub(crate) held_back: Option<HeldBack>,
    pub(crate) gaps: Gaps,
    pub(crate) repaired: Repaired,
}

impl Conclusion {
    /// Whether every key was listed and held against the table.
    fn is_whole(&self, listing: &KeyListing) -> bool {
        listing.is_whole && !self.gaps.has_failed && !self.repaired.is_broken_off
    }
}

/// Whether a run read every key and the account's money, and disabled what it was to disable.
/// Otherwise the report begins with why not.
pub(crate) async fn is_complete(
    runner: &RunContext,
    listing: &KeyListing,
    credits: Option<&(Credits, Credits)>,
    gaps: Gaps,
    repaired: &Repaired,
) -> Result<bool> {
    let journal = &runner.journal;
    let refusal = journal.read().refusal;
    let failing = nights_of_failed_disables(runner, repaired, &runner.table.sync_state().await?);
    let stubborn = failing
        .iter()
        .filter(|disable| disable.nights >= STUBBORN_AFTER)
        .count();
    let hinders = stubborn > MOST_STUBBORN || stubborn < failing.len();
    let reasons = [
        (
            refusal == Some(Cause::ManagementKey),
            "the management key does not work",
        ),
        (
            matches!(refusal, Some(Cause::AnotherAccount { .. })),
            "the management key is of another account, or its keys are gone",
        ),
        (!listing.is_whole, "not every key was listed"),
        (
            gaps.has_failed,
            "some of the table could not be read or written",
        ),
        (hinders, "a key that was to be disabled was not"),
        (
            repaired.is_broken_off,
            "something that was to be done was not",
        ),
        (
            credits.is_none(),
            "the sums could not be held against the account",
        ),
    ];
    let reasons: Vec<&str> = reasons
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, reason)| reason)
        .collect();
    if !reasons.is_empty() {
        journal.report_first_problem(format!("this run is not complete: {}", reasons.join(", ")));
    }
    Ok(reasons.is_empty())
}

/// The disables that failed in this run, each with the number of nights on which it did.
fn nights_of_failed_disables(
    runner: &RunContext,
    repaired: &Repaired,
    state: &SyncState,
) -> Vec<StubbornDisable> {
    let today = utc_date(runner.baseline.began_at);
    let disables = repaired.not_disabled.iter().map(|grant| {
        let which = format!("the keys of the grant {grant}");
        let before = state
            .stubborn
            .iter()
            .find(|disable| disable.subject == which);
        let nights = before.map_or(1, |before| before.nights + u32::from(before.last != today));
        StubbornDisable {
            subject: which,
            nights,
            last: today,
        }
    });
    disables.take(MOST_KEPT).collect()
}

/// Writes how the sync stands, with the cut and the keys by which the account is known. A run that
/// a later one overtook writes nothing.
pub(crate) async fn write(
    runner: &RunContext,
    listing: &KeyListing,
    run: &Conclusion,
) -> Result<()> {
    for _ in 0..TRIES {
        let account = if run.is_complete {
            choose_account(runner, listing, &run.repaired.purged).await?
        } else {
            None
        };
        let state = runner.table.sync_state().await?;
        if state
            .run_began_at
            .is_some_and(|began_at| began_at > runner.baseline.began_at)
        {
            bail!("a later run was faster");
        }
        let after = state_after(runner, listing, run, state);
        let account = account
            .as_ref()
            .map(|account| (account, runner.account.as_ref()));
        if runner
            .table
            .conclude(&after, run.cut.as_ref(), account, runner.end())
            .await?
        {
            return adopt(runner, listing, run).await;
        }
    }
    bail!("how the sync stands was changed again and again")
}

/// Makes a restored table the deployment's own, once a run was whole in it, recorded every key and
/// held nothing back.
async fn adopt(runner: &RunContext, listing: &KeyListing, run: &Conclusion) -> Result<()> {
    if runner.is_copy && run.is_whole(listing) && run.held_back.is_none() {
        runner.table.adopt(runner.end()).await?;
    }
    Ok(())
}

fn state_after(
    runner: &RunContext,
    listing: &KeyListing,
    run: &Conclusion,
    mut after: SyncState,
) -> SyncState {
    let began_at = Some(runner.baseline.began_at);
    after.unread_since = began_at
        .filter(|_| run.gaps.has_unread)
        .map(|now| after.unread_since.unwrap_or(now));
    after.stubborn = nights_of_failed_disables(runner, &run.repaired, &after);
    after.run_began_at = began_at;
    if let Some(books) = &run.books {
        after.residual_told = books.told_residual;
        after.opening = Some(books.parts.opening);
    }
    if run.is_complete {
        after.completed_at = began_at;
    }
    after.restored_at = runner.baseline.restored_at;
    if run.is_whole(listing) {
        after.listed_at = began_at;
        after.unknown_keys = run
            .unknown
            .iter()
            .map(|key| key.merge_known(&after.unknown_keys))
            .collect();
        after.closed_workspaces.clone_from(&listing.closed);
        // Somebody may have released it since this run held it back.
        let is_same = run
            .held_back
            .as_ref()
            .zip(after.held_back.as_ref())
            .is_some_and(|(held, now)| held.held_at == now.held_at);
        // What was released and could not be done stays released.
        let is_left = run.held_back.is_none() && !run.is_complete;
        if !is_left && !is_same {
            after.held_back.clone_from(&run.held_back);
        }
    }
    after.next()
}

/// The keys by which the account is known from now on: some that were listed, and are not deleted
/// since; it may be none. `None` where they are the same.
async fn choose_account(
    runner: &RunContext,
    listing: &KeyListing,
    purged: &[KeyHash],
) -> Result<Option<KnownAccount>> {
    // Of closed workspaces it knows no better, and an admin may have said meanwhile which account
    // it is.
    let stored = runner
        .table
        .find_meta()
        .await?
        .and_then(|meta| meta.account);
    if !listing.closed.is_empty() || stored != runner.account {
        return Ok(None);
    }
    let listed = listing
        .first
        .iter()
        .filter(|key| !purged.contains(key))
        .take(KEPT)
        .cloned()
        .collect();
    let management_key = runner.management_key().await?;
    let of_each_workspace = listing.of_each_workspace.clone();
    let account = KnownAccount {
        management_key,
        listed,
        of_each_workspace,
    };
    let is_none = account.listed.is_empty() && runner.account.is_none();
    Ok(Some(account).filter(|account| !is_none && runner.account.as_ref() != Some(account)))
}
