//! Tries on a real account what Bursar's client assumes of the provider: it makes one key, changes it, spends a
//! little on it and deletes it. Everything it makes has a name of its own, so that a later run can take it away.

pub mod assumptions;
mod count;
mod findings;
mod leftovers;
mod report;
mod run;
mod steps;
mod waiting;
mod wire;

use std::sync::Arc;

use anyhow::anyhow;
use bursar_core::clock::Clock;
use bursar_core::domain::values::key::PlaintextKey;

pub use count::{Count, MOST_KEYS};
pub use findings::{Finding, Findings};
pub use steps::account::Refused;
pub use waiting::Waiting;

use run::Run;

/// The account to check, and how.
#[derive(Clone)]
pub struct Options {
    /// The base URL, as in `OPENROUTER_BASE_URL`.
    pub provider: String,
    pub management_key: Arc<PlaintextKey>,
    /// A cheap model, on which the check spends.
    pub model: String,
    /// The calls a second that are tried, one second each.
    pub paces: Vec<u32>,
    /// The provider's clock, by which keys expire.
    pub clock: Clock,
    pub waiting: Waiting,
    /// Told what the check does now.
    pub progress: fn(&str),
}

/// A cheap model that has been there for years.
pub const MODEL: &str = "openai/gpt-4o-mini";
/// The paces that are tried on a real account.
pub const PACES: [u32; 4] = [5, 10, 20, 40];

/// What may be left of a run that could not take away what it made, and that it does no harm.
pub const LEFT: &str = "Run this again to take it away. Until then its keys have a limit of a cent and expire within an \
                        hour. Its guardrail stays, with a name that begins with bursar-provider-check/, and restricts \
                        no other key";

/// Checks an account until it is interrupted, and takes away what the check made, whatever happens. An error says
/// that nothing was begun.
pub async fn check(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Findings, Refused> {
    let mut run = Run::new(options).map_err(Refused::Unusable)?;
    steps::account::accept(&mut run).await?;
    let ended = tokio::select! {
        ended = steps::all(&mut run) => ended,
        () = interrupt => Err(anyhow!("it was interrupted")),
    };
    run.findings.ended_early = ended.err().map(|error| format!("{error:#}"));
    (options.progress)("taking away what the check made");
    steps::clean_up(&mut run).await;
    Ok(run.findings)
}

/// Counts how many keys the account takes, up to [`MOST_KEYS`] and until it is interrupted, and takes them away.
pub async fn count_keys(options: &Options, interrupt: impl Future<Output = ()>) -> Result<Count, Refused> {
    let mut run = Run::new(options).map_err(Refused::Unusable)?;
    steps::account::accept(&mut run).await?;
    Ok(count::count(&mut run, interrupt).await)
}
