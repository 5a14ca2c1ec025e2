//! The crossings of one programme's pot: what was spent against how much there is, and who hears of it.

use anyhow::{Result, ensure};
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::crossing::{Crossing, Scope, news};
use bursar_core::domain::id::ProgrammeId;
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
        let known = table.crossings_of(id, &Scope::Pot, Window::WHOLE_TERM, pot.limit).await?;
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
        let is_told = crossings.iter().any(|crossing| crossing.told);
        let recipients = match is_told {
            true => {
                let hear: Vec<EmailAddress> = programme.settings.hear_of_alerts(admins).cloned().collect();
                table.people_of(&hear, deadline).await?
            }
            false => Vec::new(),
        };
        if table.record_crossings(&crossings, &recipients, now, deadline).await? {
            return Ok(crossings.len());
        }
        // Somebody was faster, and may have found less than there is.
    }
}
