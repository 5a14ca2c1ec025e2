//! The alarms of a run: one for each cause and day, however many runs meet it.

use bursar_core::domain::mail::alarm::Alarm;

use crate::prelude::*;

/// The held back keys that the mail names; the account page names more.
const MOST_IN_A_MAIL: usize = 5;

/// Raises an alarm for each problem that exists when a run ends.
pub(crate) async fn raise_all(
    runner: &Runner<'_>,
    journal: &Journal,
    held_back: Option<&HeldBack>,
    is_complete: bool,
) -> Result<()> {
    let causes = causes(journal, held_back, is_complete);
    if causes.is_empty() {
        return Ok(());
    }
    let now = runner.clock.now();
    for cause in causes {
        let alarm = match (&cause, held_back) {
            // The alarm belongs to the day on which it began.
            (Cause::HeldBack { .. }, Some(held)) => Alarm::on(utc_date(held.at), cause, now),
            _ => Alarm::now(cause, now),
        };
        runner.table.tell_admins(&alarm, now, runner.deadline).await?;
    }
    Ok(())
}

fn causes(journal: &Journal, held_back: Option<&HeldBack>, is_complete: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(journal.key_refused().cloned());
    if let Some(held) = held_back {
        let keys = held.keys.iter().take(MOST_IN_A_MAIL).map(|held| held.name.clone()).collect();
        let HeldBack { sweeps, recoveries, stops, bound, .. } = *held;
        causes.push(Cause::HeldBack { sweeps, recoveries, stops, bound, keys });
    }
    // The alarms so far imply that the run is not complete.
    let is_told = !causes.is_empty();
    if !is_complete && !is_told {
        let first = journal.problems().first().cloned().unwrap_or_default();
        let problems = u32::try_from(journal.problems().len()).unwrap_or(u32::MAX);
        causes.push(Cause::Incomplete { problems, first });
    }
    causes
}
