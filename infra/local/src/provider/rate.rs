//! The rate of management calls: a token bucket on the simulator's clock, so that a test empties it by calling and fills it by
//! moving the clock. Inference is not limited.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Provider;
use super::errors::Refusal;

/// How many calls may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    /// So many at once after a pause.
    pub burst: u32,
    /// The 429 says after how many seconds the next one may come.
    pub retry_after: bool,
}

/// What has been taken out, in thousandths of a call, and when that was so.
#[derive(Default)]
pub(super) struct Bucket {
    taken: i64,
    at: Option<Timestamp>,
    pub(super) refused: u64,
}

const CALL: i64 = 1_000;

pub(super) async fn let_in(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    let refused = {
        let (now, mut memory) = (provider.now(), provider.memory());
        memory.quirks.rate.and_then(|rate| memory.bucket.take(rate, now).err())
    };
    match refused {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), Refusal> {
        let passed = self.at.map_or(0, |at| now.as_millisecond() - at.as_millisecond());
        let per_second = i64::from(rate.per_second.max(1));
        self.taken = (self.taken - passed.saturating_mul(per_second)).max(0);
        self.at = Some(now);
        let missing = self.taken + CALL - i64::from(rate.burst.max(1)) * CALL;
        if missing <= 0 {
            self.taken += CALL;
            return Ok(());
        }
        self.refused += 1;
        let seconds = missing.unsigned_abs().div_ceil(per_second.unsigned_abs() * CALL.unsigned_abs());
        Err(Refusal::too_many(rate.retry_after.then_some(seconds)))
    }
}
