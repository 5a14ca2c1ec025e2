//! The burn of a budget, and what a page draws of it: spending, forecast, budget, thresholds and
//! the end of the term.

use jiff::civil::Date;

use crate::clock::Moment;
use crate::domain::programme::{Budget, Programme};
use crate::domain::usage::crossing::per_cent;
use crate::domain::usage::days::Days;
use crate::domain::usage::forecast::{Forecast, RunsOut, SpendingLimits};
use crate::domain::values::format::{long_date, short_date};
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;
use crate::domain::values::window::{days_between, utc_date};

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

/// How many labels fit above each other.
const APART: u32 = 10;

/// The content of the drawing: days counted from the first, and amounts.
pub struct BurnScene {
    pub days: i32,
    pub term_ends: i32,
    /// The cumulative spending at the end of each of these days; the last is today.
    pub line: Vec<(i32, Usd)>,
    /// The point to which the present pace leads, in words as well.
    pub ahead: Option<(i32, Usd, String)>,
    /// Whether that is too soon.
    pub is_short: bool,
    pub limit: Usd,
    /// The thresholds that are drawn, the highest first: those with room for a label between the
    /// budget's and each other's.
    pub levels: Vec<(u8, Usd)>,
    pub top: Usd,
    pub budget: String,
    pub first: String,
    pub today: String,
    pub last: String,
}

impl<'a> Burn<'a> {
    /// What a programme's keys `spent`, as a listing of all of them found it, and where that leads.
    pub fn new(
        programme: &'a Programme,
        budget: &Budget,
        spent: &'a Days,
        owns_keys: bool,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Burn<'a> {
        let settings = &programme.settings;
        let term = &settings.term;
        let limits = SpendingLimits::new(budget, settings, owns_keys, spent, now);
        Burn {
            spent,
            limit: budget.limit,
            thresholds: &settings.mails.thresholds,
            term,
            looked: utc_date(listed_at.unwrap_or(now)),
            forecast: (!programme.is_over(now))
                .then(|| Forecast::new(spent, limits, term, listed_at, now)),
        }
    }
}

impl Burn<'_> {
    /// The first day of the term, or of spending if that is earlier.
    pub fn first_day(&self) -> Date {
        let spent = self.spent.evenly();
        spent.keys().next().map_or(self.term.starts_on(), |first| {
            self.term.starts_on().min(*first)
        })
    }

    pub fn scene(&self) -> BurnScene {
        let first = self.first_day();
        let total = self.spent.total();
        let last = self.term.ends_on().max(self.looked);
        let number = |day: Date| days_between(first, day);
        let mut in_all = self.spent.opening();
        let mut line = vec![(0, in_all)];
        for (day, spent) in self.spent.evenly() {
            if line
                .last()
                .is_some_and(|(before, _)| *before < number(day) - 1)
            {
                line.push((number(day) - 1, in_all));
            }
            in_all += spent;
            line.push((number(day), in_all));
        }
        line.push((number(self.looked), total));
        let ahead = self.forecast.and_then(|forecast| {
            let most = forecast.limits.keys_stop_at.unwrap_or(self.limit);
            match (forecast.runs_out, forecast.pace) {
                (RunsOut::OutOn(day), _) => Some((
                    number(day),
                    self.limit,
                    format!("used up {}", short_date(day)),
                )),
                (RunsOut::KeysStopOn(day), _) => {
                    Some((number(day), most, format!("keys stop {}", short_date(day))))
                }
                (RunsOut::NotBeforeTheTermEnds, Some(pace)) if self.looked < last => {
                    let days = (number(last) - number(self.looked)) as u32;
                    let amount = (total + pace.days_to_duration(days)).min(most);
                    Some((
                        number(last),
                        amount,
                        format!(
                            "about {} at the end",
                            amount.to_the(Usd::DOLLAR).to_dollars()
                        ),
                    ))
                }
                _ => None,
            }
        });
        let top = self.limit.max(total).max(Usd::CENT);
        BurnScene {
            days: number(last).max(1),
            term_ends: number(self.term.ends_on()),
            line,
            ahead,
            is_short: self.forecast.is_some_and(|forecast| forecast.is_short()),
            limit: self.limit,
            levels: self.levels(top),
            top,
            budget: format!("Budget {}", self.limit.to_dollars()),
            first: short_date(first),
            today: short_date(self.looked),
            last: if last == self.term.ends_on() {
                format!("term ends {}", short_date(last))
            } else {
                short_date(last)
            },
        }
    }

    fn levels(&self, top: Usd) -> Vec<(u8, Usd)> {
        let mut levels: Vec<(u8, Usd)> = Vec::new();
        for threshold in self.thresholds.iter().rev() {
            let amount = Usd::from_micros(self.limit.micros() / 100 * i64::from(*threshold));
            let mut labels = levels
                .iter()
                .map(|(_, labelled)| *labelled)
                .chain([self.limit]);
            if labels.all(|labelled| (labelled - amount).times(APART) >= top) {
                levels.push((*threshold, amount));
            }
        }
        levels
    }

    /// The picture for those who do not see it. The forecast and the end of the term are told
    /// beside it.
    pub fn words(&self) -> String {
        let spent = self.spent.total();
        let limit = self.limit;
        let share = if spent > limit {
            "which is more".to_owned()
        } else {
            format!("{}%", per_cent(spent, limit))
        };
        format!(
            "A line from {} to {}: {} spent of the budget of {}, {share}.",
            long_date(self.first_day()),
            long_date(self.looked),
            spent.to_dollars(),
            limit.to_dollars()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::a_programme;

    /// A threshold is drawn only where its label has room, however large the budget.
    #[test]
    fn threshold_labels_have_room() {
        let programme = a_programme();
        let levels = |limit: Usd, spent: Usd| {
            let budget = Budget::new(programme.id.clone(), limit);
            let spent = Days::on_one(Date::MIN, spent);
            Burn::new(&programme, &budget, &spent, false, None, Moment::UNIX_EPOCH)
                .levels(limit.max(spent.total()).max(Usd::CENT))
        };
        let some = |amounts: [i64; 2]| {
            [80, 50]
                .into_iter()
                .zip(amounts.map(Usd::from_micros))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            levels(Usd::MAX, Usd::ZERO),
            some([800_000_000_000_000_000, 500_000_000_000_000_000])
        );
        assert_eq!(
            levels(Usd::CENT, Usd::ZERO),
            some([8_000, 5_000]),
            "95% would lie on the budget's label"
        );
        assert_eq!(levels(Usd::CENT, Usd::DOLLAR), []);
        assert_eq!(levels(Usd::ZERO, Usd::ZERO), []);
    }
}
