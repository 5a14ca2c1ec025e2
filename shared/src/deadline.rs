//! How long an invocation may still run. It counts on the monotonic clock, so a clock that somebody moves cannot stretch it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::Context;

/// The instant at which Lambda ends this invocation.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that Lambda names, turned once into a monotonic one.
    pub fn of(context: &Context) -> Deadline {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Deadline::after(Duration::from_millis(context.deadline).saturating_sub(since_epoch))
    }

    /// A deadline this far away.
    pub fn after(left: Duration) -> Deadline {
        Deadline(Instant::now() + left)
    }

    /// What is left, nothing once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether at least this much is left.
    pub fn leaves(self, need: Duration) -> bool {
        self.left() >= need
    }
}
