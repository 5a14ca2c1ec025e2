//! The account's money as a run writes it: the day, the cut of a complete run, and the alarm about the
//! residual.

use bursar_core::domain::ledger::cut::{AccountCut, AccountSpending, ProgrammeCut, Reconciled, is_new};
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::provider::account::Credits;
use bursar_core::store::{Account, AccountDay, SyncState};

use super::account_use::AccountUse;
use crate::prelude::*;

/// The account's money before the listing and after the last reading, with what its keys used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Books {
    /// The credits bought by the end.
    bought: Usd,
    spent: AccountSpending,
    parts: Reconciled,
}

impl Books {
    pub(crate) fn of(before: Credits, after: Credits, account: &AccountUse, state: &SyncState) -> Books {
        // Neither sum ever shrinks, but the later answer may come from an older state.
        let spent = AccountSpending { before: before.used, after: after.used.max(before.used) };
        let parts = Reconciled::of(spent, account.spent(), state.opening);
        Books { bought: after.bought.max(before.bought), spent, parts }
    }

    pub(crate) fn parts(&self) -> Reconciled {
        self.parts
    }

    fn day(&self, baseline: &Baseline, AccountUse { own, foreign }: &AccountUse, tolerance: Usd) -> AccountDay {
        let Reconciled { opening, residual, unsettled } = self.parts;
        AccountDay {
            day: utc_date(baseline.began_at),
            as_of: baseline.began_at,
            bought: self.bought,
            spent: self.spent.after,
            ours: own.used.credits.total() - own.gone,
            ours_gone: own.gone,
            foreign: foreign.used.credits.total() - foreign.gone,
            foreign_gone: foreign.gone,
            opening: opening.least,
            residual,
            unsettled,
            tolerance,
        }
    }

    fn cut(&self, baseline: &Baseline, account: &AccountUse) -> AccountCut {
        let Reconciled { opening, residual, unsettled } = self.parts;
        let programmes = baseline.programmes.iter().zip(0_u16..).map(|(programme, number)| ProgrammeCut {
            programme: programme.clone(),
            used: account.own.of_programme(number),
        });
        AccountCut {
            as_of: baseline.began_at,
            bought: self.bought,
            spent: self.spent,
            programmes: programmes.collect(),
            foreign: account.foreign.used.credits.total(),
            opening: opening.least,
            residual,
            unsettled,
        }
    }
}

/// Writes the account's use and money, each only if it changed, and the cut of a complete run.
pub(crate) async fn write_account(
    runner: &Runner<'_>,
    used: &AccountUse,
    books: Option<Books>,
    is_complete: bool,
) -> Result<()> {
    let (fenced, as_of) = (runner.fenced(), runner.baseline.began_at);
    let account = Account { as_of, ours: used.own.used.clone(), foreign: used.foreign.used.clone() };
    if runner.table.get(Account::key_of()).await?.is_none_or(|known| Account { as_of, ..known } != account) {
        ensure_written(fenced.put_later(&account, as_of).await?)?;
    }
    let Some(books) = books else { return Ok(()) };
    let day = books.day(&runner.baseline, used, used.tolerance());
    if runner.table.get(AccountDay::key_of(day.day)).await?.is_none_or(|known| AccountDay { as_of, ..known } != day) {
        ensure_written(fenced.put_later(&day, as_of).await?)?;
    }
    if is_complete {
        ensure_written(fenced.note_cut(&books.cut(&runner.baseline, used)).await?)?;
    }
    Ok(())
}

/// Raises an alarm about a residual that is new. Returns the one that admins were told last. An alarm recorded
/// today keeps its text; what is new is reported on another day.
pub(crate) async fn tell_of_the_residual(runner: &Runner<'_>, residual: Usd, tolerance: Usd, told: Usd) -> Result<Usd> {
    if !is_new(residual, told, tolerance) {
        return Ok(told);
    }
    let now = runner.clock.now();
    let alarm = Alarm::now(Cause::Residual { residual, news: residual - told, tolerance }, now);
    runner.table.tell_admins(&alarm, alarm.found_at, runner.deadline).await?;
    match runner.table.get(Alarm::key_of(alarm.day, &alarm.name())).await? {
        Some(Alarm { cause: Cause::Residual { residual: told, .. }, .. }) => Ok(told),
        _ => Ok(told),
    }
}
