//! Crossings: a threshold of a limit passed in a window. The limit's amount is part of a crossing's
//! identity. So a budget that is raised and lowered again is back at the thresholds that were
//! already reported.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::partition::{grant_partition, grant_partition_of, programme_partition};
use crate::domain::values::window::Window;
use crate::schema::{begin, key, stored};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Crossing {
    pub programme: ProgrammeId,
    #[serde(flatten)]
    pub scope: Scope,
    pub window: Window,
    #[serde(rename = "of_limit")]
    pub limit: Usd,
    pub threshold: u8,
    pub spent: Usd,
    pub found_at: Moment,
    /// Whether it is reported; false if a higher threshold was crossed at the same time or before.
    pub is_mailed: bool,
}

stored! {
    // A crossing. A student's crossings lie beside the grant: in a programme's own partition they
    // would crowd out all else.
    Crossing |crossing| (programme: &ProgrammeId, scope: &Scope, window: Window = crossing.window, limit: Usd = crossing.limit, threshold: u8 = crossing.threshold) =>
        key(home(programme, scope), format!("X#{}#{window}#{}#{threshold:03}", scope.label(), limit.micros()));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), "X#");
    list of_shard(programme: &ProgrammeId, shard: char) => begin(grant_partition(programme, shard), "X#");
    list of_scope(programme: &ProgrammeId, scope: &Scope) => begin(home(programme, scope), &format!("X#{}#", scope.label()));
    list of_limit(programme: &ProgrammeId, scope: &Scope, window: Window, limit: Usd) =>
        begin(home(programme, scope), &format!("X#{}#{window}#{}#", scope.label(), limit.micros()))
}

impl Crossing {
    /// The same at each of these thresholds, with whether it is reported.
    pub fn cross_each(self, thresholds: Vec<(u8, bool)>) -> Vec<Crossing> {
        let thresholds = thresholds.into_iter();
        thresholds
            .map(|(threshold, is_mailed)| Crossing {
                threshold,
                is_mailed,
                ..self.clone()
            })
            .collect()
    }
}

/// The partition of a scope's crossings.
fn home(programme: &ProgrammeId, scope: &Scope) -> String {
    match scope {
        Scope::Budget | Scope::Reserved => programme_partition(programme),
        Scope::Cap(grant) => grant_partition_of(programme, grant),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scope", content = "grant", rename_all = "lowercase")]
pub enum Scope {
    /// The programme's budget, by what was spent of it.
    Budget,
    /// The programme's budget, by what is reserved of it; crossed when there is no room for the
    /// keys of some who wait, and of all.
    Reserved,
    Cap(GrantId),
}

/// The threshold name of a budget that is reserved in full, which keeps it apart from spending.
const RESERVED: &str = "reserved";
/// The threshold under which a budget is recorded that has no room for the key of anybody who
/// waits.
pub const ALL: u8 = 100;
/// The one under which it is recorded before that, when it has none for the dearest of their keys.
pub const SOME: u8 = 1;

impl Scope {
    /// What the sort keys of its crossings call it.
    fn label(&self) -> &str {
        match self {
            Scope::Budget => "budget",
            Scope::Reserved => "reserved",
            Scope::Cap(grant) => grant.as_str(),
        }
    }

    pub fn threshold_name(&self, threshold: u8) -> String {
        match self {
            Scope::Reserved => RESERVED.to_owned(),
            Scope::Budget | Scope::Cap(_) => threshold.to_string(),
        }
    }

    /// The same with the limit, as pages and mails say it.
    pub fn to_words(&self, threshold: u8, limit: Usd) -> String {
        let limit = limit.to_dollars();
        match self {
            Scope::Reserved => format!("no room for more keys in {limit}"),
            Scope::Budget | Scope::Cap(_) => format!("{threshold}% of {limit}"),
        }
    }
}

/// The percentages of their own cap at which students are alerted.
const OF_A_CAP: [u8; 2] = [80, 100];

/// The thresholds of a limit that `spent` has passed and that are not on record, lowest first, each
/// with whether it is reported. Of several only the highest is reported, and none below one that is
/// on record.
pub fn newly_passed(thresholds: &[u8], limit: Usd, spent: Usd, recorded: &[u8]) -> Vec<(u8, bool)> {
    let crossed: BTreeSet<u8> = thresholds
        .iter()
        .copied()
        .filter(|threshold| is_crossed(*threshold, limit, spent))
        .collect();
    let highest = crossed.iter().chain(recorded).copied().max();
    crossed
        .into_iter()
        .filter(|threshold| !recorded.contains(threshold))
        .map(|threshold| (threshold, Some(threshold) == highest))
        .collect()
}

/// The used share of a limit in whole per cent, rounded down; of a zero limit, everything.
pub fn per_cent(spent: Usd, limit: Usd) -> i64 {
    let spent = i128::from(spent.micros().max(0));
    let limit = i128::from(limit.micros());
    if limit <= 0 {
        return if spent > 0 { 100 } else { 0 };
    }
    i64::try_from(spent * 100 / limit).unwrap_or(i64::MAX)
}

/// The thresholds of a student's cap that were newly passed. Who has less than a cent left has used
/// it up.
pub fn newly_passed_of_cap(cap: Usd, spent: Usd, recorded: &[u8]) -> Vec<(u8, bool)> {
    newly_passed(
        &OF_A_CAP,
        cap,
        if is_used_up(cap, spent) {
            spent.max(cap)
        } else {
            spent
        },
        recorded,
    )
}

/// Whether nothing can be spent of a cap any more: limits are whole cents.
pub fn is_used_up(cap: Usd, spent: Usd) -> bool {
    spent > Usd::ZERO && cap - spent < Usd::CENT
}

fn is_crossed(threshold: u8, limit: Usd, spent: Usd) -> bool {
    spent > Usd::ZERO
        && i128::from(spent.micros()) * 100 >= i128::from(limit.micros()) * i128::from(threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: [u8; 4] = [50, 80, 95, 100];

    fn found(spent: i32, known: &[u8]) -> Vec<(u8, bool)> {
        newly_passed(
            &THRESHOLDS,
            Usd::from_dollars(100),
            Usd::from_dollars(spent),
            known,
        )
    }

    #[test]
    fn only_the_highest_of_several_is_told_and_the_lower_are_passed() {
        assert_eq!(found(49, &[]), []);
        assert_eq!(found(50, &[]), [(50, true)]);
        assert_eq!(found(120, &[50]), [(80, false), (95, false), (100, true)]);
        assert_eq!(found(96, &[50, 95]), [(80, false)], "95 was told before");
        assert_eq!(found(97, &[50, 80, 95]), []);
    }

    #[test]
    fn a_cap_but_for_less_than_a_cent_is_used_up() {
        let cap = Usd::from_dollars(1);
        let passed = |micros| newly_passed_of_cap(cap, Usd::from_micros(micros), &[80]);
        assert_eq!(
            [passed(990_000), passed(990_001)],
            [vec![], vec![(100, true)]]
        );
        assert!(!is_used_up(Usd::ZERO, Usd::ZERO));
    }

    #[test]
    fn a_budget_of_nothing_is_crossed_by_the_first_cent() {
        assert_eq!(newly_passed(&[100], Usd::ZERO, Usd::ZERO, &[]), []);
        assert_eq!(
            newly_passed(&[100], Usd::ZERO, Usd::CENT, &[]),
            [(100, true)]
        );
        assert_eq!(
            (
                per_cent(Usd::ZERO, Usd::ZERO),
                per_cent(Usd::CENT, Usd::ZERO)
            ),
            (0, 100)
        );
        assert_eq!(
            per_cent(Usd::from_micros(839_999), Usd::from_dollars(1)),
            83,
            "rounded down"
        );
    }
}
