//! The faculty's pages and long work. So far nobody can sign in, so every page asks for that; the work repeats the disables that
//! are still owed to the provider.

mod work;

use anyhow::{Result, bail};
use axum::Router;
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::event::Event;
use bursar_core::provider::Provider;
use bursar_core::start::Function;
use bursar_core::store::Table;
use bursar_core::web::{self, Frame};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

/// The function with its routes and what its work needs.
pub struct App {
    router: Router,
    table: Table,
    provider: Provider,
    clock: Clock,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let frame = Frame::of(&config);
        let routes =
            Router::new().route("/console", web::signed_out(&frame)).route("/console/{*page}", web::signed_out(&frame));
        App { router: web::pages(routes, &config), table: Table::new(&config), provider: Provider::new(&config), clock }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context);
        match Event::of(event.payload) {
            Event::Http(payload) => web::answer(&self.router, LambdaEvent::new(payload, event.context)).await,
            Event::Task(task) if task == "work" => {
                let report = work::owed_disables(&self.table, &self.provider, self.clock.now(), deadline).await?;
                Ok(serde_json::to_value(report)?)
            }
            _ => bail!("this is no event for the function console"),
        }
    }
}
