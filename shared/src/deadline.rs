//! The deadline of an invocation, and the waits within it. It counts on the monotonic clock, so a
//! clock that tests move cannot stretch it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;
use tokio::time::{Sleep, Timeout};

/// The instant at which Lambda ends this invocation.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Deadline {
    instant: Instant,
    waits: Waits,
}

/// The share of each wait and each time-out that is really waited: all of it, except in tests that
/// simulate minutes in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Waits(f64);

impl Deadline {
    pub fn from_context(context: &Context) -> Deadline {
        Deadline::after(Duration::from_millis(context.deadline).saturating_sub(time_since_epoch()))
    }

    /// Has an invocation be over after this time, whatever Lambda gives it.
    pub fn shorten(context: &mut Context, time_left: Duration) {
        let end_ms =
            u64::try_from((time_since_epoch() + time_left).as_millis()).unwrap_or(u64::MAX);
        context.deadline = context.deadline.min(end_ms);
    }

    pub fn after(time_left: Duration) -> Deadline {
        Deadline {
            instant: Instant::now() + time_left,
            waits: Waits::WHOLE,
        }
    }

    /// A deadline at this instant, until which only a share of each wait is waited.
    pub fn with_waits(self, waits: Waits) -> Deadline {
        Deadline { waits, ..self }
    }

    pub fn limit_to(self, time_left: Duration) -> Deadline {
        Deadline {
            instant: self.instant.min(Instant::now() + self.really(time_left)),
            ..self
        }
    }

    pub fn earlier_by(self, kept_back: Duration) -> Deadline {
        let now = Instant::now();
        Deadline {
            instant: self
                .instant
                .checked_sub(self.really(kept_back))
                .unwrap_or(now)
                .max(now),
            ..self
        }
    }

    /// The time left; zero once it has passed.
    pub fn left(self) -> Duration {
        self.to_nominal(self.instant.saturating_duration_since(Instant::now()))
    }

    pub fn leaves(self, need: Duration) -> bool {
        self.left() >= need
    }

    /// The real length of a nominal wait.
    pub fn really(self, wait: Duration) -> Duration {
        wait.mul_f64(self.waits.0)
    }

    /// The nominal length of a real wait.
    pub fn to_nominal(self, really: Duration) -> Duration {
        really.div_f64(self.waits.0)
    }

    /// Waits for this nominal time, whatever is left.
    pub fn sleep(self, wait: Duration) -> Sleep {
        tokio::time::sleep(self.really(wait))
    }

    pub fn wait_for<F: Future>(self, what: F) -> Timeout<F> {
        tokio::time::timeout(self.instant.saturating_duration_since(Instant::now()), what)
    }
}

fn time_since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

impl Waits {
    pub const WHOLE: Waits = Waits(1.0);

    /// The share `1 / divisor` of each wait.
    pub fn shorten_by(divisor: u32) -> Waits {
        Waits(1.0 / f64::from(divisor.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Some time passes between the making of a deadline and its reading.
    fn is_about(left: Duration, expected: Duration) -> bool {
        left <= expected && expected < left + Duration::from_secs(10)
    }

    /// Ninety seconds are fifteen minutes, and a minute takes six seconds, when waits are shortened
    /// to a tenth.
    #[tokio::test(start_paused = true)]
    async fn waits_scale_the_time() {
        let deadline = Deadline::after(Duration::from_secs(90)).with_waits(Waits::shorten_by(10));
        assert!(
            is_about(deadline.left(), 15 * MINUTE),
            "{:?}",
            deadline.left()
        );
        assert!(is_about(deadline.earlier_by(MINUTE).left(), 14 * MINUTE));
        assert!(is_about(deadline.limit_to(MINUTE).left(), MINUTE));
        assert!(
            is_about(
                deadline.limit_to(MINUTE).limit_to(2 * MINUTE).left(),
                MINUTE
            ),
            "it never becomes later"
        );
        assert_eq!(deadline.earlier_by(20 * MINUTE).left(), Duration::ZERO);
        let begun = tokio::time::Instant::now();
        deadline.sleep(MINUTE).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(6));
        let never = deadline
            .limit_to(2 * MINUTE)
            .wait_for(std::future::pending::<()>())
            .await;
        assert!(
            never.is_err() && begun.elapsed() <= Duration::from_secs(18),
            "{:?}",
            begun.elapsed()
        );
    }
}
