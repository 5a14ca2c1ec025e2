//! Usage by model, as pages show it: sums over the days of a span, largest first, and the days
//! without known models. Attributing usage is left to the sync.

use bursar_core::domain::programme::Byok;
use bursar_core::domain::usage::models::{ModelUse, cost_in_words, find_use_beyond_models, lines};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::{Span, stretches};
use bursar_core::domain::values::format::date_range;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::store::SyncState;
use jiff::civil::Date;

/// The most lines of a table; the rest are merged into one.
const MOST_LINES: usize = 100;
/// The label for keys that the provider does not name, and for those that the sync put together.
const NO_NAME: &str = "keys that are not told apart";

/// The days of a span, and those of them whose models are known.
pub(crate) struct ModelCoverage {
    /// The first and the last day, both complete.
    pub(crate) days: (Date, Date),
    /// The last day up to which models are known.
    pub(crate) until: Option<Date>,
    /// The days without known models, in words.
    pub(crate) missing: Option<String>,
}

impl ModelCoverage {
    /// The coverage of a span until yesterday. `first` is the first day on which there can be
    /// usage.
    fn new(
        state: &SyncState,
        (first_day, last_day): (Date, Date),
        first: Date,
        today: Date,
    ) -> ModelCoverage {
        let yesterday = today.yesterday().unwrap_or(today);
        let days = (first_day.max(first), last_day.min(yesterday));
        let missing = stretches(days, |day| !state.knows_models_of(day));
        let until = state.models_until;
        ModelCoverage {
            days,
            until,
            missing: until.and_then(|_| words(&missing)),
        }
    }

    /// The coverage of the account, whose first day of usage is not known.
    pub(crate) fn of_account(
        state: &SyncState,
        span: Span,
        days: (Date, Date),
        today: Date,
    ) -> ModelCoverage {
        let first = if span == Span::All {
            state.models_since.unwrap_or(today)
        } else {
            days.0
        };
        ModelCoverage::new(state, days, first, today)
    }

    /// The coverage of a programme, from the first day on which its keys were used.
    pub(crate) fn of_programme(state: &SyncState, used: &DailyUse, today: Date) -> ModelCoverage {
        let firsts = [&used.credits, &used.byok]
            .into_iter()
            .filter_map(|days| days.each().next());
        let first = firsts
            .map(|(day, ..)| day)
            .min()
            .or(state.models_since)
            .unwrap_or(today);
        ModelCoverage::new(state, (first, today), first, today)
    }

    /// The days up to which models are known.
    fn known(&self) -> Option<(Date, Date)> {
        self.until
            .map(|until| (self.days.0, until.min(self.days.1)))
    }

    /// The sentence for an empty table, unless models of some days are unknown.
    pub(crate) fn explain_empty(&self, nothing: &'static str) -> Option<&'static str> {
        match self.days {
            _ if self.until.is_none() || self.missing.is_some() => None,
            (first_day, last_day) if last_day < first_day => {
                Some("None of these days is over yet.")
            }
            _ => Some(nothing),
        }
    }
}

pub(crate) struct ModelTables {
    pub(crate) by_model: Vec<ModelUse>,
    /// Empty without groups.
    pub(crate) by_group: Vec<ModelUse>,
}

/// The tables of a programme by model, and by group and model if there are groups. Usage that
/// `used` proves beyond the known models is a line of its own.
pub(crate) fn of_programme(
    uses: Vec<ModelUse>,
    used: &DailyUse,
    byok: Byok,
    coverage: &ModelCoverage,
) -> ModelTables {
    let without_groups = uses.iter().map(|used| ModelUse {
        whose: None,
        ..used.clone()
    });
    let mut by_model = lines(without_groups, byok, MOST_LINES);
    by_model.extend(
        coverage
            .known()
            .and_then(|days| find_use_beyond_models(&by_model, used, days)),
    );
    if uses.iter().all(|used| used.whose.is_none()) {
        return ModelTables {
            by_model,
            by_group: Vec::new(),
        };
    }
    ModelTables {
        by_model,
        by_group: lines(name_unnamed(uses, "without a group"), byok, MOST_LINES),
    }
}

/// The table of what is no programme's, by the names of keys. `used` is what the foreign keys used
/// that nobody owns.
pub(crate) fn add_unattributed(
    uses: Vec<ModelUse>,
    used: &DailyUse,
    coverage: &ModelCoverage,
) -> Vec<ModelUse> {
    let mut by_key = lines(name_unnamed(uses, NO_NAME), Byok::Outside, MOST_LINES);
    by_key.extend(
        coverage
            .known()
            .and_then(|days| find_use_beyond_models(&by_key, used, days)),
    );
    by_key
}

/// Uses, under this name where they have none.
fn name_unnamed(uses: Vec<ModelUse>, name: &str) -> impl Iterator<Item = ModelUse> {
    uses.into_iter().map(|used| ModelUse {
        whose: used.whose.or_else(|| Some(name.to_owned())),
        ..used
    })
}

/// The lines, each with what was spent in cents, which add up.
pub(crate) fn in_cents(lines: &[ModelUse]) -> Vec<(&ModelUse, Usd)> {
    lines
        .iter()
        .zip(round_to_cents(lines.iter().map(|line| line.used.spent)))
        .collect()
}

pub(crate) fn has_byok(lines: &[ModelUse]) -> bool {
    lines.iter().any(|line| line.used.byok > Usd::ZERO)
}

/// The average cost of a request in words, to a hundredth of a cent, rounded up.
pub(crate) fn per_request(line: &ModelUse) -> String {
    line.used
        .per_request()
        .map_or_else(|| "–".to_owned(), cost_in_words)
}

/// Ranges of days in words, unless there are none.
pub(crate) fn words(stretches: &[(Date, Date)]) -> Option<String> {
    let ranges: Vec<String> = stretches.iter().copied().map(date_range).collect();
    (!ranges.is_empty()).then(|| ranges.join(", "))
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::usage::models::Sums;

    use super::*;

    fn date(day: &str) -> Date {
        format!("2026-11-{day}").parse().unwrap()
    }

    fn state() -> SyncState {
        let state = SyncState::default().with_models_of(date("02"), date("05"));
        state
            .with_models_of(date("08"), date("12"))
            .with_models_of(date("12"), date("19"))
    }

    fn coverage(from: &str, to: &str) -> ModelCoverage {
        ModelCoverage::new(&state(), (date(from), date(to)), Date::MIN, date("20"))
    }

    #[test]
    fn days_that_nobody_asked_for_are_named_and_never_nothing() {
        let missing = |from, to| coverage(from, to).missing;
        assert_eq!(missing("08", "20"), None);
        assert_eq!(
            missing("01", "20").as_deref(),
            Some("1 Nov 2026, 6–7 Nov 2026")
        );
        assert_eq!(
            coverage("19", "20").days,
            (date("19"), date("19")),
            "today is not looked at"
        );
        let behind = ModelCoverage::new(&state(), (date("19"), date("21")), Date::MIN, date("22"));
        assert_eq!(behind.missing.as_deref(), Some("20–21 Nov 2026"));
        let never = ModelCoverage::of_account(
            &SyncState::default(),
            Span::All,
            (Date::MIN, date("20")),
            date("20"),
        );
        assert_eq!(
            (
                never.until,
                never.missing.clone(),
                never.explain_empty("nothing")
            ),
            (None, None, None)
        );
        assert_eq!(
            coverage("20", "20").explain_empty("nothing"),
            Some("None of these days is over yet.")
        );
        assert_eq!(
            coverage("19", "20").explain_empty("nothing"),
            Some("nothing")
        );
        assert_eq!(coverage("06", "20").explain_empty("nothing"), None);
    }

    /// Coverage begins on a programme's first day of use, and on the first day that was asked for
    /// of an account.
    #[test]
    fn coverage_has_a_first_day() {
        let all = (Date::MIN, date("20"));
        let some = DailyUse::on_one(date("09"), Usd::CENT);
        assert_eq!(
            ModelCoverage::of_programme(&state(), &some, date("20")).days,
            (date("09"), date("19"))
        );
        assert_eq!(
            ModelCoverage::of_programme(&state(), &DailyUse::default(), date("20"))
                .days
                .0,
            date("02")
        );
        assert_eq!(
            ModelCoverage::of_account(&state(), Span::All, all, date("20"))
                .days
                .0,
            date("02")
        );
        let week = (date("13"), date("19"));
        assert_eq!(
            ModelCoverage::of_account(&state(), Span::Week, week, date("20")).days,
            week
        );
    }

    /// Groups have a table of their own, and use with no known model is a line of the other table.
    #[test]
    fn groups_have_their_own_table() {
        let used = |group: Option<&str>, dollars| {
            let used = Sums {
                spent: Usd::from_dollars(dollars),
                byok: Usd::ZERO,
                requests: 1,
            };
            ModelUse {
                whose: group.map(str::to_owned),
                model: "a/model".to_owned(),
                used,
            }
        };
        let tables = |uses: &[ModelUse]| {
            let of_keys = DailyUse::on_one(date("12"), Usd::from_dollars(9));
            let ModelTables { by_model, by_group } =
                of_programme(uses.to_vec(), &of_keys, Byok::Inside, &coverage("08", "19"));
            let cells = |line: &ModelUse| {
                (
                    line.whose.clone().unwrap_or_default(),
                    line.used.spent,
                    line.requests(),
                )
            };
            [by_model, by_group].map(|lines| lines.iter().map(cells).collect::<Vec<_>>())
        };
        let line = |whose: &str, dollars, requests| {
            (whose.to_owned(), Usd::from_dollars(dollars), requests)
        };
        let [models, groups] = tables(&[used(Some("A"), 1), used(None, 2), used(Some("A"), 3)]);
        assert_eq!(models, [line("", 6, Some(3)), line("", 3, None)]);
        assert_eq!(
            groups,
            [line("A", 4, Some(2)), line("without a group", 2, Some(1))]
        );
        assert_eq!(
            tables(&[used(None, 9)]),
            [vec![line("", 9, Some(1))], Vec::new()]
        );
    }
}
