//! When a programme's money will be used up at the pace of the last weeks, and who uses far more
//! than is usual.
//!
//! [`Forecast::new`] says when a budget will be empty, or the keys that are out have spent what is
//! reserved for them before that. A day that is past is never named. Mails and pages say it in the
//! same words, which are here too, in their readers' language: there a budget is a budget.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::programme::role::Role;
use crate::domain::programme::{Budget, Settings};
use crate::domain::usage::days::Days;
use crate::domain::values::format::{long_date, short_date};
use crate::domain::values::id::{GrantBytes, GrantId};
use crate::domain::values::money::Usd;
use crate::domain::values::term::Term;
use crate::domain::values::window::{Reset, days_between, utc_date};

/// A forecast is the news of a mail if it lies so many days before the term ends.
const TWO_WEEKS: i32 = 14;
/// The most weeks of a pace; older ones say more of the past than of now.
const WEEKS: i32 = 4;
/// The weeks that show a pace that has grown.
const LATEST_WEEKS: i32 = 2;
/// The days without any use after which there is no pace any more.
const IDLE_DAYS: i32 = 28;

#[derive(Debug, Clone, Copy)]
pub struct SpendingLimits {
    pub budget: Usd,
    /// The most that the shown keys can come to in all, where that is known to be less than the
    /// budget.
    pub keys_stop_at: Option<Usd>,
    /// Whether every key has a cap for each window, all of which the budget holds: nothing ends
    /// before the term then.
    pub lasts: bool,
    /// Whether all of the budget is needed if everybody claims, so that a larger cap takes
    /// somebody's key.
    pub is_needed: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Forecast {
    pub runs_out: RunsOut,
    pub limits: SpendingLimits,
    /// The last day on which every key was listed.
    pub looked: Option<Date>,
    pub pace: Option<SpendingPace>,
}

/// The day, in UTC, on which a budget will be empty, or what comes before that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunsOut {
    /// The last of the money is used on this day, within the term.
    OutOn(Date),
    /// The shown keys have spent all they may on this day, within the term, and money is left.
    KeysStopOn(Date),
    NotBeforeTheTermEnds,
    TooLittleData,
    /// No key was used for four weeks.
    Idle,
    /// The last listing is so old that the day may have passed.
    PerhapsByNow,
    /// The shown keys can spend nothing more, and money is left.
    KeysStopped,
    Gone,
    /// There never was any money, and nobody spent any.
    NoBudget,
}

/// The spending pace for each day of the week. A course that works on weekdays only uses nothing on
/// the next Sunday, however much it used on Friday.
///
/// It is the mean of whole weeks, since a median of days would show nothing for a class that works
/// in bursts. One odd day cannot bend it, because the largest day counts no more than the second
/// largest. Of the last two weeks and the last four the faster pace counts. A budget that lasts
/// longer than forecast harms nobody, and a course speeds up towards its deadline.
///
/// Weeks without any use are no weeks of it, so that a break changes nothing but the day from which
/// it leads on. It ends with the last day of use for the same reason. After four idle weeks it is
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendingPace {
    /// The use on all Mondays, all Tuesdays and so on.
    on_weekdays: [i128; 7],
    weeks: i128,
    /// Whether the last week had no use.
    is_at_rest: bool,
}

impl Forecast {
    /// The forecast for a term. `listed_at` is when every key was last listed, so that of its day
    /// only the use up to then is known.
    pub fn new(
        spent: &Days,
        limits: SpendingLimits,
        term: &Term,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Forecast {
        let looked = listed_at.map(utc_date);
        let last_day = term.last_utc_day();
        let pace =
            looked.and_then(|looked| SpendingPace::measure(spent, term.first_utc_day(), looked));
        let total = spent.total();
        let can_spend = limits.keys_stop_at.unwrap_or(limits.budget) - total;
        let runs_out = match (looked, pace) {
            _ if limits.budget == Usd::ZERO && total == Usd::ZERO => RunsOut::NoBudget,
            _ if total >= limits.budget => RunsOut::Gone,
            (Some(looked), _) if looked > last_day => RunsOut::NotBeforeTheTermEnds,
            (Some(_), _) if can_spend <= Usd::ZERO && total > Usd::ZERO => RunsOut::KeysStopped,
            _ if limits.lasts => RunsOut::NotBeforeTheTermEnds,
            (Some(_), Some(pace)) if pace.is_idle() => RunsOut::Idle,
            (Some(looked), Some(pace)) => match pace.empties(can_spend, spent.on(looked), looked) {
                Some(day) if day > last_day => RunsOut::NotBeforeTheTermEnds,
                None => RunsOut::NotBeforeTheTermEnds,
                Some(day) if day < utc_date(now) => RunsOut::PerhapsByNow,
                Some(day) if limits.keys_stop_at.is_some() => RunsOut::KeysStopOn(day),
                Some(day) => RunsOut::OutOn(day),
            },
            _ => RunsOut::TooLittleData,
        };
        Forecast {
            runs_out,
            limits,
            looked,
            pace,
        }
    }

    /// Whether the money ends before the term, so that a person should act.
    pub fn is_short(&self) -> bool {
        match self.runs_out {
            RunsOut::OutOn(_)
            | RunsOut::KeysStopOn(_)
            | RunsOut::PerhapsByNow
            | RunsOut::Gone
            | RunsOut::NoBudget => true,
            RunsOut::NotBeforeTheTermEnds
            | RunsOut::TooLittleData
            | RunsOut::Idle
            | RunsOut::KeysStopped => false,
        }
    }

    /// Whether students' caps stop their keys before the term ends, with money left: a larger
    /// budget alone would help nobody.
    pub fn stops_at_caps(&self) -> bool {
        self.limits.keys_stop_at.is_some()
            && (self.is_short() || self.runs_out == RunsOut::KeysStopped)
    }

    pub fn to_words(&self, term: &Term) -> String {
        let pace = self.pace.map_or(Usd::ZERO, SpendingPace::per_week);
        let is_at_rest = self.pace.is_some_and(|pace| pace.is_at_rest);
        let a_week = format!(
            "{} a week{}",
            round_pace(pace),
            if is_at_rest {
                ", as before the break"
            } else {
                ""
            }
        );
        match self.runs_out {
            RunsOut::OutOn(day) => {
                format!("At {a_week}, the budget will be used up around {}.", long_before(day, term))
            }
            RunsOut::KeysStopOn(day) => {
                let day = long_before(day, term);
                format!("At {a_week}, most students will have used up their caps around {day}.")
            }
            RunsOut::NotBeforeTheTermEnds if self.pace.is_none_or(SpendingPace::is_idle) => {
                "The budget lasts beyond the end of the term.".to_owned()
            }
            RunsOut::NotBeforeTheTermEnds => {
                format!("At {a_week}, the budget lasts beyond the end of the term.")
            }
            RunsOut::TooLittleData => "There is too little data to say when the budget will be used up.".to_owned(),
            RunsOut::Idle => {
                "No key was used in the last four weeks, so nobody can say when the budget will be used up.".to_owned()
            }
            RunsOut::PerhapsByNow => format!(
                "At {a_week}, there may be nothing left to spend by now. What was spent since {} is not known.",
                self.looked.map_or_else(String::new, long_date)
            ),
            RunsOut::KeysStopped => format!(
                "The students who have keys have used up their caps. The budget of {} is not used up.",
                self.limits.budget.to_dollars()
            ),
            RunsOut::Gone => "The budget is used up.".to_owned(),
            RunsOut::NoBudget => "There is no budget yet.".to_owned(),
        }
    }

    /// What a mail's subject says of it, where that is the news.
    pub fn shorten_outlook(&self, term: &Term) -> Option<String> {
        match self.runs_out {
            RunsOut::OutOn(day) | RunsOut::KeysStopOn(day)
                if days_between(day, term.ends_on()) <= TWO_WEEKS =>
            {
                None
            }
            RunsOut::OutOn(day) => Some(format!("budget used up by {}", long_before(day, term))),
            RunsOut::KeysStopOn(day) => {
                Some(format!("most keys used up by {}", long_before(day, term)))
            }
            RunsOut::NotBeforeTheTermEnds
            | RunsOut::TooLittleData
            | RunsOut::Idle
            | RunsOut::PerhapsByNow => None,
            RunsOut::KeysStopped | RunsOut::Gone | RunsOut::NoBudget => None,
        }
    }

    /// The one thing that a reader can do about it. Where `only_students_spend`, each key stops at
    /// its cap, whatever the budget.
    pub fn to_do(&self, reader: Role, only_students_spend: bool) -> Option<String> {
        let budget = reader.explain_raise(None);
        match self.runs_out {
            RunsOut::NotBeforeTheTermEnds | RunsOut::Idle => None,
            _ if self.stops_at_caps() && self.limits.is_needed => Some(format!(
                "What is free is needed for students without a key. {budget} The caps of those who need more can be raised after that."
            )),
            _ if self.stops_at_caps() => Some(match reader {
                Role::Admin | Role::Faculty => "Raise the caps of those who need more.".to_owned(),
                Role::Assistant => "Faculty can raise the caps of those who need more.".to_owned(),
            }),
            RunsOut::TooLittleData | RunsOut::NoBudget => Some(budget),
            _ if only_students_spend => Some(format!(
                "{budget} The caps of students who need more must be raised as well: each key stops at its own cap."
            )),
            RunsOut::OutOn(_)
            | RunsOut::KeysStopOn(_)
            | RunsOut::PerhapsByNow
            | RunsOut::KeysStopped
            | RunsOut::Gone => Some(budget),
        }
    }
}

/// A day of a term, and how long before its end that is: `29 Dec, two months before the term ends`.
fn long_before(day: Date, term: &Term) -> String {
    const NUMBERS: [&str; 11] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ];
    let days = days_between(day, term.ends_on());
    let (number, what) = match days {
        ..=0 => return format!("{}, the last day of the term", short_date(day)),
        1 => return format!("{}, a day before the term ends", short_date(day)),
        2..14 => (days, "days"),
        14..56 => (days / 7, "weeks"),
        56.. => ((days + 15) / 30, "months"),
    };
    let word = NUMBERS.get((number - 2) as usize);
    let number = word.map_or_else(|| number.to_string(), |word| (*word).to_owned());
    format!("{}, {number} {what} before the term ends", short_date(day))
}

impl SpendingLimits {
    /// The money of a programme. Live keys can spend no more than is reserved. There is no such
    /// bound for the foreign keys that a programme owns. Nor is there one while more was spent than
    /// is reserved, since the counter is behind then.
    pub fn new(
        budget: &Budget,
        settings: &Settings,
        owns_keys: bool,
        spent: &Days,
        now: Moment,
    ) -> SpendingLimits {
        let is_bound =
            !owns_keys && spent.total() <= budget.reserved && budget.reserved < budget.limit;
        SpendingLimits {
            budget: budget.limit,
            keys_stop_at: is_bound.then_some(budget.reserved),
            is_needed: budget.limit <= budget.implied(settings, now),
            lasts: settings.basis.reset != Reset::None
                && !owns_keys
                && budget.reserved <= budget.limit,
        }
    }
}

impl SpendingPace {
    /// The pace, or `None` in the first week of use, and while one day is most of a single week.
    /// That day may be the day of the lab or an accident.
    ///
    /// `starts` is the first day that counts, and `looked` the last day on which every key was
    /// listed, which is not over.
    pub fn measure(spent: &Days, starts: Date, looked: Date) -> Option<SpendingPace> {
        let days = days_of_use(&spent.evenly(), starts, looked);
        let newest = days.first()?;
        let weeks = days.last()?.ago / 7;
        let rest = days_between(newest.day, looked);
        if rest > IDLE_DAYS && weeks > 0 {
            return Some(SpendingPace {
                on_weekdays: [0; 7],
                weeks: 1,
                is_at_rest: true,
            });
        }
        let longer = SpendingPace::measure_latest(&days, weeks.min(WEEKS))?;
        let latest = SpendingPace::measure_latest(&days, weeks.min(LATEST_WEEKS))?;
        let pace = if latest.in_all() * longer.weeks > longer.in_all() * latest.weeks {
            latest
        } else {
            longer
        };
        Some(SpendingPace {
            is_at_rest: rest > 7,
            ..pace
        })
    }

    /// The pace of so many weeks up to the newest of these days of use.
    fn measure_latest(days: &[DayOfUse], weeks: i32) -> Option<SpendingPace> {
        let end = days.first()?.ago + 7 * weeks;
        let mut days: Vec<DayOfUse> = days
            .iter()
            .take_while(|day| day.ago < end)
            .copied()
            .collect();
        let in_all: i128 = days.iter().map(|day| day.used).sum();
        days.sort_unstable_by_key(|day| day.used);
        let second = days.iter().rev().nth(1).map_or(0, |day| day.used);
        let largest = days.last_mut()?;
        if weeks < 1 || weeks == 1 && largest.used * 2 > in_all {
            return None;
        }
        largest.used = second;
        let mut on_weekdays = [0; 7];
        for DayOfUse { day, used, .. } in days {
            on_weekdays[number(day)] += used;
        }
        Some(SpendingPace {
            on_weekdays,
            weeks: i128::from(weeks),
            is_at_rest: false,
        })
    }

    pub fn is_idle(self) -> bool {
        self.in_all() == 0
    }

    pub fn per_week(self) -> Usd {
        self.days_to_duration(7)
    }

    pub fn days_to_duration(self, days: u32) -> Usd {
        let used = self.in_all().saturating_mul(i128::from(days)) / (7 * self.weeks);
        Usd::from_micros(i64::try_from(used).unwrap_or(i64::MAX))
    }

    fn in_all(self) -> i128 {
        self.on_weekdays.iter().sum()
    }

    fn on(self, day: Date) -> i128 {
        self.on_weekdays[number(day)]
    }

    /// The day on which the last of `remaining` is used, if it ever is. `today` is the part of the
    /// first day's use that has already happened and is no longer in `remaining`.
    pub fn empties(self, remaining: Usd, today: Usd, first: Date) -> Option<Date> {
        // Amounts are multiplied by the number of weeks of the pace, so that nothing is rounded.
        let [remaining, today] =
            [remaining, today].map(|amount| i128::from(amount.micros()) * self.weeks);
        let mut remaining = remaining - (self.on(first) - today).max(0);
        if remaining <= 0 {
            return Some(first);
        }
        let whole_weeks = (remaining - 1).checked_div(self.in_all())?;
        remaining -= whole_weeks * self.in_all();
        let days = i64::try_from(whole_weeks).ok()?.checked_mul(7)?;
        // Beyond what a calendar has it is `None`.
        let mut day = first
            .checked_add(jiff::Span::new().try_days(days).ok()?)
            .ok()?;
        for _ in 0..7 {
            day = day.tomorrow().ok()?;
            remaining -= self.on(day);
            if remaining <= 0 {
                return Some(day);
            }
        }
        None
    }
}

#[derive(Clone, Copy)]
struct DayOfUse {
    /// How many days ago it was, if whole weeks without use are left out.
    ago: i32,
    day: Date,
    used: i128,
}

/// The days of use before `looked`, the newest first. What stands alone between two weeks without
/// use is a week.
fn days_of_use(spent: &BTreeMap<Date, Usd>, starts: Date, looked: Date) -> Vec<DayOfUse> {
    let mut days = Vec::new();
    let mut ago = 0;
    let mut later = looked;
    let mut resumed = -7;
    for (day, used) in spent
        .range(..looked)
        .rev()
        .take_while(|(day, _)| starts <= **day)
    {
        let gap = days_between(*day, later);
        ago += (gap - 1) % 7 + 1;
        if gap > 7 {
            if ago < resumed + 7 {
                ago += 7;
            }
            resumed = ago;
        }
        later = *day;
        days.push(DayOfUse {
            ago,
            day: *day,
            used: i128::from(used.micros()),
        });
    }
    days
}

/// The amount without cents, which an estimate does not need from ten dollars on.
fn round_pace(pace: Usd) -> String {
    let rounded = pace.to_the(Usd::DOLLAR);
    if rounded < Usd::from_dollars(10) {
        pace.to_dollars()
    } else {
        rounded.to_dollars()
    }
}

fn number(day: Date) -> usize {
    day.weekday().to_monday_zero_offset() as usize
}

/// The multiple of the usual use that counts as far above it.
const FAR: u32 = 4;
/// The use of a week below which nobody stands out, however little is usual.
const SMALL: Usd = Usd::from_dollars(1);

/// The use in each of the last weeks of completed days, the newest first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Weeks {
    used: [Usd; 4],
    /// Whether a key was shown before the last of them.
    had_a_key: bool,
}

/// Who used far more last week than they and their class usually do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingOut {
    pub usual_week: Usd,
    /// Those who used most, with what they used; the rest is counted.
    pub most: Vec<(GrantId, Usd)>,
    pub unnamed: u32,
}

/// The most grants that are named.
const NAMED: usize = 10;

impl StandingOut {
    pub fn find(class: &[(GrantBytes, Weeks)]) -> StandingOut {
        let usual_week = usual_week(class.iter().map(|(_, weeks)| weeks));
        let out = class.iter().filter_map(|(grant, weeks)| {
            Some((GrantId::of_bytes(grant), weeks.stands_out(usual_week)?))
        });
        let mut most: Vec<(GrantId, Usd)> = out.collect();
        most.sort_by_cached_key(|(grant, used)| (Reverse(*used), grant.clone()));
        let unnamed = most.len().saturating_sub(NAMED);
        most.truncate(NAMED);
        StandingOut {
            usual_week,
            most,
            unnamed: unnamed as u32,
        }
    }

    pub fn count(&self) -> usize {
        self.most.len() + self.unnamed as usize
    }
}

impl Weeks {
    /// The weeks before `looked`, the last day on which every key was listed, of somebody whose
    /// first key was shown then.
    pub fn sum(spent: &Days, shown_at: Option<Moment>, looked: Date) -> Weeks {
        let had_a_key =
            shown_at.is_some_and(|shown_at| days_between(utc_date(shown_at), looked) > 7);
        let mut weeks = Weeks {
            used: [Usd::ZERO; 4],
            had_a_key,
        };
        if spent.estimated().next().is_none() {
            spent
                .each()
                .for_each(|(day, spent, _)| weeks.add(day, spent, looked));
        } else {
            spent
                .evenly()
                .into_iter()
                .for_each(|(day, spent)| weeks.add(day, spent, looked));
        }
        weeks
    }

    fn add(&mut self, day: Date, spent: Usd, looked: Date) {
        let ago = days_between(day, looked);
        let week = usize::try_from(ago - 1)
            .ok()
            .and_then(|ago| self.used.get_mut(ago / 7));
        week.into_iter().for_each(|week| *week += spent);
    }

    /// The use of the last week, if it is far above what is usual in the class and in the person's
    /// own earlier weeks. A key that was idle in those is compared with the class alone; in
    /// somebody's first week nothing is usual yet.
    pub fn stands_out(self, usual_week: Usd) -> Option<Usd> {
        let [last, earlier @ ..] = self.used;
        let own_usual = median(earlier.into_iter());
        let is_far = self.had_a_key
            && last >= SMALL
            && last > usual_week.times(FAR)
            && last > own_usual.times(FAR);
        is_far.then_some(last)
    }

    /// Whether all the weeks are empty, so that they do not count for the class.
    pub fn are_idle(self) -> bool {
        self.used.iter().all(|used| *used == Usd::ZERO)
    }
}

/// The usual use of a week in a class: the median of everybody's last four weeks, without empty
/// ones. The few who use much do not raise it.
fn usual_week<'a>(class: impl IntoIterator<Item = &'a Weeks>) -> Usd {
    median(class.into_iter().flat_map(|weeks| weeks.used))
}

/// The median of the weeks in which anything was used; zero if there are none.
fn median(weeks: impl Iterator<Item = Usd>) -> Usd {
    let mut used: Vec<i64> = weeks.map(Usd::micros).filter(|used| *used > 0).collect();
    used.sort_unstable();
    let below = used.get(used.len().saturating_sub(1) / 2);
    let above = used.get(used.len() / 2);
    below.zip(above).map_or(Usd::ZERO, |(below, above)| {
        Usd::from_micros(below + (above - below) / 2)
    })
}

#[cfg(test)]
mod tests;
