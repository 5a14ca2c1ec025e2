//! Logs: one JSON object a line, ours from `info` up and the libraries' from `warn` up, with the
//! invocation that it is of. The caller chooses the output: a function writes to standard output,
//! the local bundle catches lines by invocation.

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt};

use crate::domain::values::id::GrantId;

/// The crates whose `info` lines are logged.
const OURS: [&str; 6] = [
    "bursar_core",
    "claim",
    "console",
    "mail",
    "threshold_alerts",
    "usage_sync",
];

pub fn dispatch_to<W>(writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = OURS.map(|name| (name, LevelFilter::INFO));
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(ours);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer);
    Dispatch::new(tracing_subscriber::registry().with(lines.with_filter(targets)))
}

/// Names the grant that this invocation is about in the lines that follow.
pub fn name_grant(grant: &GrantId) {
    Span::current().record("grant", grant.as_str());
}

/// Sends this process's logs to standard output, as Lambda collects them.
pub fn start() {
    // A second subscriber is refused, and the first is then already this one.
    let _ = tracing::dispatcher::set_global_default(dispatch_to(std::io::stdout));
}

/// What a test's subscriber wrote.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Written {
    /// Begins to write what this thread logs.
    pub(crate) fn begin() -> (Written, tracing::dispatcher::DefaultGuard) {
        share();
        let written = Written::default();
        let writer = written.clone();
        (
            written,
            tracing::dispatcher::set_default(&dispatch_to(move || writer.clone())),
        )
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = serde_json::Value> {
        let lines: Vec<_> = self
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines.into_iter()
    }
}

#[cfg(test)]
impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Lets subscribers of single invocations coexist. Without a default subscriber, a thread that has
/// none can make `tracing` drop a line for all of them. A default that is set already stays.
pub fn share() {
    let silent = tracing_subscriber::registry().with(LevelFilter::OFF);
    let _ = tracing::dispatcher::set_global_default(Dispatch::new(silent));
}
