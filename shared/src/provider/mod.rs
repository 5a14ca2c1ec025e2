//! The provider's management API, and the only place that knows it: typed requests and answers,
//! time-outs, and which calls may be repeated ([`calls`](wire::calls)). What an answer means for a
//! grant belongs to the functions; spending on a key is none of our business.
//!
//! # What an answer proves
//!
//! - No answer: a request that makes something may have been carried out, so it is never repeated.
//! - A 404 for one key: perhaps another account, or a stale cache. It is believed to be gone when
//!   the provider said so again
//!   later, and no listing in between had it.
//! - A smaller number than before: a cache. What is on record stands.
//! - A page of a list: only that it shares a row with the page before it ([`pages`](wire::pages)).
//!   Absence means something after a whole
//!   listing.
//! - An error: nothing but that it was an error. What was refused, by whatever status, may have
//!   been done all the same, now or later.
//! - A 401: it is sent once more if the secret holds another key by then. Else it is believed, as a
//!   403 is, only when the provider
//!   refuses the key itself too: what lies in another workspace is out of the scope of a good key.
//! - A 429 or 503: too much at once. A wait that is asked for is everybody's, for some minutes and
//!   but for disables
//!   ([`send`](wire::send)).
//! - A 200 to a patch: done, if the answer shows the state that was asked for. An earlier request
//!   without an answer may still
//!   take effect after it.
//! - Rules of a guardrail: spelled in the provider's own way, so they are held against what it
//!   answers and never against what was
//!   sent.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use management_key::KnownTo;
use reqwest::redirect;
use wire::calls::{Again, Call};
use wire::send::{Latency, Pace, Rate};

use crate::clock::Clock;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::secrets::{ManagementKey, ManagementKeys};
use crate::tls;

pub mod account;
pub mod analytics;
pub mod guardrails;
pub mod inventory;
pub mod key;
pub mod keys;
pub mod management_key;
pub mod wire;

pub use wire::error::{FailureKind, ProviderError};
pub use wire::json::ListedReset;

/// The account at the provider. Clones share connections and the management key.
#[derive(Clone)]
pub struct Provider {
    http: Arc<Http>,
    keys: ManagementKeys,
    pace: Arc<Pace>,
    latency: Arc<Latency>,
    rate: Option<Arc<Rate>>,
    account: KnownTo,
    clock: Clock,
}

pub const CONNECT_TIME_OUT: Duration = Duration::from_secs(3);

impl Provider {
    /// The provider of a deployment. Nothing is connected or read before the first call.
    pub fn new(config: &Config, clock: &Clock) -> Provider {
        Provider::from_parts(
            Http::new(&config.provider),
            ManagementKeys::from_config(config),
            clock,
        )
    }

    /// A provider by its base address, with a management key given by hand.
    pub fn with_key(base: &str, key: ManagementKey) -> Provider {
        Provider::from_parts(
            Http::new(base),
            ManagementKeys::with_fixed_key(key),
            &Clock::system(),
        )
    }

    /// A provider with another management key, which checks a pending one before it is promoted.
    pub fn with_management_key(&self, key: ManagementKey) -> Provider {
        Provider {
            keys: ManagementKeys::with_fixed_key(key),
            ..self.clone()
        }
    }

    /// The same provider, which is called at most so often in a second.
    #[must_use]
    pub fn limit_to(&self, calls_a_second: Option<NonZeroU32>) -> Provider {
        Provider {
            rate: calls_a_second.map(|calls| Arc::new(Rate::new(calls))),
            ..self.clone()
        }
    }

    fn from_parts(http: Http, keys: ManagementKeys, clock: &Clock) -> Provider {
        let pace = Arc::new(Pace::new(clock));
        let clock = clock.clone();
        let account = KnownTo::default();
        Provider {
            http: Arc::new(http),
            keys,
            pace,
            latency: Arc::default(),
            rate: None,
            account,
            clock,
        }
    }

    /// For how long the provider is to be left alone, since it asked for that.
    pub fn wait_left(&self, deadline: Deadline) -> Duration {
        self.pace.wait(deadline)
    }

    pub fn management_keys(&self) -> &ManagementKeys {
        &self.keys
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.http.base)
    }
}

struct Http {
    base: String,
    /// The client of all calls that may be repeated.
    kept: OnceLock<reqwest::Client>,
    /// The waits, which tests record instead of waiting.
    #[cfg(test)]
    waits: Option<Arc<std::sync::Mutex<Vec<Duration>>>>,
}

impl Http {
    fn new(base: &str) -> Http {
        Http {
            base: base.to_owned(),
            kept: OnceLock::new(),
            #[cfg(test)]
            waits: None,
        }
    }

    /// The client for a call. A call that is never repeated gets one of its own, and so a new
    /// connection. On a used one that the server has just closed, the HTTP client itself may send a
    /// request twice.
    fn client(&self, call: &Call) -> reqwest::Result<reqwest::Client> {
        let kept = Some(&self.kept).filter(|_| call.retry != Again::Never);
        if let Some(client) = kept.and_then(OnceLock::get) {
            return Ok(client.clone());
        }
        let client = tls::client_of(&self.base)
            .user_agent(concat!("bursar/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_OUT)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(if let Some(kept) = kept {
            kept.get_or_init(|| client).clone()
        } else {
            client
        })
    }

    async fn sleep(&self, wait: Duration, deadline: Deadline) {
        #[cfg(test)]
        if let Some(waits) = &self.waits {
            return waits.lock().unwrap().push(wait);
        }
        deadline.sleep(wait).await;
    }
}

#[cfg(test)]
mod tests;
