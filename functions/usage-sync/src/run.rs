//! One run of the sync: list every key of the account, record what ours have used, sum it up, and report.

use std::time::{Duration, Instant};

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::provider::Provider;
use bursar_core::store::items::{Lease, Run};
use bursar_core::store::{Acquired, SyncState, Table};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::list::{Listing, list};
use crate::report::Report;
use crate::totals::sum_up;

/// A little longer than a run can take.
const LEASE: SignedDuration = SignedDuration::from_mins(16);
/// No further programme is summed up with less left than this.
const LEFT_FOR_THE_RECORD: Duration = Duration::from_secs(15);

/// Runs unless another run is under way.
pub(crate) async fn run(
    table: &Table,
    provider: &Provider,
    clock: &Clock,
    holder: &str,
    deadline: Deadline,
) -> Result<Value> {
    let began_at = clock.now();
    let Acquired::Yes(lease) = table.acquire("sync", holder, began_at, LEASE).await? else {
        return Ok(json!({"skipped": "running"}));
    };
    let begun = Instant::now();
    let mut report = Report::default();
    let outcome = sync(table, provider, clock, &lease, deadline, &mut report).await;
    if let Err(error) = &outcome {
        report.problem(format!("the run ended early: {error:#}"));
    }
    report.duration_ms = begun.elapsed().as_millis();
    let told = serde_json::to_value(&report)?;
    tracing::info!(report = %told, "synced");
    let recorded = table.record_run(&Run::ended(began_at, clock.now(), report.complete, told.to_string())).await;
    if let Err(error) = table.release_lease(&lease).await {
        tracing::warn!(%error, "the lease runs out by itself");
    }
    outcome?;
    recorded?;
    Ok(told)
}

async fn sync(
    table: &Table,
    provider: &Provider,
    clock: &Clock,
    lease: &Lease,
    deadline: Deadline,
    report: &mut Report,
) -> Result<()> {
    let at = clock.now();
    report.problem("this version records readings and sums: nothing is swept, and nothing reconciled");
    if let Err(error) = provider.check_management_key(deadline).await {
        report.problem(format!("nothing was listed: {error}"));
        return Ok(());
    }
    match provider.credits(deadline).await {
        Ok(credits) => report.account_balance_usd = Some(credits.balance().to_string()),
        Err(error) => report.problem(format!("the credits could not be read: {error}")),
    }
    let listing = list(table, provider, clock, deadline, report).await?;
    if listing == Listing::Broken {
        return Ok(());
    }
    let state = table.sync_state().await?;
    table.set_sync_state(&SyncState { looked_at: Some(at), ..state }.next()).await?;
    for programme in table.programmes().await? {
        if !deadline.leaves(LEFT_FOR_THE_RECORD) {
            report.problem("the time was up before every programme was summed up");
            break;
        }
        if !table.renew(lease, clock.now() + LEASE).await? {
            report.problem("another run has taken over");
            break;
        }
        // One programme that cannot be read keeps no other from its sums.
        if let Err(error) = sum_up(table, &programme.id, listing, at, deadline).await {
            report.problem(format!("{} could not be summed up: {error:#}", programme.id));
        }
    }
    Ok(())
}
