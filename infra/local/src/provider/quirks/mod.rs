//! Behaviour of the provider that is unknown, as switches: the client must tolerate either position. The
//! defaults are the likelier ones. Quirks are not stored: a process starts with the defaults.

mod drawn;

use axum::http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Map, Value};

pub use self::drawn::DrawnQuirks;

use super::values::money::Nano;

/// The simulator's behaviour where the provider's documentation is silent or contradicts observations.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// Fields that key objects (and `GET /key`) leave out: `workspace_id`, `last_used_at`, `usage_daily` …
    pub absent_fields: Vec<&'static str>,
    /// Counters are off by the last bit, as sums of doubles are.
    pub float_tails: bool,
    /// Completions are charged only by [`crate::provider::Provider::settle`], so that tests can overshoot a
    /// cap at will.
    pub hold_settlement: bool,
    /// The most rows in an answer of analytics, whatever limit was requested.
    pub analytics_rows: usize,
    /// Analytics and activity fail with this status: 408 and 500 are documented.
    pub analytics_failure: Option<StatusCode>,
    /// A key's limit is kept in whole cents; otherwise as it was sent.
    pub limit_cents: Option<Cents>,
    /// The age of the usage in answers.
    pub lag: Lag,
    /// The difference between counters in listings and those of `GET /keys/{hash}`.
    pub listed_counters: Option<Differ>,
    /// The age below which a key is not found by its hash.
    pub found_after: SignedDuration,
    /// The rate above which management calls are refused with 429.
    pub rate: Option<Rate>,
    /// `GET /workspaces` lists the workspaces; otherwise none.
    pub workspaces_listed: bool,
    /// `GET /keys` lists the keys; otherwise none.
    pub keys_listed: bool,
}

/// The lag of usage counters and of a limit's rest, by call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// The lag of `GET /keys/{hash}`, and of the answer of `PATCH`.
    pub key: SignedDuration,
    pub listing: SignedDuration,
    pub credits: SignedDuration,
}

/// The rounding of a limit to whole cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cents {
    Down,
    Up,
}

/// The difference of a listed counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differ {
    /// One micro-dollar more.
    Micro,
    /// The last bit of a double.
    Tail,
}

/// The permitted number of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    /// The number of calls at once after a pause.
    pub burst: u32,
    /// Whether the 429 has a `Retry-After`.
    pub retry_after: bool,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            absent_fields: Vec::new(),
            float_tails: false,
            hold_settlement: false,
            analytics_rows: 10_000,
            analytics_failure: None,
            limit_cents: None,
            lag: Lag::default(),
            listed_counters: None,
            found_after: SignedDuration::ZERO,
            rate: None,
            workspaces_listed: true,
            keys_listed: true,
        }
    }
}

impl Quirks {
    /// An object without the absent fields.
    pub(crate) fn printed(&self, mut object: Map<String, Value>) -> Value {
        for field in &self.absent_fields {
            object.remove(*field);
        }
        object.into()
    }

    /// A counter, exact or with the tail of a double.
    pub(crate) fn money(&self, amount: Nano) -> Value {
        if self.float_tails { amount.json_with_tail() } else { amount.json() }
    }

    /// The limit that is stored for a sent one.
    pub(crate) fn kept_limit(&self, sent: Option<Nano>) -> Option<Nano> {
        sent.map(|limit| match self.limit_cents {
            None => limit,
            Some(Cents::Down) => limit.whole_cents(),
            Some(Cents::Up) => (limit + Nano::CENT - Nano::nanos(1)).whole_cents(),
        })
    }
}
