//! The crossings of one programme's pot: what was spent of it, and what is promised of it, against how much there is, and who hears.

use anyhow::{Result, ensure};
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::crossing::{ALL, Crossing, Scope, news};
use bursar_core::domain::id::{PersonId, ProgrammeId};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::window::Window;
use bursar_core::store::Table;
use jiff::Timestamp;

/// Puts the thresholds that were passed and are not on record on record, with a mail owed to each recipient for the highest, and says
/// how many they were.
pub(crate) async fn find(
    table: &Table,
    id: &ProgrammeId,
    admins: &[EmailAddress],
    now: Timestamp,
    deadline: Deadline,
) -> Result<usize> {
    let mut found = 0;
    loop {
        ensure!(deadline.leaves(crate::ENOUGH_FOR_ONE), "the time is up");
        let (Some(programme), Some(pot)) = (table.programme(id).await?, table.pot(id).await?) else { return Ok(found) };
        let totals = table.totals(id).await?;
        let spent = totals.map_or(Usd::ZERO, |totals| totals.used.counted(programme.settings.byok));
        let mut was_overtaken = false;
        for scope in [Scope::Pot, Scope::Reserved] {
            let is_of_interest = match scope {
                Scope::Reserved => programme.is_promised_in_full(pot.limit, pot.reserved, spent, now),
                Scope::Pot | Scope::Cap(_) => spent > Usd::ZERO,
            };
            if !is_of_interest {
                continue;
            }
            let known = table.crossings_of(id, &scope, Window::WHOLE_TERM, pot.limit).await?;
            let known: Vec<u8> = known.into_iter().map(|crossing| crossing.threshold).collect();
            let crossed = match scope {
                Scope::Reserved if known.is_empty() => vec![(ALL, true)],
                Scope::Reserved => Vec::new(),
                Scope::Pot | Scope::Cap(_) => news(&programme.settings.thresholds, pot.limit, spent, &known),
            };
            let crossing = |(threshold, told)| Crossing {
                programme: id.clone(),
                scope: scope.clone(),
                window: Window::WHOLE_TERM,
                limit: pot.limit,
                threshold,
                spent,
                found_at: now,
                told,
                mails: Vec::new(),
            };
            let crossings: Vec<Crossing> = crossed.into_iter().map(crossing).collect();
            if crossings.is_empty() {
                continue;
            }
            let recipients = match crossings.iter().any(|crossing| crossing.told) {
                true => recipients(table, &programme, admins, deadline).await?,
                false => Vec::new(),
            };
            match table.record_crossings(&crossings, &recipients, now, deadline).await? {
                true => found += crossings.len(),
                // Somebody was faster, and may have found less than there is.
                false => was_overtaken = true,
            }
        }
        if !was_overtaken {
            return Ok(found);
        }
    }
}

async fn recipients(
    table: &Table,
    programme: &Programme,
    admins: &[EmailAddress],
    deadline: Deadline,
) -> Result<Vec<PersonId>> {
    let hear: Vec<EmailAddress> = programme.settings.hear_of_alerts(admins).cloned().collect();
    Ok(table.people_of(&hear, deadline).await?)
}
