//! The process of a sample: it runs the sync once, or asks the console for one answer several times, and reports what that took.
//! Connections are set up before the measurement.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The time-outs of an invocation and of a request.
const LASTS: Duration = Duration::from_secs(900);
const ANSWERS_WITHIN: Duration = Duration::from_secs(29);

/// The measurements of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// From the event's text to the answer's.
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The peak of the process's resident memory, so far.
    pub(crate) peak_kib: u64,
    pub(crate) answer: Value,
}

pub(crate) async fn run_the_sync() -> Result<()> {
    bursar_core::log::start();
    let config = Config::from_environment().await?;
    Table::new(&config).meta(Clock::system().now()).await?;
    say(&of_one(&usage_sync::App::new(config, Clock::system()), "{}", LASTS).await?)
}

/// Asks the console for a path: once with the answer, and without it so many times more.
pub(crate) async fn ask_the_console(cookie: &str, path: &str, takes: &str, times: usize) -> Result<()> {
    bursar_core::log::start();
    let app = console::App::new(Config::from_environment().await?, Clock::system());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "cookies": [cookie],
        "headers": {"accept-encoding": takes}, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
    });
    let event = event.to_string();
    let mut samples = vec![of_one(&app, &event, ANSWERS_WITHIN).await?];
    for _ in 0..times {
        let sample = of_one(&app, &event, ANSWERS_WITHIN).await?;
        samples.push(Sample { answer: Value::Null, ..sample });
    }
    say(&samples)
}

async fn of_one(app: &impl Function, event: &str, lasts: Duration) -> Result<Sample> {
    let mut context = lambda_runtime::Context::default();
    context.request_id = format!("bench-{}", std::process::id());
    context.deadline = u64::try_from((SystemTime::now().duration_since(UNIX_EPOCH)? + lasts).as_millis())?;
    let (begun, cpu) = (Instant::now(), processor()?);
    let answer = Box::pin(app.handle(LambdaEvent::new(serde_json::from_str(event)?, context))).await?;
    let _text = serde_json::to_string(&answer)?;
    let (wall_ms, cpu_ms) = (begun.elapsed().as_secs_f64() * 1e3, (processor()? - cpu).as_secs_f64() * 1e3);
    Ok(Sample { wall_ms, cpu_ms, peak_kib: peak_kib()?, answer })
}

/// Standard output is used by the log, so what was measured goes to standard error.
fn say(measured: &impl Serialize) -> Result<()> {
    eprintln!("{}", serde_json::to_string(measured)?);
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
