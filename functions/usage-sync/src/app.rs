//! The function with its dependencies.

use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Waits;
use bursar_core::provider::Provider;

use crate::prelude::*;

pub struct App {
    pub(crate) table: Table,
    pub(crate) provider: Provider,
    pub(crate) clock: Clock,
    pub(crate) waits: Waits,
    pub(crate) retention_days: u16,
}

impl App {
    pub(crate) fn of(config: &Config, clock: Clock) -> App {
        let table = Table::new(config);
        let provider = Provider::new(config, &clock);
        App { provider, table, clock, waits: config.waits, retention_days: config.retention_days }
    }
}
