//! What an admin is told of a run: once for each cause and day, however many runs meet it.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::alarm::{Alarm, Cause};
use bursar_core::domain::window::utc_date;
use bursar_core::store::HeldBack;

use crate::progress::Progress;
use crate::run::Run;

/// So many of the keys that were held back are named in the mail; the account page names more.
const MOST_IN_A_MAIL: usize = 5;

impl Run<'_> {
    /// Tells the admins, when a run ends, of what is the matter.
    pub(crate) async fn raise_what_is_the_matter(&self, progress: &Progress, deadline: Deadline) -> Result<()> {
        let causes = causes(progress);
        if causes.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        for cause in causes {
            let alarm = match (&cause, &progress.held_back) {
                // It is told for the day on which it began.
                (Cause::HeldBack { .. }, Some(held)) => Alarm::on(utc_date(held.at), cause, now),
                _ => Alarm::now(cause, now),
            };
            self.raise(&alarm, deadline).await?;
        }
        Ok(())
    }

    pub(crate) async fn raise(&self, alarm: &Alarm, deadline: Deadline) -> Result<()> {
        let admins = self.table.people_of(self.admins, deadline).await?;
        self.table.raise(alarm, &admins, alarm.found_at, deadline).await?;
        Ok(())
    }
}

fn causes(progress: &Progress) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(progress.key_refused.clone());
    if let Some(held) = &progress.held_back {
        let keys = held.keys.iter().take(MOST_IN_A_MAIL).map(|held| held.name.clone()).collect();
        let HeldBack { sweeps, recoveries, stops, bound, .. } = *held;
        causes.push(Cause::HeldBack { sweeps, recoveries, stops, bound, keys });
    }
    // What was held back and a key that does not work say by themselves that a run is not complete.
    let is_told = progress.key_refused.is_some() || progress.held_back.is_some();
    if !progress.report.complete && !is_told {
        let first = progress.report.problems.first().cloned().unwrap_or_default();
        let problems = u32::try_from(progress.report.problems.len()).unwrap_or(u32::MAX);
        causes.push(Cause::Incomplete { problems, first });
    }
    causes
}
