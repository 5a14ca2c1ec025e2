//! One run of the sync: list every key of the account, record what ours have used, and report.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::domain::id::{KeyName, ProgrammeId};
use bursar_core::domain::window::Reset;
use bursar_core::provider::Provider;
use bursar_core::provider::reading::reading;
use bursar_core::store::{Acquired, Noted, Table};
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Value, json};

/// What a run found. Amounts are strings with six decimals.
#[derive(Debug, Default, Serialize)]
struct Report {
    keys_listed: usize,
    readings_recorded: usize,
    orphans_disabled: usize,
    keys_missing: usize,
    residual_usd: Option<String>,
    account_balance_usd: Option<String>,
    complete: bool,
    duration_ms: u128,
    problems: Vec<String>,
}

/// A little longer than a run can take.
const LEASE: SignedDuration = SignedDuration::from_mins(16);
/// A run stops listing while there is time to report.
const LEFT_FOR_THE_REPORT: Duration = Duration::from_secs(15);

/// Runs unless another run is under way.
pub(crate) async fn run(
    table: &Table,
    provider: &Provider,
    clock: &Clock,
    holder: &str,
    deadline: Deadline,
) -> Result<Value> {
    let Acquired::Yes(lease) = table.acquire("sync", holder, clock.now(), LEASE).await? else {
        return Ok(json!({"skipped": "running"}));
    };
    let begun = Instant::now();
    let outcome = sync(table, provider, clock, deadline).await;
    if let Err(error) = table.release_lease(&lease).await {
        tracing::warn!(%error, "the lease runs out by itself");
    }
    let mut report = outcome?;
    report.duration_ms = begun.elapsed().as_millis();
    let report = serde_json::to_value(report)?;
    tracing::info!(%report, "synced");
    Ok(report)
}

async fn sync(table: &Table, provider: &Provider, clock: &Clock, deadline: Deadline) -> Result<Report> {
    let mut report = Report::default();
    report.problems.push("this version records readings only: nothing is swept, and nothing reconciled".to_owned());
    if let Err(error) = provider.check_management_key(deadline).await {
        report.problems.push(format!("nothing was listed: {error}"));
        return Ok(report);
    }
    match provider.credits(deadline).await {
        Ok(credits) => report.account_balance_usd = Some(credits.balance().to_string()),
        Err(error) => report.problems.push(format!("the credits could not be read: {error}")),
    }

    let deployment = table.meta(clock.now()).await?.deployment;
    let mut resets = Resets { table, known: HashMap::new() };
    let mut inventory = provider.inventory(clock, deadline);
    while deadline.leaves(LEFT_FOR_THE_REPORT) {
        let page = match inventory.next().await {
            Ok(Some(page)) => page,
            Ok(None) => {
                report.keys_listed = inventory.listed();
                return Ok(report);
            }
            Err(error) => {
                report.problems.push(format!("the keys could not all be listed: {error}"));
                break;
            }
        };
        for row in page.unreadable {
            let which = row.hash.map_or("without a hash".to_owned(), |hash| hash.to_string());
            report.problems.push(format!("the key {which} could not be read: {}", row.why));
        }
        for key in page.keys {
            let ours = key.name.parse::<KeyName>().ok().filter(|name| name.deployment == deployment);
            let Some(name) = ours else { continue };
            let Some(reset) = resets.of(&name.programme).await? else { continue };
            let Some(reading) = reading(&name, &key, reset, page.answered) else {
                report.problems.push(format!("the provider does not say what the key {} has used", key.hash));
                continue;
            };
            if table.note_reading(&reading).await? == Noted::Recorded {
                report.readings_recorded += 1;
            }
        }
    }
    report.keys_listed = inventory.listed();
    report.problems.push("the listing did not reach its end".to_owned());
    Ok(report)
}

/// The resets of programmes, each read once a run.
struct Resets<'a> {
    table: &'a Table,
    known: HashMap<ProgrammeId, Option<Reset>>,
}

impl Resets<'_> {
    async fn of(&mut self, programme: &ProgrammeId) -> Result<Option<Reset>> {
        if let Some(known) = self.known.get(programme) {
            return Ok(*known);
        }
        let reset = self.table.programme(programme).await?.map(|programme| programme.settings.reset);
        self.known.insert(programme.clone(), reset);
        Ok(reset)
    }
}
