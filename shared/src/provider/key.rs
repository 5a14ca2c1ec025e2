//! A key as the provider lists it. Only fields that Bursar uses are read, and optional ones are
//! `Option`s: a missing number never becomes zero or another number.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::clock::Moment;
use crate::domain::grant::{ListedLimit, SeenKey};
use crate::domain::programme::Basis;
use crate::domain::usage::reading::UsageReport;
use crate::domain::values::id::KeyHash;
use crate::domain::values::money::{Usd, promised, spent};
use crate::domain::values::window::Reset;
use crate::provider::keys::Counting;
use crate::provider::wire::error::harmless;
use crate::provider::wire::json;
use crate::provider::wire::json::ListedReset;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProviderKey {
    pub hash: KeyHash,
    #[serde(default, deserialize_with = "json::or_default")]
    pub name: String,
    /// The masked key, made by the provider.
    #[serde(default, deserialize_with = "json::or_default")]
    pub label: String,
    pub disabled: bool,
    /// The limit of a window's spending; `None` is unlimited.
    #[serde(default, deserialize_with = "json::limit")]
    pub limit: Option<Usd>,
    /// What remains of the limit. It may be negative, since limits are checked against settled
    /// spending.
    #[serde(default, deserialize_with = "promised")]
    pub limit_remaining: Option<Usd>,
    #[serde(default)]
    pub limit_reset: ListedReset,
    pub include_byok_in_limit: Option<bool>,
    /// The lifetime use, which no reset touches.
    #[serde(default, deserialize_with = "spent")]
    pub usage: Option<Usd>,
    /// The use of the current UTC day, of the week from Monday, and of the calendar month.
    #[serde(default, deserialize_with = "spent")]
    pub usage_daily: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    pub usage_weekly: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    pub usage_monthly: Option<Usd>,
    /// The spending with a provider key of the user's own, as the provider estimates it.
    #[serde(default, deserialize_with = "spent")]
    pub byok_usage: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    pub byok_usage_daily: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    pub byok_usage_weekly: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    pub byok_usage_monthly: Option<Usd>,
    #[serde(default, deserialize_with = "json::time")]
    pub created_at: Option<Moment>,
    #[serde(default, deserialize_with = "json::time")]
    pub last_used_at: Option<Moment>,
    #[serde(default, deserialize_with = "json::time")]
    pub expires_at: Option<Moment>,
    pub workspace_id: Option<String>,
}

/// A row of a list of keys. An unreadable row does not take the others of its page with it, and its
/// key is not missing.
#[derive(Debug)]
pub enum ListedKey {
    // Most rows are keys, so a list of them wastes nothing by the difference in size.
    Key(Box<ProviderKey>),
    Unreadable(UnreadableKey),
}

#[derive(Debug, Clone)]
pub struct UnreadableKey {
    pub hash: Option<KeyHash>,
    pub why: String,
}

impl ProviderKey {
    /// Whether its limit counts in this kind of window, and includes BYOK use as wanted. Where the
    /// provider does not say the latter, it is taken to be as wanted.
    pub fn counts_as(&self, counting: Counting) -> bool {
        let is_counted = self
            .include_byok_in_limit
            .is_none_or(|included| included == counting.include_byok_in_limit);
        self.limit_reset == ListedReset::Known(counting.limit_reset.unwrap_or_default())
            && is_counted
    }

    /// Its limit, if that counts on this basis.
    pub fn limit_on(&self, basis: Basis) -> ListedLimit {
        match self.limit {
            _ if !self.counts_as(basis.into()) => ListedLimit::CountedOtherwise,
            limit => limit.map_or(ListedLimit::Unlimited, ListedLimit::Limit),
        }
    }

    pub fn seen(&self, basis: Basis, asked_at: Moment, is_read: bool) -> SeenKey {
        SeenKey {
            enabled: !self.disabled,
            limit: self.limit_on(basis),
            asked_at,
            is_read,
        }
    }

    pub fn has_expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }

    /// The usage report with the counters of this kind of window. `None` if even the lifetime's use
    /// is missing.
    pub fn usage_report(&self, reset: Reset) -> Option<UsageReport> {
        let (in_window, byok_in_window) = match reset {
            Reset::None => (self.usage, self.byok_usage),
            Reset::Daily => (self.usage_daily, self.byok_usage_daily),
            Reset::Weekly => (self.usage_weekly, self.byok_usage_weekly),
            Reset::Monthly => (self.usage_monthly, self.byok_usage_monthly),
        };
        Some(UsageReport {
            lifetime: self.usage?,
            today: self.usage_daily,
            in_window,
            byok: self.byok_usage,
            byok_today: self.byok_usage_daily,
            byok_in_window,
            last_used_at: self.last_used_at,
        })
    }
}

impl<'de> Deserialize<'de> for ListedKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ListedKey, D::Error> {
        #[derive(Deserialize)]
        struct HashOnly {
            hash: KeyHash,
        }
        let row = <&RawValue>::deserialize(from)?.get();
        let error = match serde_json::from_str(row) {
            Ok(key) => return Ok(ListedKey::Key(key)),
            Err(error) => error,
        };
        let hash = serde_json::from_str(row).ok().map(|HashOnly { hash }| hash);
        Ok(ListedKey::Unreadable(UnreadableKey {
            hash,
            why: harmless(&error.to_string()),
        }))
    }
}

impl ListedKey {
    pub fn hash(&self) -> Option<&KeyHash> {
        match self {
            ListedKey::Key(key) => Some(&key.hash),
            ListedKey::Unreadable(row) => row.hash.as_ref(),
        }
    }
}
