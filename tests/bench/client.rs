//! The process of a sample: it runs the sync once, or asks the console for one answer several times, and reports what that took.
//! Connections are set up before the measurement.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The time-outs of an invocation.
const LASTS: Duration = Duration::from_secs(900);
const ANSWERS_WITHIN: Duration = Duration::from_secs(29);

/// The measurements of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The peak of the process's resident memory.
    pub(crate) peak_kib: u64,
    pub(crate) answer: Value,
}

/// The measurements of the requests for one answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// From the event's text to the answer's, of each request but the first.
    pub(crate) wall_ms: Vec<f64>,
    pub(crate) cpu_ms: Vec<f64>,
    pub(crate) peak_kib: u64,
    pub(crate) answer: Value,
}

pub(crate) async fn run_the_sync() -> Result<()> {
    let config = configured().await?;
    Table::new(&config).meta(Clock::system().now()).await?;
    let app = usage_sync::App::new(config, Clock::system());
    let (begun, cpu) = (Instant::now(), processor()?);
    let answer = Box::pin(app.handle(LambdaEvent::new(json!({}), context(LASTS)?))).await?;
    let (wall_ms, cpu_ms) = (begun.elapsed().as_secs_f64() * 1e3, (processor()? - cpu).as_secs_f64() * 1e3);
    say(&Sample { wall_ms, cpu_ms, peak_kib: peak_kib()?, answer })
}

/// Asks the console for a path so many times, and once before.
pub(crate) async fn ask_the_console(cookie: &str, path: &str, takes: &str, times: usize) -> Result<()> {
    let app = console::App::new(configured().await?, Clock::system());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "cookies": [cookie],
        "headers": {"accept-encoding": takes}, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
    });
    let event = event.to_string();
    let mut answered = Answered { wall_ms: Vec::new(), cpu_ms: Vec::new(), peak_kib: 0, answer: Value::Null };
    for _ in 0..=times {
        let context = context(ANSWERS_WITHIN)?;
        let (begun, cpu) = (Instant::now(), processor()?);
        let answer = Box::pin(app.handle(LambdaEvent::new(serde_json::from_str(&event)?, context))).await?;
        let text = serde_json::to_string(&answer)?;
        answered.wall_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        answered.cpu_ms.push((processor()? - cpu).as_secs_f64() * 1e3);
        ensure!(text.len() <= 6 << 20, "Lambda does not answer {} bytes", text.len());
        answered.answer = answer;
    }
    answered.peak_kib = peak_kib()?;
    answered.wall_ms.remove(0);
    answered.cpu_ms.remove(0);
    say(&answered)
}

async fn configured() -> Result<Config> {
    bursar_core::log::start();
    Ok(Config::from_environment().await?)
}

fn context(lasts: Duration) -> Result<lambda_runtime::Context> {
    let mut context = lambda_runtime::Context::default();
    context.request_id = format!("bench-{}", std::process::id());
    context.deadline = u64::try_from((SystemTime::now().duration_since(UNIX_EPOCH)? + lasts).as_millis())?;
    Ok(context)
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
