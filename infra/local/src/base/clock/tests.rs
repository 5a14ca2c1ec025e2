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

#[tokio::test]
async fn whoever_moves_it_waits_for_what_is_under_way() {
    let clock = StackClock::open(StateFile::in_memory().unwrap()).unwrap();
    clock.rests().await;
    let (one, other) = (clock.at_work(), clock.at_work());
    let mut rests = Box::pin(clock.rests());
    assert!(tokio::time::timeout(Duration::ZERO, &mut rests).await.is_err());
    drop(one);
    assert!(tokio::time::timeout(Duration::ZERO, &mut rests).await.is_err());
    drop(other);
    assert!(tokio::time::timeout(Duration::ZERO, &mut rests).await.is_ok());
}

#[test]
fn it_goes_with_real_time_ahead_by_what_it_was_moved_also_after_a_restart() {
    let real = HandClock::at("2026-11-20T10:00:00Z");
    let kept = StateFile::in_memory().unwrap();
    let clock = StackClock::over(real.clock(), kept.clone()).unwrap();
    assert_eq!(clock.now(), at("2026-11-20T10:00:00Z"));
    assert_eq!(clock.advance(SignedDuration::from_hours(48)).unwrap(), at("2026-11-22T10:00:00Z"));
    real.pass(90);
    assert_eq!(clock.as_clock().now(), at("2026-11-22T10:01:30Z"));
    drop(clock);
    real.pass(30);
    let clock = StackClock::over(real.clock(), kept).unwrap();
    assert_eq!(clock.now(), at("2026-11-22T10:02:00Z"));
}

#[test]
fn it_stands_still_where_it_is_stopped_and_runs_on_from_there() {
    let real = HandClock::at("2026-11-20T10:00:00Z");
    let clock = StackClock::over(real.clock(), StateFile::in_memory().unwrap()).unwrap();
    clock.begin_at(at("2026-10-01T00:00:00Z")).unwrap();
    real.pass(3600);
    assert_eq!(clock.now(), at("2026-10-01T00:00:00Z"));
    clock.stop_at(at("2026-10-02T00:00:00Z")).unwrap();
    assert_eq!(clock.now(), at("2026-10-02T00:00:00Z"));
    clock.run_from(clock.now()).unwrap();
    real.pass(60);
    assert_eq!(clock.now(), at("2026-10-02T00:01:00Z"));
}

#[test]
fn it_never_goes_back() {
    let real = HandClock::at("2026-11-20T10:00:00Z");
    let clock = StackClock::over(real.clock(), StateFile::in_memory().unwrap()).unwrap();
    clock.stop_at(at("2026-11-20T09:00:00Z")).unwrap();
    assert_eq!(clock.now(), at("2026-11-20T10:00:00Z"));
    clock.run_from(at("2026-11-20T08:00:00Z")).unwrap();
    assert_eq!(clock.now(), at("2026-11-20T10:00:00Z"));
    assert!(clock.advance(SignedDuration::MAX).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_instant_is_woken_when_the_clock_is_moved_past_it() {
    let real = HandClock::at("2026-11-20T10:00:00Z");
    let clock = StackClock::over(real.clock(), StateFile::in_memory().unwrap()).unwrap();
    clock.stop_at(clock.now()).unwrap();
    let waiting = {
        let clock = clock.clone();
        tokio::spawn(async move { clock.reaches(at("2026-11-20T11:00:00Z")).await })
    };
    tokio::task::yield_now().await;
    clock.advance(SignedDuration::from_mins(59)).unwrap();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    clock.advance(SignedDuration::from_mins(1)).unwrap();
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_it_runs_is_woken_by_real_time() {
    let begin = tokio::time::Instant::now();
    let epoch = at("2026-11-20T10:00:00Z");
    let real = Clock::reading(move || epoch + SignedDuration::try_from(begin.elapsed()).unwrap());
    let clock = StackClock::over(real, StateFile::in_memory().unwrap()).unwrap();
    clock.reaches(at("2026-11-20T10:05:00Z")).await;
    assert!(begin.elapsed() >= Duration::from_secs(300) && begin.elapsed() < Duration::from_secs(301));
}
