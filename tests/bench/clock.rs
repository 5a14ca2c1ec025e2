//! The clock of a world, which may run faster than the machine's. Stand-ins and product share it, each in a
//! process of its own.

use bursar_core::clock::Clock;
use bursar_core::deadline::Waits;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The interval of the schedule.
const QUARTER_S: i64 = 15 * 60;

/// A clock that runs `by` times as fast as the machine's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FastClock {
    /// The instant of the machine at which the two clocks were compared.
    machine: Timestamp,
    /// The time of this clock at the instant `machine`.
    told: Timestamp,
    pub(crate) by: u16,
}

impl FastClock {
    /// A clock that begins at the machine's time.
    pub(crate) fn going(by: u16) -> FastClock {
        let now = Timestamp::now();
        FastClock { machine: now, told: now, by: by.max(1) }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.told + Timestamp::now().duration_since(self.machine) * self.by.into()
    }

    /// This clock in the form that the product reads.
    pub(crate) fn as_clock(self) -> Clock {
        Clock::reading(move || self.now())
    }

    /// The product's waits, shortened by the factor of this clock.
    pub(crate) fn waits(self) -> Waits {
        Waits::shortened(self.by.into())
    }

    /// This clock, moved to the first scheduled start after `instant`.
    pub(crate) fn moved_beyond(self, instant: Timestamp) -> FastClock {
        let since = instant.max(self.now()).as_second().rem_euclid(QUARTER_S);
        let told = instant.max(self.now()) + SignedDuration::from_secs(QUARTER_S - since);
        FastClock { machine: Timestamp::now(), told, ..self }
    }
}
