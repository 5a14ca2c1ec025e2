//! Tries on a real account what Bursar assumes of the provider: it makes a key, changes it, spends
//! a little on it and deletes it. Everything it makes has a name of its own, so that a later run
//! can take it away.

pub(crate) mod command;
mod leftovers;
mod report;
mod steps;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use bursar_core::clock::Clock;
use bursar_core::domain::values::key::PlaintextKey;
use futures_util::future::BoxFuture;

use wire::Wire;

pub use report::{ASSUMPTIONS, Assumption, Findings};
pub use steps::{MOST_KEYS, check, count_keys, in_flight, rate};
pub(crate) use steps::{amount, within};

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

impl Options {
    fn wire(&self, key: &Arc<PlaintextKey>) -> anyhow::Result<Wire> {
        Wire::new(&self.provider, Some(Arc::clone(key)), &self.wait)
    }
}

/// How a wait between two questions passes, so that a test can move a clock in place of sleeping.
pub type Wait = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// A cheap model that has been there for years.
pub const MODEL: &str = "openai/gpt-4o-mini";

/// What may be left of a run that could not take away what it made, and that it does no harm.
pub const LEFT: &str = "Run this again to take it away. Until then its keys have a limit of a cent, with --in-flight of two \
                        dollars, and expire within an hour; its guardrail, bursar-provider-check/…, stays, and restricts no other key";
