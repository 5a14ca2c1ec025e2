//! When a pot will be empty at the pace of the last weeks, and who of a class uses far more than is usual. Mails and pages say it
//! in the same words, which are here too.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::days::Days;
use super::money::Usd;
use super::term::Term;
use super::window::utc_date;

mod standing;
#[cfg(test)]
mod tests;

pub use standing::{Weeks, usual_week};

/// More weeks than these say more of the past than of now.
const WEEKS: usize = 4;
/// A pace that grew is told by as many.
const LATEST_WEEKS: usize = 2;

/// What will become of a pot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    pub runs_out: RunsOut,
    /// None when too little is known to tell.
    pub pace: Option<Pace>,
}

/// When a pot will be empty. Days are UTC days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunsOut {
    /// The last of the money is used on this day, within the term.
    OutOn(Date),
    NotBeforeTheTermEnds,
    TooLittleData,
    /// It is empty already.
    Gone,
}

/// How fast money is used, for each day of the week: a course that works on weekdays only uses nothing on the next Sunday, however
/// much it used on Friday.
///
/// It is the mean of whole weeks, since a median of days would take a class that works in bursts for one that uses nothing. One odd
/// day cannot bend it: the largest day counts no more than the second largest. Of the last two weeks and the last four the faster
/// pace counts, because a pot that lasts longer than was said harms nobody, and a course speeds up towards its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What was used on all Mondays, all Tuesdays and so on.
    on_weekdays: [i128; 7],
    weeks: i128,
}

impl Forecast {
    /// `looked` is the last day on which every key was looked at: of it, only what had been used by then is known.
    pub fn of(spent: &Days, pot: Usd, term: &Term, looked: Option<Date>) -> Forecast {
        let pace = looked.and_then(|looked| Pace::of(spent, term, looked));
        let runs_out = match (looked, pace) {
            _ if spent.total() >= pot => RunsOut::Gone,
            (Some(looked), _) if looked > last_day(term) => RunsOut::NotBeforeTheTermEnds,
            (Some(looked), Some(pace)) => match pace.empties(pot - spent.total(), spent.on(looked), looked) {
                Some(day) if day <= last_day(term) => RunsOut::OutOn(day),
                _ => RunsOut::NotBeforeTheTermEnds,
            },
            _ => RunsOut::TooLittleData,
        };
        Forecast { runs_out, pace }
    }

    /// The same as a sentence.
    pub fn in_words(&self) -> String {
        let pace = self.pace.map_or(Usd::ZERO, Pace::per_week);
        match self.runs_out {
            RunsOut::OutOn(day) => format!(
                "At the pace of the last weeks, about {} a week, the pot is empty on {}.",
                rounded(pace),
                day.strftime("%-d %B %Y")
            ),
            RunsOut::NotBeforeTheTermEnds if pace == Usd::ZERO => {
                "The pot lasts beyond the end of the term.".to_owned()
            }
            RunsOut::NotBeforeTheTermEnds => format!(
                "At the pace of the last weeks, about {} a week, the pot lasts beyond the end of the term.",
                rounded(pace)
            ),
            RunsOut::TooLittleData => "There is too little data to say when the pot will be empty.".to_owned(),
            RunsOut::Gone => "The pot is used up.".to_owned(),
        }
    }
}

impl Pace {
    /// None before a week is over since money was first used in the term, and while a single week has a day that is most of it:
    /// nobody can know whether that is the day of the lab or an accident.
    fn of(spent: &Days, term: &Term, looked: Date) -> Option<Pace> {
        let days = spent.evenly();
        let starts = utc_date(term.starts_at());
        let since = days.keys().copied().find(|day| starts <= *day && *day < looked)?;
        let weeks = usize::try_from(since.until(looked).ok()?.get_days()).ok()? / 7;
        let of_the_last = |weeks: usize| {
            let back = |ago: usize| looked.checked_sub(i64::try_from(ago).ok()?.days()).ok();
            let completed = (1..=weeks * 7).filter_map(back);
            let used = |day: Date| (day, i128::from(days.get(&day).map_or(0, |spent| spent.micros())));
            Pace::over(&mut completed.map(used).collect::<Vec<_>>(), weeks)
        };
        let (all, latest) = (of_the_last(weeks.min(WEEKS))?, of_the_last(weeks.min(LATEST_WEEKS))?);
        Some(if latest.in_all() * all.weeks > all.in_all() * latest.weeks { latest } else { all })
    }

    fn over(days: &mut [(Date, i128)], weeks: usize) -> Option<Pace> {
        let in_all: i128 = days.iter().map(|(_, used)| used).sum();
        days.sort_unstable_by_key(|(_, used)| *used);
        let [.., (_, second), (_, largest)] = days else { return None };
        if weeks == 1 && *largest * 2 > in_all {
            return None;
        }
        *largest = *second;
        let mut on_weekdays = [0; 7];
        for (day, used) in days {
            on_weekdays[number(*day)] += *used;
        }
        Some(Pace { on_weekdays, weeks: i128::try_from(weeks).ok()? })
    }

    /// What a week uses.
    pub fn per_week(self) -> Usd {
        self.in_days(7)
    }

    /// What so many days use, whichever they are.
    pub fn in_days(self, days: u32) -> Usd {
        let used = self.in_all().saturating_mul(i128::from(days)) / (7 * self.weeks);
        Usd::from_micros(i64::try_from(used).unwrap_or(i64::MAX))
    }

    fn in_all(self) -> i128 {
        self.on_weekdays.iter().sum()
    }

    fn on(self, day: Date) -> i128 {
        self.on_weekdays[number(day)]
    }

    /// The day on which the last of `left` is used, if there ever is one. `today` is what the first day has used already, which is
    /// not left any more.
    fn empties(self, left: Usd, today: Usd, first: Date) -> Option<Date> {
        // Amounts are of as many weeks as the pace is, so that nothing is rounded.
        let of_weeks = |amount: Usd| i128::from(amount.micros()) * self.weeks;
        let mut left = of_weeks(left) - (self.on(first) - of_weeks(today)).max(0);
        if left <= 0 {
            return Some(first);
        }
        let whole_weeks = (left - 1).checked_div(self.in_all())?;
        left -= whole_weeks * self.in_all();
        let mut day = first.checked_add(i64::try_from(whole_weeks).ok()?.checked_mul(7).map(to_days)??).ok()?;
        for _ in 0..7 {
            day = day.tomorrow().ok()?;
            left -= self.on(day);
            if left <= 0 {
                return Some(day);
            }
        }
        None
    }
}

/// Such a long time is none that a calendar has.
fn to_days(days: i64) -> Option<jiff::Span> {
    jiff::Span::new().try_days(days).ok()
}

/// Nobody needs the cents of what is about so much.
fn rounded(pace: Usd) -> String {
    let dollars = (pace.micros() + 500_000) / 1_000_000;
    if dollars < 10 { pace.to_dollars_up() } else { Usd::from_micros(dollars * 1_000_000).to_dollars_up() }
}

/// The UTC day in which the term's last moment lies.
fn last_day(term: &Term) -> Date {
    utc_date(term.ends_at() - 1.nanosecond())
}

fn number(day: Date) -> usize {
    usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default()
}
