//! The product's clock of one stack: real time with a stored offset. It only moves forward, and can be
//! stopped at an instant while something runs there. SDK, TLS and time-outs do not use it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::base::state_file::StateFile;

const COLLECTION: &str = "clock";
/// The longest sleep before the clock is read again, since real time may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest wait for work under way before the clock is moved.
const PATIENCE: Duration = Duration::from_secs(5);

/// The clock. Clones share its time.
#[derive(Clone)]
pub struct StackClock(Arc<Inner>);

struct Inner {
    real: Clock,
    course: Mutex<ClockState>,
    kept: StateFile,
    moved: watch::Sender<()>,
    at_work: watch::Sender<usize>,
}

#[derive(Clone, Copy)]
enum ClockState {
    /// Runs with real time, at this offset.
    Running(SignedDuration),
    StandingAt(Timestamp),
}

/// A guard that marks work under way.
pub struct WorkGuard(StackClock);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.0.at_work.send_modify(|count| *count -= 1);
    }
}

/// The stored offset from real time, which a restart continues with.
#[derive(Serialize, Deserialize)]
struct Offset {
    seconds: i64,
    nanoseconds: i32,
}

impl StackClock {
    /// The clock with its stored offset; a new one shows real time.
    pub fn open(kept: StateFile) -> Result<StackClock> {
        StackClock::over(Clock::system(), kept)
    }

    /// The clock over another source of real time than the machine's.
    pub fn over(real: Clock, kept: StateFile) -> Result<StackClock> {
        let offset = kept.get::<Offset>(COLLECTION, "offset")?;
        let offset = offset.map_or(SignedDuration::ZERO, |o| SignedDuration::new(o.seconds, o.nanoseconds));
        Ok(StackClock(Arc::new(Inner {
            real,
            course: Mutex::new(ClockState::Running(offset)),
            kept,
            moved: watch::channel(()).0,
            at_work: watch::channel(0).0,
        })))
    }

    /// The clock that functions, schedules and the built-in provider read.
    pub fn as_clock(&self) -> Clock {
        let clock = self.clone();
        Clock::reading(move || clock.now())
    }

    pub fn now(&self) -> Timestamp {
        match self.course() {
            ClockState::Running(offset) => self.0.real.now().saturating_add(offset).unwrap_or(Timestamp::MAX),
            ClockState::StandingAt(instant) => instant,
        }
    }

    /// Sets a clock that nothing has read yet to an instant of the past, where it is stopped.
    pub fn begin_at(&self, instant: Timestamp) -> Result<()> {
        self.set(ClockState::StandingAt(instant))
    }

    /// Stops at `instant`, or at the present time if that is later.
    pub fn stop_at(&self, instant: Timestamp) -> Result<()> {
        self.set(ClockState::StandingAt(instant.max(self.now())))
    }

    /// Runs with real time from `instant`, or from the present time if that is later.
    pub fn run_from(&self, instant: Timestamp) -> Result<()> {
        let ahead = instant.max(self.now()).duration_since(self.0.real.now());
        self.set(ClockState::Running(ahead))
    }

    /// Whether the clock is stopped.
    pub fn stands(&self) -> bool {
        matches!(self.course(), ClockState::StandingAt(_))
    }

    /// Jumps forward at once.
    pub fn advance(&self, by: SignedDuration) -> Result<Timestamp> {
        let instant = self.now().checked_add(by).context("that is too far ahead")?;
        match self.course() {
            ClockState::Running(_) => self.run_from(instant)?,
            ClockState::StandingAt(_) => self.stop_at(instant)?,
        }
        Ok(self.now())
    }

    /// Marks work that takes a moment of real time, until the guard is dropped.
    pub fn at_work(&self) -> WorkGuard {
        self.0.at_work.send_modify(|count| *count += 1);
        WorkGuard(self.clone())
    }

    /// Waits until no work is under way, to be called before the clock is moved: otherwise hours would pass
    /// within one step. The wait is limited.
    pub async fn rests(&self) {
        let mut at_work = self.0.at_work.subscribe();
        let nothing = at_work.wait_for(|count| *count == 0);
        tokio::time::timeout(PATIENCE, nothing).await.ok();
    }

    /// Waits until the clock shows `instant` or later, by running or by being moved.
    pub async fn reaches(&self, instant: Timestamp) {
        let mut moved = self.0.moved.subscribe();
        loop {
            let left = instant.duration_since(self.now());
            if !left.is_positive() {
                return;
            }
            let sleep = match self.course() {
                ClockState::Running(_) => left.unsigned_abs().min(LONGEST_SLEEP),
                ClockState::StandingAt(_) => Duration::MAX,
            };
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                _ = moved.changed() => {}
            }
        }
    }

    fn course(&self) -> ClockState {
        *self.0.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, course: ClockState) -> Result<()> {
        let ahead = match course {
            ClockState::Running(offset) => offset,
            ClockState::StandingAt(instant) => instant.duration_since(self.0.real.now()),
        };
        let offset = Offset { seconds: ahead.as_secs(), nanoseconds: ahead.subsec_nanos() };
        self.0.kept.put(COLLECTION, "offset", &offset)?;
        *self.0.course.lock().unwrap_or_else(PoisonError::into_inner) = course;
        self.0.moved.send_replace(());
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
