//! Amounts, days and people in the words of digests. What is unknown is said in words, and never
//! shown as zero.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::digest::PeopleSample;
use bursar_core::domain::usage::days::{Accuracy, Sum};
use bursar_core::domain::values::format::{Joined, date_range, month, short_date, time_in};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::DigestNames;

/// A sum, with words for how well it is known.
pub(super) fn figure(sum: Sum) -> String {
    match sum.accuracy {
        Accuracy::Exactly => sum.spent.to_cents(),
        Accuracy::Estimated => format!("about {}", sum.spent.to_cents()),
        Accuracy::Until(day) if sum.spent == Usd::ZERO => format!("nothing until {}", weekday(day)),
        Accuracy::Partly if sum.spent == Usd::ZERO => "not known".to_owned(),
        Accuracy::Until(_) | Accuracy::Partly => format!("at least {}", sum.spent.to_cents()),
    }
}

/// The same in a sentence, if there is any figure.
pub(super) fn known(sum: Sum) -> Option<String> {
    match sum.accuracy {
        Accuracy::Partly if sum.spent == Usd::ZERO => None,
        Accuracy::Exactly | Accuracy::Estimated if sum.spent == Usd::ZERO => {
            Some("nothing".to_owned())
        }
        Accuracy::Exactly | Accuracy::Estimated | Accuracy::Until(_) | Accuracy::Partly => {
            Some(figure(sum))
        }
    }
}

fn weekday(day: Date) -> String {
    day.strftime("%A").to_string()
}

/// The week of a digest, as text names it.
pub(super) struct Week {
    /// The name of the days; `during` says when something happened in them.
    pub(super) name: &'static str,
    pub(super) during: &'static str,
    pub(super) spent: &'static str,
}

/// The words for these days: a week from Monday is "last week", any other seven days are the "last
/// 7 days". More days are those since the digest before, whose day was moved.
pub(super) fn week((first_day, last_day): (Date, Date)) -> Week {
    if first_day
        .checked_add(6.days())
        .is_ok_and(|last| last < last_day)
    {
        Week {
            name: "since the last digest",
            during: "since the last digest",
            spent: "Spent since the last digest",
        }
    } else if first_day.weekday() == Weekday::Monday {
        Week {
            name: "last week",
            during: "last week",
            spent: "Spent last week",
        }
    } else {
        Week {
            name: "last 7 days",
            during: "in the last 7 days",
            spent: "Spent in the last 7 days",
        }
    }
}

/// The week's spending, as a subject says it.
pub(super) fn describe_week(sum: Sum, days: (Date, Date)) -> String {
    let during = week(days).during;
    match known(sum) {
        None => format!("what was spent {during} is not known"),
        Some(_) if sum.spent == Usd::ZERO => match sum.accuracy {
            Accuracy::Until(day) => format!("nothing spent until {}", weekday(day)),
            Accuracy::Exactly | Accuracy::Estimated | Accuracy::Partly => {
                format!("nothing spent {during}")
            }
        },
        Some(spent) => format!("{spent} {during}"),
    }
}

/// The words for the window of a cap: the one of the week's last day, or, with a daily cap, the
/// fullest day.
pub(super) fn in_window(reset: Reset, last: Date) -> String {
    match reset {
        Reset::None => String::new(),
        Reset::Daily => "on the fullest day".to_owned(),
        Reset::Weekly => {
            let monday = reset.days_around(last).map_or(last, |(monday, _)| monday);
            format!("in the week from Monday {}", short_date(monday))
        }
        Reset::Monthly => format!("in {}", month(last)),
    }
}

/// Spans of days, as a sentence lists them.
pub(super) fn stretches(stretches: &[(Date, Date)]) -> String {
    stretches
        .iter()
        .map(|stretch| date_range(*stretch))
        .joined(", ")
}

/// The names of a sample of people, and the number of the others.
pub(super) fn people(sample: &PeopleSample, names: &DigestNames) -> String {
    let named: Vec<&str> = sample
        .first
        .iter()
        .filter_map(|grant| names.get(grant))
        .map(String::as_str)
        .collect();
    let unnamed = (sample.count as usize).saturating_sub(named.len());
    match (named.is_empty(), unnamed) {
        (true, _) => sample.count.to_string(),
        (false, 0) => format!("{} ({})", sample.count, named.join(", ")),
        (false, unnamed) => format!(
            "{} ({}, and {unnamed} more)",
            sample.count,
            named.join(", ")
        ),
    }
}

/// The sentences that say what is unknown of these weeks, the later of which ends on `last`.
pub(super) fn unknown(
    listed_at: Option<Moment>,
    weeks: [Sum; 2],
    last: Date,
    zone: &TimeZone,
) -> Vec<String> {
    let mut sentences = Vec::new();
    if weeks
        .iter()
        .any(|week| matches!(week.accuracy, Accuracy::Until(_) | Accuracy::Partly))
    {
        sentences.push(match listed_at {
            Some(listed_at) if utc_date(listed_at) <= last => format!(
                "Not all of these days are known yet: the keys were last checked at OpenRouter on {}, and what was spent since then is in no figure here. If no check follows, the admins get a mail.",
                time_in(listed_at, zone)
            ),
            Some(_) => "Some of these days were before Bursar, so not all of what was spent on them is known.".to_owned(),
            None => "The keys have not been checked at OpenRouter yet, so it is not known what was spent. They are checked each night.".to_owned(),
        });
    }
    if weeks
        .iter()
        .any(|week| week.accuracy == Accuracy::Estimated)
    {
        sentences.push(
            "Where a figure says “about”, one night's check was missed: some of the money may belong to a day just before or after the week. There is nothing to do."
                .to_owned(),
        );
    }
    sentences
}

#[cfg(test)]
mod tests {

    use bursar_core::domain::mail::digest::LastListing;
    use bursar_core::domain::usage::days::Days;
    use jiff::civil::date;

    use super::*;

    /// A class that uses nothing in the week from Monday 9 to Sunday 15 Nov, and used a dollar on
    /// some day before.
    #[test]
    fn what_is_not_known_is_said_of_the_days_of_which_it_is_true() {
        let week = (date(2026, 11, 9), date(2026, 11, 15));
        let say = |used_on: Date, listing: LastListing| {
            let sum = listing.sum(&Days::on_one(used_on, Usd::from_dollars(1)), week);
            [
                describe_week(sum, week),
                figure(sum),
                known(sum).unwrap_or_default(),
            ]
        };
        // Where the sync runs in the morning, Sunday's is the last before the digest.
        let [before, thursday] = [date(2026, 11, 5), date(2026, 11, 12)];
        let on = |day| LastListing::On(date(2026, 11, day));
        let until = "nothing until Sunday";
        assert_eq!(
            say(before, on(15)),
            ["nothing spent until Sunday", until, until]
        );
        assert_eq!(
            say(before, on(16)),
            ["nothing spent last week", "$0.00", "nothing"]
        );
        let unknown = ["what was spent last week is not known", "not known", ""];
        assert_eq!(say(before, on(14)), unknown);
        assert_eq!(say(before, LastListing::Never), unknown);
        assert_eq!(
            say(thursday, on(15)),
            [
                "at least $1.00 last week",
                "at least $1.00",
                "at least $1.00"
            ]
        );
    }
}
