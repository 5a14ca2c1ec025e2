//! Every night: what each key spent, what nobody owns, and whether the sums agree. A run goes through its parts in the order of
//! `progress::Stage`; each stands in a file of its own.

mod act;
mod ahead;
mod alarms;
mod books;
mod came;
mod foreign;
mod grants;
mod guard;
mod guardrails;
mod listing;
mod look;
mod models;
mod obstacle;
mod progress;
mod purge;
mod reconcile;
mod report;
mod row;
mod run;
mod sums;
mod witnesses;

use anyhow::{Context, Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::{Deadline, Waits};
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::alarm::{Alarm, Cause};
use bursar_core::event::Event;
use bursar_core::provider::Provider;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

use crate::run::Wanted;

/// So many requests to the provider are under way at once, unless the configuration says otherwise.
const AT_ONCE: usize = 12;

/// The function with what a run needs.
pub struct App {
    table: Table,
    provider: Provider,
    clock: Clock,
    admins: Vec<EmailAddress>,
    waits: Waits,
    retention_days: u16,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let table = Table::new(&config);
        let provider = Provider::new(&config, &table).paced(config.provider_at_once.unwrap_or(AT_ONCE), &clock);
        let Config { admins, waits, retention_days, .. } = config;
        App { provider, table, clock, admins, waits, retention_days }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context).with_waits(self.waits);
        match Event::of(event.payload) {
            Event::Task(task) if task == "rotate" => self.rotate(deadline).await,
            Event::Task(task) if task == "resume" => {
                run::run(self, Wanted::Rest, &event.context.request_id, deadline).await
            }
            Event::Task(task) => bail!("usage-sync knows no task {task:?}"),
            Event::Other(_) => run::run(self, Wanted::Run, &event.context.request_id, deadline).await,
            _ => bail!("this is no event for the function usage-sync"),
        }
    }
}

impl App {
    /// Makes a pending management key the current one, once the provider says that it is one, and of this deployment's account.
    async fn rotate(&self, deadline: Deadline) -> Result<Value> {
        let keys = self.provider.management_keys();
        let Some(pending) = keys.pending().await? else { return Ok(json!({"skipped": "nothing pending"})) };
        let with_it = self.provider.asked_with(pending.key.clone());
        with_it.check_management_key(deadline).await?;
        if let Err(error) = with_it.prove_account(deadline).await {
            if let Some(cause @ Cause::AnotherAccount { .. }) = error.refusal() {
                let (now, admins) = (self.clock.now(), self.table.people_of(&self.admins, deadline).await?);
                self.table.raise(&Alarm::now(cause, now), &admins, now, deadline).await?;
            }
            return Err(error).context("the pending management key is not promoted");
        }
        keys.promote(&pending).await?;
        tracing::info!("the pending management key is the current one now");
        Ok(json!({"promoted": true}))
    }
}
