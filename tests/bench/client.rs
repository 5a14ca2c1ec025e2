//! The process of one sample: it runs the product's sync or the floor once, and tells what that took. Both begin with the connections'
//! set-up behind them, so that what is measured is the work.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use usage_sync::App;

use crate::clock::FastClock;
use crate::floor::{self, AtOnce};
use crate::process;

/// What one sample took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The most memory that the process ever had resident, and what it had before it began.
    pub(crate) peak_kib: u64,
    pub(crate) before_kib: u64,
    pub(crate) answer: Value,
}

/// One invocation with so many seconds to its deadline, which are seconds of this clock.
pub(crate) async fn measure_product(payload: Value, seconds: u64, clock: FastClock) -> Result<()> {
    bursar_core::log::start();
    let config = Config { waits: clock.waits(), ..begin().await? };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(seconds) / u32::from(clock.by);
    let mut context = lambda_runtime::Context::default();
    context.request_id = format!("bench-{}", std::process::id());
    context.deadline = u64::try_from(deadline.as_millis())?;
    let app = App::new(config, clock.as_clock());
    measure(async { Box::pin(app.handle(LambdaEvent::new(payload, context))).await }).await
}

pub(crate) async fn measure_floor(keys: usize, programmes: usize, at_once: AtOnce) -> Result<()> {
    let config = begin().await?;
    let table = config.aws.dynamodb();
    measure(async { Ok(json!({"written": floor::sync(&config, &table, keys, programmes, at_once).await?})) }).await
}

/// Reads the configuration as a function does, and asks the table something: by then certificates are read and clients made.
async fn begin() -> Result<Config> {
    let config = Config::from_environment().await?;
    Table::new(&config).meta(Clock::system().now()).await?;
    Ok(config)
}

async fn measure(work: impl Future<Output = Result<Value>>) -> Result<()> {
    let (before_kib, begun, cpu) = (process::peak_kib()?, Instant::now(), process::cpu()?);
    let answer = work.await?;
    let sample = Sample {
        wall_ms: begun.elapsed().as_secs_f64() * 1e3,
        cpu_ms: (process::cpu()? - cpu).as_secs_f64() * 1e3,
        peak_kib: process::peak_kib()?,
        before_kib,
        answer,
    };
    // Standard output is the log's.
    eprintln!("{}", serde_json::to_string(&sample).context("a sample cannot be written")?);
    Ok(())
}
