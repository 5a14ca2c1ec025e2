//! Lots of credit: each rise of what the account has bought is one, and may lapse on its own day. What is
//! spent comes from the oldest, and a fall is taken from the newest.

use jiff::Span;
use jiff::civil::Date;

use crate::domain::values::money::Usd;

/// How many days before a lot could lapse the admins are told, the later first.
const TOLD_BEFORE: [u16; 2] = [30, 90];

/// Credit that was bought between two looks at the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    /// The day of the last look without it; `None` for what was there at the first look.
    pub after: Option<Date>,
    /// The day of the first look with it.
    pub seen_on: Date,
    pub amount: Usd,
    /// The part that is not spent.
    pub left: Usd,
}

/// A notice of a lot that could lapse soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LapseNotice {
    /// The day from which the notice is due.
    pub due_on: Date,
    pub lapses_on: Date,
    /// How many days before the lapse it is due.
    pub days_before: u16,
}

impl Lot {
    /// The lots of an account, oldest first. `bought` are all credits ever bought, by day, oldest first.
    pub fn all(bought: impl IntoIterator<Item = (Date, Usd)>, spent: Usd) -> Vec<Lot> {
        let mut lots: Vec<Lot> = Vec::new();
        let mut last: Option<(Date, Usd)> = None;
        for (seen_on, total) in bought {
            let change = total - last.map_or(Usd::ZERO, |(_, total)| total);
            if change > Usd::ZERO {
                lots.push(Lot { after: last.map(|(day, _)| day), seen_on, amount: change, left: change });
            } else {
                take_from_the_newest(&mut lots, Usd::ZERO - change);
            }
            last = Some((seen_on, total));
        }
        let mut spent = spent;
        for lot in &mut lots {
            let used = lot.amount.min(spent.or_zero());
            lot.left = lot.amount - used;
            spent = spent - used;
        }
        lots
    }

    /// The first day on which the lot could lapse. Of what was there at the first look, that day may have been
    /// earlier, and this is the last it can be.
    pub fn lapses_on(&self, lapse_days: u16) -> Option<Date> {
        let bought_on = self.after.unwrap_or(self.seen_on);
        bought_on.checked_add(Span::new().try_days(lapse_days).ok()?).ok()
    }

    /// The notice that is due today, if something of the lot is left.
    pub fn notice(&self, lapse_days: u16, today: Date) -> Option<LapseNotice> {
        let lapses_on = self.lapses_on(lapse_days).filter(|day| self.left > Usd::ZERO && today < *day)?;
        TOLD_BEFORE.into_iter().find_map(|days_before| {
            let due_on = lapses_on.checked_sub(Span::new().try_days(days_before).ok()?).ok()?;
            (due_on <= today).then_some(LapseNotice { due_on, lapses_on, days_before })
        })
    }
}

fn take_from_the_newest(lots: &mut Vec<Lot>, mut fall: Usd) {
    while let Some(newest) = lots.last_mut().filter(|_| fall > Usd::ZERO) {
        if newest.amount > fall {
            newest.amount = newest.amount - fall;
            return;
        }
        fall = fall - newest.amount;
        lots.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::dollars as usd;

    fn day(number: i32) -> Date {
        Date::constant(2026, 1, 1).checked_add(Span::new().days(number)).unwrap()
    }

    fn lots(bought: &[i32], spent: i32) -> Vec<(Option<Date>, Date, Usd, Usd)> {
        let bought = (0..).map(day).zip(bought.iter().map(|dollars| usd(*dollars)));
        Lot::all(bought, usd(spent)).into_iter().map(|lot| (lot.after, lot.seen_on, lot.amount, lot.left)).collect()
    }

    #[test]
    fn each_rise_is_a_lot_and_what_is_spent_comes_from_the_oldest() {
        let first = |left| (None, day(0), usd(100), usd(left));
        let second = |left| (Some(day(1)), day(2), usd(50), usd(left));
        assert_eq!(lots(&[100, 100, 150, 150], 30), [first(70), second(50)]);
        assert_eq!(lots(&[100, 100, 150, 150], 120), [first(0), second(30)]);
        assert_eq!(lots(&[100, 100, 150, 150], 500), [first(0), second(0)]);
        assert_eq!(lots(&[0, 100], 0), [(Some(day(0)), day(1), usd(100), usd(100))], "not there at the first look");
        assert_eq!(lots(&[], 10), []);
    }

    #[test]
    fn a_lot_is_told_ninety_and_thirty_days_before_it_could_lapse_while_something_is_left() {
        let lot = Lot { after: Some(day(0)), seen_on: day(1), amount: usd(10), left: usd(1) };
        let told = |lot: &Lot, today| lot.notice(365, day(today)).map(|notice| (notice.due_on, notice.days_before));
        assert_eq!(lot.lapses_on(365), Some(day(365)));
        assert_eq!(told(&lot, 274), None);
        assert_eq!(told(&lot, 275), Some((day(275), 90)));
        assert_eq!(told(&lot, 334), Some((day(275), 90)));
        assert_eq!(told(&lot, 335), Some((day(335), 30)));
        assert_eq!(told(&lot, 364), Some((day(335), 30)));
        assert_eq!(told(&lot, 365), None, "it may have lapsed");
        assert_eq!(told(&Lot { left: Usd::ZERO, ..lot }, 335), None);
        assert_eq!(told(&Lot { after: None, ..lot }, 335), Some((day(276), 90)), "it was there on the first day");
    }

    proptest! {
        #[test]
        fn lots_add_up_to_what_was_bought_and_what_is_left_to_the_balance(
            totals in proptest::collection::vec(0_i64..1_000, 0..12), spent in 0_i64..1_200,
        ) {
            let (last, spent) = (Usd::from_micros(totals.last().copied().unwrap_or(0)), Usd::from_micros(spent));
            let lots = Lot::all((0..).map(day).zip(totals.iter().map(|micros| Usd::from_micros(*micros))), spent);
            prop_assert_eq!(lots.iter().map(|lot| lot.amount).sum::<Usd>(), last);
            prop_assert_eq!(lots.iter().map(|lot| lot.left).sum::<Usd>(), (last - spent).or_zero());
            for lot in &lots {
                prop_assert!(Usd::ZERO < lot.amount && Usd::ZERO <= lot.left && lot.left <= lot.amount);
                prop_assert!(lot.after.is_none_or(|after| after < lot.seen_on));
            }
            for pair in lots.windows(2) {
                prop_assert!(pair[0].seen_on < pair[1].seen_on, "oldest first");
                prop_assert!(pair[0].left == Usd::ZERO || pair[1].left == pair[1].amount, "the oldest is used first");
            }
        }

        #[test]
        fn no_fall_reaches_an_older_lot_while_a_newer_one_has_something(
            first in 1_i64..1_000, second in 1_i64..1_000, fall in 0_i64..2_000,
        ) {
            let fall = fall.min(first + second);
            let totals = [first, first + second, first + second - fall].map(Usd::from_micros);
            let lots = Lot::all((0..).map(day).zip(totals), Usd::ZERO);
            let amounts: Vec<i64> = lots.iter().map(|lot| lot.amount.micros()).collect();
            let expected = [first - (fall - second).max(0), (second - fall).max(0)];
            prop_assert_eq!(amounts, expected.into_iter().filter(|amount| *amount > 0).collect::<Vec<_>>());
        }
    }
}
