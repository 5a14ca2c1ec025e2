//! The picture of a budget's burn in a mail: a row of bars made of table cells, one a day, with the
//! budget as a line. The same in figures stands beside it.

use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::format::{Joined, short_date};
use bursar_core::domain::values::money::Usd;
use jiff::ToSpan;
use jiff::civil::Date;

/// The height of the highest bar, in pixels.
const HEIGHT: i64 = 120;
/// The days that are drawn. Outlook shows no table with more than 63 columns.
const DAYS: i64 = 56;
/// The weeks whose ends are told in figures.
const WEEKS: i64 = 4;

pub(crate) struct BurnBars {
    pub(crate) above_budget: BarRow,
    pub(crate) below_budget: BarRow,
    pub(crate) figures: String,
}

/// The part of all bars on one side of the budget's line, in pixels. A day to come has no bar.
pub(crate) struct BarRow {
    pub(crate) height: i64,
    pub(crate) bars: Vec<i64>,
}

impl BurnBars {
    pub(crate) fn new(burn: &Burn<'_>) -> BurnBars {
        let last = burn.looked;
        let first = burn
            .first_day()
            .min(last)
            .max(last.saturating_sub((DAYS - 1).days()));
        let total = burn.spent.total();
        let by_day = burn.spent.evenly();
        let spent_by = |day: Date| {
            if day == last {
                return total;
            }
            burn.spent.opening() + by_day.range(..=day).map(|(_, spent)| *spent).sum()
        };
        let top = burn.limit.max(total).max(Usd::CENT);
        let budget = burn.limit.scale(top, HEIGHT);
        let mut above = Vec::new();
        let mut below = Vec::new();
        for day in first.series(1.day()).take(DAYS as usize) {
            let spent = if day <= last {
                spent_by(day)
            } else {
                Usd::ZERO
            };
            let height = spent.scale(top, HEIGHT).max(i64::from(spent > Usd::ZERO));
            above.push((height - budget).max(0));
            below.push(height.min(budget));
        }
        let weeks = (0..WEEKS).rev().map(|ago| last.saturating_sub(ago.weeks()));
        let figures = weeks.filter(|day| first <= *day);
        let figures =
            figures.map(|day| format!("{} by {}", spent_by(day).to_dollars(), short_date(day)));
        BurnBars {
            above_budget: BarRow {
                height: HEIGHT - budget,
                bars: above,
            },
            below_budget: BarRow {
                height: budget,
                bars: below,
            },
            figures: format!(
                "Spent in all: {}, of a budget of {}.",
                figures.joined(", "),
                burn.limit.to_dollars()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::clock::Moment;
    use bursar_core::domain::programme::Budget;
    use bursar_core::domain::usage::days::Days;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::tests::programme;

    const FIRST: Date = date(2026, 10, 12);

    /// The bars of a budget of which $30 were spent on each of so many days.
    fn bars(limit: i32, days: i64) -> BurnBars {
        let mut spent = Days::default();
        for day in FIRST.series(1.day()).take(days as usize) {
            spent.add(&Days::on_one(day, Usd::from_dollars(30)));
        }
        bars_of(limit, &spent, FIRST.saturating_add(days.days()))
    }

    fn bars_of(limit: i32, spent: &Days, looked: Date) -> BurnBars {
        let programme = programme();
        let budget = Budget::new(programme.id.clone(), Usd::from_dollars(limit));
        let now: Moment = looked.to_zoned(TimeZone::UTC).unwrap().timestamp().into();
        BurnBars::new(&Burn::new(
            &programme,
            &budget,
            spent,
            false,
            Some(now),
            now,
        ))
    }

    #[test]
    fn budget_is_the_top_and_days_to_come_are_empty() {
        let BurnBars {
            above_budget,
            below_budget,
            figures,
        } = bars(1_200, 20);
        assert_eq!((above_budget.height, below_budget.height), (0, HEIGHT));
        // Nothing was spent on the day of the check.
        let grown: Vec<i64> = (1..=20).chain([20]).map(|days| days * 3).collect();
        assert_eq!(below_budget.bars[..21], grown);
        assert_eq!(below_budget.bars[21..], [0; 35]);
        insta::assert_snapshot!(figures, @"Spent in all: $210 by 18 Oct, $420 by 25 Oct, $600 by 1 Nov, of a budget of $1,200.");
    }

    #[test]
    fn long_term_shows_its_last_days() {
        let BurnBars {
            below_budget,
            figures,
            ..
        } = bars(12_000, 100);
        assert_eq!(
            (
                below_budget.bars.len(),
                below_budget.bars[0],
                below_budget.bars[55]
            ),
            (56, 13, 30)
        );
        insta::assert_snapshot!(figures, @"Spent in all: $2,400 by 30 Dec, $2,610 by 6 Jan, $2,820 by 13 Jan, $3,000 by 20 Jan, of a budget of $12,000.");
    }

    #[test]
    fn spending_beyond_the_budget_stands_above_its_line() {
        let BurnBars {
            above_budget,
            below_budget,
            ..
        } = bars(450, 20);
        assert_eq!((above_budget.height, below_budget.height), (30, 90));
        assert_eq!((above_budget.bars[14], below_budget.bars[14]), (0, 90));
        assert_eq!((above_budget.bars[15], below_budget.bars[15]), (6, 90));
        let lowered = bars(1, 20);
        assert_eq!(
            (lowered.above_budget.bars[19], lowered.below_budget.height),
            (HEIGHT, 0)
        );
    }

    #[test]
    fn nothing_spent_no_budget_and_strange_dates_are_drawn_too() {
        let nothing = Days::default();
        for (limit, looked) in [
            (0, FIRST),
            (4_000, FIRST),
            (4_000, date(2026, 1, 1)),
            (0, date(2030, 1, 1)),
        ] {
            let bars = bars_of(limit, &nothing, looked);
            assert_eq!(
                [bars.above_budget, bars.below_budget].map(|row| row.bars),
                [[0; 56]; 2],
                "{limit} {looked}"
            );
        }
        let little = bars_of(4_000, &Days::on_one(FIRST, Usd::CENT), FIRST);
        assert_eq!(little.below_budget.bars[0], 1);
    }
}
