//! How much an exploration plays: a fixed sample in `cargo test`, and all of it in the target
//! `long` (`cargo xtask long`). Neither draws by time, so each run plays the same.
//!
//! `BURSAR_TEST_SEED=70` plays that seed alone.

use std::ops::Range;

/// Whether this is the target `long`.
pub const LONG: bool = cfg!(feature = "long");

/// The size of a test in `cargo test`, and in `long`.
pub fn sized<T>(few: T, many: T) -> T {
    if LONG { many } else { few }
}

/// The seeds of an exploration from `first` on: so many in `cargo test`, and so many in `long`.
pub fn seeds(first: u64, few: u64, many: u64) -> Range<u64> {
    match std::env::var("BURSAR_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => first..first + sized(few, many),
    }
}

/// Every case in `long`. In `cargo test` at most so `few`, evenly spread, at a distance that
/// divides by neither two nor three, so that it is not always the same of up to four verdicts on a
/// call that is played.
pub fn sample<T>(cases: impl IntoIterator<Item = T>, few: usize) -> Vec<T> {
    let cases: Vec<T> = cases.into_iter().collect();
    let wide = sized(cases.len().div_ceil(few), 1);
    let step = (wide.max(1)..)
        .find(|step| step % 2 != 0 && step % 3 != 0)
        .unwrap_or(1);
    cases.into_iter().step_by(step).collect()
}
