//! The tables of a week: spending by group and use by model, the largest first and no more lines than can be
//! read.

use std::cmp::Reverse;

use jiff::civil::Date;

use super::{DigestLine, LineSubject, ModelLine};
use crate::domain::programme::Byok;
use crate::domain::usage::days::Sum;
use crate::domain::usage::models::{GroupUse, NOT_BY_MODEL, Sums, beyond_models, by_model};
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::money::Usd;

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

/// The use by model over the days of the week, in the money that the programme counts. `used` is the use of
/// the keys, and `until` the last day of it that is known by model.
pub fn models<'a>(
    uses: impl IntoIterator<Item = &'a GroupUse>,
    used: Option<&DailyUse>,
    byok: Byok,
    (from, to): (Date, Date),
    until: Option<Date>,
) -> Vec<ModelLine> {
    let mut models = by_model(uses);
    models.sort_by_key(|(_, sums)| Reverse(sums.counted(byok)));
    let told = Sums::of_all(models.iter().map(|(_, sums)| sums));
    let further = models.split_off(models.len().min(MOST_LINES));
    if !further.is_empty() {
        let name = format!("{} further models", further.len());
        models.push((name, Sums::of_all(further.iter().map(|(_, sums)| sums))));
    }
    let line = |(model, sums): (String, Sums)| ModelLine {
        model,
        spent: sums.counted(byok),
        own_keys: sums.byok,
        requests: Some(sums.requests),
        per_request: sums.per_request(),
    };
    let mut lines: Vec<ModelLine> = models.into_iter().map(line).collect();
    let beyond = used.zip(until).and_then(|(used, until)| beyond_models(told, used, (from, to.min(until))));
    lines.extend(beyond.map(|beyond| ModelLine {
        model: NOT_BY_MODEL.to_owned(),
        spent: beyond.counted(byok),
        own_keys: beyond.byok,
        requests: None,
        per_request: None,
    }));
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

    fn model(model: &str, spent: i32, byok: i32) -> GroupUse {
        GroupUse { group: None, model: model.to_owned(), spent: usd(spent), byok: usd(byok), requests: 1 }
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
    fn of_very_many_groups_and_models_the_smallest_are_put_together() {
        let by_group: Vec<_> = (1..=14).map(|number| (format!("{number:02}"), spent(number, 0))).collect();
        let by_group = by_group.iter().map(|(name, used)| (name, used));
        let lines = groups(by_group, &DailyUse::default(), Byok::Inside, WEEKS, [exactly(105), exactly(0)]);
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!((&lines[MOST_LINES].of, lines[MOST_LINES].this_week), (&LineSubject::Further(2), usd(3)));

        let uses: Vec<_> = (1..=15).map(|number| model(&format!("a/{number:02}"), number, 0)).collect();
        let lines = models(&uses, None, Byok::Inside, WEEKS[0], Some(WEEKS[0].1));
        let last = lines.last().unwrap();
        assert_eq!((lines.len(), last.model.as_str(), last.spent), (MOST_LINES + 1, "3 further models", usd(6)));
        assert_eq!((last.requests, last.per_request), (Some(3), Some(usd(2))));
    }

    #[test]
    fn own_keys_are_told_apart_and_the_models_add_up_to_what_the_programme_counts() {
        let uses = [model("a/own", 0, 9), model("b/both", 2, 3), model("c/credits", 4, 0)];
        let mut used = spent(7, 0);
        used.byok = spent(12, 0).credits;
        for (byok, order) in
            [(Byok::Outside, ["c/credits", "b/both", "a/own"]), (Byok::Inside, ["a/own", "b/both", "c/credits"])]
        {
            let lines = models(&uses, Some(&used), byok, WEEKS[0], Some(WEEKS[0].1));
            let in_all: Usd = lines.iter().map(|line| line.spent).sum();
            assert_eq!(in_all, used.days(byok).between(WEEKS[0].0, WEEKS[0].1, None).spent, "{byok:?}");
            assert_eq!(lines.iter().map(|line| line.own_keys).sum::<Usd>(), usd(12), "{byok:?}");
            let names: Vec<_> = lines.iter().map(|line| line.model.as_str()).collect();
            assert_eq!(names, [&order[..], &[NOT_BY_MODEL]].concat(), "{byok:?}");
        }
    }

    #[test]
    fn what_keys_used_beyond_the_models_is_a_line_of_its_own_where_models_are_known_so_far() {
        let used = spent(5, 0);
        let of = |until| models(&[], Some(&used), Byok::Inside, WEEKS[0], until);
        let beyond = of(Some(WEEKS[0].1));
        assert_eq!((beyond[0].model.as_str(), beyond[0].spent, beyond[0].requests), (NOT_BY_MODEL, usd(5), None));
        assert_eq!(of(Some(WEEKS[0].0)), [], "of its day models are not known yet");
        assert_eq!(of(None), []);
    }
}
