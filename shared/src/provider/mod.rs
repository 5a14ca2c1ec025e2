//! The provider's management API, and the only place that knows it: typed requests and answers, time-outs, and which calls may be
//! repeated (`calls`). What an answer means for a grant belongs to the functions; spending on a key is none of our business.
//!
//! # What an answer proves
//!
//! - No answer: a request that makes something may have been carried out, so it is never repeated. Attempts are for that.
//! - A 404 for one key: perhaps another account, or a stale cache. It is believed to be gone when the provider said so again
//!   later, and no listing in between had it.
//! - A smaller number than before: a cache. What is on record stands.
//! - A page of a list: only that it shares a row with the page before it (`pages`). Absence means something after a whole
//!   listing.
//! - A 401 or 403: nothing was done. It is sent once more if the secret holds another key by then. Else the sync and the console
//!   ask about that key itself before they believe it.
//! - A 429 or 503: too much at once. The pace halves for a minute (`pace`), and a wait that is asked for is everybody's.
//! - A 200 to a patch: done, if the answer shows the state that was asked for. An earlier request without an answer may still
//!   take effect after it.
//! - Rules of a guardrail: spelled in the provider's own way, so they are held against what it answers and never against what was
//!   sent.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::redirect;

use crate::clock::Clock;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::domain::mail::alarm::Cause;
use crate::secrets::{ManagementKey, ManagementKeys};
use crate::store::Table;

pub mod account;
pub mod analytics;
pub mod catalogue;
pub mod guardrails;
pub mod inventory;
pub mod key;
pub mod keys;
pub mod management_key;
pub mod models;
pub mod reading;
pub mod wire;
mod witnesses;

pub use wire::error::ProviderError;
pub use wire::json::ListedReset;

use wire::pace::Pace;
use witnesses::AccountProof;

/// The account at the provider. Clones share connections and the management key.
#[derive(Clone)]
pub struct Provider {
    http: Arc<Http>,
    keys: ManagementKeys,
    /// The proof that the management key is of our account; `None` where that does not matter.
    proof: Option<Arc<AccountProof>>,
    /// The last fault found with the management key, until `take_refusal` takes it.
    refusal: Arc<Mutex<Option<Cause>>>,
    /// The pace of requests; `None` where few are made, one after another.
    pace: Option<Arc<Pace>>,
}

/// The time within which a connection must be made.
pub const CONNECT_TIME_OUT: Duration = Duration::from_secs(3);

impl Provider {
    /// The provider of a deployment, which calls the account of this table's keys and no other. Nothing is
    /// connected or read before the first call.
    pub fn new(config: &Config, table: &Table) -> Provider {
        let proof = Some(Arc::new(AccountProof::in_table(table)));
        Provider { proof, ..Provider::of(Arc::new(Http::to(&config.provider)), ManagementKeys::of(config)) }
    }

    /// A provider by its base address, with a management key given by hand.
    pub fn with_key(base: &str, key: ManagementKey) -> Provider {
        Provider::of(Arc::new(Http::to(base)), ManagementKeys::fixed(key))
    }

    /// A provider with another management key, which checks a pending one before it is promoted.
    pub fn asked_with(&self, key: ManagementKey) -> Provider {
        let (proof, pace) = (self.proof.clone(), self.pace.clone());
        Provider { proof, pace, ..Provider::of(Arc::clone(&self.http), ManagementKeys::fixed(key)) }
    }

    /// Bounds the requests that this provider and its clones have under way at once. The bound shrinks for a
    /// while after a 429 or 503.
    pub fn paced(self, most: usize, clock: &Clock) -> Provider {
        Provider { pace: Some(Arc::new(Pace::at_most(most, clock))), ..self }
    }

    /// The current bound of requests under way at once, where there is one.
    pub fn at_once(&self) -> Option<usize> {
        self.pace.as_ref().map(|pace| pace.at_once())
    }

    fn of(http: Arc<Http>, keys: ManagementKeys) -> Provider {
        Provider { http, keys, proof: None, refusal: Arc::default(), pace: None }
    }

    /// The fault found with the management key since the last call, whatever became of the request that met
    /// it.
    pub fn take_refusal(&self) -> Option<Cause> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note_refusal(&self, error: &ProviderError) {
        if let Some(cause) = error.refusal() {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
        }
    }

    /// The source of this provider's management key, for its rotation.
    pub fn management_keys(&self) -> &ManagementKeys {
        &self.keys
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.http.base)
    }
}

/// The HTTP clients, made when first needed, since reading the system's root certificates is most of a cold
/// start.
struct Http {
    base: String,
    pooled: OnceLock<reqwest::Client>,
    unpooled: OnceLock<reqwest::Client>,
    /// The waits, which tests record instead of waiting.
    #[cfg(test)]
    waits: Option<Arc<std::sync::Mutex<Vec<Duration>>>>,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Http {
    fn to(base: &str) -> Http {
        Http {
            base: base.to_owned(),
            pooled: OnceLock::new(),
            unpooled: OnceLock::new(),
            #[cfg(test)]
            waits: None,
        }
    }

    /// The client for a call. A call that is never repeated gets a new connection. On a used one that the
    /// server has just closed, the HTTP client itself may send a request twice.
    fn client(&self, call: &wire::calls::Call) -> reqwest::Result<reqwest::Client> {
        let (made, idle) = if call.is_safe_again() { (&self.pooled, usize::MAX) } else { (&self.unpooled, 0) };
        if let Some(client) = made.get() {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_OUT)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(idle);
        if self.base.starts_with("http://") {
            // On loopback there is no proxy, and no certificate to read.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder.build()?;
        Ok(made.get_or_init(|| client).clone())
    }

    /// The way in which `send` waits between two tries.
    fn sleep(&self, deadline: Deadline) -> impl Fn(Duration) -> Sleep + 'static {
        #[cfg(test)]
        if let Some(waits) = self.waits.clone() {
            return sleeping(move |wait| {
                waits.lock().unwrap().push(wait);
                Box::pin(std::future::ready(()))
            });
        }
        sleeping(move |wait| Box::pin(deadline.sleep(wait)))
    }
}

fn sleeping(sleep: impl Fn(Duration) -> Sleep + Send + Sync + 'static) -> Box<dyn Fn(Duration) -> Sleep + Send + Sync> {
    Box::new(sleep)
}

#[cfg(test)]
mod tests;
