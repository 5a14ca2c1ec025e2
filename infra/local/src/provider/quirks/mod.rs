//! Behaviour of the provider that is unknown, as switches: the client must tolerate either position. The
//! defaults are the likelier ones. Quirks are not stored: a process starts with the defaults.

mod drawn;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

pub use self::drawn::DrawnQuirks;

use super::values::money::Nano;

/// The simulator's behaviour where the provider's documentation is silent or contradicts observations.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// `GET /keys` without `include_disabled` shows disabled keys too.
    pub include_disabled_by_default: bool,
    /// A key made without `include_byok_in_limit` counts such use.
    pub include_byok_by_default: bool,
    /// A second key of the same name is refused.
    pub unique_names: bool,
    /// `limit: 0` lets nothing through; otherwise it means no limit.
    pub zero_limit_blocks: bool,
    /// `limit_remaining` stops at zero; otherwise it goes below.
    pub remaining_clamped: bool,
    /// The number of inference calls that still succeed with a disabled key.
    pub disable_latency: u32,
    /// Fields that key objects (and `GET /key`) leave out: `workspace_id`, `last_used_at`, `usage_daily` …
    pub absent_fields: Vec<&'static str>,
    /// The format of `created_at` and other times.
    pub times: Times,
    /// Counters are off by the last bit, as sums of doubles are.
    pub float_tails: bool,
    /// `GET /credits` with an ordinary key answers 200 with zeros; otherwise 403.
    pub credits_zero_for_ordinary_keys: bool,
    /// Completions are charged only by [`crate::provider::Provider::settle`], so that tests can overshoot a
    /// cap at will.
    pub hold_settlement: bool,
    /// An assignment skips hashes that are not keys and counts the others; otherwise it is refused as a whole.
    pub partial_assignment: bool,
    /// A key that already has the guardrail is counted by `assigned_count`.
    pub reassignment_counted: bool,
    /// The most hashes one assignment may carry.
    pub max_key_hashes: Option<usize>,
    /// Guardrails answer with canonical slugs; otherwise with what was sent.
    pub canonical_slugs: bool,
    /// Analytics print counts as strings; otherwise as numbers.
    pub counts_as_strings: bool,
    /// The names of models in analytics.
    pub analytics_models: ModelNames,
    /// The most rows in an answer of analytics, whatever limit was requested.
    pub analytics_rows: usize,
    /// Analytics say whether rows were left out; otherwise the field is absent.
    pub truncation_told: bool,
    /// The end of a time range is part of it.
    pub end_of_range_included: bool,
    /// Analytics come from a cache, and say so.
    pub analytics_cached: bool,
    /// Analytics and activity leave out the names and hashes of deleted keys, but not their usage.
    pub deleted_keys_forgotten: bool,
    /// Days of `GET /activity` carry a time: `2026-11-17 00:00:00`.
    pub activity_days_with_time: bool,
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

/// The two observed formats of instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// `2026-08-24T10:30:00Z`
    Zulu,
    /// `2026-08-24T10:30:00.000000+00:00`
    OffsetWithMicroseconds,
}

/// The two forms of models in the provider's own examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelNames {
    /// `openai/gpt-4o-mini`
    Slug,
    /// `OpenAI: GPT-4o-mini`
    Display,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            include_disabled_by_default: false,
            include_byok_by_default: false,
            unique_names: false,
            zero_limit_blocks: true,
            remaining_clamped: false,
            disable_latency: 0,
            absent_fields: Vec::new(),
            times: Times::Zulu,
            float_tails: false,
            credits_zero_for_ordinary_keys: true,
            hold_settlement: false,
            partial_assignment: true,
            reassignment_counted: true,
            max_key_hashes: None,
            canonical_slugs: true,
            counts_as_strings: true,
            analytics_models: ModelNames::Slug,
            analytics_rows: 10_000,
            truncation_told: true,
            end_of_range_included: false,
            analytics_cached: false,
            deleted_keys_forgotten: false,
            activity_days_with_time: false,
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

    pub(crate) fn instant(&self, at: Timestamp) -> String {
        match self.times {
            Times::Zulu => format!("{at:.0}"),
            Times::OffsetWithMicroseconds => at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string(),
        }
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
