//! The crossings of one programme's pot: what was spent against how much there is, and who hears of it.

use anyhow::{Result, ensure};
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::crossing::{Crossing, Scope, news};
use bursar_core::domain::id::{PersonId, ProgrammeId};
use bursar_core::domain::programme::Settings;
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
    loop {
        ensure!(deadline.leaves(crate::ENOUGH_FOR_ONE), "the time is up");
        let (Some(programme), Some(pot)) = (table.programme(id).await?, table.pot(id).await?) else { return Ok(0) };
        let Some(totals) = table.totals(id).await? else { return Ok(0) };
        let spent = totals.used.counted(programme.settings.byok);
        let known = table.crossings_of(id, Scope::Pot, Window::WHOLE_TERM, pot.limit).await?;
        let known: Vec<u8> = known.into_iter().map(|crossing| crossing.threshold).collect();

        let crossed = news(&programme.settings.thresholds, pot.limit, spent, &known);
        if crossed.is_empty() {
            return Ok(0);
        }
        let crossing = |(threshold, told)| Crossing {
            programme: id.clone(),
            scope: Scope::Pot,
            window: Window::WHOLE_TERM,
            limit: pot.limit,
            threshold,
            spent,
            found_at: now,
            told,
            mails: Vec::new(),
        };
        let crossings: Vec<Crossing> = crossed.into_iter().map(crossing).collect();
        let recipients = if crossings.iter().any(|crossing| crossing.told) {
            recipients(table, &programme.settings, admins, deadline).await?
        } else {
            Vec::new()
        };
        if table.record_crossings(&crossings, &recipients, now, deadline).await? {
            return Ok(crossings.len());
        }
        // Somebody was faster, and may have found less than there is.
    }
}

/// Who hears of a programme: its faculty, or the admins when there is none.
async fn recipients(
    table: &Table,
    settings: &Settings,
    admins: &[EmailAddress],
    deadline: Deadline,
) -> Result<Vec<PersonId>> {
    let addresses = if settings.faculty.is_empty() { admins } else { &settings.faculty };
    let mut people = Vec::new();
    for address in addresses {
        let person = table.person_of(address, deadline).await?;
        // Two spellings may be one person.
        if !people.contains(&person) {
            people.push(person);
        }
    }
    Ok(people)
}
