//! Sums of use by model: the lines of a table, the cost of a request, and the use that no model accounts for. Pages and mails
//! share them.

use std::cmp::Reverse;
use std::iter::Sum;
use std::ops::AddAssign;

use super::ModelUse;
use crate::domain::programme::Byok;
use crate::domain::usage::days::Accuracy;
use crate::prelude::*;

/// The label for models that the sync put together, or that the provider does not name.
const NOT_TOLD_APART: &str = "models that are not told apart";
/// The label for use beyond what the provider reports by model.
pub const NOT_BY_MODEL: &str = "not attributed to a model";

/// An amount of use: the account's money, spending with the user's own provider keys, and the number of
/// requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    pub spent: Usd,
    pub byok: Usd,
    pub requests: u64,
}

impl Sums {
    /// The sum, whoever paid it.
    pub fn in_all(self) -> Usd {
        self.spent + self.byok
    }

    /// The amount that a programme counts.
    pub fn counted(self, byok: Byok) -> Usd {
        match byok {
            Byok::Inside => self.in_all(),
            Byok::Outside => self.spent,
        }
    }

    /// Whether no part is less than the other's, apart from what rounding row by row may come to.
    pub fn is_no_less_than(self, other: Sums) -> bool {
        other.spent - self.spent <= Usd::CENT && other.byok - self.byok <= Usd::CENT && other.requests <= self.requests
    }

    /// The mean cost of a request, rounded up to a hundredth of a cent.
    pub fn per_request(self) -> Option<Usd> {
        let micros = u64::try_from(self.in_all().micros()).ok().filter(|_| self.requests > 0)?;
        let hundredths = micros.div_ceil(self.requests.saturating_mul(100));
        Some(Usd::from_micros(i64::try_from(hundredths.saturating_mul(100)).unwrap_or(i64::MAX)))
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Sums) {
        self.spent += other.spent;
        self.byok += other.byok;
        self.requests = self.requests.saturating_add(other.requests);
    }
}

impl Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(all: I) -> Sums {
        let mut sum = Sums::default();
        all.for_each(|used| sum += used);
        sum
    }
}

impl ModelUse {
    /// The name of the model in a table.
    pub fn label(&self) -> &str {
        if self.model.is_empty() { NOT_TOLD_APART } else { &self.model }
    }

    /// The number of requests; `None` where only the money is known.
    pub fn requests(&self) -> Option<u64> {
        (self.model != NOT_BY_MODEL).then_some(self.used.requests)
    }
}

/// The cost of a request in words: `$0.0043`.
pub fn cost_in_words(per_request: Usd) -> String {
    let hundredths = per_request.micros() / 100;
    format!("${}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

/// The lines of a table: all use by group or name and by model, with the largest first in the money that counts, and no more than
/// so many, under which the rest is put together.
pub fn lines(uses: impl IntoIterator<Item = ModelUse>, byok: Byok, most: usize) -> Vec<ModelUse> {
    let mut sums: BTreeMap<(Option<String>, String), Sums> = BTreeMap::new();
    for ModelUse { whose, model, used } in uses {
        *sums.entry((whose, model)).or_default() += used;
    }
    let mut lines: Vec<_> = sums.into_iter().map(|((whose, model), used)| ModelUse { whose, model, used }).collect();
    // The sort is stable, so equal ones stay in the order of their names.
    lines.sort_by_key(|line| Reverse(line.used.counted(byok)));
    let further = lines.split_off(lines.len().min(most));
    if !further.is_empty() {
        let model = format!("{} further lines together", further.len());
        lines.push(ModelUse { whose: None, model, used: further.iter().map(|line| line.used).sum() });
    }
    lines
}

/// The keys' use on these days beyond what lines tell by model. Less than a cent is `None`, since rows are
/// rounded up one by one, and so is an inexact sum.
pub fn beyond_models(lines: &[ModelUse], used: &DailyUse, (from, to): (Date, Date)) -> Option<ModelUse> {
    let told: Sums = lines.iter().map(|line| line.used).sum();
    let [credits, byok] = [&used.credits, &used.byok].map(|days| days.between(from, to, Some(to)));
    if from > to || credits.known != Accuracy::Exactly || byok.known != Accuracy::Exactly {
        return None;
    }
    let at_least_a_cent = |more: Usd| if more >= Usd::CENT { more } else { Usd::ZERO };
    let used = Sums {
        spent: at_least_a_cent(credits.spent - told.spent),
        byok: at_least_a_cent(byok.spent - told.byok),
        requests: 0,
    };
    (used != Sums::default()).then(|| ModelUse { whose: None, model: NOT_BY_MODEL.to_owned(), used })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::dollars as usd;

    const DAY: Date = Date::constant(2026, 11, 15);

    fn used(model: &str, spent: i32, byok: i32) -> ModelUse {
        let used = Sums { spent: usd(spent), byok: usd(byok), requests: 1 };
        ModelUse { whose: None, model: model.to_owned(), used }
    }

    #[test]
    fn what_a_request_cost_rounds_up_to_a_hundredth_of_a_cent() {
        let cost = |micros, requests| {
            let sums = Sums { spent: Usd::from_micros(micros), byok: Usd::ZERO, requests };
            sums.per_request().map(cost_in_words)
        };
        assert_eq!(cost(3_000_001, 7).as_deref(), Some("$0.4286"));
        assert_eq!(cost(10_000, 1).as_deref(), Some("$0.0100"));
        assert_eq!(cost(1, 1).as_deref(), Some("$0.0001"));
        assert_eq!(cost(1, 0), None);
    }

    #[test]
    fn lines_are_summed_the_largest_first_and_the_smallest_are_put_together() {
        let uses = [used("c", 5, 0), used("b", 3, 2), used("a", 5, 0), used("b", 3, 2), used("d", 1, 7)];
        let shown = |byok, most| {
            let lines = lines(uses.clone(), byok, most);
            let line = |line: &ModelUse| (line.label().to_owned(), line.used.counted(byok), line.requests().unwrap());
            lines.iter().map(line).collect::<Vec<_>>()
        };
        let line = |model: &str, dollars, requests| (model.to_owned(), usd(dollars), requests);
        let all = [line("b", 6, 2), line("a", 5, 1), line("c", 5, 1), line("d", 1, 1)];
        assert_eq!(shown(Byok::Outside, 4), all);
        assert_eq!(
            shown(Byok::Inside, 2),
            [line("b", 10, 2), line("d", 8, 1), line("2 further lines together", 10, 2)]
        );
    }

    #[test]
    fn what_keys_used_beyond_the_models_is_a_line_of_its_own_where_it_is_known() {
        let told = [used("a/model", 1, 2)];
        let beyond = |micros, from| {
            let keys = DailyUse::on_one(DAY, Usd::from_micros(micros));
            beyond_models(&told, &keys, (from, Date::constant(2026, 11, 19)))
                .map(|line| (line.used.spent.micros(), line.requests()))
        };
        assert_eq!(beyond(1_250_000, DAY), Some((250_000, None)));
        assert_eq!(beyond(1_009_999, DAY), None, "rows are rounded up one by one");
        assert_eq!(beyond(1_250_000, DAY.tomorrow().unwrap()), None, "of another day");
    }
}
