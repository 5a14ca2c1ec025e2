//! The sums behind caps and pots: what a live key's limit should be, what a grant reserves of the pot, and what the roster
//! would reserve if everybody claimed. Where the readings come from is the sync's business.

use jiff::Timestamp;

use super::grant::{Grant, Reading, State};
use super::money::Usd;
use super::programme::Settings;

/// What the keys of one grant have used, as far as readings tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    /// All its keys, ever.
    pub lifetime: Usd,
    /// All its keys, in this window.
    pub in_window: Usd,
    /// Its keys that are not live, in this window.
    pub retired_in_window: Usd,
}

impl Spending {
    /// Adds up a grant's readings at `now`. A reading of an earlier window says nothing about this one.
    pub fn of(grant: &Grant, readings: &[Reading], settings: &Settings, now: Timestamp) -> Spending {
        let window = settings.reset.window_at(now);
        let live = grant.live().map(|attempt| attempt.epoch);
        let mut spending = Spending::default();
        for reading in readings {
            let in_window = if reading.window == window { reading.in_window } else { Usd::ZERO };
            spending.lifetime += reading.used.counted(settings.byok);
            spending.in_window += in_window;
            if Some(reading.epoch) != live {
                spending.retired_in_window += in_window;
            }
        }
        spending
    }
}

/// The limit a grant's live or next key should have: the cap less what its other keys used in this window. None when less
/// than a cent is left, since no key is given a smaller limit.
pub fn wanted_limit(cap: Usd, spending: &Spending) -> Option<Usd> {
    let left = cap - spending.retired_in_window;
    (left >= Usd::CENT).then_some(left)
}

/// What a grant reserves: what it spent, and with a place in the pot the rest of this window's cap and the cap of each
/// window that begins later.
pub fn reserved(grant: &Grant, spending: &Spending, settings: &Settings, now: Timestamp) -> Usd {
    let promised = if grant.has_place { promised(grant, spending, settings, now) } else { Usd::ZERO };
    spending.lifetime + promised
}

/// The unspent part of what a place reserves. Between edits of a cap it only ever shrinks, so giving it back never takes more
/// out of the pot's counter than the counter holds for it.
pub fn promised(grant: &Grant, spending: &Spending, settings: &Settings, now: Timestamp) -> Usd {
    let expires = settings.keys_expire_at();
    if matches!(grant.state, State::Revoked | State::Ended) || now >= expires {
        return Usd::ZERO;
    }
    let cap = grant.cap(settings);
    let later = settings.reset.windows_between(now, expires);
    (cap - spending.in_window).or_zero() + cap.times(later)
}

/// What a grant would reserve if the person claimed now; the same as [`reserved`] once they did. It is shown, not enforced.
pub fn implied(grant: &Grant, spending: &Spending, settings: &Settings, now: Timestamp) -> Usd {
    let may_claim = grant.holds.is_empty() || grant.has_place;
    let promised = if may_claim { promised(grant, spending, settings, now) } else { Usd::ZERO };
    spending.lifetime + promised
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::testing::{a_grant, a_programme};
    use crate::domain::window::Reset;
    use jiff::ToSpan;
    use proptest::prelude::*;

    /// A grant with a place, somewhere in a term of a hundred days.
    fn claimed(reset: Reset, cap: i64) -> (Grant, Settings) {
        let mut settings = a_programme().settings;
        settings.reset = reset;
        settings.cap = Usd::from_micros(cap);
        let mut grant = a_grant();
        grant.has_place = true;
        (grant, settings)
    }

    fn spent(over: i64, in_window: i64) -> Spending {
        Spending {
            lifetime: Usd::from_micros(over + in_window),
            in_window: Usd::from_micros(in_window),
            retired_in_window: Usd::ZERO,
        }
    }

    fn resets() -> impl Strategy<Value = Reset> {
        prop::sample::select(vec![Reset::None, Reset::Daily, Reset::Weekly, Reset::Monthly])
    }

    #[test]
    fn the_wanted_limit_is_what_the_retired_keys_left_of_the_cap_and_never_below_a_cent() {
        let retired = |micros| Spending { retired_in_window: Usd::from_micros(micros), ..Spending::default() };
        let cap = Usd::from_dollars(20);
        assert_eq!(wanted_limit(cap, &retired(0)), Some(cap));
        assert_eq!(wanted_limit(cap, &retired(5_000_001)), Some(Usd::from_micros(14_999_999)));
        assert_eq!(wanted_limit(cap, &retired(19_990_000)), Some(Usd::CENT));
        assert_eq!(wanted_limit(cap, &retired(19_990_001)), None);
        assert_eq!(wanted_limit(cap, &retired(25_000_000)), None);
    }

    #[test]
    fn without_a_reset_the_larger_of_cap_and_spent_is_reserved() {
        let (grant, settings) = claimed(Reset::None, 20_000_000);
        let now = settings.term.starts_at();
        assert_eq!(reserved(&grant, &spent(0, 3_000_000), &settings, now), Usd::from_dollars(20));
        assert_eq!(reserved(&grant, &spent(0, 20_050_000), &settings, now), Usd::from_micros(20_050_000));
    }

    #[test]
    fn with_a_reset_every_window_that_begins_in_the_term_is_reserved() {
        let (grant, settings) = claimed(Reset::Daily, 1_000_000);
        // At the first midnight of a term of a hundred days, ninety-nine windows are still to come.
        let now = settings.term.starts_at();
        assert_eq!(reserved(&grant, &spent(0, 0), &settings, now), Usd::from_dollars(100));
        let last_day = settings.term.ends_at() - 1.hour();
        assert_eq!(reserved(&grant, &spent(40_000_000, 250_000), &settings, last_day), Usd::from_dollars(41));
    }

    #[test]
    fn whoever_has_no_place_or_has_ended_reserves_what_was_spent() {
        let (mut grant, settings) = claimed(Reset::None, 20_000_000);
        let now = settings.term.starts_at();
        for state in [State::Revoked, State::Ended] {
            grant.state = state;
            assert_eq!(reserved(&grant, &spent(0, 5), &settings, now), Usd::from_micros(5));
        }
        grant.state = State::Invited;
        grant.has_place = false;
        assert_eq!(reserved(&grant, &spent(0, 0), &settings, now), Usd::ZERO);
        assert_eq!(implied(&grant, &spent(0, 0), &settings, now), Usd::from_dollars(20));
    }

    proptest! {
        #[test]
        fn what_is_promised_never_grows_with_time_or_spending(
            reset in resets(), cap in 10_000_i64..50_000_000, used in 0_i64..60_000_000, more in 0_i64..60_000_000,
            hour in 0_i64..2400, later in 0_i64..2400,
        ) {
            let (grant, settings) = claimed(reset, cap);
            let now = settings.term.starts_at() + hour.hours();
            let then = now + later.hours();
            let before = promised(&grant, &spent(0, used), &settings, now);
            // In the same window more may be used; in a later one the use begins at nothing.
            let used_then = if reset.window_at(now) == reset.window_at(then) { used + more } else { more };
            prop_assert!(promised(&grant, &spent(0, used_then), &settings, then) <= before);
        }

        #[test]
        fn nobody_who_stays_within_each_cap_can_cost_more_than_was_reserved(
            reset in resets(), cap in 10_000_i64..50_000_000, shares in prop::collection::vec(0_u8..=100, 1..110),
        ) {
            let (grant, settings) = claimed(reset, cap);
            let mut now = settings.term.starts_at();
            let at_first = reserved(&grant, &spent(0, 0), &settings, now);
            let (mut over, mut total) = (0, 0);
            for share in shares {
                let used = cap * i64::from(share) / 100;
                total = over + used;
                prop_assert!(reserved(&grant, &spent(over, used), &settings, now) <= at_first);
                prop_assert!(Usd::from_micros(total) <= at_first);
                match reset.resets_at(now) {
                    Some(turn) if turn < settings.keys_expire_at() => {
                        over = total;
                        now = turn;
                    }
                    _ => break,
                }
            }
            prop_assert!(Usd::from_micros(total) <= at_first);
        }
    }
}
