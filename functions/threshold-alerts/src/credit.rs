//! The credit of the account: what must be bought and by when, and a balance that nobody can read.
//! The rules for what is told when are [`bursar_core::domain::credit`]'s.

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::credit::BalanceNotice;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{BalanceReading, Table};
use jiff::SignedDuration;

use crate::failures::Programmes;

/// For so long it may fail to be read.
const READ_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// The alarm that the balance could not be read for too long, once for each day on which that
/// began.
pub(crate) async fn unread(table: &Table, now: Moment) -> Result<Option<Alarm>> {
    let since = table
        .get(BalanceReading::key_of())
        .await?
        .and_then(|reading| reading.failing_since);
    let since = since.filter(|since| *since + READ_WITHIN <= now);
    Ok(since.map(|since| Alarm::on(utc_date(since), Cause::BalanceUnread { since }, now)))
}

/// The alarm about the last known balance. It is raised when its notice is recorded, and again
/// while that lasts. So it is not lost when an invocation dies between the two; nobody gets a
/// second mail.
pub(crate) async fn balance(
    table: &Table,
    programmes: &Programmes,
    now: Moment,
    deadline: Deadline,
) -> Result<Option<Alarm>> {
    let programmes = programmes.all()?;
    let sums = table.budget_sums(programmes, now).await?;
    let Some(facts) = table.credit_facts(programmes, &sums, now).await? else {
        return Ok(None);
    };
    let purchase = facts.purchase();
    let to_buy = if purchase.gone.is_some() {
        purchase.amount
    } else {
        Usd::ZERO
    };
    tracing::info!(to_buy_usd = %to_buy, "what is to be bought");
    let stored = table.get(BalanceNotice::key_of()).await?;
    let last = match BalanceNotice::after(stored.as_ref(), purchase, now) {
        Some(next) if table.note_balance(&next, deadline).await? => Some(next),
        // Another invocation was faster, and raises it.
        Some(_) => None,
        None => stored,
    };
    let notice = last.filter(|last| !last.is_over);
    Ok(notice.map(
        |BalanceNotice {
             purchase,
             alerted_at,
             ..
         }| {
            Alarm::on(
                utc_date(alerted_at),
                Cause::Balance {
                    purchase,
                    alerted_at,
                },
                alerted_at,
            )
        },
    ))
}
