//! Sends what the outbox owes, and takes in what became of it. `compose` decides what a row comes to; each kind of mail has a room with
//! its loader and its words, on top of `letter`; `sending` is how mail leaves.

mod account;
mod alert;
mod compose;
mod digest;
mod letter;
mod link;
mod request;
mod sending;
mod student;

use anyhow::{Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::sending::ses::Ses;

/// The function with its table and its mail server.
pub struct App {
    config: Config,
    clock: Clock,
    table: Table,
    ses: Ses,
    /// Set once the table is known to be no restored copy.
    is_no_copy: OnceCell<()>,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let (table, ses) = (Table::new(&config), Ses::new(&config));
        App { table, ses, config, clock, is_no_copy: OnceCell::new() }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context).with_waits(self.config.waits);
        match Event::of(event.payload) {
            Event::Stream(records) => Ok(self.batch(&records, deadline).await),
            Event::Task(task) if task == "drain" => Ok(json!(self.drain(deadline).await?)),
            Event::Notifications(messages) => {
                for message in messages {
                    self.record_event(&message, deadline).await?;
                }
                Ok(Value::Null)
            }
            _ => bail!("this is no event for the function mail"),
        }
    }
}
