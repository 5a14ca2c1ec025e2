//! One key as the provider knows it: by its hash, never by its plaintext. What it prints, and what it used in which window.
//! Where keys are kept and listed is `state.rs`; what stops their use is `limits.rs`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::money::Nano;
use super::quirks::{Quirks, Times};
use super::windows::{Interval, Usage};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) hash: String,
    /// The order of making, among keys of the same instant too.
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) label: String,
    pub(super) workspace: String,
    pub(super) disabled: bool,
    /// Deleted keys stay as documents: their use is part of the account's for ever.
    pub(super) deleted: bool,
    pub(super) limit: Option<Nano>,
    pub(super) reset: Option<Interval>,
    pub(super) byok_in_limit: bool,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) creator: Option<String>,
    pub(super) external_user: Option<String>,
    pub(super) credit: Usage,
    pub(super) byok: Usage,
    pub(super) models: BTreeMap<String, ModelUse>,
    /// The limit and the switch as they were last asked for over HTTP, whatever was done by hand since.
    pub(super) asked_limit: Option<Nano>,
    pub(super) asked_disabled: bool,
    /// Since when it is disabled or deleted.
    pub(super) ended_at: Option<Timestamp>,
    /// What it used beyond the limit that was asked for by then.
    pub(super) overshot: Nano,
    /// What it used within that limit and was charged for later than use settles after its end.
    pub(super) settled_late: Nano,
    pub(super) assignment: Option<Assignment>,
}

/// What went to one model, ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    pub requests: u64,
    pub spent: Nano,
}

/// The one guardrail a key may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) id: String,
    pub(super) guardrail: String,
    pub(super) at: Timestamp,
}

/// How long it may take until use is charged.
pub const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(15);

impl Key {
    /// Disables or deletes it, as `edit` says.
    pub(super) fn end(&mut self, now: Timestamp, edit: impl FnOnce(&mut Key)) {
        edit(self);
        self.ended_at = self.ended_at.or(Some(now));
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// The cap, unless it is a zero that means none.
    pub(super) fn cap(&self, quirks: &Quirks) -> Option<Nano> {
        self.limit.filter(|limit| quirks.zero_limit_blocks || *limit > Nano::ZERO)
    }

    /// What counts against the key's own limit in the window that holds `now`.
    pub(super) fn spent_in_window(&self, now: Timestamp) -> Nano {
        self.spent(self.reset, self.byok_in_limit, now)
    }

    pub(super) fn spent(&self, interval: Option<Interval>, with_byok: bool, now: Timestamp) -> Nano {
        let byok = if with_byok { self.byok.within(interval, now) } else { Nano::ZERO };
        self.credit.within(interval, now) + byok
    }

    /// Use of an instant that is charged now.
    pub(super) fn charged(&mut self, credit: Nano, byok: Nano, at: Timestamp, model: &str, now: Timestamp) {
        let counted = credit + if self.byok_in_limit { byok } else { Nano::ZERO };
        let left = self.asked_limit.map(|limit| (limit - self.spent_in_window(now)).max(Nano::ZERO));
        let within = left.map_or(counted, |left| left.min(counted));
        self.overshot += counted - within;
        let end = self.ended_at.into_iter().chain(self.expires_at.filter(|end| *end <= now)).min();
        if end.is_some_and(|end| now.duration_since(end.min(at)) > SETTLES_WITHIN) {
            self.settled_late += within;
        }
        self.used(credit, byok, at, model);
    }

    pub(super) fn used(&mut self, credit: Nano, byok: Nano, at: Timestamp, model: &str) {
        self.credit.add(credit, at);
        self.byok.add(byok, at);
        self.last_used_at = self.last_used_at.max(Some(at));
        let model = self.models.entry(model.to_owned()).or_default();
        model.requests += 1;
        model.spent += credit + byok;
    }

    /// The object of `POST`, `GET` and `PATCH /keys`.
    pub(super) fn object(&self, now: Timestamp, quirks: &Quirks) -> Value {
        let mut object = self.counters(now, quirks);
        let mut set = |field: &str, value: Value| object.insert(field.to_owned(), value);
        set("hash", self.hash.clone().into());
        set("name", self.name.clone().into());
        set("disabled", self.disabled.into());
        set("created_at", instant(self.created_at, quirks).into());
        set("updated_at", self.updated_at.map(|at| instant(at, quirks)).into());
        set("last_used_at", self.last_used_at.map(|at| instant(at, quirks)).into());
        set("external_user", self.external_user.clone().into());
        set("workspace_id", self.workspace.clone().into());
        printed(object, quirks)
    }

    /// What key objects and `GET /key` have in common.
    pub(super) fn counters(&self, now: Timestamp, quirks: &Quirks) -> Map<String, Value> {
        let mut object = Map::new();
        let mut set = |field: &str, value: Value| object.insert(field.to_owned(), value);
        for (usage, byok_usage, interval) in COUNTERS {
            set(usage, money(self.credit.within(interval, now), quirks));
            set(byok_usage, money(self.byok.within(interval, now), quirks));
        }
        let remaining = self.cap(quirks).map(|cap| {
            let remaining = cap - self.spent_in_window(now);
            money(if quirks.remaining_clamped { remaining.max(Nano::ZERO) } else { remaining }, quirks)
        });
        set("label", self.label.clone().into());
        set("limit", self.limit.map(Nano::json).into());
        set("limit_remaining", remaining.into());
        set("limit_reset", self.reset.map(Interval::name).into());
        set("include_byok_in_limit", self.byok_in_limit.into());
        set("expires_at", self.expires_at.map(|at| instant(at, quirks)).into());
        set("creator_user_id", self.creator.clone().into());
        object
    }
}

const COUNTERS: [(&str, &str, Option<Interval>); 4] = [
    ("usage", "byok_usage", None),
    ("usage_daily", "byok_usage_daily", Some(Interval::Daily)),
    ("usage_weekly", "byok_usage_weekly", Some(Interval::Weekly)),
    ("usage_monthly", "byok_usage_monthly", Some(Interval::Monthly)),
];

/// Without the fields that are to be absent.
pub(super) fn printed(mut object: Map<String, Value>, quirks: &Quirks) -> Value {
    for field in &quirks.absent_fields {
        object.remove(*field);
    }
    object.into()
}

/// A counter, exact or with the tail of a double.
pub(super) fn money(amount: Nano, quirks: &Quirks) -> Value {
    if quirks.float_tails { amount.json_with_tail() } else { amount.json() }
}

pub(super) fn instant(at: Timestamp, quirks: &Quirks) -> String {
    match quirks.times {
        Times::Zulu => format!("{at:.0}"),
        Times::OffsetWithMicroseconds => at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string(),
    }
}
