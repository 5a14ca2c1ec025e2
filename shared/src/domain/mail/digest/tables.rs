//! The table of a week's spending by group, the largest first and no more lines than can be read.

use std::cmp::Reverse;

use super::{DigestLine, LineSubject};
use crate::domain::programme::Byok;
use crate::domain::usage::days::Sum;
use crate::prelude::*;

/// More lines than these are put together into one.
pub const MOST_LINES: usize = 12;

/// The spending by group, in this week and the one before. People without a group make up the difference to
/// all of the programme but its foreign keys; a programme without groups has no lines.
pub fn groups<'a>(
    by_group: impl IntoIterator<Item = (&'a String, &'a DailyUse)>,
    assigned: &DailyUse,
    byok: Byok,
    weeks: [(Date, Date); 2],
    all: [Sum; 2],
) -> Vec<DigestLine> {
    let of = |of: LineSubject, used: &DailyUse| {
        let days = used.days(byok);
        let [this_week, week_before] = weeks.map(|(from, to)| days.between(from, to, None).spent);
        DigestLine { of, this_week, week_before }
    };
    let of_group = |(group, used): (&String, &DailyUse)| of(LineSubject::Group(group.clone()), used);
    let mut lines: Vec<DigestLine> = by_group.into_iter().map(of_group).collect();
    if lines.is_empty() {
        return lines;
    }
    // The sort is stable, so equal ones stay in the order of their names.
    lines.sort_by_key(|line| (Reverse(line.this_week), Reverse(line.week_before)));
    let sums = |lines: &[DigestLine]| [sum(lines, |line| line.this_week), sum(lines, |line| line.week_before)];
    let [this_week, week_before] = sums(&lines);
    let assigned = of(LineSubject::Assigned, assigned);
    let [this_week, week_before] =
        [all[0].spent - assigned.this_week - this_week, all[1].spent - assigned.week_before - week_before];
    let further = lines.split_off(lines.len().min(MOST_LINES));
    if !further.is_empty() {
        let [this_week, week_before] = sums(&further);
        let count = u32::try_from(further.len()).unwrap_or(u32::MAX);
        lines.push(DigestLine { of: LineSubject::Further(count), this_week, week_before });
    }
    if this_week > Usd::ZERO || week_before > Usd::ZERO {
        lines.push(DigestLine { of: LineSubject::NoGroup, this_week, week_before });
    }
    if assigned.this_week > Usd::ZERO || assigned.week_before > Usd::ZERO {
        lines.push(assigned);
    }
    lines
}

fn sum(lines: &[DigestLine], of: impl Fn(&DigestLine) -> Usd) -> Usd {
    lines.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::dollars as usd;
    use crate::domain::usage::days::Accuracy;

    const WEEKS: [(Date, Date); 2] = [
        (Date::constant(2026, 11, 9), Date::constant(2026, 11, 15)),
        (Date::constant(2026, 11, 2), Date::constant(2026, 11, 8)),
    ];

    fn exactly(dollars: i32) -> Sum {
        Sum { spent: usd(dollars), known: Accuracy::Exactly }
    }

    fn spent(this_week: i32, week_before: i32) -> DailyUse {
        let mut used = DailyUse::on_one(WEEKS[0].1, usd(this_week));
        used.add(&DailyUse::on_one(WEEKS[1].0, usd(week_before)));
        used
    }

    #[test]
    fn groups_are_told_the_largest_first_then_whoever_is_in_none_and_foreign_keys_last() {
        let by_group = [("A".to_owned(), spent(1, 9)), ("B".to_owned(), spent(5, 0)), ("C".to_owned(), spent(1, 9))];
        let by_group = by_group.iter().map(|(name, used)| (name, used));
        let lines = groups(by_group, &spent(4, 2), Byok::Inside, WEEKS, [exactly(14), exactly(20)]);
        let shown: Vec<_> = lines.iter().map(|line| (line.of.clone(), line.this_week, line.week_before)).collect();
        let group = |name: &str| LineSubject::Group(name.to_owned());
        let expected = [
            (group("B"), usd(5), usd(0)),
            (group("A"), usd(1), usd(9)),
            (group("C"), usd(1), usd(9)),
            (LineSubject::NoGroup, usd(3), usd(0)),
            (LineSubject::Assigned, usd(4), usd(2)),
        ];
        assert_eq!(shown, expected);
        assert_eq!(groups([], &spent(4, 2), Byok::Inside, WEEKS, [exactly(10), exactly(18)]), []);
    }

    #[test]
    fn of_very_many_groups_the_smallest_are_put_together() {
        let by_group: Vec<_> = (1..=14).map(|number| (format!("{number:02}"), spent(number, 0))).collect();
        let by_group = by_group.iter().map(|(name, used)| (name, used));
        let lines = groups(by_group, &DailyUse::default(), Byok::Inside, WEEKS, [exactly(105), exactly(0)]);
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!((&lines[MOST_LINES].of, lines[MOST_LINES].this_week), (&LineSubject::Further(2), usd(3)));
    }
}
