//! Which seeds an exploration plays: its few in every run and more while there is time, or one, or a given number.
//!
//! `BURSAR_TEST_SEED=70` plays one seed, `BURSAR_TEST_SEEDS=5000` that many. Otherwise each exploration plays
//! its few, and then more until `BURSAR_TEST_SECONDS=45` have passed. A slow exploration plays fewer seeds, and
//! never fails for it.

use std::io::Write;
use std::time::{Duration, Instant};

/// The seeds of one exploration, each drawn when it can be played. The number of seeds that were played is
/// printed at the end.
#[derive(Debug)]
pub struct Seeds {
    exploration: &'static str,
    bounds: Bounds,
    drawn: u64,
    began: Instant,
}

/// The first seed of an exploration, and when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    first: u64,
    /// The number of seeds that are played however long it takes.
    few: u64,
    /// The time for which more seeds follow.
    time: Duration,
}

impl Seeds {
    /// The seeds from `first` on: `few` at least, unless the environment says otherwise.
    pub fn of(exploration: &'static str, first: u64, few: u64) -> Seeds {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let bounds = Bounds::of(first, few, number);
        Seeds { exploration, bounds, drawn: 0, began: Instant::now() }
    }
}

impl Bounds {
    fn of(first: u64, few: u64, number: impl Fn(&str) -> Option<u64>) -> Bounds {
        let just = |first, few| Bounds { first, few, time: Duration::ZERO };
        match (number("BURSAR_TEST_SEED"), number("BURSAR_TEST_SEEDS")) {
            (Some(seed), _) => just(seed, 1),
            (None, Some(seeds)) => just(first, seeds),
            (None, None) => {
                let seconds = number("BURSAR_TEST_SECONDS").unwrap_or_default();
                Bounds { first, few, time: Duration::from_secs(seconds) }
            }
        }
    }

    /// The next seed when `drawn` were played and this time has passed since the start.
    fn next(&self, drawn: u64, passed: Duration) -> Option<u64> {
        (drawn < self.few || passed < self.time).then_some(self.first + drawn)
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let seed = self.bounds.next(self.drawn, self.began.elapsed())?;
        self.drawn += 1;
        Some(seed)
    }
}

impl Drop for Seeds {
    fn drop(&mut self) {
        // Written past the test harness, which captures the output of a test that passes.
        let (drawn, seconds) = (self.drawn, self.began.elapsed().as_secs_f32());
        let _ = writeln!(std::io::stderr(), "{}: {drawn} seeds played in {seconds:.1} s", self.exploration);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bounds;

    fn bounds(variables: &[(&str, u64)]) -> Bounds {
        Bounds::of(100, 3, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, number)| *number))
    }

    fn all(bounds: Bounds, seconds_each: u64) -> Vec<u64> {
        (0..).map_while(|drawn| bounds.next(drawn, Duration::from_secs(drawn * seconds_each))).collect()
    }

    #[test]
    fn a_few_are_played_without_any_time_and_more_while_there_is() {
        assert_eq!(all(bounds(&[]), 1), [100, 101, 102]);
        assert_eq!(all(bounds(&[("BURSAR_TEST_SECONDS", 5)]), 1), [100, 101, 102, 103, 104]);
        assert_eq!(all(bounds(&[("BURSAR_TEST_SECONDS", 5)]), 1_000), [100, 101, 102]);
    }

    #[test]
    fn one_is_played_again_or_so_many_whatever_the_time() {
        assert_eq!(
            all(bounds(&[("BURSAR_TEST_SEED", 7), ("BURSAR_TEST_SEEDS", 9), ("BURSAR_TEST_SECONDS", 5)]), 1),
            [7]
        );
        assert_eq!(all(bounds(&[("BURSAR_TEST_SEEDS", 2), ("BURSAR_TEST_SECONDS", 5)]), 1), [100, 101]);
        assert_eq!(all(bounds(&[("BURSAR_TEST_SEEDS", 5)]), 1_000), [100, 101, 102, 103, 104]);
    }
}
