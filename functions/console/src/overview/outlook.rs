//! The spending of a programme over time as an inline SVG and a table, and its forecast. The domain computes them; they inform people
//! and trigger nothing.

use bursar_core::domain::usage::forecast::{Forecast, SpendingLimits};

use crate::prelude::*;

pub(crate) struct Outlook {
    pub(crate) sentence: String,
    /// Whether the money may run out before the term ends.
    pub(crate) is_short: bool,
}

impl Outlook {
    pub(crate) fn of(
        programme: &Programme,
        budget: &Budget,
        owns_keys: bool,
        spent: &Days,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Option<Outlook> {
        if programme.is_over(now) {
            return None;
        }
        let settings = &programme.settings;
        let limits = SpendingLimits::of(budget, owns_keys, spent);
        let forecast = Forecast::of(spent, limits, &settings.term, listed_at, now);
        Some(Outlook { sentence: forecast.in_words(), is_short: forecast.is_short() })
    }
}

const WIDTH: i64 = 640;
const HEIGHT: i64 = 200;

pub(crate) struct Chart {
    pub(crate) line: String,
    /// The line closed to an area at the ground.
    pub(crate) area: String,
    /// The height of the budget's line, if it is inside the box.
    pub(crate) budget_at: Option<i64>,
    pub(crate) top: String,
    pub(crate) first: Date,
    pub(crate) last: Date,
    /// The days, newest first: what was spent on each and by its end, and whether the former is known and not only the sum of several.
    pub(crate) rows: Vec<(Date, Usd, Usd, bool)>,
}

impl Chart {
    /// The chart, unless nothing was used yet.
    pub(crate) fn of(spent: &Days, budget: Usd) -> Option<Chart> {
        let mut in_all = spent.opening();
        let each = spent.each().map(|(day, on_day, exact)| {
            in_all += on_day;
            (day, on_day, in_all, exact)
        });
        let each: Vec<(Date, Usd, Usd, bool)> = each.collect();
        let ((first, ..), (last, _, most, _)) = (*each.first()?, *each.last()?);
        let most = most.max(Usd::CENT);
        // The budget's line is drawn once a quarter of the budget is spent; before that it would flatten the
        // curve.
        let shows_budget = budget > Usd::ZERO && most.micros() >= budget.micros() / 4;
        let top = if shows_budget { most.max(budget) } else { most };
        let length = i64::from(days(first, last)).max(1);
        let x = |day: Date| i64::from(days(first, day)) * WIDTH / length;
        let y = |spent: Usd| HEIGHT - scaled(spent, top);
        // A single day has no slope, so its line runs across the box.
        let mut points: Vec<(i64, i64)> = each.iter().map(|(day, _, in_all, _)| (x(*day), y(*in_all))).collect();
        if let [(_, y)] = points[..] {
            points.push((WIDTH, y));
        }
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let line = line.join(" ");
        Some(Chart {
            area: format!("0,{HEIGHT} {line} {WIDTH},{HEIGHT}"),
            line,
            budget_at: shows_budget.then(|| y(budget)),
            top: top.to_cents_up(),
            first,
            last,
            rows: each.into_iter().rev().collect(),
        })
    }
}

fn days(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

fn scaled(amount: Usd, top: Usd) -> i64 {
    let height = i128::from(amount.micros().max(0)) * i128::from(HEIGHT) / i128::from(top.micros().max(1));
    i64::try_from(height).unwrap_or(HEIGHT).min(HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(days: &[(&str, i32)]) -> Days {
        let mut spent = Days::default();
        for (day, dollars) in days {
            spent.add(&Days::on_one(day.parse().unwrap(), Usd::from_dollars(*dollars)));
        }
        spent
    }

    #[test]
    fn the_line_goes_from_the_first_day_to_the_last_and_the_budget_is_drawn_when_it_is_near() {
        assert!(Chart::of(&Days::default(), Usd::CENT).is_none());
        let one = Chart::of(&spent(&[("2026-01-01", 5)]), Usd::from_dollars(5)).unwrap();
        assert_eq!(one.line, "0,0 640,0", "one day is a level line");
        let spent = spent(&[("2026-01-01", 5), ("2026-01-02", 20), ("2026-01-05", 25)]);
        let far = Chart::of(&spent, Usd::from_dollars(1_000)).unwrap();
        assert_eq!((far.line.as_str(), far.budget_at), ("0,180 160,100 320,100 480,100 640,0", None));
        let near = Chart::of(&spent, Usd::from_dollars(100)).unwrap();
        assert_eq!((near.line.as_str(), near.budget_at), ("0,190 160,150 320,150 480,150 640,100", Some(0)));
        assert_eq!((near.rows[0].1, near.rows[0].2), (Usd::from_dollars(25), Usd::from_dollars(50)));
    }
}
