//! A programme's spending over time as an inline SVG and a table. What is drawn is decided where
//! mails have it from.

use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::money::Usd;
use jiff::civil::Date;

use crate::money::spending::drawing::Drawing;
use crate::money::spending::spans::estimated;

/// What was spent over time: drawn, and day by day.
pub(crate) struct Chart {
    pub(crate) drawing: Drawing,
    /// The days, newest first: what was spent on each and by its end, and whether the former is
    /// known and not only the sum of several.
    pub(crate) rows: Vec<(Date, Usd, Usd, bool)>,
    /// What has to be known of those of which only the sum is known.
    pub(crate) estimated: Option<String>,
}

impl Chart {
    /// The chart, unless nothing was used yet.
    pub(crate) fn from_burn(burn: &Burn<'_>) -> Option<Chart> {
        let mut in_all = burn.spent.opening();
        let rows = burn.spent.each().map(|(day, on_day, exact)| {
            in_all += on_day;
            (day, on_day, in_all, exact)
        });
        let rows: Vec<(Date, Usd, Usd, bool)> = rows.collect();
        (!rows.is_empty()).then(|| Chart {
            drawing: Drawing::new(burn.scene(), burn.words(), "spent"),
            rows: rows.into_iter().rev().collect(),
            estimated: estimated(&burn.spent.estimated().collect::<Vec<_>>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::clock::Moment;
    use bursar_core::domain::programme::{Budget, Programme, Settings};
    use bursar_core::domain::usage::days::Days;
    use jiff::tz::TimeZone;

    use bursar_core::domain::values::term::Term;
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn the_budget_is_the_scale_and_the_pace_leads_on() {
        let day = |number: i32| Date::constant(2026, 11, 2).saturating_add(number.days());
        let mut spent = Days::default();
        (0..14).for_each(|number| spent.add(&Days::on_one(day(number), Usd::from_dollars(5))));
        let term = Term::new(day(0), day(69), "UTC").unwrap();
        let programme = Programme::new(
            "cs".parse().unwrap(),
            Settings::new("CS", term, Usd::from_dollars(20)),
        );
        let now: Moment = day(14).to_zoned(TimeZone::UTC).unwrap().timestamp().into();
        let chart = |spent: &Days, dollars| {
            let budget = Budget::new(programme.id.clone(), Usd::from_dollars(dollars));
            Chart::from_burn(&Burn::new(&programme, &budget, spent, true, Some(now), now))
                .map(|chart| chart.drawing)
        };
        assert!(chart(&Days::default(), 800).is_none());
        let far = chart(&spent, 800).unwrap();
        assert_eq!(
            (far.today, far.budget),
            ((202, 923), (112, "Budget $800".to_owned()))
        );
        let labels = [(289, "80% · $640"), (556, "50% · $400")];
        assert_eq!(
            far.thresholds,
            labels.map(|(y, label)| (y, label.to_owned())),
            "95% would lie on the budget's label"
        );
        assert_eq!(
            far.ahead,
            Some((1000, 617, "about $345 at the end".to_owned()))
        );
        let near = chart(&spent, 100).unwrap();
        assert_eq!((far.is_short, near.is_short), (false, true));
        assert_eq!(near.ahead, Some((275, 112, "used up 21 Nov".to_owned())));
    }
}
