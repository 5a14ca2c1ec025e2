//! How many requests are under way at once. A provider that says that it is asked too much is asked by half as many for a minute, and
//! what it wants everybody to wait, everybody waits. All calls of a process share one pace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::provider::wire::error::ProviderError;

const AT_FIRST: usize = 4;
/// After so many good answers one more request may be under way.
const GOOD_FOR_ONE_MORE: u32 = 50;
/// So long after it was slowed down it becomes no faster.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// What everybody waits where the provider does not say how long; each further time in a row twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Whoever waits looks at the clock again after so long: somebody may have moved it.
const LOOKED_EACH: Duration = Duration::from_secs(1);

pub(in crate::provider) struct Pace {
    turns: Semaphore,
    most: usize,
    clock: Clock,
    state: Mutex<PaceState>,
}

struct PaceState {
    /// How many may be under way.
    at_once: usize,
    /// How many that are under way are too many.
    too_many: usize,
    /// Good answers since it was changed.
    good: u32,
    /// Nothing is asked before that: by the product's clock, which somebody may move, or by the machine's, whichever comes first.
    not_before: (Timestamp, Instant),
    /// What everybody waits the next time.
    wait: Duration,
    slowed_at: Option<Instant>,
}

/// Leave to send one request.
pub(in crate::provider) struct SendPermit<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
    begun: Instant,
    deadline: Deadline,
}

impl Pace {
    pub(in crate::provider) fn at_most(most: usize, clock: &Clock) -> Pace {
        let at_once = AT_FIRST.min(most);
        let state = PaceState {
            at_once,
            too_many: 0,
            good: 0,
            not_before: (Timestamp::UNIX_EPOCH, Instant::now()),
            wait: FIRST_WAIT,
            slowed_at: None,
        };
        Pace { turns: Semaphore::new(at_once), most, clock: clock.clone(), state: Mutex::new(state) }
    }

    /// How many requests may be under way now.
    pub(in crate::provider) fn at_once(&self) -> usize {
        self.state().at_once
    }

    /// Waits for leave to send one. Where that would come too late, says how long it would take.
    pub(in crate::provider) async fn turn(&self, deadline: Deadline) -> Result<SendPermit<'_>, Duration> {
        let permit = deadline.wait_for(self.turns.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(Duration::ZERO) };
        loop {
            match self.wait(deadline) {
                Duration::ZERO => {
                    return Ok(SendPermit { pace: self, permit: Some(permit), begun: Instant::now(), deadline });
                }
                wait if wait >= deadline.left() => return Err(wait),
                wait => deadline.sleep(wait.min(LOOKED_EACH)).await,
            }
        }
    }

    fn wait(&self, deadline: Deadline) -> Duration {
        let (at, instant) = self.state().not_before;
        let by_the_clock = Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default();
        by_the_clock.min(deadline.meant(instant.saturating_duration_since(Instant::now())))
    }

    fn state(&self) -> MutexGuard<'_, PaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendPermit<'_> {
    /// Learns from the answer. True when the provider said that it is asked too much, and did nothing.
    pub(in crate::provider) fn learn<T>(&self, outcome: &Result<T, ProviderError>) -> bool {
        let status = match outcome {
            Ok(_) => {
                self.pace.note_good(self.deadline);
                return false;
            }
            Err(error) => error.trouble().status,
        };
        if matches!(status, Some(429 | 503)) {
            let asked = outcome.as_ref().err().and_then(ProviderError::retry_after);
            self.pace.slow_down(self, asked);
        }
        status == Some(429)
    }
}

impl Pace {
    fn note_good(&self, deadline: Deadline) {
        let mut state = self.state();
        (state.good, state.wait) = (state.good + 1, FIRST_WAIT);
        let is_slowed = state.slowed_at.is_some_and(|slowed| slowed.elapsed() < deadline.really(SLOW_FOR));
        if state.good >= GOOD_FOR_ONE_MORE && state.at_once < self.most && !is_slowed {
            (state.good, state.at_once) = (0, state.at_once + 1);
            match state.too_many.checked_sub(1) {
                Some(fewer) => state.too_many = fewer,
                None => self.turns.add_permits(1),
            }
        }
    }

    /// Those that were under way when it was slowed down say nothing new.
    fn slow_down(&self, turn: &SendPermit<'_>, asked: Option<Duration>) {
        let (mut state, now) = (self.state(), Instant::now());
        let is_news = state.slowed_at.is_none_or(|slowed| turn.begun > slowed);
        let wait = if is_news { asked.unwrap_or(state.wait) } else { asked.unwrap_or_default() };
        let until = now + turn.deadline.really(wait);
        if until > state.not_before.1 {
            let signed = SignedDuration::try_from(wait).unwrap_or_default();
            state.not_before = (self.clock.now() + signed, until);
        }
        if !is_news {
            return;
        }
        state.wait = (state.wait * 2).min(LONGEST_WAIT);
        let slower = (state.at_once / 2).max(1);
        let fewer = state.at_once - slower;
        let free = self.turns.forget_permits(fewer);
        state.too_many += fewer - free;
        (state.at_once, state.good, state.slowed_at) = (slower, 0, Some(now));
    }
}

impl Drop for SendPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if let Some(fewer) = state.too_many.checked_sub(1)
            && let Some(permit) = self.permit.take()
        {
            state.too_many = fewer;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::wire::calls::GET_KEY;
    use crate::provider::wire::error::Trouble;

    fn refused(status: u16, after: Option<Duration>) -> Result<(), ProviderError> {
        let trouble = Trouble { status: Some(status), ..Trouble::unsent(&GET_KEY, "slower".to_owned()) };
        Err(ProviderError::Later { trouble, after })
    }

    /// With a clock that goes with the paused time.
    fn pace_of(most: usize) -> Pace {
        let (begun, base) = (Instant::now(), Timestamp::now());
        let clock = Clock::reading(move || base + SignedDuration::try_from(begun.elapsed()).unwrap());
        Pace::at_most(most, &clock)
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(3_600))
    }

    async fn good(pace: &Pace, times: u32) {
        for _ in 0..times {
            assert!(!pace.turn(soon()).await.ok().unwrap().learn(&Ok(())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_begins_with_four_and_becomes_faster_by_one_after_fifty_good_answers() {
        let pace = pace_of(6);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(pace.at_once());
            good(&pace, 50).await;
        }
        assert_eq!(seen, [4, 5, 6, 6]);
        assert_eq!(pace.turns.available_permits(), 6);
        assert_eq!(pace_of(2).at_once(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_are_refused_together_it_is_slowed_down_once_and_for_a_minute() {
        let pace = pace_of(8);
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(pace.turn(soon()).await.ok().unwrap());
        }
        for turn in &turns {
            assert!(turn.learn(&refused(429, None)));
        }
        drop(turns);
        assert_eq!((pace.at_once(), pace.turns.available_permits()), (2, 2));
        let refused_at = Instant::now();
        good(&pace, 200).await;
        assert_eq!(refused_at.elapsed(), FIRST_WAIT, "everybody waited once");
        assert_eq!(pace.at_once(), 2);
        tokio::time::advance(SLOW_FOR).await;
        good(&pace, 1).await;
        assert_eq!(pace.at_once(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_the_provider_asks_for_is_everybodys_and_who_has_no_time_for_it_hears_so() {
        let pace = pace_of(4);
        let asked = Duration::from_secs(30);
        let turn = pace.turn(soon()).await.ok().unwrap();
        assert!(!turn.learn(&refused(503, Some(asked))), "it may have been done");
        drop(turn);
        let begun = Instant::now();
        good(&pace, 1).await;
        assert_eq!(begun.elapsed(), asked);
        assert!(pace.turn(soon()).await.ok().unwrap().learn(&refused(429, Some(asked))));
        let waits = pace.turn(Deadline::after(Duration::from_secs(5))).await.err();
        assert_eq!(waits, Some(asked));
        assert_eq!(pace.at_once(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_of_the_provider_each_wait_is_twice_as_long() {
        let pace = pace_of(1);
        let begun = Instant::now();
        let mut waited = Vec::new();
        for _ in 0..7 {
            let turn = pace.turn(soon()).await.ok().unwrap();
            waited.push(begun.elapsed().as_millis());
            turn.learn(&refused(429, None));
        }
        assert_eq!(waited, [0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
    }
}
