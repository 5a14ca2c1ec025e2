//! Logs: one JSON object a line, ours from `info` up and the libraries' from `warn` up. Where the lines go is the caller's to
//! say: a function writes them to standard output, the local bundle catches them by invocation.

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

/// The crates whose `info` is wanted.
const OURS: [&str; 6] = ["bursar_core", "claim", "console", "mail", "threshold_alerts", "usage_sync"];

/// A subscriber that writes to `writer`.
pub fn to<W>(writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Dispatch::new(tracing_subscriber::registry().with(lines(writer)))
}

/// Sends this process's logs to standard output, as Lambda collects them.
pub fn start() {
    // A second subscriber is refused, and the first is then already this one.
    let _ = tracing::dispatcher::set_global_default(to(std::io::stdout));
}

/// Lets subscribers of single invocations live beside one another. Without a default one, a thread that has none can make tracing
/// forget a line for all of them. A default that is set already stays.
pub fn share() {
    let silent = tracing_subscriber::registry().with(LevelFilter::OFF);
    let _ = tracing::dispatcher::set_global_default(Dispatch::new(silent));
}

fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = OURS.map(|name| (name, LevelFilter::INFO));
    let wanted = Targets::new().with_default(LevelFilter::WARN).with_targets(ours);
    fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer).with_filter(wanted)
}
