//! Keys without an owner: foreign keys, and keys with a name of ours whose grant does not exist.

use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{self, ForeignKey};
use jiff::Timestamp;

use crate::spending::spans::{Figure, SpanContext};

/// The most keys on the page; the rest are counted.
const SHOWN: usize = 200;

/// The foreign keys, those without a limit first.
pub(super) struct ForeignKeys {
    pub(super) rows: Vec<ForeignKeyRow>,
    pub(super) all: usize,
    pub(super) without_a_limit: usize,
}

pub(super) struct ForeignKeyRow {
    pub(super) hash: String,
    /// A prefix of the hash, long enough to tell keys apart.
    pub(super) short: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) limit: Option<String>,
    pub(super) spent: Figure,
    pub(super) created: String,
    pub(super) last_used: String,
    pub(super) first_seen: String,
}

pub(super) struct OrphanKey {
    pub(super) hash: String,
    pub(super) name: String,
    pub(super) state: &'static str,
}

impl ForeignKeys {
    pub(super) fn of(mut keys: Vec<ForeignKey>, span: Span, context: SpanContext<'_>) -> ForeignKeys {
        let all = keys.len();
        let is_open = |key: &ForeignKey| key.limit.is_none() && state(key) == "enabled";
        let without_a_limit = keys.iter().filter(|key| is_open(key)).count();
        keys.sort_by_cached_key(|key| {
            let spent = context.sum(&key.used.credits, span).spent;
            let is_gone = key.gone_at.is_some();
            (is_gone, key.limit.is_some(), !key.enabled, std::cmp::Reverse(spent), key.name.clone(), key.key.clone())
        });
        keys.truncate(SHOWN);
        let rows =
            keys.iter().map(|key| ForeignKeyRow::of(key, context.figure(&key.used.credits, span, true))).collect();
        ForeignKeys { rows, all, without_a_limit }
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.rows.iter().map(|row| &row.spent)
    }
}

impl ForeignKeyRow {
    fn of(key: &ForeignKey, spent: Figure) -> ForeignKeyRow {
        let date = |at: Option<Timestamp>, or: &str| at.map_or(or.to_owned(), day);
        ForeignKeyRow {
            hash: key.key.to_string(),
            short: key.key.as_str().chars().take(12).collect(),
            name: key.name.clone(),
            state: state(key),
            limit: key.limit.map(Usd::to_cents_down),
            spent,
            created: date(key.created_at, "not known"),
            last_used: date(key.last_used_at, "never"),
            first_seen: day(key.first_seen_at),
        }
    }
}

impl OrphanKey {
    pub(super) fn of(orphan: &store::OrphanName) -> OrphanKey {
        OrphanKey {
            hash: orphan.key.to_string(),
            name: orphan.name.clone(),
            state: if orphan.enabled { "enabled" } else { "disabled" },
        }
    }
}

fn state(key: &ForeignKey) -> &'static str {
    match (key.gone_at, key.enabled) {
        (Some(_), _) => "gone",
        (None, true) => "enabled",
        (None, false) => "disabled",
    }
}

fn day(at: Timestamp) -> String {
    utc_date(at).to_string()
}
