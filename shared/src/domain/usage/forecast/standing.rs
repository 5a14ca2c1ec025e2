//! Who of a class used far more in the last week than they and the class usually do: a program that was left running, or a key in
//! other hands. It is said to people, who judge; nothing is done about it.

use jiff::ToSpan;
use jiff::civil::Date;

use super::WEEKS;
use crate::domain::usage::days::Days;
use crate::domain::values::money::Usd;

/// So many times what is usual is far above it.
const FAR: u32 = 4;
/// A week of less than this concerns nobody, however little is usual.
const SMALL: Usd = Usd::from_dollars(1);

/// What somebody used in each of the last weeks of completed days, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weeks([Usd; WEEKS]);

impl Weeks {
    /// `looked` is the last day on which every key was looked at.
    pub fn of(spent: &Days, looked: Date) -> Weeks {
        let days = spent.evenly();
        Weeks(std::array::from_fn(|week| {
            let back = |ago: usize| i64::try_from(ago).ok().and_then(|ago| looked.checked_sub(ago.days()).ok());
            let (Some(from), Some(until)) = (back(week * 7 + 7), back(week * 7)) else { return Usd::ZERO };
            days.range(from..until).map(|(_, spent)| *spent).sum()
        }))
    }

    /// What was used in the last week, if that is far above what is usual in the class and, where earlier weeks tell, with them.
    pub fn stands_out(self, usual_week: Usd) -> Option<Usd> {
        let Weeks([last, earlier @ ..]) = self;
        let own_usual = median(earlier.into_iter());
        let is_far = last >= SMALL && last > usual_week.times(FAR) && last > own_usual.times(FAR);
        is_far.then_some(last)
    }

    /// Whether there is any week in which something was used: the others change nothing for the class.
    pub fn are_idle(self) -> bool {
        self.0.iter().all(|used| *used == Usd::ZERO)
    }
}

/// What somebody of a class uses in a week in which they use anything: the median of the last four weeks of all of them, so that the
/// few who use much do not make it usual.
pub fn usual_week<'a>(class: impl IntoIterator<Item = &'a Weeks>) -> Usd {
    median(class.into_iter().flat_map(|weeks| weeks.0))
}

/// Of the weeks in which anything was used; nothing, if there are none.
fn median(weeks: impl Iterator<Item = Usd>) -> Usd {
    let mut used: Vec<i64> = weeks.map(Usd::micros).filter(|used| *used > 0).collect();
    used.sort_unstable();
    let (below, above) = (used.get(used.len().saturating_sub(1) / 2), used.get(used.len() / 2));
    below.zip(above).map_or(Usd::ZERO, |(below, above)| Usd::from_micros(below + (above - below) / 2))
}
