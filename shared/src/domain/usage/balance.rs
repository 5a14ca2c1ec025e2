//! The need that the balance of the account must cover soon, and when a shortfall is reported: at its
//! beginning, and when it has grown by a tenth. A growth through promises alone is reported once a day at
//! most. The functions provide the numbers and the recipients.

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::usage::days::Days;
use crate::domain::usage::forecast::SpendingPace;
use crate::domain::values::money::Usd;
use crate::domain::values::window::utc_date;

/// The days that the balance must last. Credit can be bought at any time, so no more need be there at once.
const DAYS_AHEAD: u32 = 14;
/// The least time between two reports that only new promises caused, since promises grow all the time while
/// keys are claimed.
const BETWEEN_PROMISES: SignedDuration = SignedDuration::from_hours(24);

/// The need of the account: what the balance must pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceNeed {
    pub amount: Usd,
    pub basis: Basis,
}

/// The basis of a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Two weeks at the pace of the last weeks.
    TwoWeeks,
    /// All that is promised and not spent yet, since no pace is known.
    Promised,
}

/// A shortfall of the balance as it was last reported, until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    #[serde(with = "millisecond::required")]
    pub alerted_at: Timestamp,
    pub balance: Usd,
    pub need: BalanceNeed,
    pub is_over: bool,
    pub version: u64,
}

impl BalanceNeed {
    /// The need of the account. Keys made here use no more than is promised to them, whatever their pace;
    /// foreign keys live on the same balance.
    pub fn of(ours: &Days, foreign: &Days, promised: Usd, listed_at: Option<Timestamp>) -> BalanceNeed {
        let two_weeks = |days: &Days| {
            let pace = listed_at.and_then(|at| SpendingPace::of(days, Date::MIN, utc_date(at)));
            pace.map(|pace| pace.in_days(DAYS_AHEAD)).filter(|soon| *soon > Usd::ZERO)
        };
        match two_weeks(ours) {
            Some(soon) => {
                let foreign = two_weeks(foreign).unwrap_or_default();
                BalanceNeed { amount: soon.min(promised) + foreign, basis: Basis::TwoWeeks }
            }
            None => BalanceNeed { amount: promised, basis: Basis::Promised },
        }
    }

    /// The amount by which a balance falls short, if it does.
    pub fn beyond(&self, balance: Usd) -> Option<Usd> {
        Some(self.amount - balance).filter(|short| *short > Usd::ZERO)
    }
}

impl Shortage {
    /// The new record of a shortfall, or `None` if the known one stands. A record that is not over is
    /// reported when it is written.
    pub fn after(known: Option<&Shortage>, balance: Usd, need: BalanceNeed, now: Timestamp) -> Option<Shortage> {
        let version = known.map_or(0, |known| known.version) + 1;
        let fresh = Shortage { alerted_at: now, balance, need, is_over: false, version };
        let told = known.filter(|known| !known.is_over);
        match (told, need.beyond(balance)) {
            (None, Some(_)) => Some(fresh),
            (Some(told), None) => Some(Shortage { is_over: true, version, ..told.clone() }),
            (Some(told), Some(short)) => {
                let was = told.need.amount - told.balance;
                let is_worse = short.times(10) >= was.times(11);
                (is_worse && (balance < told.balance || told.alerted_at + BETWEEN_PROMISES <= now)).then_some(fresh)
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: Date = Date::constant(2026, 11, 16);

    fn usd(dollars: i32) -> Usd {
        Usd::from_dollars(dollars)
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    /// Equal spending on each of the last days before the Monday.
    fn steadily(days: i64, dollars: i32) -> Days {
        let mut spent = Days::default();
        for ago in 1..=days {
            spent.add(&Days::on_one(MONDAY.checked_sub(jiff::Span::new().days(ago)).unwrap(), usd(dollars)));
        }
        spent
    }

    #[test]
    fn where_a_pace_is_known_two_weeks_of_it_are_needed_and_never_more_than_is_promised() {
        let looked = Some("2026-11-16T00:20:00Z".parse().unwrap());
        let of = |ours: &Days, foreign: &Days, promised| {
            let need = BalanceNeed::of(ours, foreign, usd(promised), looked);
            (need.amount, need.basis)
        };
        let nothing = Days::default();
        assert_eq!(of(&steadily(28, 10), &nothing, 4000), (usd(140), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &nothing, 100), (usd(100), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &steadily(28, 1), 100), (usd(114), Basis::TwoWeeks));
        let promised = (usd(4000), Basis::Promised);
        assert_eq!(of(&steadily(3, 10), &nothing, 4000), promised, "so few days are no pace");
        let idle = Days::on_one(MONDAY.checked_sub(jiff::Span::new().days(60)).unwrap(), usd(10));
        assert_eq!(of(&idle, &nothing, 4000), promised, "nothing used is none either");
        assert_eq!(BalanceNeed::of(&steadily(28, 10), &nothing, usd(4000), None).basis, Basis::Promised);
    }

    #[test]
    fn a_shortfall_is_told_at_the_crossing_and_at_each_tenth_that_it_grows_and_again_after_it_was_over() {
        let need = BalanceNeed { amount: usd(200), basis: Basis::Promised };
        let mut known: Option<Shortage> = None;
        let mut told = Vec::new();
        for (hour, balance) in (1..).zip([200, 100, 95, 91, 90, 150, 90, 80, 79, 200, 300, 100, 100]) {
            if let Some(next) = Shortage::after(known.as_ref(), usd(balance), need, at(hour)) {
                assert_eq!(next.version, known.map_or(0, |known| known.version) + 1);
                if !next.is_over {
                    told.push((hour, balance));
                }
                known = Some(next);
            }
        }
        // By 100, by 110, by 121, and by 100 after it was over.
        assert_eq!(told, [(2, 100), (5, 90), (9, 79), (12, 100)]);
    }

    #[test]
    fn a_shortfall_that_grows_because_keys_are_claimed_is_told_once_a_day() {
        let mut known: Option<Shortage> = None;
        let mut told = Vec::new();
        for hour in 1..60 {
            let need = BalanceNeed { amount: usd(100 + 20 * i32::try_from(hour).unwrap()), basis: Basis::Promised };
            if let Some(next) = Shortage::after(known.as_ref(), usd(100), need, at(hour)) {
                told.push(hour);
                known = Some(next);
            }
        }
        assert_eq!(told, [1, 25, 49]);
    }
}
