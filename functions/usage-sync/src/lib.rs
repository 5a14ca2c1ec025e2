//! placeholder

use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::Function;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

pub struct App {
    config: Config,
    clock: Clock,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App { config, clock }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
        tracing::info!(table = self.config.table, now = %self.clock.now(), "woken");
        anyhow::bail!("no such event: {}", event.payload)
    }
}
