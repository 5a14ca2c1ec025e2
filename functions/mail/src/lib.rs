//! Sends what the outbox owes. So far it only counts it: rows wait, none is lost, and the first journey brings the sending.

use anyhow::{Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

/// The function with its table.
pub struct App {
    table: Table,
}

impl Function for App {
    fn new(config: Config, _: Clock) -> App {
        App { table: Table::new(&config) }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        match Event::of(event.payload) {
            // What the stream tells of lies in the table and waits there; only a failure of the table would be one here.
            Event::Stream(_) => Ok(json!({"batchItemFailures": []})),
            Event::Task(task) if task == "drain" => {
                Ok(json!({"sent": 0, "waiting": self.table.waiting_mails().await?}))
            }
            Event::Notifications(messages) => {
                tracing::info!(count = messages.len(), "heard from SES; nothing was sent that it could be about");
                Ok(Value::Null)
            }
            _ => bail!("this is no event for the function mail"),
        }
    }
}
