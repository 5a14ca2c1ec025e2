//! The forecast of a programme, and its spending over time as an inline SVG and a table. What is drawn is decided where mails have it
//! from; it informs people and triggers nothing.

use bursar_core::domain::usage::burn::{Burn, BurnScene};
use bursar_core::domain::usage::forecast::Forecast;
use bursar_core::store::ProgrammeUse;

use crate::prelude::*;
use crate::spending::drawing::Drawing;
use crate::spending::spans::estimated;

pub(crate) struct Outlook {
    /// The forecast, unless the programme is over.
    pub(crate) forecast: Option<Forecast>,
    pub(crate) sentence: Option<String>,
    /// Whether the money may run out before the term ends.
    pub(crate) is_short: bool,
    pub(crate) scene: BurnScene,
    /// The picture for those who do not see it.
    pub(crate) words: String,
}

impl Outlook {
    pub(crate) fn of(
        programme: &Programme,
        budget: &Budget,
        used: &ProgrammeUse,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Outlook {
        let settings = &programme.settings;
        let spent = used.used().days(settings.basis.byok);
        let burn = Burn::of(programme, budget, &spent, used.owns_keys(), listed_at, now);
        let (scene, words, forecast) = (burn.scene(), burn.words(), burn.forecast);
        let sentence = forecast.map(|forecast| forecast.in_words(&settings.term));
        Outlook { forecast, sentence, is_short: scene.is_short, scene, words }
    }
}

/// What was spent over time: drawn, and day by day.
pub(crate) struct Chart {
    pub(crate) drawing: Drawing,
    /// The days, newest first: what was spent on each and by its end, and whether the former is known and not only the sum of several.
    pub(crate) rows: Vec<(Date, Usd, Usd, bool)>,
    /// What has to be known of those of which only the sum is known.
    pub(crate) estimated: Option<String>,
}

impl Chart {
    /// The chart, unless nothing was used yet.
    pub(crate) fn of(spent: &Days, outlook: &Outlook) -> Option<Chart> {
        let mut in_all = spent.opening();
        let each = spent.each().map(|(day, on_day, exact)| {
            in_all += on_day;
            (day, on_day, in_all, exact)
        });
        let rows: Vec<(Date, Usd, Usd, bool)> = each.collect();
        (!rows.is_empty()).then(|| Chart {
            drawing: Drawing::of(&outlook.scene, outlook.words.clone(), "spent"),
            rows: rows.into_iter().rev().collect(),
            estimated: estimated(&spent.estimated().collect::<Vec<_>>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::values::term::Term;
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn the_budget_is_the_scale_and_the_pace_leads_on() {
        let day = |number: i32| Date::constant(2026, 11, 2).saturating_add(number.days());
        let mut used = DailyUse::default();
        (0..14).for_each(|number| used.credits.add(&Days::on_one(day(number), Usd::from_dollars(5))));
        let term = Term::new(day(0), day(69), "UTC").unwrap();
        let programme = Programme::new("cs".parse().unwrap(), Settings::new("CS", term, Usd::from_dollars(20)));
        let now: Moment = day(14).to_zoned(TimeZone::UTC).unwrap().timestamp().into();
        let used = ProgrammeUse { own: None, assigned: used, assigned_keys: 1, assigned_as_of: Some(now) };
        let outlook = |dollars| {
            let budget = Budget::new(programme.id.clone(), Usd::from_dollars(dollars));
            Outlook::of(&programme, &budget, &used, Some(now), now)
        };
        let spent = used.used().days(programme.settings.basis.byok);
        let far = outlook(800);
        assert!(Chart::of(&Days::default(), &far).is_none() && !far.is_short);
        let far = Chart::of(&spent, &far).unwrap().drawing;
        assert_eq!((far.today, far.budget_at), ((202, 923), 112));
        let labels = [(112, "Budget $800"), (289, "80% · $640"), (556, "50% · $400")];
        assert_eq!(far.levels, labels.map(|(y, label)| (y, label.to_owned())), "95% would lie on the budget's label");
        assert_eq!(far.ahead, Some((1000, 617, "about $345 at the end".to_owned())));
        let near = outlook(100);
        assert!(near.is_short);
        assert_eq!(Chart::of(&spent, &near).unwrap().drawing.ahead, Some((275, 112, "used up 21 Nov".to_owned())));
    }
}
