//! Random quirks: the ways in which the provider may be worse that a sync tolerates. A test replays them by
//! its seed.

use fastrand::Rng;
use jiff::SignedDuration;

use super::{Cents, Differ, Lag, Quirks, Rate};

/// Some quirks that differ from their default; the debug form is for the output of a failed test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrawnQuirks {
    limit_cents: Option<Cents>,
    lag: Lag,
    listed_counters: Option<Differ>,
    found_after: SignedDuration,
    rate: Option<Rate>,
}

/// The longest lag of counters.
const SETTLING_S: i64 = 900;

impl DrawnQuirks {
    /// Draws each quirk and its degree; equal seeds give equal quirks.
    pub fn draw(rng: &mut Rng) -> DrawnQuirks {
        let is_so = |rng: &mut Rng| rng.u8(..3) == 0;
        let seconds = |rng: &mut Rng, most| match is_so(rng) {
            true => SignedDuration::from_secs(rng.i64(1..=most)),
            false => SignedDuration::ZERO,
        };
        let per_second = rng.u32(1..=50);
        let rate = Rate { per_second, burst: 2 * per_second, retry_after: rng.bool() };
        DrawnQuirks {
            limit_cents: is_so(rng).then(|| if rng.bool() { Cents::Down } else { Cents::Up }),
            lag: Lag {
                key: seconds(rng, SETTLING_S),
                listing: seconds(rng, SETTLING_S),
                credits: seconds(rng, SETTLING_S),
            },
            listed_counters: is_so(rng).then(|| if rng.bool() { Differ::Micro } else { Differ::Tail }),
            found_after: seconds(rng, 10),
            rate: is_so(rng).then_some(rate),
        }
    }

    /// Whether every quirk has its default.
    pub fn is_empty(&self) -> bool {
        *self == DrawnQuirks::default()
    }

    pub fn set(&self, quirks: &mut Quirks) {
        let DrawnQuirks { limit_cents, lag, listed_counters, found_after, rate } = *self;
        (quirks.limit_cents, quirks.lag, quirks.listed_counters) = (limit_cents, lag, listed_counters);
        (quirks.found_after, quirks.rate) = (found_after, rate);
    }
}
