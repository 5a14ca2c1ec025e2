//! Finds crossings, woken by the totals and readings that were written and once an hour besides, watches over what fell silent, and
//! puts the digests of the week on record.

mod batch;
mod caps;
mod crossings;
mod digests;
mod ended;
mod failures;
mod lateness;
mod silence;
mod undelivered;

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::digest::DigestTrigger;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use crossings::Limit;
use digests::Look;
use failures::{Programmes, ScanFailures};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use silence::Watch;

/// The most that one check takes; with less time left it is not begun.
pub(crate) const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// The function with its dependencies.
pub struct App {
    table: Table,
    clock: Clock,
    admins: Vec<EmailAddress>,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App { table: Table::new(&config), clock, admins: config.admins }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context);
        match Event::of(event.payload) {
            Event::Stream(records) => Ok(self.changed(&records, deadline).await),
            Event::Task(task) if task == "watch" => self.watch(deadline).await,
            Event::Task(task) if task == "digest" => self.digest(deadline).await,
            _ => bail!("this is no event for the function threshold-alerts"),
        }
    }
}

impl App {
    /// Checks each programme whose totals changed and each grant whose reading did, once. The stream retries
    /// what could not be checked from its first record on.
    async fn changed(&self, records: &[Value], deadline: Deadline) -> Value {
        let batch = batch::read(records);
        let mut failed = batch.unreadable;
        for (programme, first) in batch.programmes {
            if let Err(error) = self.find_crossings(Limit::Pot(&programme), deadline).await {
                tracing::warn!(%programme, error = format!("{error:#}"), "its crossings are looked for again");
                failed.push(first);
            }
        }
        for (programme, grant, first) in batch.grants {
            if let Err(error) = self.find_crossings(Limit::Cap(&programme, &grant), deadline).await {
                tracing::warn!(%programme, %grant, error = format!("{error:#}"), "its cap is looked at again");
                failed.push(first);
            }
        }
        let failures = failed.into_iter().map(|record| json!({"itemIdentifier": record}));
        json!({"batchItemFailures": failures.collect::<Vec<_>>()})
    }

    /// The hourly watch. It checks every programme, for a change that the stream lost and for a pot that was
    /// lowered. It raises alarms for what fell silent, and creates the digests that are due.
    ///
    /// When all keys were listed since the last scan, it scans every cap. A failure in one check does not
    /// block others.
    async fn watch(&self, deadline: Deadline) -> Result<Value> {
        let programmes = Programmes::of(&self.table).await?;
        let mut failures = ScanFailures::default();
        for id in &programmes.unreadable {
            failures.take(format_args!("the programme {id}"), Err::<(), _>(anyhow!("it cannot be read")));
        }
        let mut crossings = 0;
        for Programme { id, .. } in &programmes.read {
            let found = self.find_crossings(Limit::Pot(id), deadline).await;
            crossings += failures.take(format_args!("the crossings of {id}"), found);
        }
        let (table, admins, now) = (&self.table, &self.admins[..], self.clock.now());
        let alarms = Watch { table, programmes: &programmes, admins, now, deadline }.tell(&mut failures).await;
        let digests = Look { table, programmes: &programmes, admins, asked: DigestTrigger::Hourly, now, deadline };
        let digests = digests.at_all().await;
        failures.failed.extend(digests.failed.iter().map(|of| format!("the digest of {of}")));
        // Last, since it may take all the time there is.
        let caps = caps::look(table, &programmes, now, deadline).await;
        crossings += failures.take("the caps", caps);
        // The template counts this line: its absence is the alarm for the watch itself.
        tracing::info!(watched = true, failed = failures.failed.len(), "the watch came to its end");
        ensure!(failures.failed.is_empty(), "not looked at: {}", failures.failed.join(", "));
        let (programmes, digests) = (programmes.read.len(), digests.digests);
        Ok(json!({"programmes": programmes, "crossings": crossings, "alarms": alarms, "digests": digests}))
    }

    /// Creates the digests that are due. The watch does so in the morning; an event of its own does so
    /// sooner.
    async fn digest(&self, deadline: Deadline) -> Result<Value> {
        let programmes = &Programmes::of(&self.table).await?;
        let (table, admins, now) = (&self.table, &self.admins[..], self.clock.now());
        let report = Look { table, programmes, admins, asked: DigestTrigger::ByHand, now, deadline }.at_all().await;
        ensure!(report.failed.is_empty(), "there is no digest of {}", report.failed.join(", "));
        Ok(json!(report))
    }

    async fn find_crossings(&self, limit: Limit<'_>, deadline: Deadline) -> Result<usize> {
        crossings::find(&self.table, limit, &self.admins, self.clock.now(), deadline).await
    }
}
