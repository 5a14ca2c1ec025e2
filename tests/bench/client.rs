//! The process of one sample: it runs the product's sync or the floor once, and reports what that took.
//! Connections are set up before the measurement, so that only the work is measured.

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

/// The measurements of one sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The peak of the process's resident memory, and the peak before the measurement began.
    pub(crate) peak_kib: u64,
    pub(crate) before_kib: u64,
    pub(crate) answer: Value,
}

/// One invocation of the product; `seconds` are left until its deadline, counted on `clock`.
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

/// Reads the configuration as a function does and makes one read of the table, so that certificates and clients
/// are ready.
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
    // Standard output is used by the log, so the sample goes to standard error.
    eprintln!("{}", serde_json::to_string(&sample).context("a sample cannot be written")?);
    Ok(())
}
