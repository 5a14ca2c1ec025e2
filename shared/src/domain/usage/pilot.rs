//! What a programme showed, for those who decide about the next one: how many used it, what a week of use cost, and what that
//! means for another number of students.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::domain::usage::days::Days;
use crate::domain::values::money::Usd;
use crate::domain::values::window::monday_of;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PilotFigures {
    pub people: u64,
    pub claimed: u64,
    pub spent: Usd,
    /// The weeks of all people in which they spent something, and what they spent in them. A week with missed nights is left out:
    /// what was spent in them may be of another week.
    pub active_weeks: u64,
    spent_in_weeks: Usd,
    /// What each of those spent who spent anything.
    each_spent: Vec<Usd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// If as many of them use it as did here, and each like the median of these.
    pub low: Usd,
    /// If each of them uses it like nine tenths of these at most did.
    pub high: Usd,
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
        self.each_spent.push(spent);
        let mut weeks: BTreeMap<Date, Usd> = BTreeMap::new();
        for (day, spent, _) in used.each().filter(|(_, spent, _)| *spent > Usd::ZERO) {
            *weeks.entry(monday_of(day)).or_default() += spent;
        }
        for (first, last) in used.estimated() {
            weeks.retain(|monday, _| *monday < monday_of(first) || last < *monday);
        }
        self.active_weeks += u64::try_from(weeks.len()).unwrap_or(u64::MAX);
        self.spent_in_weeks += weeks.into_values().sum();
    }

    pub fn used(&self) -> u64 {
        u64::try_from(self.each_spent.len()).unwrap_or(u64::MAX)
    }

    /// What a week cost in which somebody spent something, rounded up.
    pub fn cost_per_active_week(&self) -> Option<Usd> {
        over(self.spent_in_weeks, self.active_weeks)
    }

    /// The mean of those who spent something, rounded up.
    pub fn mean_spent(&self) -> Option<Usd> {
        over(self.spent, self.used())
    }

    /// The median of those who spent something, rounded up where it lies between two.
    pub fn median_spent(&self) -> Option<Usd> {
        let sorted = self.sorted();
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = if sorted.len().is_multiple_of(2) { *sorted.get(sorted.len() / 2 - 1)? } else { upper };
        Some(Usd::from_micros((lower + upper).micros().saturating_add(1).div_euclid(2)))
    }

    /// What nine tenths of those who spent something spent at most.
    pub fn ninetieth_percentile(&self) -> Option<Usd> {
        let sorted = self.sorted();
        let rank = (sorted.len() * 9).div_ceil(10);
        sorted.get(rank.checked_sub(1)?).copied()
    }

    /// What so many students may cost, rounded up; `None` as long as fewer than a fifth used it, who say too little of the others.
    pub fn projection(&self, students: u32) -> Option<Projection> {
        if self.used() * 5 < self.people {
            return None;
        }
        let median = self.median_spent()?;
        let highest = self.ninetieth_percentile()?;
        let total = i128::from(students) * i128::from(self.used()) * i128::from(median.micros());
        let people = i128::from(self.people.max(1));
        let low = i64::try_from((total + people - 1) / people).unwrap_or(i64::MAX);
        Some(Projection { low: Usd::from_micros(low).min(Usd::MAX), high: highest.times(students) })
    }

    fn sorted(&self) -> Vec<Usd> {
        let mut sorted = self.each_spent.clone();
        sorted.sort_unstable();
        sorted
    }
}

/// The mean, rounded up.
fn over(spent: Usd, count: u64) -> Option<Usd> {
    let micros = u64::try_from(spent.micros()).ok().filter(|_| count > 0)?;
    i64::try_from(micros.div_ceil(count)).ok().map(Usd::from_micros)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn on(day: i8, micros: i64) -> Days {
        Days::on_one(date(2026, 11, day), Usd::from_micros(micros))
    }

    fn figures(spent: &[i64], idle: u64) -> PilotFigures {
        let mut figures = PilotFigures { people: idle, ..PilotFigures::default() };
        spent.iter().for_each(|micros| figures.add(true, &on(2, *micros)));
        figures
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
        assert_eq!((figures.people, figures.claimed, figures.used(), figures.active_weeks), (4, 3, 2, 3));
        assert_eq!(figures.cost_per_active_week(), Some(Usd::from_micros(333_334)));
        assert_eq!(PilotFigures::default().cost_per_active_week(), None);
    }

    /// A projection takes the share that used a key at its median, or everybody at the ninetieth percentile.
    #[test]
    fn projections_have_two_ends() {
        let ten: Vec<i64> = (1..=10).map(|number| number * 1_000_000).collect();
        let figures = figures(&ten, 10);
        assert_eq!(figures.median_spent(), Some(Usd::from_micros(5_500_000)));
        assert_eq!(figures.ninetieth_percentile(), Some(Usd::from_dollars(9)));
        let projection = figures.projection(100).unwrap();
        assert_eq!((projection.low, projection.high), (Usd::from_dollars(275), Usd::from_dollars(900)));
        assert_eq!(PilotFigures::default().projection(100), None);
    }

    #[test]
    fn few_say_nothing_of_the_others() {
        // Five of 201 used it: between $52.51 and $6,029.12, which is no answer.
        let few = [10_000_000, 10_000_000, 10_500_000, 20_000_000, 29_995_622];
        assert_eq!(figures(&few, 196).projection(201), None);
        assert_eq!([20, 21].map(|idle| figures(&few, idle).projection(201).is_some()), [true, false]);
    }
}
