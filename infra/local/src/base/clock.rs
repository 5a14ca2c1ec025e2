//! The product's clock of one stack: real time and an offset, which is kept. It moves forward only, and can stand still at an
//! instant while something runs there. SDK, TLS and time-outs do not look at it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::base::state_file::StateFile;

const COLLECTION: &str = "clock";
/// Real time may be set while somebody waits: nobody sleeps longer than this before looking again.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long whoever moves the clock waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clones tell and move the same time.
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
    /// Goes with real time, so many nanoseconds ahead of it or behind.
    Running(SignedDuration),
    StandingAt(Timestamp),
}

/// Something that is under way.
pub struct WorkGuard(StackClock);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.0.at_work.send_modify(|count| *count -= 1);
    }
}

/// How far ahead of real time the clock goes on after a restart.
#[derive(Serialize, Deserialize)]
struct Offset {
    seconds: i64,
    nanoseconds: i32,
}

impl StackClock {
    /// Goes on from where it was when the state was kept; a new one tells real time.
    pub fn open(kept: StateFile) -> Result<StackClock> {
        StackClock::over(Clock::system(), kept)
    }

    /// Goes on over another clock than the machine's.
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

    /// What the functions, the schedules and the built-in provider read.
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

    /// Sets a clock that nothing has read yet to an instant of the past, where it stands still.
    pub fn begin_at(&self, instant: Timestamp) -> Result<()> {
        self.set(ClockState::StandingAt(instant))
    }

    /// Stands still at `instant`, or where it is if that is past.
    pub fn stop_at(&self, instant: Timestamp) -> Result<()> {
        self.set(ClockState::StandingAt(instant.max(self.now())))
    }

    /// Runs on with real time from `instant`, or from where it is if that is past.
    pub fn run_from(&self, instant: Timestamp) -> Result<()> {
        let ahead = instant.max(self.now()).duration_since(self.0.real.now());
        self.set(ClockState::Running(ahead))
    }

    /// Whether it was stopped and not let run again.
    pub fn stands(&self) -> bool {
        matches!(self.course(), ClockState::StandingAt(_))
    }

    /// Goes forward at once, without stopping on the way.
    pub fn advance(&self, by: SignedDuration) -> Result<Timestamp> {
        let instant = self.now().checked_add(by).context("that is too far ahead")?;
        match self.course() {
            ClockState::Running(_) => self.run_from(instant)?,
            ClockState::StandingAt(_) => self.stop_at(instant)?,
        }
        Ok(self.now())
    }

    /// Says that something is under way that takes a moment of real time, until the answer is dropped.
    pub fn at_work(&self) -> WorkGuard {
        self.0.at_work.send_modify(|count| *count += 1);
        WorkGuard(self.clone())
    }

    /// Waits until nothing is under way, before the clock is moved: to what is, hours would pass in the middle of a step. What
    /// takes long is not waited for.
    pub async fn rests(&self) {
        let mut at_work = self.0.at_work.subscribe();
        let nothing = at_work.wait_for(|count| *count == 0);
        tokio::time::timeout(PATIENCE, nothing).await.ok();
    }

    /// Waits until the clock tells `instant` or later, whether by running or by being moved.
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
