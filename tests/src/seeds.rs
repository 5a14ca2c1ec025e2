//! Which histories a test draws: a few in every run, one that is to be played again, or as many as a recipe asks for.

use std::ops::Range;

/// `BURSAR_TEST_SEED=70` names one, `BURSAR_TEST_SEEDS=5000` so many instead of the few.
pub fn seeds_or(few: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("BURSAR_TEST_SEED"), number("BURSAR_TEST_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(few),
    }
}
