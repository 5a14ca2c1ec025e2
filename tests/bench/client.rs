//! The process of one sample: it runs the sync once, and reports what that took. Connections are set up before the measurement.

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

/// The time-out of an invocation.
const LASTS: Duration = Duration::from_secs(900);

/// The measurements of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The peak of the process's resident memory.
    pub(crate) peak_kib: u64,
    pub(crate) answer: Value,
}

pub(crate) async fn measure() -> Result<()> {
    bursar_core::log::start();
    let config = Config::from_environment().await?;
    Table::new(&config).meta(Clock::system().now()).await?;
    let mut context = lambda_runtime::Context::default();
    context.request_id = format!("bench-{}", std::process::id());
    context.deadline = u64::try_from((SystemTime::now().duration_since(UNIX_EPOCH)? + LASTS).as_millis())?;
    let app = App::new(config, Clock::system());
    let (begun, cpu) = (Instant::now(), processor()?);
    let answer = Box::pin(app.handle(LambdaEvent::new(json!({}), context))).await?;
    let (wall_ms, cpu_ms) = (begun.elapsed().as_secs_f64() * 1e3, (processor()? - cpu).as_secs_f64() * 1e3);
    let sample = Sample { wall_ms, cpu_ms, peak_kib: peak_kib()?, answer };
    // Standard output is used by the log, so the sample goes to standard error.
    eprintln!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// The processor time of all threads of this process that still run.
fn processor() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
