//! Use by model: rows by key and model, whose use they are, and the sums and lines of a table that
//! pages and mails share. The provider module reads the rows, and the store keeps what programmes,
//! foreign keys and grants used.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::AddAssign;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::programme::Byok;
use crate::domain::usage::days::Accuracy;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{DeploymentId, GrantBytes, GrantId, KeyName, ProgrammeId};
use crate::domain::values::money::Usd;

/// The most entries of one day before the smallest are put together. An item of the table has room
/// for twice as many.
const MOST_ENTRIES: usize = 500;
/// The bytes after which names of models and of keys are cut.
const LONGEST_NAME: usize = 100;

/// The use of one model on one UTC day by all keys of one name. Both names are empty where the
/// provider has none.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelRow {
    pub key_name: String,
    pub model: String,
    pub day: Date,
    pub used: Sums,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelUse {
    /// The group within a programme, or of what is no programme's the name of the key; `None`
    /// without either.
    pub whose: Option<String>,
    /// The model's name; empty for models that are not told apart.
    pub model: String,
    pub used: Sums,
}

/// The use of each grant on a day, by programme and model. A grant's id stands for its person.
pub type GrantRows = BTreeMap<ProgrammeId, BTreeMap<String, BTreeMap<GrantBytes, Sums>>>;

/// The use of programmes and of none, by day.
pub type UseByDay = BTreeMap<(Date, Option<ProgrammeId>), Vec<ModelUse>>;

type SumsByName = BTreeMap<(Option<String>, String), Sums>;

/// The use of some days, each cent of it of one programme or of none.
#[derive(Debug, PartialEq)]
pub struct Attribution {
    pub days: UseByDay,
    /// The programmes' use again, by grant.
    pub grants: BTreeMap<Date, GrantRows>,
}

/// Attributes use to programmes, by the names of keys. `group_of` knows the group of a grant, if
/// there is such a grant; the inner `None` is a grant without a group.
pub fn attribute(
    rows: &[ModelRow],
    deployment: &DeploymentId,
    group_of: impl Fn(&ProgrammeId, &GrantId) -> Option<Option<String>>,
) -> Attribution {
    let mut days: BTreeMap<(Date, Option<ProgrammeId>), SumsByName> = BTreeMap::new();
    let mut grants: BTreeMap<Date, GrantRows> = BTreeMap::new();
    for row in rows {
        let model = cut(&row.model);
        let ours = row
            .key_name
            .parse::<KeyName>()
            .ok()
            .filter(|name| name.deployment == *deployment);
        let holder = ours.and_then(|name| Some((group_of(&name.programme, &name.grant)?, name)));
        let (programme, whose) = match holder {
            Some((group, name)) => {
                let of_day = grants
                    .entry(row.day)
                    .or_default()
                    .entry(name.programme.clone())
                    .or_default();
                let of_model = of_day.entry(model.clone()).or_default();
                *of_model.entry(name.grant.to_bytes()).or_default() += row.used;
                (Some(name.programme), group)
            }
            None => (
                None,
                Some(cut(&row.key_name)).filter(|name| !name.is_empty()),
            ),
        };
        *days
            .entry((row.day, programme))
            .or_default()
            .entry((whose, model))
            .or_default() += row.used;
    }
    let days = days.into_iter().map(|((day, programme), sums)| {
        let entries = entries(sums, programme.is_some());
        ((day, programme), entries)
    });
    Attribution {
        days: days.collect(),
        grants,
    }
}

/// A name as it is recorded.
pub fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(LONGEST_NAME)].to_owned()
}

/// The entries of a day in the order of their names, with the smallest put together, those of each
/// group apart, so that they fit into an item. The choice does not depend on the order of the rows.
fn entries(sums: SumsByName, are_groups: bool) -> Vec<ModelUse> {
    let mut largest: Vec<_> = sums.into_iter().collect();
    // The sort is stable, so equal ones stay in the order of their names.
    largest.sort_by_key(|(_, used)| Reverse(used.in_all()));
    let smallest = largest.split_off(largest.len().min(MOST_ENTRIES));
    let mut sums: SumsByName = largest.into_iter().collect();
    for ((whose, _), used) in smallest {
        *sums
            .entry((whose.filter(|_| are_groups), String::new()))
            .or_default() += used;
    }
    model_uses(sums)
}

fn model_uses(sums: SumsByName) -> Vec<ModelUse> {
    sums.into_iter()
        .map(|((whose, model), used)| ModelUse { whose, model, used })
        .collect()
}

/// The label for models that the sync put together, or that the provider does not name.
const NOT_TOLD_APART: &str = "models that are not told apart";
/// The label for use beyond what the provider reports by model.
pub const NOT_BY_MODEL: &str = "not attributed to a model";

/// An amount of use: the account's money, spending with the user's own provider keys, and the
/// number of requests.
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

    pub fn counted(self, byok: Byok) -> Usd {
        match byok {
            Byok::Inside => self.in_all(),
            Byok::Outside => self.spent,
        }
    }

    /// Whether no part is less than the other's, apart from what rounding row by row may come to.
    pub fn is_no_less_than(self, bound: Sums) -> bool {
        bound.spent - self.spent <= Usd::CENT
            && bound.byok - self.byok <= Usd::CENT
            && bound.requests <= self.requests
    }

    /// The mean cost of a request, rounded up to a hundredth of a cent.
    pub fn per_request(self) -> Option<Usd> {
        self.in_all()
            .over(self.requests)
            .map(|cost| cost.up_to_the(Usd::from_micros(100)))
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, rhs: Sums) {
        self.spent += rhs.spent;
        self.byok += rhs.byok;
        self.requests = self.requests.saturating_add(rhs.requests);
    }
}

impl Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(iter: I) -> Sums {
        let mut sum = Sums::default();
        iter.for_each(|used| sum += used);
        sum
    }
}

impl ModelUse {
    pub fn label(&self) -> &str {
        if self.model.is_empty() {
            NOT_TOLD_APART
        } else {
            &self.model
        }
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

/// The lines of a table: all use by group or name and by model, with the largest first in the money
/// that counts, and no more than so many, under which the rest is put together.
pub fn lines(uses: impl IntoIterator<Item = ModelUse>, byok: Byok, most: usize) -> Vec<ModelUse> {
    let mut sums = SumsByName::new();
    for ModelUse { whose, model, used } in uses {
        *sums.entry((whose, model)).or_default() += used;
    }
    let mut lines = model_uses(sums);
    // The sort is stable, so equal ones stay in the order of their names.
    lines.sort_by_key(|line| Reverse(line.used.counted(byok)));
    let further = lines.split_off(lines.len().min(most));
    if !further.is_empty() {
        let model = format!("{} further lines together", further.len());
        lines.push(ModelUse {
            whose: None,
            model,
            used: further.iter().map(|line| line.used).sum(),
        });
    }
    lines
}

/// The keys' use on these days beyond what lines tell by model. Less than a cent is `None`, since
/// rows are rounded up one by one, and so is an inexact sum.
pub fn find_use_beyond_models(
    lines: &[ModelUse],
    used: &DailyUse,
    (first, last): (Date, Date),
) -> Option<ModelUse> {
    let reported: Sums = lines.iter().map(|line| line.used).sum();
    let [credits, byok] =
        [&used.credits, &used.byok].map(|days| days.between(first, last, Some(last)));
    if first > last || credits.accuracy != Accuracy::Exactly || byok.accuracy != Accuracy::Exactly {
        return None;
    }
    let [spent, byok] =
        [credits.spent - reported.spent, byok.spent - reported.byok].map(|amount| {
            if amount >= Usd::CENT {
                amount
            } else {
                Usd::ZERO
            }
        });
    let used = Sums {
        spent,
        byok,
        requests: 0,
    };
    (used != Sums::default()).then(|| ModelUse {
        whose: None,
        model: NOT_BY_MODEL.to_owned(),
        used,
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::tests::values::micros as usd;

    const DAY: Date = Date::constant(2026, 11, 15);
    const DOLLAR: i64 = 1_000_000;

    fn used(model: &str, spent: i64, byok: i64) -> ModelUse {
        let used = Sums {
            spent: usd(spent * DOLLAR),
            byok: usd(byok * DOLLAR),
            requests: 1,
        };
        ModelUse {
            whose: None,
            model: model.to_owned(),
            used,
        }
    }

    /// Lines are summed by model and listed largest first, and the smallest are merged into one.
    #[test]
    fn lines_are_the_largest_first() {
        let uses = [
            used("c", 5, 0),
            used("b", 3, 2),
            used("a", 5, 0),
            used("b", 3, 2),
            used("d", 1, 7),
        ];
        let shown = |byok, most| {
            let lines = lines(uses.clone(), byok, most);
            let line = |line: &ModelUse| {
                (
                    line.label().to_owned(),
                    line.used.counted(byok),
                    line.requests().unwrap(),
                )
            };
            lines.iter().map(line).collect::<Vec<_>>()
        };
        let line =
            |model: &str, dollars, requests| (model.to_owned(), usd(dollars * DOLLAR), requests);
        let all = [
            line("b", 6, 2),
            line("a", 5, 1),
            line("c", 5, 1),
            line("d", 1, 1),
        ];
        assert_eq!(shown(Byok::Outside, 4), all);
        assert_eq!(
            shown(Byok::Inside, 2),
            [
                line("b", 10, 2),
                line("d", 8, 1),
                line("2 further lines together", 10, 2)
            ]
        );
    }

    /// What keys used beyond the use known by model is a line of its own, where it is known.
    #[test]
    fn use_beyond_models_is_a_line() {
        let told = [used("a/model", 1, 2)];
        let beyond = |micros, from| {
            let keys = DailyUse::on_one(DAY, usd(micros));
            find_use_beyond_models(&told, &keys, (from, Date::constant(2026, 11, 19)))
                .map(|line| (line.used.spent.micros(), line.requests()))
        };
        assert_eq!(beyond(1_250_000, DAY), Some((250_000, None)));
        assert_eq!(
            beyond(1_009_999, DAY),
            None,
            "rows are rounded up one by one"
        );
        assert_eq!(
            beyond(1_250_000, DAY.tomorrow().unwrap()),
            None,
            "of another day"
        );
    }

    const OURS: &str = "0123456789";
    const GRANT: &str = "0123456789abcdef";
    const UNGROUPED: &str = "aaaaaaaaaaaaaaaa";
    const UNKNOWN: &str = "ffffffffffffffff";

    fn key(deployment: &str, programme: &str, grant: &str) -> String {
        format!("bursar/{deployment}/{programme}/{grant}/1-0123456789abcdef")
    }

    fn day(number: i8) -> Date {
        Date::constant(2026, 11, number)
    }

    fn row(key_name: &str, model: &str, on: i8, micros: i64) -> ModelRow {
        let used = Sums {
            spent: usd(micros),
            byok: usd(micros / 2),
            requests: 1,
        };
        ModelRow {
            key_name: key_name.to_owned(),
            model: model.to_owned(),
            day: day(on),
            used,
        }
    }

    fn attributed(rows: &[ModelRow]) -> Attribution {
        attribute(rows, &OURS.parse().unwrap(), |_, grant| {
            match grant.as_str() {
                GRANT => Some(Some("A".to_owned())),
                UNGROUPED => Some(None),
                _ => None,
            }
        })
    }

    /// The lines of a day: group or key, model, micro-dollars and requests.
    fn uses(attribution: &Attribution, on: i8, programme: &str) -> String {
        let mut lines = Vec::new();
        for used in &attribution.days[&(day(on), programme.parse().ok())] {
            let whose = used.whose.as_deref().unwrap_or("-");
            lines.push(format!(
                "{whose} {} {} {}",
                used.model,
                used.used.spent.micros(),
                used.used.requests
            ));
        }
        lines.join("\n")
    }

    #[test]
    fn a_programmes_use_is_summed_by_group_model_and_day() {
        let a = key(OURS, "cs", GRANT);
        let ungrouped = key(OURS, "cs", UNGROUPED);
        let again = a.replace("/1-", "/2-");
        let rows = [
            row(&a, "m", 1, 10),
            row(&again, "m", 1, 5),
            row(&a, "n", 1, 1),
            row(&a, "m", 2, 7),
            row(&ungrouped, "m", 1, 3),
            row(&key(OURS, "law", GRANT), "m", 1, 2),
        ];
        let attribution = attributed(&rows);
        let lines = [(1, "cs"), (2, "cs"), (1, "law")]
            .map(|(on, programme)| uses(&attribution, on, programme));
        insta::assert_snapshot!(lines.join("\n\n"), @"
        - m 3 1
        A m 15 2
        A n 1 1

        A m 7 1

        A m 2 1
        ");
        assert_eq!(attribution.days.len(), 3, "none of it is no programme's");
        let of_model = &attribution.grants[&day(1)][&"cs".parse().unwrap()]["m"];
        let of_grants: Vec<_> = of_model
            .iter()
            .map(|(grant, used)| (GrantId::of_bytes(grant), used.requests))
            .collect();
        assert_eq!(
            of_grants,
            [(GRANT.parse().unwrap(), 2), (UNGROUPED.parse().unwrap(), 1)]
        );
    }

    #[test]
    fn what_is_no_programmes_has_the_names_of_its_keys() {
        let others = key("9999999999", "cs", GRANT);
        let forged = key(OURS, "cs", GRANT).replace("/1-", "/01-");
        let unknown = key(OURS, "cs", UNKNOWN);
        let rows = [
            row("My key", "m", 1, 1),
            row(&others, "m", 1, 2),
            row(&forged, "m", 1, 3),
            row(&unknown, "m", 1, 4),
            row("", "m", 1, 5),
            row(&format!("{}é", "x".repeat(99)), &"m".repeat(300), 1, 6),
        ];
        let attribution = attributed(&rows);
        insta::assert_snapshot!(uses(&attribution, 1, ""), @"
        - m 5 1
        My key m 1 1
        bursar/0123456789/cs/0123456789abcdef/01-0123456789abcdef m 3 1
        bursar/0123456789/cs/ffffffffffffffff/1-0123456789abcdef m 4 1
        bursar/9999999999/cs/0123456789abcdef/1-0123456789abcdef m 2 1
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm 6 1
        ");
        assert!(attribution.grants.is_empty() && attribution.days.len() == 1);
    }

    /// Entries beyond what an item holds are merged from the smallest, whatever their order.
    #[test]
    fn too_many_entries_are_merged() {
        let count = i64::try_from(MOST_ENTRIES).unwrap() + 50;
        let mut rows: Vec<ModelRow> = (0..count)
            .map(|number| row(&format!("key {number}"), "m", 1, number + 1))
            .collect();
        rows.extend((0..count).map(|number| {
            row(
                &key(OURS, "cs", GRANT),
                &format!("m{number}"),
                1,
                number + 1,
            )
        }));
        let attribution = attributed(&rows);
        let smallest: i64 = (1..=50).sum();
        for (programme, whose) in [("", None), ("cs", Some("A"))] {
            let entries = &attribution.days[&(day(1), programme.parse().ok())];
            let Sums {
                spent, requests, ..
            } = entries[0].used;
            assert_eq!(
                (entries.len(), entries[0].model.as_str(), requests),
                (MOST_ENTRIES + 1, "", 50)
            );
            assert_eq!(
                (entries[0].whose.as_deref(), spent.micros()),
                (whose, smallest)
            );
        }
        rows.reverse();
        assert_eq!(attributed(&rows), attribution);
    }
}
