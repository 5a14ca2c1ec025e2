//! Keys that nobody here made: foreign keys with what admins did to them and who owns them, and
//! keys with a name of ours whose grant does not exist.

use std::collections::HashMap;

use bursar_core::clock::Moment;
use bursar_core::domain::ledger::foreign::{
    ForeignAct, ForeignActState, ForeignChange, ForeignKey,
};
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::store::Table;
use bursar_core::web::Result;
use jiff::SignedDuration;

use super::forms::{TypedChange, change_form, short};
use crate::kit::form::Form;
use crate::kit::show;
use crate::kit::show::utc;
use crate::money::owners::OwnerWords;
use crate::money::spending::spans::{Figure, SpanContext};

/// The most keys in a list of the page, each with its form; the rest are counted.
const SHOWN: usize = 10;
/// For so long a key is new.
const NEW_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The foreign keys, those without a limit first.
pub(super) struct ForeignKeys {
    pub(super) rows: Vec<ForeignKeyRow>,
    pub(super) total: usize,
    pub(super) without_a_limit: usize,
    /// Those that were first seen within the last seven days.
    pub(super) new: usize,
}

pub(super) struct ForeignKeyRow {
    pub(super) foreign_key: ForeignKey,
    pub(super) spent: Figure,
    /// The programme that has the key, if any has.
    pub(super) owner: Option<OwnerWords>,
    /// The last act of an admin, in words.
    pub(super) act: Option<String>,
    pub(super) form: Form<TypedChange>,
    /// Whether the form was refused.
    pub(super) is_open: bool,
}

impl ForeignKeys {
    /// The keys as they are known, each with the last act of an admin and its words. A form that
    /// was refused is at its key, which then is the first.
    pub(super) fn new(
        keys: Vec<ForeignKey>,
        acts: &HashMap<KeyHash, (ForeignAct, String)>,
        refused: &mut Option<(KeyHash, Form<TypedChange>)>,
        listed_at: Option<Moment>,
        span: Span,
        context: SpanContext<'_>,
    ) -> ForeignKeys {
        let total = keys.len();
        let keys = keys
            .into_iter()
            .map(|key| apply_act(acts.get(&key.key).map(|(act, _)| act), key, listed_at));
        let mut keys: Vec<ForeignKey> = keys.collect();
        let without_a_limit = keys
            .iter()
            .filter(|key| key.limit.is_none() && state(key) == "enabled")
            .count();
        let new = keys
            .iter()
            .filter(|key| context.now < key.first_seen_at + NEW_FOR)
            .count();
        keys.sort_by_cached_key(|key| {
            let spent = context.sum(&key.used.credits, span).spent;
            let is_gone = key.gone_at.is_some();
            let is_refused = refused.as_ref().is_some_and(|(hash, _)| *hash == key.key);
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
        let rows = keys.into_iter().map(|foreign_key| ForeignKeyRow {
            spent: context.figure(&foreign_key.used.credits, span, true),
            owner: None,
            act: acts.get(&foreign_key.key).map(|(_, words)| words.clone()),
            is_open: refused
                .as_ref()
                .is_some_and(|(hash, _)| *hash == foreign_key.key),
            form: refused
                .take_if(|(hash, _)| *hash == foreign_key.key)
                .map_or_else(|| change_form(&foreign_key.key), |(_, form)| form),
            foreign_key,
        });
        ForeignKeys {
            rows: rows.collect(),
            total,
            without_a_limit,
            new,
        }
    }

    pub(super) fn with_owners(mut self, owners: &HashMap<String, OwnerWords>) -> ForeignKeys {
        self.rows
            .iter_mut()
            .for_each(|row| row.owner = owners.get(row.foreign_key.key.as_str()).cloned());
        self
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.rows.iter().map(|row| &row.spent)
    }
}

impl ForeignKeyRow {
    pub(super) fn state(&self) -> &'static str {
        state(&self.foreign_key)
    }

    pub(super) fn short(&self) -> &str {
        short(&self.foreign_key.key)
    }
}

/// A key with what the provider answered to an act since the last sync listed it.
fn apply_act(act: Option<&ForeignAct>, key: ForeignKey, listed_at: Option<Moment>) -> ForeignKey {
    // A sync writes only records that change, so one may be true for longer than it says.
    let known_at = listed_at.map_or(key.as_of, |listed_at| listed_at.max(key.as_of));
    match act
        .and_then(|act| act.answered)
        .filter(|answered| answered.answered_at > known_at)
    {
        Some(answered) => ForeignKey {
            enabled: answered.enabled,
            limit: answered.limit,
            ..key
        },
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

/// The last act of an admin on each key, in words.
pub(super) async fn acts_in_words(table: &Table) -> Result<HashMap<KeyHash, (ForeignAct, String)>> {
    let mut acts = HashMap::new();
    let mut people = HashMap::new();
    for act in table.list(ForeignAct::all()).await? {
        if !people.contains_key(&act.requested_by) {
            people.insert(
                act.requested_by.clone(),
                show::person(table, &act.requested_by).await?,
            );
        }
        let who = &people[&act.requested_by];
        let requested_at = utc(act.requested_at);
        let what = match act.change {
            ForeignChange::Disable => "disable it".to_owned(),
            ForeignChange::Limit(limit) => format!("limit it to {}", limit.to_cents()),
        };
        let outcome = match act.state {
            ForeignActState::Confirmed => "and OpenRouter did so",
            ForeignActState::Refused => "and OpenRouter refused",
            ForeignActState::Open => {
                "and no answer came: the state here is what OpenRouter said last, so press again if that is not what you want"
            }
        };
        acts.insert(
            act.key.clone(),
            (
                act,
                format!("At {requested_at} {who} asked OpenRouter to {what}, {outcome}."),
            ),
        );
    }
    Ok(acts)
}
