//! The credit of the account: what must be bought and by when, a balance that falls short, and one that nobody can read. The rules for
//! what is told when are [`bursar_core::domain::credit`]'s.

use bursar_core::domain::credit::BalanceNotice;
use bursar_core::store::BalanceReading;
use jiff::SignedDuration;

use crate::prelude::*;

/// For so long it may fail to be read.
const READ_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// The alarm that the balance could not be read for too long, once for each day on which that began.
pub(crate) async fn unread(table: &Table, now: Moment) -> Result<Option<Alarm>> {
    let since = table.get(BalanceReading::key_of()).await?.and_then(|reading| reading.failing_since);
    let since = since.filter(|since| *since + READ_WITHIN <= now);
    Ok(since.map(|since| Alarm::on(utc_date(since), Cause::BalanceUnread { since }, now)))
}

/// The alarm about the last known balance. It is raised when its notice is recorded, and again while that
/// lasts. So it is not lost when an invocation dies between the two; nobody gets a second mail.
pub(crate) async fn balance(
    table: &Table,
    programmes: &Programmes,
    now: Moment,
    deadline: Deadline,
) -> Result<Option<Alarm>> {
    let programmes = programmes.all()?;
    let to_come = table.budget_sums(programmes).await?.to_come;
    let facts = table.credit_facts(programmes, to_come, now).await?;
    let Some((balance, _)) = facts.balance else { return Ok(None) };
    let (need, purchase) = (facts.need(), facts.purchase(balance));
    let known = table.get(BalanceNotice::key_of()).await?;
    let last = match BalanceNotice::after(known.as_ref(), need, purchase, now) {
        Some(next) if table.note_balance(&next, deadline).await? => Some(next),
        // Another invocation was faster, and raises it.
        Some(_) => None,
        None => known,
    };
    let alarm = |BalanceNotice { need, purchase, alerted_at, .. }| {
        Alarm::on(utc_date(alerted_at), Cause::Balance { need, purchase, alerted_at }, alerted_at)
    };
    Ok(last.filter(|last| !last.is_over).map(alarm))
}
