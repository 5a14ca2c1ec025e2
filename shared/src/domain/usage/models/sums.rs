//! Sums of use by model: the cost of a request, and the use that no model accounts for. Pages and mails share
//! them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{GroupUse, UnattributedUse};
use crate::domain::programme::Byok;
use crate::domain::usage::days::Accuracy;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::money::Usd;

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
    pub fn of_all(all: impl IntoIterator<Item = impl Into<Sums>>) -> Sums {
        let mut sum = Sums::default();
        all.into_iter().for_each(|used| sum += used.into());
        sum
    }

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

    /// The surplus over the other amount, never below zero.
    #[must_use]
    pub fn beyond(self, other: Option<Sums>) -> Sums {
        let other = other.unwrap_or_default();
        Sums {
            spent: (self.spent - other.spent).or_zero(),
            byok: (self.byok - other.byok).or_zero(),
            requests: self.requests.saturating_sub(other.requests),
        }
    }

    /// Whether no part is less than the other's, apart from what rounding row by row may come to.
    pub fn is_no_less_than(self, other: Sums) -> bool {
        let less = other.beyond(Some(self));
        less.spent <= Usd::CENT && less.byok <= Usd::CENT && less.requests == 0
    }

    /// The mean cost of a request, rounded up to a hundredth of a cent.
    pub fn per_request(self) -> Option<Usd> {
        let micros = u64::try_from(self.in_all().micros()).ok().filter(|_| self.requests > 0)?;
        let hundredths = micros.div_ceil(self.requests.saturating_mul(100));
        Some(Usd::from_micros(i64::try_from(hundredths.saturating_mul(100)).unwrap_or(i64::MAX)))
    }
}

impl From<&Sums> for Sums {
    fn from(used: &Sums) -> Sums {
        *used
    }
}

impl From<&GroupUse> for Sums {
    fn from(used: &GroupUse) -> Sums {
        Sums { spent: used.spent, byok: used.byok, requests: used.requests }
    }
}

impl From<&UnattributedUse> for Sums {
    fn from(used: &UnattributedUse) -> Sums {
        Sums { spent: used.spent, byok: used.byok, requests: used.requests }
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Sums) {
        self.spent += other.spent;
        self.byok += other.byok;
        self.requests = self.requests.saturating_add(other.requests);
    }
}

/// The label of a model.
pub fn named(model: &str) -> &str {
    if model.is_empty() { NOT_TOLD_APART } else { model }
}

/// The cost of a request in words: `$0.0043`.
pub fn cost_in_words(per_request: Usd) -> String {
    let hundredths = per_request.micros() / 100;
    format!("${}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

/// Each model with its sums, the largest first, equal ones by name.
pub fn by_model<'a>(uses: impl IntoIterator<Item = &'a GroupUse>) -> Vec<(String, Sums)> {
    let mut models: BTreeMap<String, Sums> = BTreeMap::new();
    for used in uses {
        *models.entry(used.model.clone()).or_default() += Sums::from(used);
    }
    let mut models: Vec<_> = models.into_iter().collect();
    // The sort is stable, so equal ones stay in the order of their names.
    models.sort_by_key(|(_, sums)| Reverse(sums.in_all()));
    models
}

/// The keys' use on these days beyond what is known by model. Less than a cent is `None`, since rows are
/// rounded up one by one, and so is an inexact sum.
pub fn beyond_models(told: Sums, used: &DailyUse, (from, to): (Date, Date)) -> Option<Sums> {
    let [credits, byok] = [&used.credits, &used.byok].map(|days| days.between(from, to, Some(to)));
    if from > to || credits.known != Accuracy::Exactly || byok.known != Accuracy::Exactly {
        return None;
    }
    let at_least_a_cent = |more: Usd| if more >= Usd::CENT { more } else { Usd::ZERO };
    let (spent, byok) = (at_least_a_cent(credits.spent - told.spent), at_least_a_cent(byok.spent - told.byok));
    (spent > Usd::ZERO || byok > Usd::ZERO).then_some(Sums { spent, byok, requests: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn models_are_summed_the_largest_first_and_equal_ones_by_name() {
        let used = |model: &str, micros| GroupUse {
            group: None,
            model: model.to_owned(),
            spent: Usd::from_micros(micros),
            byok: Usd::CENT,
            requests: 1,
        };
        let models = by_model(&[used("c", 5), used("b", 3), used("a", 5), used("b", 3)]);
        let shown: Vec<_> = models.iter().map(|(model, sums)| (model.as_str(), sums.spent.micros())).collect();
        assert_eq!(shown, [("b", 6), ("a", 5), ("c", 5)]);
        assert_eq!((models[0].1.requests, models[0].1.byok), (2, Usd::from_micros(20_000)));
    }
}
