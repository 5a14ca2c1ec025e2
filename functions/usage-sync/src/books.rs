//! What a run writes of the account's money: how the day stands, the cut through the books of a complete run, and the alarm about what
//! no key explains.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::alarm::{Alarm, Cause};
use bursar_core::domain::money::Usd;
use bursar_core::domain::reconciliation::{Reconciled, Spent};
use bursar_core::domain::window::utc_date;
use bursar_core::provider::account::Credits;
use bursar_core::store::{Account, AccountDay, Cut, ProgrammeCut, SyncState};

use crate::progress::{Lifetime, Progress};
use crate::run::Run;

/// The account's money before the keys were listed and after the last was read, held against what they used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Books {
    /// What had been bought in the end.
    bought: Usd,
    spent: Spent,
    pub(crate) parts: Reconciled,
}

impl Books {
    pub(crate) fn of(before: Credits, after: Credits, progress: &Progress, state: &SyncState) -> Books {
        // Neither ever shrinks; an answer from before the other may come later.
        let spent = Spent { before: before.used, after: after.used.max(before.used) };
        let parts = Reconciled::of(spent, progress.account.spent(), state.opening);
        Books { bought: after.bought.max(before.bought), spent, parts }
    }

    fn day(&self, progress: &Progress) -> AccountDay {
        let (whole, Reconciled { opening, residual, unsettled }) = (&progress.account, self.parts);
        AccountDay {
            day: utc_date(progress.began_at),
            as_of: progress.began_at,
            bought: self.bought,
            spent: self.spent.after,
            ours: whole.ours.credits.total() - whole.ours_gone,
            ours_gone: whole.ours_gone,
            foreign: whole.foreign.credits.total() - whole.foreign_gone,
            foreign_gone: whole.foreign_gone,
            opening: opening.least,
            residual,
            unsettled,
            tolerance: progress.tolerance(),
        }
    }

    fn cut(&self, progress: &Progress) -> Cut {
        let Reconciled { opening, residual, unsettled } = self.parts;
        let programmes = progress.programmes.iter().zip(0_u16..).map(|(programme, number)| {
            let Lifetime { credits, byok } = progress.account.of.get(&number).copied().unwrap_or_default();
            ProgrammeCut { programme: programme.clone(), keys: credits, byok }
        });
        Cut {
            as_of: progress.began_at,
            bought: self.bought,
            spent: self.spent,
            programmes: programmes.collect(),
            unowned: progress.account.foreign.credits.total(),
            opening: opening.least,
            residual,
            unsettled,
        }
    }
}

impl Run<'_> {
    /// Writes what all keys used and what the money came to, each only if it changed, and of a complete run the cut.
    pub(crate) async fn write_account(
        &self,
        progress: &Progress,
        books: Option<Books>,
        deadline: Deadline,
    ) -> Result<()> {
        let under = self.under(deadline);
        let (as_of, whole) = (progress.began_at, &progress.account);
        let account = Account { as_of, ours: whole.ours.clone(), foreign: whole.foreign.clone() };
        if self.table.account().await?.is_none_or(|known| Account { as_of, ..known } != account) {
            self.ensure_written(under.note_account(&account).await?)?;
        }
        let Some(books) = books else { return Ok(()) };
        let day = books.day(progress);
        if self.table.account_day(day.day).await?.is_none_or(|known| AccountDay { as_of, ..known } != day) {
            self.ensure_written(under.note_account_day(&day).await?)?;
        }
        if progress.report.complete {
            self.ensure_written(under.note_cut(&books.cut(progress)).await?)?;
        }
        Ok(())
    }

    /// Tells the admins of what no key explains, if they do not know it, and says of how much of it they know by now. An alarm of the
    /// day that is on record already told what it says; more is told on another day.
    pub(crate) async fn tell_of_the_residual(
        &self,
        residual: Usd,
        progress: &Progress,
        state: &SyncState,
        deadline: Deadline,
    ) -> Result<Usd> {
        let (known, tolerance) = (state.residual, progress.tolerance());
        if known.explains(residual, tolerance) {
            return Ok(known.explained);
        }
        if known.tells(residual, tolerance) {
            return Ok(known.told);
        }
        let now = self.clock.now();
        let alarm = Alarm::now(Cause::Residual { residual, news: residual - known.told, tolerance }, now);
        self.raise(&alarm, deadline).await?;
        match self.table.alarm(alarm.day, &alarm.name()).await? {
            Some(Alarm { cause: Cause::Residual { residual: told, .. }, .. }) => Ok(told),
            _ => Ok(known.told),
        }
    }
}
