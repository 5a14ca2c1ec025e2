//! What is left of the balance, each quarter of an hour: a night is too far apart for money that
//! can be gone by noon. The watch compares it with what keys may still spend.

use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::store::BalanceReading;

use crate::App;

/// A run that is to begin again does not wait longer for this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Records the account's credit. Where it cannot be read the next quarter tries again, and the
/// watch says so after some of them; only what is the matter with the management key is told at
/// once.
pub(crate) async fn look(app: &App, deadline: Deadline) -> Result<()> {
    let table = &app.table;
    let now = app.clock.now();
    let meta = table.meta(now).await?;
    // An account that no sync has read has no sums to compare with.
    if meta.account.is_none() {
        return Ok(());
    }
    let credits = async {
        app.provider
            .check_account(&meta.deployment, meta.account.as_ref(), deadline)
            .await?;
        app.provider.credits(deadline).await
    };
    let credits = match credits.await {
        Ok(credits) => credits,
        Err(error) => {
            tracing::warn!(%error, "the balance could not be read");
            if let Some(reading) = table
                .get(BalanceReading::key_of())
                .await?
                .filter(|reading| reading.failing_since.is_none())
            {
                let failing = BalanceReading {
                    failing_since: Some(now),
                    ..reading
                };
                table.set(&failing, deadline).await?;
            }
            if let Some(cause) = error.refusal() {
                table
                    .tell_admins(&Alarm::now(cause, now), now, deadline)
                    .await?;
            }
            return Ok(());
        }
    };
    let reading = BalanceReading {
        as_of: now,
        bought: credits.bought,
        spent: credits.used,
        failing_since: None,
    };
    // The last writer wins, since a reading is moments older at most.
    table.set(&reading, deadline).await?;
    tracing::info!(balance_usd = %credits.balance(), "the account's balance");
    Ok(())
}
