//! The account's free models on its page: how many of the day's requests are used, as the last sync was told.

use bursar_core::domain::credit::free::FreeAllowance;
use bursar_core::domain::values::window::utc_date;
use jiff::Timestamp;

use crate::show::{count, utc};

/// The allowance as the page shows it.
pub(in crate::account) struct FreeModels {
    pub(in crate::account) used: Option<u64>,
    pub(in crate::account) limit: Option<u64>,
    pub(in crate::account) words: String,
}

impl FreeModels {
    pub(super) fn of(allowance: Option<&FreeAllowance>, now: Timestamp) -> FreeModels {
        let Some(allowance) = allowance else {
            return FreeModels {
                used: None,
                limit: None,
                words: "Not known: no sync has asked for it yet.".to_owned(),
            };
        };
        let (used, limit, at) = (allowance.requests.used, allowance.requests.limit, utc(allowance.as_of));
        let is_today = utc_date(allowance.as_of) == utc_date(now);
        let words = match (used, limit) {
            (Some(used), Some(limit)) => {
                let counted =
                    format!("By {at}, {} of the {} requests of that day were used", count(used), count(limit));
                let then = match allowance.used_up_until(now) {
                    Some(until) => format!("; none is left until {}.", utc(until)),
                    None if is_today => ".".to_owned(),
                    None => ". That day is over, and nothing is known of today yet.".to_owned(),
                };
                format!("{counted}{then}")
            }
            _ => format!("Not known: the provider did not say it at {at}."),
        };
        FreeModels { used, limit, words }
    }
}
