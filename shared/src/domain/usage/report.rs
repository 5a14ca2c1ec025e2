//! A report: what the keys of programmes used over a range of days, with a line for each day,
//! group, model or person. Amounts come from readings, and use by model only divides them. So every
//! grouping adds up to the same total.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::models::Sums;
use super::span::stretches;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{GrantBytes, GrantId};
use crate::domain::values::money::Usd;

/// What has a line of its own in each programme.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Grouping {
    #[default]
    Programme,
    Day,
    Group,
    Model,
    Person,
}

/// The programme that used something, with the group and the grant whose key it was, where there is
/// one.
#[derive(Debug, Clone, Copy)]
pub struct UseSource<'a> {
    /// The number of the programme in the report.
    pub programme: u16,
    pub group: Option<&'a str>,
    pub grant: Option<GrantBytes>,
}

/// The use of keys over a range of days, both ends included.
#[derive(Default)]
pub struct SpendingReport {
    pub grouping: Grouping,
    /// The one student whose use it is, if not everybody's.
    pub student: Option<GrantBytes>,
    pub range: (Date, Date),
    /// The days of the range whose use by model is known.
    pub known_days: BTreeSet<Date>,
    /// The use with provider keys of the users' own, which is another bill and in no line.
    pub byok: Usd,
    lines: BTreeMap<LineKey, Sums>,
    estimated: BTreeSet<(Date, Date)>,
    first_used: Option<Date>,
}

/// What a line is of. What it is not grouped by is `None`, and so is what is not known or not
/// there.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    pub day: Option<Date>,
    pub programme: u16,
    pub group: Option<String>,
    pub model: Option<String>,
    pub grant: Option<GrantBytes>,
}

#[derive(Debug, Clone, Copy)]
pub struct ReportLine<'a> {
    pub key: &'a LineKey,
    /// The account's money. Below zero only without a model, where models are known of more than
    /// the keys' day.
    pub spent: Usd,
    /// The number of requests; `None` where it is not known for every day.
    pub requests: Option<u64>,
}

impl SpendingReport {
    pub fn new(
        grouping: Grouping,
        student: Option<GrantBytes>,
        range: (Date, Date),
        known_days: BTreeSet<Date>,
    ) -> SpendingReport {
        SpendingReport {
            grouping,
            student,
            range,
            known_days,
            ..SpendingReport::default()
        }
    }

    /// Whether lines say whose use they are.
    pub fn names_people(&self) -> bool {
        self.grouping == Grouping::Person || self.student.is_some()
    }

    /// Adds what a key used, day by day. Only this moves the total.
    pub fn add(&mut self, source: UseSource<'_>, used: &DailyUse) {
        if !self.includes(source) {
            return;
        }
        let range = self.range;
        let days = used.credits.each().chain(used.byok.each());
        let used_on = days
            .filter(|(day, spent, _)| is_within(range, *day) && *spent != Usd::ZERO)
            .map(|(day, ..)| day);
        self.first_used = self.first_used.into_iter().chain(used_on).min();
        self.byok += used
            .byok
            .each()
            .filter(|(day, ..)| is_within(range, *day))
            .map(|(_, spent, _)| spent)
            .sum();
        self.estimated.extend(
            used.credits
                .estimated()
                .filter(|(first, last)| *first <= range.1 && range.0 <= *last),
        );
        for (day, spent, _) in used.credits.each() {
            if is_within(range, day) && spent != Usd::ZERO {
                self.line(source, day, "").spent += spent;
            }
        }
    }

    /// Moves what is known of a model from the line without a model to the model's own. An empty
    /// name stands for models that are not told apart.
    pub fn divide(&mut self, source: UseSource<'_>, day: Date, model: &str, used: Sums) {
        if !self.includes(source) || !is_within(self.range, day) {
            return;
        }
        if self.grouping == Grouping::Model && !model.is_empty() {
            let without_a_model = self.line(source, day, "");
            without_a_model.spent = without_a_model.spent - used.spent;
            self.line(source, day, model).spent += used.spent;
        }
        let line = self.line(source, day, model);
        line.requests = line.requests.saturating_add(used.requests);
    }

    pub fn total(&self) -> Usd {
        self.lines.values().map(|line| line.spent).sum()
    }

    /// The ranges of days of which only the sum is known. They may reach beyond the range of the
    /// report.
    pub fn estimated(&self) -> Vec<(Date, Date)> {
        let mut joined: Vec<(Date, Date)> = Vec::new();
        for (first_day, last_day) in &self.estimated {
            match joined.last_mut() {
                Some((_, last)) if *first_day <= *last => *last = (*last).max(*last_day),
                _ => joined.push((*first_day, *last_day)),
            }
        }
        joined
    }

    /// The days from the first with any use whose use by model is not known.
    pub fn unknown(&self) -> Vec<(Date, Date)> {
        let Some(first) = self.first_used else {
            return Vec::new();
        };
        stretches((self.range.0.max(first), self.range.1), |day| {
            !self.known_days.contains(&day)
        })
    }

    /// The lines: day after day, programme after programme, the largest first.
    pub fn lines(&self) -> Vec<ReportLine<'_>> {
        let knows_all = self.unknown().is_empty();
        let mut lines: Vec<ReportLine<'_>> = Vec::new();
        for (key, used) in &self.lines {
            if used.spent == Usd::ZERO && used.requests == 0 {
                continue;
            }
            let knows_days = match key.day {
                Some(day) => self.known_days.contains(&day),
                None => knows_all,
            };
            let requests = if knows_days || key.model.is_some() {
                Some(used.requests)
            } else {
                None
            };
            lines.push(ReportLine {
                key,
                spent: used.spent,
                requests,
            });
        }
        // The sort is stable, so lines of one amount stay in the order of their keys.
        lines.sort_by_key(|line| (line.key.day, line.key.programme, Reverse(line.spent)));
        lines
    }

    fn includes(&self, source: UseSource<'_>) -> bool {
        self.student.is_none() || self.student == source.grant
    }

    fn line(&mut self, source: UseSource<'_>, day: Date, model: &str) -> &mut Sums {
        let mut key = LineKey {
            programme: source.programme,
            grant: self.student,
            ..LineKey::default()
        };
        match self.grouping {
            Grouping::Programme => {}
            Grouping::Day => key.day = Some(day),
            Grouping::Group => key.group = source.group.map(str::to_owned),
            Grouping::Model if model.is_empty() => {}
            Grouping::Model => key.model = Some(model.to_owned()),
            Grouping::Person => key.grant = source.grant,
        }
        self.lines.entry(key).or_default()
    }
}

fn is_within((first, last): (Date, Date), day: Date) -> bool {
    first <= day && day <= last
}

impl UseSource<'_> {
    pub fn new_for_foreign_keys(programme: u16) -> UseSource<'static> {
        UseSource {
            programme,
            group: None,
            grant: None,
        }
    }

    pub fn of_grant<'a>(programme: u16, group: Option<&'a str>, grant: &GrantId) -> UseSource<'a> {
        UseSource {
            programme,
            group,
            grant: Some(grant.to_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use crate::domain::usage::days::Days;

    use jiff::civil::date;

    use super::*;
    use crate::domain::usage::days::KeyCounters;
    use crate::tests::values::micros as usd;

    const FIRST: Date = date(2026, 11, 1);

    fn day(number: i64) -> Date {
        FIRST.saturating_add(number.days())
    }

    fn used(micros: i64, requests: u64) -> Sums {
        Sums {
            spent: usd(micros),
            byok: Usd::ZERO,
            requests,
        }
    }

    fn report_of(grouping: Grouping, (from, to): (i64, i64)) -> SpendingReport {
        SpendingReport::new(
            grouping,
            None,
            (day(from), day(to)),
            (from..=to).map(day).collect(),
        )
    }

    /// The use of one grant's key.
    const ADA: UseSource<'static> = UseSource {
        programme: 0,
        group: Some("A"),
        grant: Some([1; 8]),
    };

    /// Use with no known model is a line without a model, even where the models add up to more than
    /// the total.
    #[test]
    fn use_without_a_model_is_kept() {
        let mut report = report_of(Grouping::Model, (0, 3));
        report.add(ADA, &DailyUse::on_one(day(1), usd(1_000_000)));
        report.divide(ADA, day(1), "a/small", used(600_000, 3));
        report.divide(ADA, day(1), "", used(100_000, 1));
        for outside in [-1, 4] {
            report.divide(ADA, day(outside), "a/small", used(100_000, 1));
        }
        let lines = |report: &SpendingReport| -> Vec<_> {
            let lines = report.lines();
            lines
                .iter()
                .map(|line| (line.key.model.clone(), line.spent.micros(), line.requests))
                .collect()
        };
        let small = Some("a/small".to_owned());
        assert_eq!(
            lines(&report),
            [(small.clone(), 600_000, Some(3)), (None, 400_000, Some(1))]
        );
        report.divide(ADA, day(2), "a/small", used(400_002, 1));
        assert_eq!(
            lines(&report),
            [(small, 1_000_002, Some(4)), (None, -2, Some(1))]
        );
        assert_eq!(report.total(), usd(1_000_000));
    }

    /// Of one student nobody else's use is counted, and each line says whose it is.
    #[test]
    fn one_students_use_by_model() {
        let mut report = SpendingReport {
            student: ADA.grant,
            ..report_of(Grouping::Model, (0, 3))
        };
        for source in [
            ADA,
            UseSource {
                grant: Some([2; 8]),
                ..ADA
            },
            UseSource::new_for_foreign_keys(0),
        ] {
            report.add(source, &DailyUse::on_one(day(1), usd(10)));
            report.divide(source, day(1), "a/small", used(7, 2));
        }
        let lines = report.lines();
        let lines: Vec<_> = lines
            .iter()
            .map(|line| (line.key.model.as_deref(), line.spent, line.key.grant))
            .collect();
        assert_eq!(
            lines,
            [
                (Some("a/small"), usd(7), ADA.grant),
                (None, usd(3), ADA.grant)
            ]
        );
    }

    #[test]
    fn requests_are_left_out_where_a_day_is_not_known_by_model() {
        let lines = |by: Grouping, unknown: i64| {
            let mut report = report_of(by, (0, 4));
            report.add(ADA, &DailyUse::on_one(day(1), usd(10)));
            report.add(ADA, &DailyUse::on_one(day(2), usd(20)));
            report.divide(ADA, day(1), "a/small", used(10, 7));
            report.known_days.remove(&day(unknown));
            let lines = report.lines();
            lines
                .iter()
                .map(|line| (line.spent.micros(), line.requests))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(Grouping::Programme, 9), [(30, Some(7))]);
        assert_eq!(lines(Grouping::Programme, 2), [(30, None)]);
        assert_eq!(
            lines(Grouping::Programme, 0),
            [(30, Some(7))],
            "before the first use nothing has to be known"
        );
        assert_eq!(lines(Grouping::Day, 2), [(10, Some(7)), (20, None)]);
        assert_eq!(lines(Grouping::Model, 2), [(20, None), (10, Some(7))]);
    }

    /// Days known only as a sum are named, and use on no known day or on another bill is kept
    /// apart.
    #[test]
    fn unclear_days_are_named() {
        let mut report = report_of(Grouping::Programme, (2, 9));
        let counted = |lifetime, on| KeyCounters {
            lifetime: usd(lifetime),
            today: Some(Usd::ZERO),
            day: day(on),
            window: None,
        };
        for (known, on) in [(1, 4), (3, 6), (8, 12)] {
            let missed = Days::on_one(day(0), usd(5)).with(counted(25, on), Some(day(known)));
            report.add(
                ADA,
                &DailyUse {
                    credits: missed,
                    byok: Days::on_one(day(3), usd(7)),
                },
            );
        }
        assert_eq!(report.estimated(), [(day(1), day(5)), (day(8), day(11))]);
        // Of the last key's twenty, all lie on the eleventh day.
        assert_eq!((report.total(), report.byok), (usd(40), usd(21)));
        report.known_days.retain(|on| *on < day(8));
        assert_eq!(report.unknown(), [(day(8), day(9))]);
    }
}
