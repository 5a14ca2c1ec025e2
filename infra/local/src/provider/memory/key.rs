//! One key as the provider knows it, by its hash and never its plaintext: its printed form, and its usage
//! by window. Limits on its use are left to `inference`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::provider::quirks::Quirks;
use crate::provider::values::USER_ID;
use crate::provider::values::money::Nano;
use crate::provider::values::windows::{Interval, Usage, printed};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) hash: String,
    /// The order of creation, also among keys of one instant.
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) workspace: String,
    pub(crate) disabled: bool,
    /// Whether it was deleted. Deleted keys stay as documents, since their usage remains the account's.
    pub(crate) deleted: bool,
    pub(crate) limit: Option<Nano>,
    pub(crate) reset: Option<Interval>,
    pub(crate) byok_in_limit: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) credit: Usage,
    pub(crate) byok: Usage,
    pub(crate) models: BTreeMap<String, ModelUse>,
    /// The limit as last requested over HTTP, whatever was changed by hand since.
    pub(crate) asked_limit: Option<Nano>,
    /// Whether the last request over HTTP disabled it, whatever was changed by hand since.
    pub(crate) asked_disabled: bool,
    /// The different changes that were requested over HTTP, whatever became of them: bodies of patches, a
    /// deletion, guardrails.
    #[serde(default)]
    pub(crate) asked_changes: BTreeSet<String>,
    /// The time at which it was disabled or deleted.
    pub(crate) ended_at: Option<Timestamp>,
    /// The usage beyond the limit that had been requested by then.
    pub(crate) overshot: Nano,
    /// The usage within that limit that was charged after its end, later than usage settles.
    pub(crate) settled_late: Nano,
    pub(crate) assignment: Option<Assignment>,
}

/// The lifetime usage of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    pub requests: u64,
    pub spent: Nano,
}

/// The guardrail of a key, which has at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) id: String,
    pub(crate) guardrail: String,
    pub(crate) at: Timestamp,
}

/// The longest time until usage is charged.
pub const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(15);

impl Key {
    /// An unused key without a name or a limit.
    pub(crate) fn blank(hash: String, label: String, workspace: String, now: Timestamp) -> Key {
        Key {
            hash,
            place: 0,
            name: String::new(),
            label,
            workspace,
            disabled: false,
            deleted: false,
            limit: None,
            reset: None,
            byok_in_limit: false,
            created_at: now,
            updated_at: None,
            expires_at: None,
            last_used_at: None,
            credit: Default::default(),
            byok: Default::default(),
            models: Default::default(),
            asked_limit: None,
            asked_disabled: false,
            asked_changes: BTreeSet::new(),
            ended_at: None,
            overshot: Nano::ZERO,
            settled_late: Nano::ZERO,
            assignment: None,
        }
    }

    /// Disables or deletes it, as `edit` says.
    pub(crate) fn end(&mut self, now: Timestamp, edit: impl FnOnce(&mut Key)) {
        edit(self);
        self.ended_at = self.ended_at.or(Some(now));
    }

    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// The usage that counts against the key's limit in the window of `now`.
    pub(crate) fn spent_in_window(&self, now: Timestamp) -> Nano {
        self.spent(self.reset, self.byok_in_limit, now)
    }

    pub(crate) fn spent(&self, interval: Option<Interval>, with_byok: bool, now: Timestamp) -> Nano {
        let byok = if with_byok { self.byok.within(interval, now) } else { Nano::ZERO };
        self.credit.within(interval, now) + byok
    }

    /// Charges usage of the instant `at` now.
    pub(crate) fn charged(&mut self, credit: Nano, byok: Nano, at: Timestamp, model: &str, now: Timestamp) {
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

    pub(crate) fn used(&mut self, credit: Nano, byok: Nano, at: Timestamp, model: &str) {
        self.credit.add(credit, at);
        self.byok.add(byok, at);
        self.last_used_at = self.last_used_at.max(Some(at));
        let model = self.models.entry(model.to_owned()).or_default();
        model.requests += 1;
        model.spent += credit + byok;
    }

    /// The object of `POST`, `GET` and `PATCH /keys`.
    pub(crate) fn object(&self, now: Timestamp, quirks: &Quirks) -> Value {
        let mut object = self.counters(now, quirks);
        let mut set = |field: &str, value: Value| object.insert(field.to_owned(), value);
        set("hash", self.hash.clone().into());
        set("name", self.name.clone().into());
        set("disabled", self.disabled.into());
        set("created_at", printed(self.created_at).into());
        set("updated_at", self.updated_at.map(printed).into());
        set("last_used_at", self.last_used_at.map(printed).into());
        set("external_user", Value::Null);
        set("workspace_id", self.workspace.clone().into());
        quirks.printed(object)
    }

    /// The fields that key objects and `GET /key` share.
    pub(crate) fn counters(&self, now: Timestamp, quirks: &Quirks) -> Map<String, Value> {
        let mut object = Map::new();
        let mut set = |field: &str, value: Value| object.insert(field.to_owned(), value);
        for (usage, byok_usage, interval) in COUNTERS {
            set(usage, quirks.money(self.credit.within(interval, now)));
            set(byok_usage, quirks.money(self.byok.within(interval, now)));
        }
        let remaining = self.limit.map(|limit| quirks.money(limit - self.spent_in_window(now)));
        set("label", self.label.clone().into());
        set("limit", self.limit.map(Nano::json).into());
        set("limit_remaining", remaining.into());
        set("limit_reset", self.reset.map(Interval::name).into());
        set("include_byok_in_limit", self.byok_in_limit.into());
        set("expires_at", self.expires_at.map(printed).into());
        set("creator_user_id", USER_ID.into());
        object
    }
}

const COUNTERS: [(&str, &str, Option<Interval>); 4] = [
    ("usage", "byok_usage", None),
    ("usage_daily", "byok_usage_daily", Some(Interval::Daily)),
    ("usage_weekly", "byok_usage_weekly", Some(Interval::Weekly)),
    ("usage_monthly", "byok_usage_monthly", Some(Interval::Monthly)),
];
