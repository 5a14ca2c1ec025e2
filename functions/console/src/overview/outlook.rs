//! The forecast of a programme, and its spending over time as an inline SVG and a table. What is drawn is decided where mails have it
//! from; it informs people and triggers nothing.

use bursar_core::domain::usage::burn::{Burn, BurnScene};
use bursar_core::domain::usage::forecast::Forecast;
use bursar_core::store::ProgrammeUse;

use crate::prelude::*;
use crate::spending::bar::scaled;
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

/// The width and the height of the drawing in its own units, a tenth of a per cent each.
const SIZE: i64 = 1000;
/// The least distance of two labels at the lines of amounts.
const APART: i64 = 80;

pub(crate) struct Chart {
    /// The points of what was spent, and of the same closed to an area at the ground.
    pub(crate) line: String,
    pub(crate) area: String,
    pub(crate) today: (i64, i64),
    pub(crate) term_ends: i64,
    pub(crate) budget_at: i64,
    pub(crate) thresholds: Vec<i64>,
    /// The labels of amounts, each above its line.
    pub(crate) levels: Vec<(i64, String)>,
    /// Where the present pace leads, in words.
    pub(crate) ahead: Option<(i64, i64, String)>,
    /// The days, newest first: what was spent on each and by its end, and whether the former is known and not only the sum of several.
    pub(crate) rows: Vec<(Date, Usd, Usd, bool)>,
    /// What has to be known of those of which only the sum is known.
    pub(crate) estimated: Option<String>,
}

impl Chart {
    /// The chart, unless nothing was used yet.
    pub(crate) fn of(spent: &Days, scene: &BurnScene) -> Option<Chart> {
        let mut in_all = spent.opening();
        let each = spent.each().map(|(day, on_day, exact)| {
            in_all += on_day;
            (day, on_day, in_all, exact)
        });
        let rows: Vec<(Date, Usd, Usd, bool)> = each.collect();
        if rows.is_empty() {
            return None;
        }
        // Room above the highest line for its label.
        let highest = scene.top + Usd::from_micros(scene.top.micros() / 8);
        let x = |day: i32| i64::from(day) * SIZE / i64::from(scene.days);
        let y = |amount: Usd| SIZE - scaled(amount, highest, SIZE);
        let points: Vec<String> = scene.line.iter().map(|(day, usd)| format!("{},{}", x(*day), y(*usd))).collect();
        let line = points.join(" ");
        let (day, spent_by_now) = scene.line.last().copied().unwrap_or_default();
        let today = (x(day), y(spent_by_now));
        let mut shown: Vec<(u8, Usd)> = scene.thresholds.clone();
        shown.retain(|(_, amount)| *amount <= scene.top && *amount != scene.limit);
        shown.sort_unstable_by_key(|(_, amount)| std::cmp::Reverse(*amount));
        let mut levels = vec![(y(scene.limit), scene.words.budget.clone())];
        for (threshold, amount) in &shown {
            let height = y(*amount);
            if levels.iter().all(|(other, _)| (other - height).abs() >= APART) {
                levels.push((height, format!("{threshold}% · {}", amount.to_dollars_down())));
            }
        }
        let ahead = scene.ahead.zip(scene.words.ahead.clone());
        Some(Chart {
            area: format!("0,{SIZE} {line} {},{SIZE}", today.0),
            line,
            today,
            term_ends: x(scene.term_ends),
            budget_at: y(scene.limit),
            // A line that nothing names says nothing.
            thresholds: levels.iter().skip(1).map(|(height, _)| *height).collect(),
            levels,
            ahead: ahead.map(|((day, amount), words)| (x(day), y(amount), words)),
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
        assert!(Chart::of(&Days::default(), &far.scene).is_none() && !far.is_short);
        let far = Chart::of(&spent, &far.scene).unwrap();
        assert_eq!((far.today, far.budget_at), ((202, 923), 112));
        let labels = [(112, "Budget $800"), (289, "80% · $640"), (556, "50% · $400")];
        assert_eq!(far.levels, labels.map(|(y, label)| (y, label.to_owned())), "95% would lie on the budget's label");
        assert_eq!(far.ahead, Some((1000, 617, "about $345 at the end".to_owned())));
        let near = outlook(100);
        assert!(near.is_short);
        assert_eq!(Chart::of(&spent, &near.scene).unwrap().ahead, Some((275, 112, "used up 21 Nov".to_owned())));
    }
}
