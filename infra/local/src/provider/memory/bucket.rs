//! The rate limit on the simulator's clock: a bucket that calls empty and time refills.

use jiff::Timestamp;

use crate::provider::quirks::Rate;
use crate::provider::values::refusal::Refusal;

/// The amount taken out, in thousandths of a call, at a given time.
#[derive(Default)]
pub(crate) struct Bucket {
    taken: i64,
    at: Option<Timestamp>,
}

const CALL: i64 = 1_000;

impl Bucket {
    pub(crate) fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), Refusal> {
        let passed = self.at.map_or(0, |at| now.as_millisecond() - at.as_millisecond());
        let per_second = i64::from(rate.per_second.max(1));
        self.taken = (self.taken - passed.saturating_mul(per_second)).max(0);
        self.at = Some(now);
        let missing = self.taken + CALL - i64::from(rate.burst.max(1)) * CALL;
        if missing <= 0 {
            self.taken += CALL;
            return Ok(());
        }
        let seconds = missing.unsigned_abs().div_ceil(per_second.unsigned_abs() * CALL.unsigned_abs());
        Err(Refusal::too_many(rate.retry_after.then_some(seconds)))
    }
}
