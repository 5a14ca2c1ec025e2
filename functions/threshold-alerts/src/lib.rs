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

/// What one look may take; with less left it is not begun.
pub(crate) const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// The function with what it decides on.
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
    /// Looks at each programme whose totals changed and each grant whose reading did, once. What could not be looked at is handed on
    /// again from its first record.
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

    /// Looks at every programme, for a change that the stream lost and for a pot that was made smaller; at what fell silent; makes the
    /// digests whose morning has come; and, when all keys were listed since, looks at every cap. Each look stands alone.
    async fn watch(&self, deadline: Deadline) -> Result<Value> {
        let programmes = Programmes::of(&self.table).await?;
        let mut looks = ScanFailures::default();
        for id in &programmes.unreadable {
            looks.take(format_args!("the programme {id}"), Err::<(), _>(anyhow!("it cannot be read")));
        }
        let mut crossings = 0;
        for Programme { id, .. } in &programmes.read {
            let found = self.find_crossings(Limit::Pot(id), deadline).await;
            crossings += looks.take(format_args!("the crossings of {id}"), found);
        }
        let (table, admins, now) = (&self.table, &self.admins[..], self.clock.now());
        let alarms = Watch { table, programmes: &programmes, admins, now, deadline }.tell(&mut looks).await;
        let digests = Look { table, programmes: &programmes, admins, asked: DigestTrigger::Hourly, now, deadline };
        let digests = digests.at_all().await;
        looks.failed.extend(digests.failed.iter().map(|of| format!("the digest of {of}")));
        // Last, since it may take all the time there is.
        let caps = caps::look(table, &programmes, now, deadline).await;
        crossings += looks.take("the caps", caps);
        // The template counts this line: where it is missing, the watch is silent itself.
        tracing::info!(watched = true, failed = looks.failed.len(), "the watch came to its end");
        ensure!(looks.failed.is_empty(), "not looked at: {}", looks.failed.join(", "));
        let (programmes, digests) = (programmes.read.len(), digests.digests);
        Ok(json!({"programmes": programmes, "crossings": crossings, "alarms": alarms, "digests": digests}))
    }

    /// Makes the digests of those whose day it is. The watch does so in the morning; whoever asks sooner gets them then.
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
