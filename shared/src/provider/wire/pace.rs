//! The pace: how many requests are under way at once. After a 429 or 503 the bound is halved for a minute,
//! and every request waits as long as the provider asked. All calls of a process share one pace.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::provider::wire::error::ProviderError;

const AT_FIRST: usize = 4;
/// The number of good answers after which one more request may be under way.
const GOOD_FOR_ONE_MORE: u32 = 50;
/// The time after a slowdown in which the pace does not rise.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// The wait of all requests where the provider does not name one, doubled each further time in a row.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The interval at which a waiting request reads the clock again, since a test may have moved it.
const CLOCK_READ_EACH: Duration = Duration::from_secs(1);

pub(in crate::provider) struct Pace {
    turns: Semaphore,
    most: usize,
    clock: Clock,
    state: Mutex<PaceState>,
}

struct PaceState {
    /// The most requests under way.
    at_once: usize,
    /// The number of permits to withdraw from requests that are under way.
    too_many: usize,
    /// The good answers since the bound was changed.
    good: u32,
    /// The time before which nothing is sent: by the product's clock, which tests move, or by the machine's,
    /// whichever comes first.
    not_before: (Timestamp, Instant),
    /// The next wait of all requests.
    wait: Duration,
    slowed_at: Option<Instant>,
}

/// A permit to send one request.
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

    /// The current bound of requests under way.
    pub(in crate::provider) fn at_once(&self) -> usize {
        self.state().at_once
    }

    /// Waits for a permit to send one request. The error is the wait that would be needed, where that is too
    /// long.
    pub(in crate::provider) async fn turn(&self, deadline: Deadline) -> Result<SendPermit<'_>, Duration> {
        let permit = deadline.wait_for(self.turns.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(Duration::ZERO) };
        loop {
            match self.wait(deadline) {
                Duration::ZERO => {
                    return Ok(SendPermit { pace: self, permit: Some(permit), begun: Instant::now(), deadline });
                }
                wait if wait >= deadline.left() => return Err(wait),
                wait => deadline.sleep(wait.min(CLOCK_READ_EACH)).await,
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
    /// Adjusts the pace to an answer. True if the provider answered that it gets too many requests, and did
    /// nothing.
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

    /// Slows down. Requests that were under way at the last slowdown cause no other.
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

    /// A pace with a clock that goes with the paused time.
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
