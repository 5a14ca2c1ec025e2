//! The product's clock over real time that a test moves by hand.

use super::*;

/// Real time that a test moves by hand.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Timestamp>>);

impl HandClock {
    pub(crate) fn at(text: &str) -> HandClock {
        HandClock(Arc::new(Mutex::new(text.parse().unwrap())))
    }

    pub(crate) fn pass(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::reading(move || *hand.0.lock().unwrap())
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn it_goes_with_real_time_ahead_by_what_it_was_moved_also_after_a_restart_and_never_back() {
    let real = HandClock::at("2026-11-20T10:00:00Z");
    let kept = StateFile::in_memory().unwrap();
    let clock = StackClock::over(real.clock(), kept.clone()).unwrap();
    assert_eq!(clock.now(), at("2026-11-20T10:00:00Z"));
    assert_eq!(clock.advance(SignedDuration::from_hours(48)).unwrap(), at("2026-11-22T10:00:00Z"));
    real.pass(90);
    assert_eq!(clock.as_clock().now(), at("2026-11-22T10:01:30Z"));
    let clock = StackClock::over(real.clock(), kept).unwrap();
    real.pass(30);
    assert_eq!(clock.now(), at("2026-11-22T10:02:00Z"));

    clock.stop_at(at("2026-11-22T09:00:00Z")).unwrap();
    real.pass(60);
    assert_eq!(clock.now(), at("2026-11-22T10:02:00Z"), "it stands, and not in the past");
    clock.run_from(at("2026-11-22T08:00:00Z")).unwrap();
    real.pass(60);
    assert_eq!(clock.now(), at("2026-11-22T10:03:00Z"));
    assert!(clock.advance(SignedDuration::MAX).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_instant_is_woken_when_the_clock_is_moved_past_it_or_gets_there() {
    let begin = tokio::time::Instant::now();
    let epoch = at("2026-11-20T10:00:00Z");
    let real = Clock::reading(move || epoch + SignedDuration::try_from(begin.elapsed()).unwrap());
    let clock = StackClock::over(real, StateFile::in_memory().unwrap()).unwrap();
    clock.reaches(at("2026-11-20T10:05:00Z")).await;
    assert!(begin.elapsed() >= Duration::from_secs(300) && begin.elapsed() < Duration::from_secs(301));

    clock.stop_at(clock.now()).unwrap();
    let waiting = {
        let clock = clock.clone();
        tokio::spawn(async move { clock.reaches(at("2026-11-20T11:00:00Z")).await })
    };
    for (minutes, is_there) in [(54, false), (2, true)] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        clock.advance(SignedDuration::from_mins(minutes)).unwrap();
        tokio::task::yield_now().await;
        assert_eq!(waiting.is_finished(), is_there);
    }
}
