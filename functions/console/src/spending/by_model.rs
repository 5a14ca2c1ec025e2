//! Usage by model, as pages show it: sums over the days of a span, largest first, and the days without
//! known models. Attributing usage is left to the sync.

use std::collections::BTreeMap;

use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::models::{
    GroupUse, NOT_BY_MODEL, Sums, UnattributedReason, UnattributedUse, beyond_models, cost_in_words, named,
};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::{Span, stretches};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::SyncState;
use jiff::civil::Date;

use crate::show;

/// The most lines of a table; the rest are merged into one.
const MOST_LINES: usize = 100;

/// The days of a span, and those of them whose models are known.
pub(crate) struct ModelCoverage {
    /// The first and the last day, both complete.
    pub(crate) days: (Date, Date),
    /// The last day up to which models are known.
    pub(crate) until: Option<Date>,
    /// The days without known models, in words.
    pub(crate) missing: Option<String>,
}

/// A table of usage by model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelTable {
    pub(crate) rows: Vec<ModelSpending>,
    /// Whether any of it was BYOK.
    pub(crate) has_byok: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ModelSpending {
    /// The group or owner; empty in a table for all.
    pub(crate) whose: String,
    pub(crate) model: String,
    /// The exact amount, for programs that read the page.
    pub(crate) spent: Usd,
    pub(crate) byok: Usd,
    /// The number of requests; `None` where only the money is known.
    pub(crate) requests: Option<u64>,
}

impl ModelCoverage {
    /// The coverage of a span until yesterday. `first` is the first day on which there can be usage.
    fn of(state: &SyncState, (from, to): (Date, Date), first: Date, today: Date) -> ModelCoverage {
        let yesterday = today.yesterday().unwrap_or(today);
        let days = (from.max(first), to.min(yesterday));
        let missing = stretches(days, |day| !state.knows_models_of(day));
        let until = state.models_until;
        ModelCoverage { days, until, missing: until.and_then(|_| words(&missing)) }
    }

    /// The coverage of the account, whose first day of usage is not known.
    pub(crate) fn of_account(state: &SyncState, span: Span, days: (Date, Date), today: Date) -> ModelCoverage {
        let first = if span == Span::All { state.models_since.unwrap_or(today) } else { days.0 };
        ModelCoverage::of(state, days, first, today)
    }

    /// The coverage of a programme, from the first day on which its keys were used.
    pub(crate) fn of_programme(state: &SyncState, days: (Date, Date), used: &DailyUse, today: Date) -> ModelCoverage {
        let first = |days: &Days| days.each().next().map(|(day, ..)| day);
        let first =
            [&used.credits, &used.byok].into_iter().filter_map(first).min().or(state.models_since).unwrap_or(today);
        ModelCoverage::of(state, days, first, today)
    }

    /// The sentence for an empty table, unless models of some days are unknown.
    pub(crate) fn why_empty(&self, nothing: &'static str) -> Option<&'static str> {
        match self.days {
            _ if self.until.is_none() || self.missing.is_some() => None,
            (from, to) if to < from => Some("No day of it is over yet."),
            _ => Some(nothing),
        }
    }
}

/// The tables by model, and by group and model if there are groups. Usage that `used` proves beyond the
/// known models is a line of its own.
pub(crate) fn of_programme(uses: &[&GroupUse], used: &DailyUse, coverage: &ModelCoverage) -> (ModelTable, ModelTable) {
    let mut models: BTreeMap<(String, String), Sums> = BTreeMap::new();
    let mut groups: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for used in uses {
        let (sums, model) = (Sums::from(*used), named(&used.model).to_owned());
        *models.entry((String::new(), model.clone())).or_default() += sums;
        let group = used.group.clone().unwrap_or_else(|| "without a group".to_owned());
        *groups.entry((group, model)).or_default() += sums;
    }
    let rest = coverage.until.and_then(|until| {
        beyond_models(Sums::of_all(models.values()), used, (coverage.days.0, until.min(coverage.days.1)))
    });
    if uses.iter().all(|of| of.group.is_none()) {
        groups.clear();
    }
    let mut models = ModelTable::of(models);
    models.has_byok |= rest.is_some_and(|rest| rest.byok > Usd::ZERO);
    models.rows.extend(rest.map(|rest| ModelSpending {
        whose: String::new(),
        model: NOT_BY_MODEL.to_owned(),
        spent: rest.spent,
        byok: rest.byok,
        requests: None,
    }));
    (models, ModelTable::of(groups))
}

/// The table of unattributed use, by reason, name and model.
pub(crate) fn unattributed(days: &[Vec<UnattributedUse>]) -> ModelTable {
    let mut sums: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for UnattributedUse { why, name, model, spent, byok, requests } in days.iter().flatten() {
        let key = (whose(*why, name.as_deref()), named(model).to_owned());
        *sums.entry(key).or_default() += Sums { spent: *spent, byok: *byok, requests: *requests };
    }
    ModelTable::of(sums)
}

fn whose(why: UnattributedReason, name: Option<&str>) -> String {
    match (why, name) {
        (UnattributedReason::Foreign, Some(name)) => format!("foreign key {name}"),
        (UnattributedReason::Foreign, None) => "foreign keys that are not told apart".to_owned(),
        (UnattributedReason::NotOurs, Some(name)) => format!("a name of another deployment: {name}"),
        (UnattributedReason::NotOurs, None) => "names of other deployments that are not told apart".to_owned(),
        (UnattributedReason::UnknownGrant, Some(name)) => format!("a grant that is not here: {name}"),
        (UnattributedReason::UnknownGrant, None) => "grants that are not here".to_owned(),
        (UnattributedReason::NoKey, _) => "the provider names no key".to_owned(),
        (UnattributedReason::Rest, _) => "the provider did not say whose".to_owned(),
    }
}

impl ModelTable {
    fn of(sums: BTreeMap<(String, String), Sums>) -> ModelTable {
        let mut sums: Vec<_> = sums.into_iter().collect();
        // The sort is stable, so equal sums stay in the order of their names.
        sums.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.spent + sums.byok));
        let smallest = sums.split_off(sums.len().min(MOST_LINES));
        let rest = Sums::of_all(smallest.iter().map(|(_, sums)| sums));
        if !smallest.is_empty() {
            sums.push(((String::new(), format!("{} further lines together", smallest.len())), rest));
        }
        let line = |((whose, model), Sums { spent, byok, requests })| ModelSpending {
            whose,
            model,
            spent,
            byok,
            requests: Some(requests),
        };
        let rows: Vec<ModelSpending> = sums.into_iter().map(line).collect();
        ModelTable { has_byok: rows.iter().any(|row| row.byok > Usd::ZERO), rows }
    }
}

impl ModelSpending {
    /// The average cost of a request, to a hundredth of a cent, rounded up.
    pub(crate) fn per_request(&self) -> Option<String> {
        let sums = Sums { spent: self.spent, byok: self.byok, requests: self.requests? };
        sums.per_request().map(cost_in_words)
    }

    pub(crate) fn requests(&self) -> String {
        self.requests.map_or_else(|| "not known".to_owned(), show::count)
    }
}

/// Ranges of days in words, unless there are none.
pub(crate) fn words(stretches: &[(Date, Date)]) -> Option<String> {
    let stretch = |(from, to): &(Date, Date)| if from == to { from.to_string() } else { format!("{from} to {to}") };
    let all: Vec<String> = stretches.iter().map(stretch).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: &str) -> Date {
        format!("2026-11-{day}").parse().unwrap()
    }

    fn usd(micros: i64) -> Usd {
        Usd::from_micros(micros)
    }

    fn used(group: Option<&str>, model: &str, spent: i64, byok: i64, requests: u64) -> GroupUse {
        let (group, model) = (group.map(str::to_owned), model.to_owned());
        GroupUse { group, model, spent: usd(spent), byok: usd(byok), requests }
    }

    fn state() -> SyncState {
        let state = SyncState::default().with_models_of(date("02"), date("05"));
        state.with_models_of(date("08"), date("12")).with_models_of(date("12"), date("19"))
    }

    fn coverage(from: &str, to: &str) -> ModelCoverage {
        ModelCoverage::of(&state(), (date(from), date(to)), Date::MIN, date("20"))
    }

    /// The model, its spending, its number of requests, and the cost of one.
    type Cells<'a> = (&'a str, i64, Option<u64>, Option<String>);

    fn cells(lines: &ModelTable) -> Vec<Cells<'_>> {
        let rows = lines.rows.iter();
        rows.map(|line| (line.model.as_str(), line.spent.micros(), line.requests, line.per_request())).collect()
    }

    #[test]
    fn days_that_nobody_asked_for_are_named_and_never_nothing() {
        let missing = |from, to| coverage(from, to).missing;
        assert_eq!(missing("08", "20"), None);
        assert_eq!(missing("01", "20").as_deref(), Some("2026-11-01, 2026-11-06 to 2026-11-07"));
        assert_eq!(coverage("19", "20").days, (date("19"), date("19")), "today is not looked at");
        let behind = ModelCoverage::of(&state(), (date("19"), date("21")), Date::MIN, date("22"));
        assert_eq!(behind.missing.as_deref(), Some("2026-11-20 to 2026-11-21"));
        let never = ModelCoverage::of_account(&SyncState::default(), Span::All, (Date::MIN, date("20")), date("20"));
        assert_eq!((never.until, never.missing.clone(), never.why_empty("nothing")), (None, None, None));
        assert_eq!(coverage("20", "20").why_empty("nothing"), Some("No day of it is over yet."));
        assert_eq!(coverage("19", "20").why_empty("nothing"), Some("nothing"));
        assert_eq!(coverage("06", "20").why_empty("nothing"), None);
    }

    #[test]
    fn a_programme_is_looked_at_from_its_first_day_and_an_account_from_the_first_that_was_asked_for() {
        let all = (Date::MIN, date("20"));
        let some = DailyUse::on_one(date("09"), Usd::CENT);
        assert_eq!(ModelCoverage::of_programme(&state(), all, &some, date("20")).days, (date("09"), date("19")));
        assert_eq!(ModelCoverage::of_programme(&state(), all, &DailyUse::default(), date("20")).days.0, date("02"));
        assert_eq!(ModelCoverage::of_account(&state(), Span::All, all, date("20")).days.0, date("02"));
        let week = (date("13"), date("19"));
        assert_eq!(ModelCoverage::of_account(&state(), Span::Week, week, date("20")).days, week);
    }

    fn each(days: &[Vec<GroupUse>]) -> Vec<&GroupUse> {
        days.iter().flatten().collect()
    }

    #[test]
    fn models_are_summed_over_days_the_largest_first_and_groups_have_a_table_of_their_own() {
        let days = [
            vec![used(Some("A"), "a/small", 10_000, 0, 1), used(None, "b/large", 2_000_000, 0, 3)],
            vec![used(Some("A"), "b/large", 1_000_001, 0, 4), used(Some("A"), "", 1, 0, 0)],
        ];
        let (models, groups) = of_programme(&each(&days), &DailyUse::default(), &coverage("08", "19"));
        let cost = |text: &str| Some(text.to_owned());
        let expected = [
            ("b/large", 3_000_001, Some(7), cost("$0.4286")),
            ("a/small", 10_000, Some(1), cost("$0.0100")),
            (named(""), 1, Some(0), None),
        ];
        assert_eq!(cells(&models), expected);
        assert!(!models.has_byok);
        let whose: Vec<_> = groups.rows.iter().map(|line| (line.whose.as_str(), line.model.as_str())).collect();
        let expected = [("without a group", "b/large"), ("A", "b/large"), ("A", "a/small"), ("A", named(""))];
        assert_eq!(whose, expected);
        let (_, groups) = of_programme(&[&used(None, "a/small", 1, 0, 1)], &DailyUse::default(), &coverage("08", "19"));
        assert_eq!(groups, ModelTable::default());
    }

    #[test]
    fn what_keys_used_beyond_the_models_is_a_line_of_its_own_where_it_is_known() {
        let days = [vec![used(None, "a/model", 1_000_000, 2_000_000, 9)]];
        let of = |micros, from| {
            let keys = DailyUse::on_one(date("12"), usd(micros));
            let (models, _) = of_programme(&each(&days), &keys, &coverage(from, "19"));
            models.rows.iter().map(|line| (line.model.clone(), line.spent.micros())).collect::<Vec<_>>()
        };
        let model = ("a/model".to_owned(), 1_000_000);
        assert_eq!(of(1_250_000, "08"), [model.clone(), (NOT_BY_MODEL.to_owned(), 250_000)]);
        assert_eq!(of(1_009_999, "08"), std::slice::from_ref(&model), "rows are rounded up one by one");
        assert_eq!(of(1_250_000, "13"), [model], "of another day");
        let (models, _) = of_programme(&each(&days), &DailyUse::default(), &coverage("08", "19"));
        assert!(models.has_byok);
    }

    #[test]
    fn what_is_nobodys_says_why() {
        for (why, name, whose) in [
            (UnattributedReason::Foreign, Some("prof-laptop"), "foreign key prof-laptop"),
            (UnattributedReason::NotOurs, Some("bursar/x"), "a name of another deployment: bursar/x"),
            (UnattributedReason::UnknownGrant, Some("cs/12"), "a grant that is not here: cs/12"),
            (UnattributedReason::NoKey, None, "the provider names no key"),
            (UnattributedReason::Rest, None, "the provider did not say whose"),
        ] {
            let GroupUse { model, spent, byok, requests, .. } = used(None, "a/model", 5, 0, 1);
            let name = name.map(str::to_owned);
            let lines = unattributed(&[vec![UnattributedUse { why, name, model, spent, byok, requests }]]);
            assert_eq!(lines.rows[0].whose, whose);
        }
    }

    #[test]
    fn of_very_many_lines_the_smallest_are_put_together() {
        let model = |number: i64| used(None, &format!("a/{number}"), number, 0, 1);
        let (models, _) =
            of_programme(&each(&[(1..=103).map(model).collect()]), &DailyUse::default(), &coverage("08", "19"));
        assert_eq!(models.rows.len(), MOST_LINES + 1);
        let last = models.rows.last().unwrap();
        assert_eq!((last.model.as_str(), last.spent, last.requests), ("3 further lines together", usd(6), Some(3)));
    }
}
