//! Tries on a real account what Bursar assumes of the provider: it makes a key, changes it, spends a little on it and
//! deletes it. Everything it makes has a name of its own, so that a later run can take it away.

mod assumptions;
mod leftovers;
mod report;
mod run;
mod steps;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bursar_core::clock::Clock;
use bursar_core::domain::values::key::PlaintextKey;
use futures_util::future::BoxFuture;

pub use assumptions::{ASSUMPTIONS, Assumption};
pub use report::{Finding, Findings};
pub use steps::MOST_KEYS;

use run::{Run, soon};

/// The account to check, and how.
#[derive(Clone)]
pub struct Options {
    /// The base URL, as in `OPENROUTER_BASE_URL`.
    pub provider: String,
    pub management_key: Arc<PlaintextKey>,
    /// A cheap model, on which the check spends.
    pub model: String,
    /// The provider's clock, by which keys expire.
    pub clock: Clock,
    pub wait: Wait,
    /// Told what the check does now.
    pub progress: fn(&str),
}

/// How a wait between two questions passes, so that a test can move a clock in place of sleeping.
pub type Wait = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// A cheap model that has been there for years.
pub const MODEL: &str = "openai/gpt-4o-mini";

/// What may be left of a run that could not take away what it made, and that it does no harm.
pub const LEFT: &str = "Run this again to take it away. Until then its keys have a limit of a cent and expire within an \
                        hour. Its guardrail stays, with a name that begins with bursar-provider-check/, and restricts \
                        no other key";

/// Checks an account until it is interrupted, and takes away what the check made, whatever happens. An error says
/// that nothing was begun.
pub async fn check(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Findings> {
    carried_out(options, interrupt, steps::all).await
}

/// Counts how many keys the account takes, up to [`MOST_KEYS`] and until it is interrupted, and takes them away.
pub async fn count_keys(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Findings> {
    carried_out(options, interrupt, steps::count).await
}

async fn carried_out(
    options: &Options,
    interrupt: impl Future<Output = ()>,
    steps: impl AsyncFnOnce(&mut Run<'_>) -> Result<()>,
) -> Result<Findings> {
    let mut run = accepted(options).await?;
    let ended = tokio::select! {
        ended = steps(&mut run) => ended,
        () = interrupt => Err(anyhow!("it was interrupted")),
    };
    run.findings.end(ended);
    (options.progress)("taking away what was made");
    steps::clean_up(&mut run).await;
    Ok(run.findings)
}

/// A run with a management key. Any other is refused before anything is done.
async fn accepted(options: &Options) -> Result<Run<'_>> {
    let run = Run::new(options)?;
    run.provider.check_management_key(soon()).await.map_err(|error| {
        let remedy = match error.is_of_the_key() {
            true => "make a management key on the provider's page for management keys and put it into the file",
            false => "try again later, or look at --provider",
        };
        anyhow!("{error}: {remedy}")
    })?;
    Ok(run)
}
