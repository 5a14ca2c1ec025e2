//! The time of a world, which may go faster than the machine's: stand-ins and product tell the same, each in a process of its own.

use bursar_core::clock::Clock;
use bursar_core::deadline::Waits;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The schedule comes so often.
const QUARTER_S: i64 = 15 * 60;

/// A time that goes `by` times as fast as the machine's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FastClock {
    /// At this instant of the machine …
    machine: Timestamp,
    /// … it told this one.
    told: Timestamp,
    pub(crate) by: u16,
}

impl FastClock {
    /// One that tells the machine's time now.
    pub(crate) fn going(by: u16) -> FastClock {
        let now = Timestamp::now();
        FastClock { machine: now, told: now, by: by.max(1) }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.told + Timestamp::now().duration_since(self.machine) * self.by.into()
    }

    /// The same as the product reads it.
    pub(crate) fn as_clock(self) -> Clock {
        Clock::reading(move || self.now())
    }

    /// How much of each wait is left of it, so that the product's waits go with it.
    pub(crate) fn waits(self) -> Waits {
        Waits::shortened(self.by.into())
    }

    /// The clock moved on to when the schedule comes the next time after this instant.
    pub(crate) fn moved_beyond(self, instant: Timestamp) -> FastClock {
        let since = instant.max(self.now()).as_second().rem_euclid(QUARTER_S);
        let told = instant.max(self.now()) + SignedDuration::from_secs(QUARTER_S - since);
        FastClock { machine: Timestamp::now(), told, ..self }
    }
}
