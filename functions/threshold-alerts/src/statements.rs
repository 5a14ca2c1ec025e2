//! The statements of past months, for finance: each is recorded once from the third of the next
//! month on, as it is then, with a mail to each finance address. Its words belong to the mail
//! function.

use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::mailed::{MailedStatement, months_due};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{Broadcast, Table};

/// The least time for a statement to be begun.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(25);

/// Records each statement that is due and has none yet, oldest first. Returns how many were new.
///
/// A month that no complete sync has ended yet waits, and so do those after it. A month without any
/// complete sync has no statement of its own: what was spent in it is in the one before.
pub(crate) async fn mail_due(table: &Table, now: Moment, deadline: Deadline) -> Result<usize> {
    let newest = table.newest(MailedStatement::all(), 1).await?.pop();
    if let Some(newest) = newest.as_ref().filter(|newest| !newest.is_queued()) {
        // The invocation that recorded it died before every recipient had a mail.
        table
            .tell(newest, &newest.recipients, now, deadline)
            .await?;
    }
    let Some(first_cut) = table.oldest(AccountCut::all()).await? else {
        return Ok(0);
    };
    let mut mailed = 0;
    for days in months_due(
        newest.map(|newest| newest.statement.days.first),
        first_cut.as_of,
        now,
    ) {
        let (Some(statement), programmes) = table.statement(days).await? else {
            break;
        };
        if statement.to < days.end() || !deadline.leaves(ENOUGH_FOR_ONE) {
            break;
        }
        if statement.from == statement.to {
            continue;
        }
        let statement = MailedStatement::new(statement, now);
        let recipients = table
            .people_of(&readers(&statement, &programmes), deadline)
            .await?;
        mailed += usize::from(table.tell(&statement, &recipients, now, deadline).await?);
    }
    Ok(mailed)
}

/// The finance addresses that have rows in a statement.
fn readers(statement: &MailedStatement, programmes: &[Programme]) -> Vec<EmailAddress> {
    let finance = programmes
        .iter()
        .flat_map(|programme| &programme.settings.people.finance);
    finance
        .filter(|address| !statement.rows_of(address.matched(), programmes).is_empty())
        .cloned()
        .collect()
}
