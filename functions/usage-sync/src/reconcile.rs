//! The reconciliation: the account's spending against the use of all known keys. The first complete run determines the opening; from then
//! on what no key explains is the residual. Each complete run leaves a cut.

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::ledger::cut::{AccountCut, AccountSpending, ProgrammeCut, Reconciled, is_new};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::provider::account::Credits;
use bursar_core::store::{Account, AccountDay, SyncState};
use jiff::SignedDuration;

use crate::foreign::ForeignUse;
use crate::recount::OwnUse;
use crate::runner::{Gaps, RunContext};

/// How long keys may be unread before what they may have used is told as a residual.
const UNREAD_FOR: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The account's money, with what its keys used.
pub(crate) struct Books {
    /// The credits bought by the end.
    bought: Usd,
    spent: AccountSpending,
    pub(crate) parts: Reconciled,
    /// The residual that admins were told last.
    pub(crate) told_residual: Usd,
}

/// The account's credits; nothing where the provider does not say, which the report does.
pub(crate) async fn credits(runner: &RunContext) -> Option<Credits> {
    match runner.provider.credits(runner.until()).await {
        Ok(credits) => Some(credits),
        Err(error) => {
            runner.journal.answered(format!("the credits could not be read: {error}"), &error);
            None
        }
    }
}

/// Compares the account's money before the listing and after the last reading with what keys used, and writes both.
///
/// Money is spent while keys are listed and compared, when students refresh theirs. What was spent by the end bounds all of it.
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
        let account = Account { as_of, ours: own_use.used.clone(), foreign: foreign.used.clone() };
        table.put_later(&account, as_of, runner.end()).await?;
    }
    let state = table.sync_state().await?;
    // What could not be read tonight is no residual, as far as anybody knows; after some nights somebody should look.
    let is_patient = gaps.has_unread && state.unread_since.is_none_or(|since| as_of < since + UNREAD_FOR);
    // Only a complete run that read each key can tell what was spent before the first; a key that is never read keeps no sum back for ever.
    let can_tell = state.opening.is_some() || (is_complete && !is_patient);
    let Some((before, after)) = credits.filter(|_| can_tell) else { return Ok(None) };
    // Less than a micro-dollar for each key, those that are gone included.
    let tolerance = Usd::from_micros(i64::try_from(own_use.keys + foreign.keys).unwrap_or(i64::MAX));
    let mut books = Books::new((before, after), own_use, foreign, &state);
    let day = books.day(as_of, own_use, foreign, tolerance);
    table.put_later(&day, as_of, runner.end()).await?;
    if is_new(books.parts.residual, books.told_residual, tolerance) && !is_patient {
        books.told_residual =
            tell_of_the_residual(runner, books.parts.residual, tolerance, state.residual_told).await?;
    }
    runner.journal.report(|report| report.residual = Some(books.parts.residual));
    Ok(Some(books))
}

/// Raises an alarm about a residual that is new. Returns the one that admins were told last. An alarm recorded
/// today keeps its text; what is new is reported on another day.
async fn tell_of_the_residual(runner: &RunContext, residual: Usd, tolerance: Usd, told_residual: Usd) -> Result<Usd> {
    let now = runner.clock.now();
    let alarm = Alarm::now(Cause::Residual { residual, news: residual - told_residual, tolerance }, now);
    runner.table.tell_admins(&alarm, alarm.found_at, runner.deadline).await?;
    let stored: Option<Alarm> = runner.table.get(Alarm::key_of(alarm.day, &alarm.name())).await?;
    if let Some(Cause::Residual { residual, .. }) = stored.map(|alarm| alarm.cause) {
        Ok(residual)
    } else {
        Ok(told_residual)
    }
}

impl Books {
    fn new((before, after): (Credits, Credits), own_use: &OwnUse, foreign: &ForeignUse, state: &SyncState) -> Books {
        // Neither sum ever shrinks, but the later answer may come from an older state.
        let spent = AccountSpending { before: before.used, after: after.used.max(before.used) };
        let used = own_use.used.credits.total() + foreign.used.credits.total();
        let parts = Reconciled::compare(spent, used, state.opening);
        Books { bought: after.bought.max(before.bought), spent, parts, told_residual: state.residual_told }
    }

    fn day(&self, as_of: Moment, own_use: &OwnUse, foreign: &ForeignUse, tolerance: Usd) -> AccountDay {
        let Reconciled { opening, residual, unsettled } = self.parts;
        AccountDay {
            day: utc_date(as_of),
            as_of,
            bought: self.bought,
            spent: self.spent.after,
            ours: own_use.used.credits.total() - own_use.gone,
            ours_gone: own_use.gone,
            foreign: foreign.used.credits.total() - foreign.gone,
            foreign_gone: foreign.gone,
            opening: opening.least,
            residual,
            unsettled,
            tolerance,
        }
    }

    pub(crate) fn cut(&self, as_of: Moment, own_use: &OwnUse, foreign: &ForeignUse) -> AccountCut {
        let Reconciled { opening, residual, unsettled } = self.parts;
        let programmes = own_use.by_programme.iter();
        AccountCut {
            as_of,
            bought: self.bought,
            spent: self.spent,
            programmes: programmes
                .map(|(programme, used)| ProgrammeCut { programme: programme.clone(), used: *used })
                .collect(),
            foreign: foreign.used.credits.total(),
            opening: opening.least,
            residual,
            unsettled,
        }
    }
}
