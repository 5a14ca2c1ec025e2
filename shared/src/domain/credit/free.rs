//! The account's allowance of requests to free models, which all its keys share until midnight UTC, and
//! which keys it matters to.

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::values::window::{Reset, utc_date};

/// The ending of the slugs of free models.
const FREE: &str = ":free";

/// The provider's counters of requests to free models on the present UTC day. Older accounts have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeRequests {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
}

/// The allowance as the last sync that asked for it found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeAllowance {
    /// When the provider was asked.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    #[serde(flatten)]
    pub requests: FreeRequests,
}

/// The free models that a key may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeModels {
    None,
    Alone,
    /// Free ones and others.
    AmongOthers,
}

impl FreeRequests {
    /// Whether no request is left today, where there is an allowance at all.
    pub fn are_used_up(&self) -> bool {
        let is_some = self.limit != Some(0);
        let is_gone = match (self.remaining, self.used, self.limit) {
            (Some(remaining), ..) => remaining == 0,
            (None, Some(used), Some(limit)) => used >= limit,
            _ => false,
        };
        is_some && is_gone
    }
}

impl FreeAllowance {
    /// Until when nothing is left, if that is so now.
    pub fn used_up_until(&self, now: Timestamp) -> Option<Timestamp> {
        let is_today = utc_date(self.as_of) == utc_date(now);
        Reset::Daily.resets_at(now).filter(|_| is_today && self.requests.are_used_up())
    }
}

impl FreeModels {
    /// Those of a key that may call these models; an empty list allows all.
    pub fn of(models: &[String]) -> FreeModels {
        match models.iter().filter(|model| model.to_ascii_lowercase().ends_with(FREE)).count() {
            _ if models.is_empty() => FreeModels::AmongOthers,
            0 => FreeModels::None,
            free if free == models.len() => FreeModels::Alone,
            _ => FreeModels::AmongOthers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_where_the_provider_says_so_and_unknown_counters_say_nothing() {
        let of = |used, limit, remaining| FreeRequests { used, limit, remaining }.are_used_up();
        assert!(of(Some(50), Some(50), Some(0)) && of(Some(51), Some(50), None) && of(None, None, Some(0)));
        assert!(!of(Some(49), Some(50), Some(1)) && !of(Some(49), Some(50), None) && !of(Some(7), None, None));
        assert!(!of(None, None, None) && !of(Some(0), Some(0), Some(0)), "no allowance is none that was used");
    }

    #[test]
    fn it_is_used_up_until_midnight_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let requests = FreeRequests { used: Some(50), limit: Some(50), remaining: Some(0) };
        let allowance = FreeAllowance { as_of: at("2026-11-20T00:20:00Z"), requests };
        let until = |now| allowance.used_up_until(at(now));
        assert_eq!(until("2026-11-20T23:59:59Z"), Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(until("2026-11-21T00:00:00Z"), None);
        let left = FreeAllowance { requests: FreeRequests { remaining: Some(1), ..requests }, ..allowance.clone() };
        assert_eq!(left.used_up_until(at("2026-11-20T01:00:00Z")), None);
    }

    #[test]
    fn free_models_are_allowed_without_a_list_and_by_their_slug() {
        let of = |models: &[&str]| FreeModels::of(&models.iter().map(|model| (*model).to_owned()).collect::<Vec<_>>());
        let (mini, llama) = ("openai/gpt-4o-mini", "meta-llama/llama-3.3-70b-instruct:free");
        assert_eq!((of(&[]), of(&[mini])), (FreeModels::AmongOthers, FreeModels::None));
        assert_eq!((of(&[mini, llama]), of(&[llama])), (FreeModels::AmongOthers, FreeModels::Alone));
    }
}
