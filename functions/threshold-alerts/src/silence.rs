//! Watch over what fell silent: syncs, jobs, and the balance that all keys live on. What is found is told to the admins by mail, once
//! a day for each cause; nothing here depends on the sync having run.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::alarm::{Alarm, Cause};
use bursar_core::domain::programme::Programme;
use bursar_core::store::items::{MailState, OwedMail};
use bursar_core::store::{JobState, Table};
use jiff::{SignedDuration, Timestamp};

/// With a look each hour, somebody knows of it before a complete sync is missing for 26.
const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(25);
/// A dead letter to the admins is told again for so long; of so many the newest are looked at.
const TOLD_AGAIN_FOR: SignedDuration = SignedDuration::from_hours(48);
const MOST_DEAD: usize = 100;
/// Work goes on each minute: after so long without, something is wrong.
const CARRIED_ON_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// What admins are to be told of now.
pub(crate) async fn causes(
    table: &Table,
    programmes: &[Programme],
    now: Timestamp,
    deadline: Deadline,
) -> Result<Vec<Cause>> {
    let mut causes = Vec::new();
    causes.extend(silent_sync(table, programmes, now).await?);
    causes.extend(balance(table, programmes).await?);
    causes.extend(unheard(table, now).await?);
    for programme in programmes {
        anyhow::ensure!(deadline.leaves(crate::ENOUGH_FOR_ONE), "the time is up");
        causes.extend(stuck(table, programme, now).await?);
    }
    Ok(causes)
}

/// No complete sync for too long. While there is no programme there is nothing to sync.
async fn silent_sync(table: &Table, programmes: &[Programme], now: Timestamp) -> Result<Option<Cause>> {
    if programmes.is_empty() {
        return Ok(None);
    }
    let last = table.sync_state().await?.completed_at;
    let since = match last {
        Some(last) => last,
        None => table.meta(now).await?.born,
    };
    Ok((since + COMPLETE_WITHIN <= now).then_some(Cause::Silent { last }))
}

/// The balance that was last read, against what pots have promised beyond what was spent.
async fn balance(table: &Table, programmes: &[Programme]) -> Result<Option<Cause>> {
    let Some(day) = table.newest_account_days(1).await?.pop() else { return Ok(None) };
    let to_come = table.promised(programmes).await?.to_come;
    let balance = day.bought - day.spent;
    Ok((balance < to_come).then_some(Cause::Balance { balance, to_come }))
}

/// Mails to the admins that were given up: what they were to tell is told again each day until it arrives, or is old.
async fn unheard(table: &Table, now: Timestamp) -> Result<Option<Cause>> {
    let (dead, _) = table.dead_mails(now - TOLD_AGAIN_FOR, MOST_DEAD).await?;
    let to_admins = dead.iter().find_map(|row| match (&row.mail, &row.state) {
        (OwedMail::Account { .. }, MailState::Failed { why, .. }) => Some((row.mail.kind().to_owned(), why.clone())),
        _ => None,
    });
    Ok(to_admins.map(|(mail, code)| Cause::Unsent { mail, code }))
}

async fn stuck(table: &Table, programme: &Programme, now: Timestamp) -> Result<Option<Cause>> {
    let Some(job) = table.job(&programme.id).await? else { return Ok(None) };
    let JobState::Running { lease_until } = job.state else { return Ok(None) };
    let programme = programme.id.clone();
    Ok((lease_until + CARRIED_ON_WITHIN <= now).then_some(Cause::Stuck { programme, since: lease_until }))
}

/// Puts each on record, with a mail owed to each admin.
pub(crate) async fn raise(
    table: &Table,
    causes: Vec<Cause>,
    admins: &[EmailAddress],
    now: Timestamp,
    deadline: Deadline,
) -> Result<usize> {
    let people = table.people_of(admins, deadline).await?;
    let mut raised = 0;
    for cause in causes {
        raised += usize::from(table.raise(&Alarm::now(cause, now), &people, now, deadline).await?);
    }
    Ok(raised)
}
