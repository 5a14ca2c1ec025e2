//! What a programme showed, for those who decide about the next one: how many used it, and what a
//! student and a week of use cost. And what a day of work costs now, for those who have a key.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::usage::days::Days;
use crate::domain::values::money::Usd;
use crate::domain::values::window::monday_of;

#[derive(Debug, Default)]
pub struct PilotFigures {
    pub people: u64,
    pub claimed: u64,
    /// How many spent something.
    pub used: u64,
    pub spent: Usd,
    /// The weeks of all people in which they spent something, and what they spent in them. A week
    /// with missed nights is left out: what was spent in them may be of another week.
    pub active_weeks: u64,
    spent_in_weeks: Usd,
}

impl PilotFigures {
    pub fn add(&mut self, has_claimed: bool, used: &Days) {
        self.people += 1;
        self.claimed += u64::from(has_claimed);
        let spent = used.total();
        if spent <= Usd::ZERO {
            return;
        }
        self.spent += spent;
        self.used += 1;
        let mut weeks: BTreeMap<Date, Usd> = BTreeMap::new();
        for (day, spent, _) in used.each().filter(|(_, spent, _)| *spent > Usd::ZERO) {
            *weeks.entry(monday_of(day)).or_default() += spent;
        }
        for (first, last) in used.estimated() {
            weeks.retain(|monday, _| *monday < monday_of(first) || last < *monday);
        }
        self.active_weeks += weeks.len() as u64;
        self.spent_in_weeks += weeks.into_values().sum();
    }

    /// What a week cost in which somebody spent something, rounded up.
    pub fn cost_per_active_week(&self) -> Option<Usd> {
        self.spent_in_weeks.over(self.active_weeks)
    }

    /// What was spent per student of the roster, rounded up; `None` before anybody spent anything.
    pub fn cost_per_student(&self) -> Option<Usd> {
        if self.used == 0 {
            None
        } else {
            self.spent.over(self.people)
        }
    }

    /// What was spent per student who spent something, rounded up.
    pub fn cost_per_user(&self) -> Option<Usd> {
        self.spent.over(self.used)
    }
}

/// The days that a run counts, and the students who must have used something in them: of fewer it
/// would tell what one of them did.
const LATELY: i64 = 28;
const ENOUGH_STUDENTS: u32 = 10;

/// The latest days on which students used something, counted by what each cost, in whole cents.
#[derive(Debug, Default)]
pub struct WorkDays {
    students: u32,
    days: u64,
    by_cost: BTreeMap<Usd, u64>,
}

/// What a day of work cost: one day in ten cost no more than the lower, and nine in ten no more
/// than the higher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WorkDay {
    low: Usd,
    high: Usd,
}

impl WorkDays {
    /// Adds the completed days of a student before `looked`. Those of which only a sum is known are
    /// left out.
    pub fn add(&mut self, used: &Days, looked: Date) {
        let before = self.days;
        let since = looked.saturating_sub(LATELY.days());
        for (day, spent, is_exact) in used.each() {
            if since <= day && day < looked && is_exact && spent > Usd::ZERO {
                *self.by_cost.entry(spent.up_to_the_cent()).or_default() += 1;
                self.days += 1;
            }
        }
        self.students += u32::from(self.days > before);
    }

    pub fn typical(&self) -> Option<WorkDay> {
        if self.students < ENOUGH_STUDENTS {
            return None;
        }
        Some(WorkDay {
            low: self.tenths(1)?,
            high: self.tenths(9)?,
        })
    }

    /// What so many tenths of the days cost at most.
    fn tenths(&self, tenths: u64) -> Option<Usd> {
        let mut remaining = (self.days * tenths).div_ceil(10);
        let mut costs = self.by_cost.iter();
        let reached = costs.find(|(_, days)| {
            remaining = remaining.saturating_sub(**days);
            remaining == 0
        });
        reached.map(|(cost, _)| *cost)
    }
}

impl WorkDay {
    /// `4 to 31 cents`, `$0.40 to $3.10`.
    pub fn to_words(&self) -> String {
        let WorkDay { low, high } = self;
        if low == high {
            format!("about {}", high.to_dollars())
        } else if *high < Usd::DOLLAR {
            let [low, high] = [low, high].map(|cost| cost.micros() / Usd::CENT.micros());
            format!("{low} to {high} cents")
        } else {
            format!("{} to {}", low.to_dollars(), high.to_dollars())
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn on(day: i8, micros: i64) -> Days {
        Days::on_one(date(2026, 11, day), Usd::from_micros(micros))
    }

    /// A week from Monday to Sunday counts once for each person who spent something in it.
    #[test]
    fn a_week_counts_once_per_person() {
        let mut figures = PilotFigures::default();
        let mut ada = on(2, 500_000);
        // The second is a Monday, the eighth a Sunday.
        for (day, micros) in [(8, 250_000), (9, 100_001), (16, 0)] {
            ada.add(&on(day, micros));
        }
        figures.add(true, &ada);
        figures.add(true, &on(8, 150_000));
        figures.add(true, &Days::default());
        figures.add(false, &Days::default());
        assert_eq!(
            (
                figures.people,
                figures.claimed,
                figures.used,
                figures.active_weeks
            ),
            (4, 3, 2, 3)
        );
        assert_eq!(
            figures.cost_per_active_week(),
            Some(Usd::from_micros(333_334))
        );
        // The two who used it spent a dollar and a millionth.
        assert_eq!(figures.cost_per_student(), Some(Usd::from_micros(250_001)));
        assert_eq!(figures.cost_per_user(), Some(Usd::from_micros(500_001)));
        let unused = PilotFigures {
            people: 5,
            ..PilotFigures::default()
        };
        assert_eq!(
            [
                unused.cost_per_active_week(),
                unused.cost_per_student(),
                unused.cost_per_user()
            ],
            [None; 3]
        );
    }

    /// Of 28 completed days, from ten students with use on.
    #[test]
    fn a_day_of_work_has_two_ends() {
        let looked = date(2026, 12, 1);
        let typical = |cents: &[u32]| {
            let mut days = WorkDays::default();
            days.add(&on(2, 50_000_000), looked);
            for cents in cents {
                let mut used = Days::on_one(date(2026, 11, 30), Usd::CENT.times(*cents));
                used.add(&Days::on_one(looked, Usd::DOLLAR));
                days.add(&used, looked);
            }
            days.typical().map(|day| day.to_words()).unwrap_or_default()
        };
        assert_eq!(typical(&[1, 4, 5, 6, 7, 8, 9, 10, 31, 90]), "1 to 31 cents");
        assert_eq!(
            typical(&[4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 250]),
            "4 to 12 cents"
        );
        assert_eq!(
            typical(&[4, 4, 4, 6, 7, 8, 9, 10, 250, 300]),
            "$0.04 to $2.50"
        );
        assert_eq!([typical(&[3; 12]), typical(&[4; 9])], ["about $0.03", ""]);
    }
}
