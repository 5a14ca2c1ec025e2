//! The account's allowance of requests to free models on a UTC day. It is not stored: a new process counts
//! from zero.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::provider::values::money::Nano;
use crate::provider::values::windows::utc_day;

/// The requests in a day of an account that has bought ten dollars of credit, and of one that has not.
const WITH_CREDIT: u64 = 1_000;
const WITHOUT_CREDIT: u64 = 50;

/// The requests to free models that were used.
#[derive(Debug, Default)]
pub(crate) struct FreeRequests {
    day: Date,
    used: u64,
    /// The limit that a test set.
    limit: Option<u64>,
}

impl FreeRequests {
    /// Sets what is used on the day of `now`, and the limit of each day.
    pub(crate) fn set(&mut self, used: u64, limit: u64, now: Timestamp) {
        *self = FreeRequests { day: utc_day(now), used, limit: Some(limit) };
    }

    /// Counts one request, unless none is left.
    pub(crate) fn take(&mut self, credits: Nano, now: Timestamp) -> bool {
        let (used, limit) = (self.used_on(now), self.limit(credits));
        if used >= limit {
            return false;
        }
        (self.day, self.used) = (utc_day(now), used + 1);
        true
    }

    pub(crate) fn object(&self, credits: Nano, now: Timestamp) -> Value {
        let (used, limit) = (self.used_on(now), self.limit(credits));
        json!({ "used": used, "limit": limit, "remaining": limit.saturating_sub(used) })
    }

    fn used_on(&self, now: Timestamp) -> u64 {
        if self.day == utc_day(now) { self.used } else { 0 }
    }

    fn limit(&self, credits: Nano) -> u64 {
        self.limit.unwrap_or(if credits < Nano::usd(10) { WITHOUT_CREDIT } else { WITH_CREDIT })
    }
}
