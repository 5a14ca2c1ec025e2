//! How many requests are under way at once, and until when none is sent since the provider asked for a wait. All calls
//! of a process share it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::prelude::*;

const AT_ONCE: usize = 4;

pub(in crate::provider) struct Pace {
    turns: Semaphore,
    clock: Clock,
    /// By the product's clock, which tests move, and by the machine's: whichever comes first.
    not_before: Mutex<(Moment, Instant)>,
}

impl Pace {
    pub(in crate::provider) fn by(clock: &Clock) -> Pace {
        let not_before = Mutex::new((Moment::UNIX_EPOCH, Instant::now()));
        Pace { turns: Semaphore::new(AT_ONCE), clock: clock.clone(), not_before }
    }

    /// Waits for the permit to send one request; `None` if the time is up before.
    pub(in crate::provider) async fn turn(&self, deadline: Deadline) -> Option<SemaphorePermit<'_>> {
        deadline.wait_for(self.turns.acquire()).await.ok()?.ok()
    }

    /// The wait that is left of what the provider asked for.
    pub(in crate::provider) fn wait(&self, deadline: Deadline) -> Duration {
        let (at, instant) = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let by_the_clock = Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default();
        by_the_clock.min(deadline.meant(instant.saturating_duration_since(Instant::now())))
    }

    /// The provider asked for this wait.
    pub(in crate::provider) fn slow_down(&self, asked: Duration, deadline: Deadline) {
        let until = Instant::now() + deadline.really(asked);
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        if until > not_before.1 {
            let signed = SignedDuration::try_from(asked).unwrap_or_default();
            *not_before = (self.clock.now() + signed, until);
        }
    }
}
