//! The burn of a budget, as mails and pages draw it, and its numbers in words: spending, forecast, budget, thresholds and the end of
//! the term. This file decides what is drawn.

use crate::domain::prelude::*;
use crate::domain::programme::Budget;
use crate::domain::usage::crossing::per_cent;
use crate::domain::usage::forecast::{Forecast, RunsOut, SpendingLimits};
use crate::domain::values::format::{long_date, short_date};
use crate::domain::values::term::Term;

/// A budget with its spending.
pub struct Burn<'a> {
    pub spent: &'a Days,
    pub limit: Usd,
    pub thresholds: &'a [u8],
    pub term: &'a Term,
    /// The last day on which a sync listed the keys.
    pub looked: Date,
    /// None after the end.
    pub forecast: Option<Forecast>,
}

/// The content of the drawing: days counted from the first, and amounts.
pub struct BurnScene {
    pub days: i32,
    pub term_ends: i32,
    /// The cumulative spending at the end of each of these days; the last is today.
    pub line: Vec<(i32, Usd)>,
    /// The point to which the present pace leads.
    pub ahead: Option<(i32, Usd)>,
    /// Whether that is too soon.
    pub is_short: bool,
    pub limit: Usd,
    pub thresholds: Vec<(u8, Usd)>,
    pub top: Usd,
    pub words: BurnLabels,
}

pub struct BurnLabels {
    pub spent: String,
    pub budget: String,
    pub ahead: Option<String>,
    pub first: String,
    pub today: String,
    pub last: String,
}

impl<'a> Burn<'a> {
    /// What a programme's keys `spent`, as a listing of all of them found it, and where that leads.
    pub fn of(
        programme: &'a Programme,
        budget: &Budget,
        spent: &'a Days,
        owns_keys: bool,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Burn<'a> {
        let settings = &programme.settings;
        let (term, limits) = (&settings.term, SpendingLimits::of(budget, settings.basis.reset, owns_keys, spent));
        Burn {
            spent,
            limit: budget.limit,
            thresholds: &settings.mails.thresholds,
            term,
            looked: utc_date(listed_at.unwrap_or(now)),
            forecast: (!programme.is_over(now)).then(|| Forecast::of(spent, limits, term, listed_at, now)),
        }
    }
}

impl Burn<'_> {
    fn first(&self) -> Date {
        let spent = self.spent.evenly();
        spent.keys().next().map_or(self.term.starts_on(), |first| self.term.starts_on().min(*first))
    }

    pub fn scene(&self) -> BurnScene {
        let first = self.first();
        let total = self.spent.total();
        let last = self.term.ends_on().max(self.looked);
        let number = |day: Date| first.until(day).map_or(0, |span| span.get_days());
        let mut in_all = self.spent.opening();
        let mut line = vec![(0, in_all)];
        for (day, spent) in self.spent.evenly() {
            if line.last().is_some_and(|(before, _)| *before < number(day) - 1) {
                line.push((number(day) - 1, in_all));
            }
            in_all += spent;
            line.push((number(day), in_all));
        }
        line.push((number(self.looked), total));
        let ahead = self.forecast.and_then(|forecast| {
            let most = forecast.limits.keys_stop_at.unwrap_or(self.limit);
            match (forecast.runs_out, forecast.pace) {
                (RunsOut::OutOn(day), _) => Some((number(day), self.limit, format!("used up {}", short_date(day)))),
                (RunsOut::KeysStopOn(day), _) => Some((number(day), most, format!("keys stop {}", short_date(day)))),
                (RunsOut::NotBeforeTheTermEnds, Some(pace)) if self.looked < last => {
                    let days = u32::try_from(number(last) - number(self.looked)).unwrap_or(0);
                    let amount = (total + pace.in_days(days)).min(most);
                    Some((
                        number(last),
                        amount,
                        format!("about {} at the end", amount.to_the(Usd::DOLLAR).to_dollars()),
                    ))
                }
                _ => None,
            }
        });
        let share = |threshold: u8| self.limit.micros() / 100 * i64::from(threshold);
        let top = self.limit.max(total).max(Usd::CENT);
        BurnScene {
            days: number(last).max(1),
            term_ends: number(self.term.ends_on()),
            line,
            ahead: ahead.as_ref().map(|(day, amount, _)| (*day, *amount)),
            is_short: self.forecast.is_some_and(|forecast| forecast.is_short()),
            limit: self.limit,
            thresholds: self.thresholds.iter().map(|one| (*one, Usd::from_micros(share(*one)))).collect(),
            top,
            words: BurnLabels {
                spent: format!("{} spent", total.to_dollars()),
                budget: format!("Budget {}", self.limit.to_dollars()),
                ahead: ahead.as_ref().map(|(_, _, words)| words.clone()),
                first: short_date(first),
                today: short_date(self.looked),
                last: if last == self.term.ends_on() {
                    format!("term ends {}", short_date(last))
                } else {
                    short_date(last)
                },
            },
        }
    }

    /// The picture for those who do not see it. The forecast and the end of the term are told beside it.
    pub fn words(&self) -> String {
        let (spent, limit) = (self.spent.total(), self.limit);
        let share = if spent > limit { "which is more".to_owned() } else { format!("{}%", per_cent(spent, limit)) };
        format!(
            "A line from {} to {}: {} spent of the budget of {}, {share}.",
            long_date(self.first()),
            long_date(self.looked),
            spent.to_dollars(),
            limit.to_dollars()
        )
    }
}
