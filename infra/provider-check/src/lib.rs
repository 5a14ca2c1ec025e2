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

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::domain::values::key::PlaintextKey;

pub use count::{Count, MOST_KEYS};
pub use findings::{Finding, Findings};
pub use steps::account::Refused;
pub use waiting::Waiting;

use run::Run;
use wire::Wire;

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

/// Checks an account, and takes away what the check made, whatever happens. An error says that nothing was
/// begun.
pub async fn check(options: &Options) -> Result<Findings, Refused> {
    let mut run = Run::new(options).map_err(Refused::Unusable)?;
    steps::account::accept(&mut run).await?;
    if let Err(error) = steps::all(&mut run).await {
        run.findings.ended_early = Some(format!("{error:#}"));
    }
    (options.progress)("taking away what the check made");
    steps::clean_up(&mut run).await;
    Ok(run.findings)
}

/// Counts how many keys the account takes, up to [`MOST_KEYS`], and takes them away.
pub async fn count_keys(options: &Options) -> Result<Count, Refused> {
    let mut run = Run::new(options).map_err(Refused::Unusable)?;
    steps::account::accept(&mut run).await?;
    Ok(count::count(&mut run).await)
}

/// Takes away what this and earlier runs left, and says what that was.
pub async fn take_away(options: &Options) -> Result<Vec<String>> {
    let wire = Wire::new(&options.provider, Arc::clone(&options.management_key), options.waiting.clone())?;
    leftovers::take_away(&wire).await
}
