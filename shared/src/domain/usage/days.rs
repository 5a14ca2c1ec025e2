//! Use by UTC day, as far as the provider's answers tell, and sums over ranges of days. It is kept
//! small, since each key has one and every night writes those that changed.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::domain::values::money::Usd;
use crate::domain::values::window::days_between;
use crate::schema::{NotPacked, packed, unpack};

/// The use of each day. The days and the opening always add up to the lifetime's use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
#[must_use]
pub struct Days {
    /// The use before a day, on days that are not known.
    opening: Usd,
    /// That day, where there is an opening.
    known_from: Date,
    /// The first day of `spent`.
    first: Date,
    spent: Vec<Usd>,
    /// Ranges of days, both ends included, of which only the sum is known, not how it is spread
    /// over them.
    estimated: Vec<(Date, Date)>,
}

#[derive(Debug, Clone, Copy)]
pub struct KeyCounters {
    pub lifetime: Usd,
    /// The use on the day of the answer, if the answer has it.
    pub today: Option<Usd>,
    pub day: Date,
    /// The first day of the cap's window, and the use in it if the answer has it; `None` for the
    /// whole term.
    pub window: Option<(Date, Option<Usd>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accuracy {
    Exactly,
    /// Some of the sum may belong to a day beside the span.
    Estimated,
    /// All days but the last, this one, are covered.
    Until(Date),
    /// Some of the days are not covered by any sync yet.
    Partly,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    pub spent: Usd,
    pub accuracy: Accuracy,
}

impl Days {
    pub fn on_one(day: Date, spent: Usd) -> Days {
        Days {
            first: day,
            spent: vec![spent],
            ..Days::default()
        }
    }

    pub fn total(&self) -> Usd {
        self.opening + self.spent.iter().copied().sum()
    }

    /// The use before the first reading.
    pub fn opening(&self) -> Usd {
        self.opening
    }

    /// The use on a day; zero for a day that is not there.
    pub fn on(&self, day: Date) -> Usd {
        self.place(day)
            .and_then(|place| self.spent.get(place))
            .copied()
            .unwrap_or_default()
    }

    /// Every day from the first to the last, with its use and whether that is exact.
    pub fn each(&self) -> impl Iterator<Item = (Date, Usd, bool)> {
        let days = self.spent.iter().zip(self.first.series(1.day()));
        days.map(|(spent, day)| {
            (
                day,
                *spent,
                !self
                    .estimated
                    .iter()
                    .any(|(first, last)| *first <= day && day <= *last),
            )
        })
    }

    /// The ranges of days, both ends included, of which only the sum is known.
    pub fn estimated(&self) -> impl Iterator<Item = (Date, Date)> {
        self.estimated.iter().copied()
    }

    /// The use between two counts of the lifetime's; up to now without the second.
    pub fn part(&self, lower: Usd, upper: Option<Usd>) -> Days {
        let mut part = Days::default();
        let mut lifetime = self.opening;
        for (day, spent, _) in self.each() {
            let before = lifetime.max(lower);
            lifetime += spent;
            let inside = upper.map_or(lifetime, |upper| lifetime.min(upper)) - before;
            part.add_on(day, inside.or_zero());
        }
        // Of a range of which only the sum is known, that sum is on its last day.
        for (first, last) in self.estimated() {
            if part.on(last) > Usd::ZERO {
                part.estimate(first, last);
            }
        }
        part
    }

    /// The use of each day that has any; days of which only the sum is known share it evenly.
    pub fn evenly(&self) -> BTreeMap<Date, Usd> {
        let mut days: BTreeMap<Date, Usd> =
            self.each().map(|(day, spent, _)| (day, spent)).collect();
        for (first, last) in &self.estimated {
            let count = i64::from(days_between(*first, *last)) + 1;
            let sum: Usd = days.range(*first..=*last).map(|(_, spent)| *spent).sum();
            let share = sum.micros().div_euclid(count);
            let over = sum.micros().rem_euclid(count);
            for (number, day) in (0..count).zip(first.series(1.day())) {
                days.insert(day, Usd::from_micros(share + i64::from(number < over)));
            }
        }
        days.retain(|_, spent| *spent != Usd::ZERO);
        days
    }

    /// The days after an answer of the provider. `known_until` is the last day on which the present
    /// days held all use so far; use since then is on the last day that it may be of, and estimated
    /// unless that is the only one. Without it the key has a past that nobody has seen, which
    /// becomes the opening.
    ///
    /// A record stands where the answer says less, and what is on record of a day that is over.
    pub fn with(&self, counted: KeyCounters, known_until: Option<Date>) -> Days {
        let KeyCounters {
            lifetime,
            today,
            day,
            window,
        } = counted;
        let increase = lifetime - self.total();
        if increase < Usd::ZERO {
            return self.clone();
        }
        let Some(known_until) = known_until else {
            let today = today.unwrap_or_default().min(lifetime);
            let opening = lifetime - today;
            let known_from = if opening > Usd::ZERO {
                day
            } else {
                Date::default()
            };
            return Days {
                opening,
                known_from,
                ..Days::on_one(day, today)
            }
            .tidied();
        };
        let mut after = self.clone();
        if let Some(last) = self.last().filter(|last| *last > day) {
            // A late answer of an earlier day that says more: it was used by then, and may be on
            // record as of a day since.
            if increase > Usd::ZERO {
                after.estimate(day, last);
                after.add_on(day, increase);
            }
            return after.tidied();
        }
        after.truncate_before(day);
        let rest = lifetime - after.total();
        // The provider rounds its two numbers apart, so the day may seem to have more than is left
        // for it.
        let (today, last) = match today.zip(day.yesterday().ok()) {
            Some((today, yesterday)) => (today.min(rest), yesterday),
            None => (Usd::ZERO, day),
        };
        let late = rest - today;
        match window {
            // The window turned since, or on that day, on which older use still settles. No more
            // than its counter says may be of it, and nothing without one: what is taken for an
            // older window's is still reserved in this one, so an error reserves too much.
            Some((first, Some(in_window))) if known_until <= first && first <= last => {
                let inside = (in_window - today - after.on(first)).or_zero().min(late);
                after.add_late(
                    known_until,
                    first.yesterday().unwrap_or(first),
                    late - inside,
                );
                after.add_late(first, last, inside);
            }
            Some((first, None)) if known_until < first && first <= last => {
                if late > Usd::ZERO {
                    after.estimate(known_until, last);
                }
                after.add_on(first.yesterday().unwrap_or(first), late);
            }
            _ => after.add_late(known_until, last, late),
        }
        after.add_on(day, today);
        after.tidied()
    }

    pub fn add(&mut self, days: &Days) {
        self.opening += days.opening;
        self.known_from = self.known_from.max(days.known_from);
        if !days.spent.is_empty() {
            let place = self.extend_to(days.first, days.spent.len());
            for (mine, added) in self.spent.iter_mut().skip(place).zip(&days.spent) {
                *mine += *added;
            }
        }
        days.estimated
            .iter()
            .for_each(|(first, last)| self.estimate(*first, *last));
    }

    /// The sum of the days from one to another, both included. `complete` is the last day that a
    /// sync has covered in full.
    pub fn between(&self, first_day: Date, last_day: Date, complete: Option<Date>) -> Sum {
        let end = self.place(last_day).map_or(0, |place| place + 1);
        let spent = self
            .spent
            .iter()
            .take(end)
            .skip(self.place(first_day).unwrap_or(0))
            .copied()
            .sum();
        let begins_unknown = self.opening > Usd::ZERO && first_day < self.known_from;
        let cuts_a_range = self.estimated.iter().any(|(first, last)| {
            let inside = first_day <= *first && *last <= last_day;
            let outside = *last < first_day || last_day < *first;
            !inside && !outside
        });
        let accuracy = if begins_unknown || complete.is_none_or(|complete| complete < last_day) {
            Accuracy::Partly
        } else if cuts_a_range {
            Accuracy::Estimated
        } else {
            Accuracy::Exactly
        };
        Sum { spent, accuracy }
    }

    fn last(&self) -> Option<Date> {
        let further = i64::try_from(self.spent.len().checked_sub(1)?).ok()?;
        self.first.checked_add(further.days()).ok()
    }

    fn place(&self, day: Date) -> Option<usize> {
        usize::try_from(days_between(self.first, day)).ok()
    }

    /// The days in the one form in which they are stored: without any use there is no first day,
    /// unless there is an opening.
    fn tidied(mut self) -> Days {
        let is_nothing = self.spent.iter().all(|spent| *spent == Usd::ZERO);
        match (is_nothing, self.opening > Usd::ZERO) {
            (true, true) => self.spent = vec![Usd::ZERO],
            (true, false) => (self.first, self.spent) = (Date::default(), Vec::new()),
            (false, _) => {}
        }
        self
    }

    /// Removes this day and all after it.
    fn truncate_before(&mut self, day: Date) {
        self.spent.truncate(if self.first < day {
            self.place(day).unwrap_or(usize::MAX)
        } else {
            0
        });
    }

    fn add_on(&mut self, day: Date, spent: Usd) {
        if spent != Usd::ZERO {
            self.add(&Days::on_one(day, spent));
        }
    }

    /// Adds use of the days from one to another on the last of them.
    fn add_late(&mut self, from: Date, last: Date, spent: Usd) {
        if from < last && spent > Usd::ZERO {
            self.estimate(from, last);
        }
        self.add_on(last, spent);
    }

    /// The index of this first day, after making room for so many days from it on.
    fn extend_to(&mut self, first: Date, count: usize) -> usize {
        if self.spent.is_empty() {
            self.first = first;
        }
        let earlier = days_between(first, self.first).max(0) as usize;
        if earlier > 0 {
            self.spent
                .splice(0..0, std::iter::repeat_n(Usd::ZERO, earlier));
            self.first = first;
        }
        let place = self.place(first).unwrap_or(0);
        self.spent
            .resize(self.spent.len().max(place + count), Usd::ZERO);
        place
    }

    /// Adds a range of estimated days, joined with those that it touches.
    fn estimate(&mut self, mut first_day: Date, mut last_day: Date) {
        self.estimated.retain(|(first, last)| {
            let apart = *last < first_day || last_day < *first;
            if !apart {
                (first_day, last_day) = (first_day.min(*first), last_day.max(*last));
            }
            apart
        });
        let place = self
            .estimated
            .partition_point(|(first, _)| *first < first_day);
        self.estimated.insert(place, (first_day, last_day));
    }
}

/// The stored form of days: one run of bytes, where an amount takes three or four and a day without
/// use takes one.
#[derive(Serialize, Deserialize)]
struct Packed(ByteBuf);

/// The opening, the day after it and the first day counted from [`EPOCH`], the amounts, and the
/// estimated ranges as first day and length.
type DaysForm = (i64, i32, i32, Vec<i64>, Vec<(i32, u16)>);

const FORM: u8 = 1;
const EPOCH: Date = Date::constant(2020, 1, 1);

impl From<Days> for Packed {
    fn from(days: Days) -> Packed {
        let spent = days.spent.iter().map(|spent| spent.micros()).collect();
        let [known_from, first] = [days.known_from, days.first].map(|day| {
            if day == Date::default() {
                0
            } else {
                day_number(day)
            }
        });
        let spans = days.estimated.iter().map(|(first, last)| {
            let length = day_number(*last) - day_number(*first);
            (day_number(*first), u16::try_from(length).unwrap_or(0))
        });
        let estimated = spans.collect();
        let plain: DaysForm = (days.opening.micros(), known_from, first, spent, estimated);
        Packed(ByteBuf::from(packed(FORM, &plain)))
    }
}

impl TryFrom<Packed> for Days {
    type Error = NotPacked;
    fn try_from(Packed(bytes): Packed) -> Result<Days, NotPacked> {
        let (opening, known_from, first, spent, estimated): DaysForm = unpack(FORM, &bytes)?;
        let spans = estimated.into_iter().map(|(from, length)| {
            Ok((
                parse_day_number(from)?,
                parse_day_number(from + i32::from(length))?,
            ))
        });
        Ok(Days {
            opening: Usd::from_micros(opening),
            known_from: if opening == 0 {
                Date::default()
            } else {
                parse_day_number(known_from)?
            },
            first: if spent.is_empty() {
                Date::default()
            } else {
                parse_day_number(first)?
            },
            spent: spent.into_iter().map(Usd::from_micros).collect(),
            estimated: spans.collect::<Result<_, NotPacked>>()?,
        })
    }
}

fn day_number(day: Date) -> i32 {
    days_between(EPOCH, day)
}

fn parse_day_number(number: i32) -> Result<Date, NotPacked> {
    EPOCH.checked_add(number.days()).map_err(|_| NotPacked)
}

#[cfg(test)]
mod tests {
    use crate::domain::values::window::Reset;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::values::micros as usd;

    fn day(number: i64) -> Date {
        date(2026, 2, 25).checked_add(number.days()).unwrap()
    }

    fn counted(lifetime: i64, today: i64, on: i64) -> KeyCounters {
        KeyCounters {
            lifetime: usd(lifetime),
            today: Some(usd(today)),
            day: day(on),
            window: None,
        }
    }

    fn exact(days: &Days) -> Vec<(i64, bool)> {
        days.each()
            .map(|(_, spent, exact)| (spent.micros(), exact))
            .collect()
    }

    /// The sum after missed nights is known, and how it is spread over them is not.
    #[test]
    fn missed_nights_keep_the_sum() {
        let before = Days::default().with(counted(5, 5, 0), Some(day(0)));
        let after = before.with(counted(25, 4, 4), Some(day(0)));
        assert_eq!(
            exact(&after),
            [(5, false), (0, false), (0, false), (16, false), (4, true)]
        );
        let sum = |from, to| after.between(day(from), day(to), Some(day(4)));
        assert_eq!(
            sum(0, 3),
            Sum {
                spent: usd(21),
                accuracy: Accuracy::Exactly
            }
        );
        assert_eq!(
            sum(3, 4),
            Sum {
                spent: usd(20),
                accuracy: Accuracy::Estimated
            }
        );
        assert_eq!(
            sum(4, 4),
            Sum {
                spent: usd(4),
                accuracy: Accuracy::Exactly
            }
        );
        assert_eq!(sum(4, 5).accuracy, Accuracy::Partly, "the day is not over");
        // Nothing was used in the nights that were missed, so nothing has to be estimated.
        let still = before.with(counted(9, 4, 4), Some(day(0)));
        assert_eq!(
            exact(&still),
            [(5, true), (0, true), (0, true), (0, true), (4, true)]
        );
    }

    #[test]
    fn what_was_used_before_anybody_looked_is_on_no_day() {
        let foreign = Days::default().with(counted(1000, 2, 4), None);
        assert_eq!(
            (foreign.opening(), foreign.total(), foreign.on(day(4))),
            (usd(998), usd(1000), usd(2))
        );
        assert_eq!(
            foreign.between(day(0), day(4), Some(day(4))).accuracy,
            Accuracy::Partly
        );
        assert_eq!(
            foreign.between(day(4), day(4), Some(day(4))).accuracy,
            Accuracy::Exactly
        );
        let next = foreign.with(counted(1010, 4, 5), Some(day(4)));
        assert_eq!(
            (next.opening(), next.on(day(4)), next.on(day(5))),
            (usd(998), usd(8), usd(4))
        );
        // In a sum it is the last key with a past that says from when on all days are known.
        let mut both = Days::on_one(day(1), usd(5));
        both.add(&foreign);
        assert_eq!(
            [3, 4].map(|from| both.between(day(from), day(4), Some(day(4))).accuracy),
            [Accuracy::Partly, Accuracy::Exactly]
        );
        let Packed(bytes) = both.clone().into();
        assert_eq!(Days::try_from(Packed(bytes)), Ok(both));
    }

    /// A lower counter changes nothing, a late increase is estimated, and a missing day is not
    /// taken for zero.
    #[test]
    fn a_lower_counter_changes_nothing() {
        let before = Days::default().with(counted(5, 5, 2), Some(day(2)));
        assert_eq!(before.with(counted(4, 4, 3), Some(day(2))), before);
        assert_eq!(before.with(counted(5, 1, 1), Some(day(2))), before);
        let late = before.with(counted(6, 1, 1), Some(day(2)));
        assert_eq!(
            (exact(&late), late.total()),
            (vec![(1, false), (5, false)], usd(6))
        );
        // A counter that was corrected downwards grows again: only what exceeds the record is new.
        let corrected = before
            .with(counted(4, 0, 3), Some(day(2)))
            .with(counted(7, 3, 3), Some(day(3)));
        assert_eq!(exact(&corrected), [(5, true), (2, true)]);
        let without = KeyCounters {
            today: None,
            ..counted(9, 0, 3)
        };
        let after = before.with(without, Some(day(2)));
        assert_eq!(exact(&after), [(5, false), (4, false)]);
        assert_eq!(
            exact(&before.with(
                KeyCounters {
                    day: day(2),
                    ..without
                },
                Some(day(2))
            )),
            [(9, true)]
        );
    }

    #[test]
    fn a_term_of_days_takes_less_than_half_a_kilobyte() {
        let mut days = Days::default();
        for number in 0..130 {
            days.add(&Days::on_one(day(number), usd(900_000 + number)));
        }
        let Packed(bytes) = days.clone().into();
        assert!(bytes.len() < 512, "{}", bytes.len());
        assert_eq!(Days::try_from(Packed(bytes)), Ok(days));
        assert!(Days::try_from(Packed(ByteBuf::from([1, 2, 3, 255]))).is_err());
    }

    /// The use of a key in parts of each day, and the parts of which days after which a sync read
    /// it.
    fn histories() -> impl Strategy<Value = (Vec<[i64; 3]>, Vec<Vec<usize>>)> {
        (5_usize..40).prop_flat_map(|days| {
            let used = prop::collection::vec([0_i64..4, 0_i64..4, 0_i64..4], days);
            let looks = prop::collection::vec(prop::collection::vec(0_usize..=3, 0..3), days);
            (used, looks)
        })
    }

    proptest! {
        /// Exact sums over days equal what was used, however many nights were missed.
        #[test]
        fn exact_sums_equal_the_use(
            (used, looks) in histories(), spans in prop::collection::vec((0_i64..40, 0_i64..31), 8),
        ) {
            let mut days = Days::default();
            let mut lifetime = 0;
            let mut known = day(0);
            for (number, (of_day, looks)) in (0_i64..).zip(used.iter().zip(&looks)) {
                let mut looks = looks.clone();
                looks.sort_unstable();
                let (first, last) = Reset::Weekly.days_around(day(number)).unwrap();
                let of_week = (0_i64..number).zip(&used).filter(|(earlier, _)| first <= day(*earlier));
                let of_week: i64 = of_week.flat_map(|(_, used)| used).sum();
                for part in looks {
                    let today: i64 = of_day[..part].iter().sum();
                    let in_window = usd(of_week + today);
                    let window = Some((first, Some(in_window)));
                    let answer = KeyCounters { window, ..counted(lifetime + today, today, number) };
                    days = days.with(answer, Some(known));
                    prop_assert_eq!(days.total(), usd(lifetime + today));
                    let of_window = Sum { spent: in_window, accuracy: Accuracy::Exactly };
                    prop_assert_eq!(days.between(first, last, Some(last)), of_window, "in whatever nights it turned");
                    known = day(number);
                }
                lifetime += of_day.iter().sum::<i64>();
            }
            let complete = known.yesterday().unwrap();
            let Packed(bytes) = days.clone().into();
            prop_assert_eq!(Days::try_from(Packed(bytes)).unwrap(), days.clone());
            for (from, length) in spans {
                let sum = days.between(day(from), day(from + length), Some(complete));
                let truth: i64 = (from..=from + length)
                    .filter_map(|number| used.get(usize::try_from(number).ok()?))
                    .flatten()
                    .sum();
                if sum.accuracy == Accuracy::Exactly {
                    prop_assert_eq!(sum.spent, usd(truth), "{} for {}", from, length);
                }
            }
        }
    }
}
