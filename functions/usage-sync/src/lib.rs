//! Every night: what each key spent. So far it lists the account's keys, records readings and sums them up; sweeping and
//! reconciling are not built, and every report says so.

mod list;
mod report;
mod run;
mod totals;

use anyhow::{Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::event::Event;
use bursar_core::provider::Provider;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

/// The function with what a run needs.
pub struct App {
    table: Table,
    provider: Provider,
    clock: Clock,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App { table: Table::new(&config), provider: Provider::new(&config), clock }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context);
        match Event::of(event.payload) {
            Event::Task(task) if task == "rotate" => self.rotate(deadline).await,
            // A run ends within its invocation or leaves nothing behind to go on with.
            Event::Task(task) if task == "resume" => Ok(json!({"skipped": "nothing to resume"})),
            Event::Task(task) => bail!("usage-sync knows no task {task:?}"),
            Event::Other(_) => {
                run::run(&self.table, &self.provider, &self.clock, &event.context.request_id, deadline).await
            }
            _ => bail!("this is no event for the function usage-sync"),
        }
    }
}

impl App {
    /// Makes a pending management key the current one, once the provider says that it is one.
    async fn rotate(&self, deadline: Deadline) -> Result<Value> {
        let keys = self.provider.management_keys();
        let Some(pending) = keys.pending().await? else { return Ok(json!({"skipped": "nothing pending"})) };
        self.provider.asked_with(pending.key.clone()).check_management_key(deadline).await?;
        keys.promote(&pending).await?;
        tracing::info!("the pending management key is the current one now");
        Ok(json!({"promoted": true}))
    }
}
