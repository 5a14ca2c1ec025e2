//! People of a class who used far more in the last week than they and the class usually do. The cause may be
//! a program that was left running, or a stolen key. The numbers are shown to people, who judge; no rule acts
//! on them.

use super::WEEKS;
use crate::prelude::*;

/// The multiple of the usual use that counts as far above it.
const FAR: u32 = 4;
/// The use of a week below which nobody stands out, however little is usual.
const SMALL: Usd = Usd::from_dollars(1);

/// The use in each of the last weeks of completed days, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weeks([Usd; WEEKS]);

impl Weeks {
    /// The weeks before `looked`, the last day on which every key was listed.
    pub fn of(spent: &Days, looked: Date) -> Weeks {
        let days = spent.evenly();
        Weeks(std::array::from_fn(|week| {
            let back = |ago: usize| i64::try_from(ago).ok().and_then(|ago| looked.checked_sub(ago.days()).ok());
            let (Some(from), Some(until)) = (back(week * 7 + 7), back(week * 7)) else { return Usd::ZERO };
            days.range(from..until).map(|(_, spent)| *spent).sum()
        }))
    }

    /// The use of the last week, if it is far above what is usual in the class and in the person's own
    /// earlier weeks, if any.
    pub fn stands_out(self, usual_week: Usd) -> Option<Usd> {
        let Weeks([last, earlier @ ..]) = self;
        let own_usual = median(earlier.into_iter());
        let is_far = last >= SMALL && last > usual_week.times(FAR) && last > own_usual.times(FAR);
        is_far.then_some(last)
    }

    /// Whether all the weeks are empty, so that they do not count for the class.
    pub fn are_idle(self) -> bool {
        self.0.iter().all(|used| *used == Usd::ZERO)
    }
}

/// The usual use of a week in a class: the median of everybody's last four weeks, without empty ones. The few
/// who use much do not raise it.
pub fn usual_week<'a>(class: impl IntoIterator<Item = &'a Weeks>) -> Usd {
    median(class.into_iter().flat_map(|weeks| weeks.0))
}

/// The median of the weeks in which anything was used; zero if there are none.
fn median(weeks: impl Iterator<Item = Usd>) -> Usd {
    let mut used: Vec<i64> = weeks.map(Usd::micros).filter(|used| *used > 0).collect();
    used.sort_unstable();
    let (below, above) = (used.get(used.len().saturating_sub(1) / 2), used.get(used.len() / 2));
    below.zip(above).map_or(Usd::ZERO, |(below, above)| Usd::from_micros(below + (above - below) / 2))
}
