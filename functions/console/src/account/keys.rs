//! Keys that nobody here made: foreign keys with what admins did to them and who owns them, and keys with a name of ours whose
//! grant does not exist.

use std::collections::HashMap;

use bursar_core::clock::Moment;
use bursar_core::domain::ledger::foreign_act::ForeignAct;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{self, ForeignKey};

use super::foreign_act::KeyForm;
use crate::owners::OwnerWords;
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
    /// The programme that has the key, if any has.
    pub(super) owner: Option<OwnerWords>,
    /// The last act of an admin, in words.
    pub(super) act: Option<String>,
    pub(super) form: KeyForm,
}

pub(super) struct OrphanKey {
    pub(super) hash: String,
    pub(super) name: String,
    pub(super) state: &'static str,
}

impl ForeignKeys {
    /// The keys as they are known, each with the last act of an admin and its words. A form that was refused
    /// is at its key, which then is the first.
    pub(super) fn of(
        keys: Vec<ForeignKey>,
        acts: &HashMap<KeyHash, (ForeignAct, String)>,
        refused: Option<&KeyForm>,
        listed_at: Option<Moment>,
        span: Span,
        context: SpanContext<'_>,
    ) -> ForeignKeys {
        let all = keys.len();
        let act_on = |key: &ForeignKey| acts.get(&key.key);
        let mut keys: Vec<ForeignKey> =
            keys.into_iter().map(|key| after_act(act_on(&key).map(|(act, _)| act), key, listed_at)).collect();
        let is_open = |key: &ForeignKey| key.limit.is_none() && state(key) == "enabled";
        let without_a_limit = keys.iter().filter(|key| is_open(key)).count();
        keys.sort_by_cached_key(|key| {
            let spent = context.sum(&key.used.credits, span).spent;
            let is_gone = key.gone_at.is_some();
            let is_refused = refused.is_some_and(|form| form.is_of(&key.key));
            (
                !is_refused,
                is_gone,
                key.limit.is_some(),
                !key.enabled,
                std::cmp::Reverse(spent),
                key.name.clone(),
                key.key.clone(),
            )
        });
        keys.truncate(SHOWN);
        let rows = keys.iter().map(|key| {
            let form = refused.filter(|form| form.is_of(&key.key)).cloned().unwrap_or_default();
            let act = act_on(key).map(|(_, words)| words.clone());
            ForeignKeyRow { act, form, ..ForeignKeyRow::of(key, context.figure(&key.used.credits, span, true)) }
        });
        let rows = rows.collect();
        ForeignKeys { rows, all, without_a_limit }
    }

    /// The keys with what is said of their owners.
    pub(super) fn with_owners(mut self, owners: &HashMap<String, OwnerWords>) -> ForeignKeys {
        self.rows.iter_mut().for_each(|row| row.owner = owners.get(&row.hash).cloned());
        self
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.rows.iter().map(|row| &row.spent)
    }
}

impl ForeignKeyRow {
    fn of(key: &ForeignKey, spent: Figure) -> ForeignKeyRow {
        let date = |at: Option<Moment>, or: &str| at.map_or(or.to_owned(), day);
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
            owner: None,
            act: None,
            form: KeyForm::default(),
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

/// A key with what the provider answered to an act since the last sync listed it.
fn after_act(act: Option<&ForeignAct>, key: ForeignKey, listed_at: Option<Moment>) -> ForeignKey {
    // A sync writes only records that change, so one may be true for longer than it says.
    let known_at = listed_at.map_or(key.as_of, |listed_at| listed_at.max(key.as_of));
    match act.and_then(|act| act.answered).filter(|answered| answered.at > known_at) {
        Some(answered) => ForeignKey { enabled: answered.enabled, limit: answered.limit, ..key },
        None => key,
    }
}

fn state(key: &ForeignKey) -> &'static str {
    match (key.gone_at, key.enabled) {
        (Some(_), _) => "gone",
        (None, true) => "enabled",
        (None, false) => "disabled",
    }
}

fn day(at: Moment) -> String {
    utc_date(at).to_string()
}
