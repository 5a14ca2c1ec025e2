//! Behaviour of the provider that its documentation leaves open, as switches: the client must
//! tolerate either position. They are not stored: a process starts with the defaults.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::windows::{Nano, utc_day};
use super::{Refusal, refuse};

/// The longest lag that is drawn: a listing, which lags twice as long, is then as old as usage ever
/// is.
const LONGEST_LAG_S: i64 = 450;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Fields that answers about keys leave out: `workspace_id`, `last_used_at`, `usage_daily` …
    pub absent_fields: Vec<&'static str>,
    /// Times are told with an offset and microseconds.
    pub offset_times: bool,
    /// The age of the counters in an answer about one key. In listings and credits they are twice
    /// as old.
    pub lag: SignedDuration,
    /// The rate above which management calls are answered 429.
    pub rate: Option<Rate>,
    /// Limits are kept in whole cents.
    pub limits_in_cents: bool,
    /// What requests may cost is held against the account while they run, as with small and new
    /// prepaid accounts.
    pub in_flight_budget: bool,
    /// The days on which models are gone, as the list says before.
    pub expiration_dates: BTreeMap<&'static str, Date>,
    /// Models that are gone without a word.
    pub vanished: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// After a pause, twice as many at once.
    pub per_second: u32,
    /// Whether a 429 has a `Retry-After`.
    pub retry_after: bool,
}

impl Quirks {
    /// Draws the ways of being worse that a sync tolerates. Equal seeds give equal quirks.
    pub fn draw(rng: &mut Rng) -> Quirks {
        let one_in_three = |rng: &mut Rng| rng.u8(..3) == 0;
        let lag = if one_in_three(rng) {
            rng.i64(1..=LONGEST_LAG_S)
        } else {
            0
        };
        let rate = Rate {
            per_second: rng.u32(1..=50),
            retry_after: rng.bool(),
        };
        Quirks {
            offset_times: one_in_three(rng),
            lag: SignedDuration::from_secs(lag),
            rate: one_in_three(rng).then_some(rate),
            limits_in_cents: one_in_three(rng),
            ..Quirks::default()
        }
    }

    /// Whether a model is still sold.
    pub(super) fn offers(&self, slug: &str, now: Timestamp) -> bool {
        !self.vanished.contains(slug)
            && self
                .expiration_dates
                .get(slug)
                .is_none_or(|day| utc_day(now) < *day)
    }

    pub(super) fn time(&self, timestamp: Timestamp) -> String {
        if self.offset_times {
            timestamp
                .strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00")
                .to_string()
        } else {
            time(timestamp)
        }
    }

    pub(super) fn kept_limit(&self, limit: Option<Nano>) -> Option<Nano> {
        if self.limits_in_cents {
            limit.map(Nano::to_the_cent)
        } else {
            limit
        }
    }
}

pub(super) fn time(timestamp: Timestamp) -> String {
    format!("{timestamp:.0}")
}

/// How many thousandths of a call the rate still remembers, and when that was counted.
#[derive(Default)]
pub(super) struct Turns {
    taken: i64,
    counted_at: Timestamp,
}

impl Turns {
    /// Lets a call in, or refuses it until time has passed.
    pub(super) fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), Refusal> {
        const CALL: i64 = 1_000;
        let per_second = i64::from(rate.per_second);
        let passed = now.as_millisecond() - self.counted_at.as_millisecond();
        self.taken = (self.taken - passed.saturating_mul(per_second)).max(0);
        self.counted_at = now;
        let missing = self.taken + CALL - 2 * per_second * CALL;
        if missing > 0 {
            let seconds = missing
                .unsigned_abs()
                .div_ceil(per_second.unsigned_abs() * CALL.unsigned_abs());
            let refusal = refuse(429, "Rate limit exceeded");
            return Err(if rate.retry_after {
                refusal.retry_after(seconds)
            } else {
                refusal
            });
        }
        self.taken += CALL;
        Ok(())
    }
}
