//! One key as the provider knows it: by its hash, never by its plaintext. What it prints, and what it used in which window.
//! Where keys are kept and listed is `state.rs`; what stops their use is `limits.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

impl Key {
    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// The cap, unless it is a zero that means none.
    pub(super) fn cap(&self, quirks: &Quirks) -> Option<Nano> {
        self.limit
            .filter(|limit| quirks.zero_limit_blocks || *limit > Nano::ZERO)
    }

    /// What counts against the key's own limit in the window that holds `now`.
    pub(super) fn spent_in_window(&self, now: Timestamp) -> Nano {
        self.spent(self.reset, self.byok_in_limit, now)
    }

    pub(super) fn spent(&self, interval: Option<Interval>, with_byok: bool, now: Timestamp) -> Nano {
        let byok = if with_byok {
            self.byok.within(interval, now)
        } else {
            Nano::ZERO
        };
        self.credit.within(interval, now) + byok
    }

    /// The object of `POST`, `GET` and `PATCH /keys`.
    pub(super) fn object(&self, now: Timestamp, quirks: &Quirks) -> Value {
        let mut object = self.counters(now, quirks);
        let own = json!({
            "hash": self.hash,
            "name": self.name,
            "disabled": self.disabled,
            "created_at": instant(self.created_at, quirks),
            "updated_at": self.updated_at.map(|at| instant(at, quirks)),
            "last_used_at": self.last_used_at.map(|at| instant(at, quirks)),
            "external_user": self.external_user,
            "workspace_id": self.workspace,
        });
        object.extend(own.as_object().cloned().unwrap_or_default());
        object.retain(|field, _| !quirks.absent_fields.contains(&field.as_str()));
        object.into()
    }

    /// What key objects and `GET /key` have in common.
    pub(super) fn counters(&self, now: Timestamp, quirks: &Quirks) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, interval) in WINDOWS {
            object.insert(format!("usage{name}"), money(self.credit.within(interval, now), quirks));
            object.insert(
                format!("byok_usage{name}"),
                money(self.byok.within(interval, now), quirks),
            );
        }
        let remaining = self.cap(quirks).map(|cap| {
            let remaining = cap - self.spent_in_window(now);
            money(
                if quirks.remaining_clamped {
                    remaining.max(Nano::ZERO)
                } else {
                    remaining
                },
                quirks,
            )
        });
        object.insert("label".to_owned(), self.label.clone().into());
        object.insert("limit".to_owned(), self.limit.map_or(Value::Null, Nano::json));
        object.insert("limit_remaining".to_owned(), remaining.into());
        object.insert("limit_reset".to_owned(), self.reset.map(Interval::name).into());
        object.insert("include_byok_in_limit".to_owned(), self.byok_in_limit.into());
        object.insert(
            "expires_at".to_owned(),
            self.expires_at.map(|at| instant(at, quirks)).into(),
        );
        object.insert("creator_user_id".to_owned(), self.creator.clone().into());
        object
    }
}

const WINDOWS: [(&str, Option<Interval>); 4] = [
    ("", None),
    ("_daily", Some(Interval::Daily)),
    ("_weekly", Some(Interval::Weekly)),
    ("_monthly", Some(Interval::Monthly)),
];

/// A counter, exact or with the tail of a double.
pub(super) fn money(amount: Nano, quirks: &Quirks) -> Value {
    if quirks.float_tails {
        amount.json_with_tail()
    } else {
        amount.json()
    }
}

pub(super) fn instant(at: Timestamp, quirks: &Quirks) -> String {
    match quirks.times {
        Times::Zulu => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Times::OffsetWithMicroseconds => at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string(),
    }
}
