//! The credit of the account: what must be bought and by when, a balance that falls short, and lots that could
//! lapse soon. The rules for what is told when are `domain/usage/`'s.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::credit::balance::BalanceNotice;
use bursar_core::domain::credit::lots::{LapseNotice, Lot};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::Table;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::failures::Programmes;

/// The most programmes with a line in the mail about a lot.
const MOST_PROGRAMMES: usize = 10;

/// The alarm about the last known balance. It is raised when its notice is recorded, and again while that
/// lasts. So it is not lost when an invocation dies between the two; nobody gets a second mail.
pub(crate) async fn balance(
    table: &Table,
    programmes: &Programmes,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Option<Alarm>> {
    let programmes = programmes.all()?;
    let Some(day) = table.newest_account_days(1).await?.pop() else { return Ok(None) };
    let to_come = table.pot_sums(programmes).await?.to_come;
    let (need, purchase, known) = tokio::try_join!(
        table.need(to_come),
        table.purchase(programmes, to_come, day.bought - day.spent, now),
        table.balance_notice()
    )?;
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

/// The alarms about lots that could lapse soon. Each belongs to the day on which it was due, so that it is told
/// once, and again when other terms give another day.
pub(crate) async fn lapses(table: &Table, programmes: &Programmes, now: Timestamp) -> Result<Vec<Alarm>> {
    let Some(lapse_days) = table.purchase_terms().await?.lapse_days else { return Ok(Vec::new()) };
    let lots = table.lots().await?;
    let due = lots.iter().filter_map(|lot| Some((lot, lot.notice(lapse_days, utc_date(now))?)));
    let due: Vec<(&Lot, LapseNotice)> = due.collect();
    let mut alarms = Vec::new();
    for (lot, notice) in due {
        let mut users = users(table, programmes.all()?, notice.lapses_on, now).await?;
        let further = u32::try_from(users.len().saturating_sub(MOST_PROGRAMMES)).unwrap_or(u32::MAX);
        users.truncate(MOST_PROGRAMMES);
        let cause = Cause::CreditLapses {
            after: lot.after,
            seen_on: lot.seen_on,
            left: lot.left,
            lapses_on: notice.lapses_on,
            days_before: notice.days_before,
            programmes: users,
            further,
        };
        alarms.push(Alarm::on(notice.due_on, cause, now));
    }
    Ok(alarms)
}

/// The programmes that could use credit before it lapses, with what their pots have left, the most first.
async fn users(
    table: &Table,
    programmes: &[Programme],
    lapses_on: Date,
    now: Timestamp,
) -> Result<Vec<(ProgrammeId, Usd)>> {
    let mut users = Vec::new();
    for Programme { id, settings, .. } in programmes
        .iter()
        .filter(|programme| !programme.is_over(now) && utc_date(programme.settings.term.starts_at()) < lapses_on)
    {
        let (pot, used) = tokio::try_join!(table.pot(id), table.programme_use(id))?;
        let spent = used.counted(settings.byok);
        let left = pot.map_or(Usd::ZERO, |pot| pot.limit - spent);
        users.extend((left > Usd::ZERO).then(|| (id.clone(), left)));
    }
    users.sort_by_key(|(_, left)| std::cmp::Reverse(*left));
    Ok(users)
}
