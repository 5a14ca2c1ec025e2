//! Logs: one JSON object a line, ours from `info` up and the libraries' from `warn` up. The caller chooses
//! the output: a function writes to standard output, the local bundle catches lines by invocation.

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt};

/// The crates whose `info` lines are logged.
const OURS: [&str; 6] = ["bursar_core", "claim", "console", "mail", "threshold_alerts", "usage_sync"];

pub fn to<W>(writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = OURS.map(|name| (name, LevelFilter::INFO));
    let wanted = Targets::new().with_default(LevelFilter::WARN).with_targets(ours);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer);
    Dispatch::new(tracing_subscriber::registry().with(lines.with_filter(wanted)))
}

/// Sends this process's logs to standard output, as Lambda collects them.
pub fn start() {
    // A second subscriber is refused, and the first is then already this one.
    let _ = tracing::dispatcher::set_global_default(to(std::io::stdout));
}

/// Lets subscribers of single invocations coexist. Without a default subscriber, a thread that has none can
/// make `tracing` drop a line for all of them. A default that is set already stays.
pub fn share() {
    let silent = tracing_subscriber::registry().with(LevelFilter::OFF);
    let _ = tracing::dispatcher::set_global_default(Dispatch::new(silent));
}
