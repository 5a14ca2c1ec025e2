//! Finds crossings, woken by the totals and readings that were written and once an hour besides, watches over what fell silent, and
//! puts the digests of the week on record.

mod batch;
mod caps;
mod crossings;
mod digests;
mod silence;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::digest::Asked;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::programme::Programme;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

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
            if let Err(error) = self.find_crossings(&programme, deadline).await {
                tracing::warn!(%programme, error = format!("{error:#}"), "its crossings are looked for again");
                failed.push(first);
            }
        }
        for (programme, grant, first) in batch.grants {
            if let Err(error) = caps::find(&self.table, &programme, &grant, self.clock.now(), deadline).await {
                tracing::warn!(%programme, %grant, error = format!("{error:#}"), "its cap is looked at again");
                failed.push(first);
            }
        }
        let failures = failed.into_iter().map(|record| json!({"itemIdentifier": record}));
        json!({"batchItemFailures": failures.collect::<Vec<_>>()})
    }

    /// Looks at every programme, for a change that the stream lost and for a pot that was made smaller; at what fell silent; makes the
    /// digests whose morning has come; and, when all keys were listed since, looks at every cap.
    async fn watch(&self, deadline: Deadline) -> Result<Value> {
        let programmes = self.table.programmes().await?;
        let (mut found, mut failed) = (0, Vec::new());
        for programme in &programmes {
            match self.find_crossings(&programme.id, deadline).await {
                Ok(crossings) => found += crossings,
                Err(error) => {
                    tracing::warn!(programme = %programme.id, error = format!("{error:#}"), "it could not be looked at");
                    failed.push(programme.id.as_str());
                }
            }
        }
        let now = self.clock.now();
        let causes = silence::causes(&self.table, &programmes, now, deadline).await?;
        let alarms = silence::raise(&self.table, causes, &self.admins, now, deadline).await?;
        let digests = self.digests(&programmes, Asked::Hourly, now, deadline).await;
        // Last, since it may take all the time there is.
        found += caps::look(&self.table, &programmes, now, deadline).await?;
        ensure!(failed.is_empty(), "the crossings of {} could not be looked for", failed.join(", "));
        ensure!(digests.failed.is_empty(), "there is no digest of {}", digests.failed.join(", "));
        Ok(json!({"programmes": programmes.len(), "crossings": found, "alarms": alarms, "digests": digests.digests}))
    }

    /// Makes the digests of those whose day it is. The watch does so in the morning; whoever asks sooner gets them then.
    async fn digest(&self, deadline: Deadline) -> Result<Value> {
        let (programmes, now) = (self.table.programmes().await?, self.clock.now());
        let report = self.digests(&programmes, Asked::ByHand, now, deadline).await;
        ensure!(report.failed.is_empty(), "there is no digest of {}", report.failed.join(", "));
        Ok(json!(report))
    }

    async fn digests(
        &self,
        programmes: &[Programme],
        asked: Asked,
        now: Timestamp,
        deadline: Deadline,
    ) -> digests::Report {
        let (table, admins) = (&self.table, &self.admins[..]);
        digests::Look { table, programmes, admins, asked, now, deadline }.at_all().await
    }

    async fn find_crossings(&self, programme: &ProgrammeId, deadline: Deadline) -> Result<usize> {
        crossings::find(&self.table, programme, &self.admins, self.clock.now(), deadline).await
    }
}
