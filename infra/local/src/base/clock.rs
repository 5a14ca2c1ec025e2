//! The product's clock of one stack: real time with a stored offset. It only moves forward, and can
//! be stopped at an instant while something runs there. SDK, TLS and time-outs do not use it.

use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use jiff::SignedDuration;
use tokio::sync::watch;

use crate::base::Counted;
use crate::base::state_file::StateFile;

/// The stored offset from real time, which a restart continues with.
const OFFSET: (&str, &str) = ("clock", "ahead");
/// The longest sleep before the clock is read again, since real time may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest wait for work under way before the clock is moved.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct StackClock {
    real: Clock,
    course: watch::Sender<Course>,
    kept: StateFile,
    at_work: watch::Sender<usize>,
}

#[derive(Clone, Copy)]
enum Course {
    /// Runs with real time, at this offset.
    Running(SignedDuration),
    StandingAt(Moment),
}

impl StackClock {
    /// The clock with its stored offset; a new one shows real time.
    pub fn open(kept: StateFile) -> Result<StackClock> {
        StackClock::over(Clock::system(), kept)
    }

    /// The clock over another source of real time than the machine's.
    pub fn over(real: Clock, kept: StateFile) -> Result<StackClock> {
        let course = watch::channel(Course::Running(
            kept.get(OFFSET.0, OFFSET.1)?.unwrap_or_default(),
        ))
        .0;
        Ok(StackClock {
            real,
            course,
            kept,
            at_work: watch::channel(0).0,
        })
    }

    /// The clock that functions, schedules and the built-in provider read.
    pub fn as_clock(&self) -> Clock {
        let clock = self.clone();
        Clock::reading(move || clock.now())
    }

    pub fn now(&self) -> Moment {
        match *self.course.borrow() {
            Course::Running(offset) => self.real.now().checked_add(offset).unwrap_or(Moment::MAX),
            Course::StandingAt(instant) => instant,
        }
    }

    /// Sets a clock that nothing has read yet to an instant of the past, where it is stopped.
    pub fn begin_at(&self, instant: Moment) -> Result<()> {
        self.set(Course::StandingAt(instant))
    }

    /// Stops at `instant`, or at the present time if that is later.
    pub fn stop_at(&self, instant: Moment) -> Result<()> {
        self.set(Course::StandingAt(instant.max(self.now())))
    }

    /// Runs with real time from `instant`, or from the present time if that is later.
    pub fn run_from(&self, instant: Moment) -> Result<()> {
        self.set(Course::Running(
            instant.max(self.now()).duration_since(self.real.now()),
        ))
    }

    pub fn stands(&self) -> bool {
        matches!(*self.course.borrow(), Course::StandingAt(_))
    }

    pub fn advance(&self, duration: SignedDuration) -> Result<Moment> {
        let instant = self
            .now()
            .checked_add(duration)
            .context("that is too far ahead")?;
        let moved = if self.stands() {
            self.stop_at(instant)
        } else {
            self.run_from(instant)
        };
        moved.map(|()| self.now())
    }

    /// Marks work that takes a moment of real time, until the guard is dropped.
    pub fn at_work(&self) -> Counted {
        Counted::in_number(&self.at_work)
    }

    /// Waits until no work is under way, to be called before the clock is moved: otherwise hours
    /// would pass within one step. The wait is limited.
    pub async fn rests(&self) {
        let mut at_work = self.at_work.subscribe();
        tokio::time::timeout(PATIENCE, at_work.wait_for(|count| *count == 0))
            .await
            .ok();
    }

    /// Waits until the clock shows `instant` or later, by running or by being moved.
    pub async fn reaches(&self, instant: Moment) {
        let mut moved = self.course.subscribe();
        loop {
            let remaining = instant.duration_since(self.now());
            if !remaining.is_positive() {
                return;
            }
            let sleep = if self.stands() {
                Duration::MAX
            } else {
                remaining.unsigned_abs().min(LONGEST_SLEEP)
            };
            tokio::time::timeout(sleep, moved.changed()).await.ok();
        }
    }

    fn set(&self, course: Course) -> Result<()> {
        let offset = match course {
            Course::Running(offset) => offset,
            Course::StandingAt(instant) => instant.duration_since(self.real.now()),
        };
        self.kept.put(OFFSET.0, OFFSET.1, &offset)?;
        self.course.send_replace(course);
        Ok(())
    }
}
