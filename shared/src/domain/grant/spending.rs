//! The sums behind caps: what the keys of a grant have used, and what a live key's limit should be. What a
//! grant can still cost is `grant::reservation`; readings come from the sync.

use super::{Grant, Reading};
use crate::prelude::*;

/// The use of one grant's keys, as far as readings tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    /// The lifetime use of all keys.
    pub lifetime: Usd,
    /// The use of all keys in this window.
    pub in_window: Usd,
    /// The use of the keys that are not live, in this window.
    pub retired_in_window: Usd,
}

impl Spending {
    /// The sums of a grant's readings at `now`. A reading of an earlier window says nothing about this one.
    pub fn of(grant: &Grant, readings: &[Reading], settings: &Settings, now: Moment) -> Spending {
        let window = settings.basis.reset.window_at(now);
        let live = grant.live().map(|attempt| attempt.epoch);
        let mut spending = Spending::default();
        for reading in readings {
            let in_window = if reading.window == window { reading.in_window } else { Usd::ZERO };
            spending.lifetime += reading.used.counted(settings.basis.byok);
            spending.in_window += in_window;
            if Some(reading.epoch) != live {
                spending.retired_in_window += in_window;
            }
        }
        spending
    }
}

/// The wanted limit of a grant's live or next key: the cap less what its other keys used in this window. It
/// is in whole cents, since a provider may keep no more. `None` with less than a cent left: no key gets a
/// smaller limit.
pub fn wanted_limit(cap: Usd, spending: &Spending) -> Option<Usd> {
    let left = cap - spending.retired_in_window;
    (left >= Usd::CENT).then(|| left.whole_cents())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_limit_is_what_the_retired_keys_left_of_the_cap_in_whole_cents_and_never_below_one() {
        let retired = |micros| Spending { retired_in_window: Usd::from_micros(micros), ..Spending::default() };
        let cap = Usd::from_dollars(20);
        assert_eq!(wanted_limit(cap, &retired(0)), Some(cap));
        assert_eq!(wanted_limit(cap, &retired(5_000_001)), Some(Usd::from_micros(14_990_000)));
        assert_eq!(wanted_limit(cap, &retired(19_990_000)), Some(Usd::CENT));
        assert_eq!(wanted_limit(cap, &retired(19_990_001)), None);
        assert_eq!(wanted_limit(cap, &retired(25_000_000)), None);
    }
}
