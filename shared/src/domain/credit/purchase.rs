//! The purchase of credit: how much the account needs for what is to come, and by which day it is to be
//! bought. `balance` decides when the admins hear of it.

use jiff::Span;

use crate::domain::usage::days::Accuracy;
use crate::prelude::*;

/// The days of the pace.
pub const PACE_DAYS: u32 = 28;
/// How many days before the balance is gone a purchase must begin.
pub const DAYS_TO_BUY: u32 = 30;
/// The unit in which credit is bought.
const UNIT: Usd = Usd::from_dollars(100);
/// The least move of the day that is told again.
const MOVE_TOLD: i32 = 7;

/// The facts that a purchase is reckoned from.
#[derive(Debug, Clone, Copy)]
pub struct CreditFacts<'a> {
    pub balance: Usd,
    /// What all programmes can still cost: reserved, less spent.
    pub to_come: Usd,
    /// The use of the keys of grants, and of foreign keys.
    pub ours: &'a Days,
    pub foreign: &'a Days,
    /// When every key was last listed.
    pub listed_at: Option<Moment>,
    /// When the last programme ends.
    pub ends_at: Option<Moment>,
}

/// The credit to be bought, with the numbers that lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// The amount to buy; zero if the balance is enough.
    pub amount: Usd,
    pub balance: Usd,
    pub to_come: Usd,
    /// The use of foreign keys in the last 28 days, and what they use until the last programme ends if they
    /// go on like that.
    pub foreign: Usd,
    pub foreign_to_come: Usd,
    /// The use of all keys in the last 28 days.
    pub pace: Usd,
    /// Whether some of these days lie before the first sync, so that the pace may be larger.
    pub is_partial: bool,
    /// The day on which the balance is gone at this pace; `None` if nothing is used.
    pub gone_on: Option<Date>,
    /// The day by which the purchase must begin.
    pub buy_by: Option<Date>,
}

impl Purchase {
    pub fn of(facts: &CreditFacts<'_>) -> Purchase {
        let looked = facts.listed_at.map(utc_date);
        let completed = looked.and_then(|looked| Some((before(looked, PACE_DAYS)?, looked.yesterday().ok()?)));
        let used = |days: &Days| completed.map(|(from, to)| days.between(from, to, Some(to)));
        let spent = |days: &Days| used(days).map_or(Usd::ZERO, |sum| sum.spent);
        let is_partial =
            [facts.ours, facts.foreign].map(used).iter().flatten().any(|sum| sum.known == Accuracy::Partly);
        let foreign = spent(facts.foreign);
        let pace = spent(facts.ours) + foreign;
        let days_left =
            looked.zip(facts.ends_at).map_or(0, |(looked, ends_at)| days_between(looked, utc_date(ends_at)));
        let foreign_to_come = parts_of(foreign, i64::from(days_left.max(0)), i64::from(PACE_DAYS));
        let gone_on = looked.and_then(|looked| gone_on(facts.balance, pace, looked));
        Purchase {
            amount: rounded_up((facts.to_come + foreign_to_come - facts.balance).or_zero()),
            balance: facts.balance,
            to_come: facts.to_come,
            foreign,
            foreign_to_come,
            pace,
            is_partial,
            gone_on,
            buy_by: gone_on.and_then(|day| before(day, DAYS_TO_BUY)),
        }
    }

    /// Whether credit must be bought.
    pub fn is_due(&self) -> bool {
        self.amount > Usd::ZERO
    }

    /// Whether the day is a week or more from the one that was told, or can be named for the first time.
    pub fn has_moved_since(&self, told: &Purchase) -> bool {
        match (told.buy_by, self.buy_by) {
            (Some(was), Some(is)) => days_between(was, is).abs() >= MOVE_TOLD,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

/// The day on which the last of the balance is used at a pace.
fn gone_on(balance: Usd, pace: Usd, looked: Date) -> Option<Date> {
    if pace <= Usd::ZERO {
        return None;
    }
    let days = i128::from(balance.or_zero().micros()) * i128::from(PACE_DAYS) / i128::from(pace.micros());
    // A day beyond the calendar is no day to act on.
    looked.checked_add(Span::new().try_days(i64::try_from(days).ok()?).ok()?).ok()
}

fn before(day: Date, days: u32) -> Option<Date> {
    day.checked_sub(Span::new().try_days(days).ok()?).ok()
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

/// So many parts of an amount, of `all`, rounded up to the micro-dollar.
fn parts_of(amount: Usd, parts: i64, all: i64) -> Usd {
    let micros = (i128::from(amount.micros()) * i128::from(parts) + i128::from(all) - 1).div_euclid(i128::from(all));
    Usd::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).min(Usd::MAX)
}

fn rounded_up(amount: Usd) -> Usd {
    Usd::from_micros(amount.micros().div_euclid(UNIT.micros()) * UNIT.micros())
        + if amount.micros().rem_euclid(UNIT.micros()) > 0 { UNIT } else { Usd::ZERO }
}

#[cfg(test)]
mod tests;
