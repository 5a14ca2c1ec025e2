//! The people who have no reservation in the budget and may take one, counted by where their cap
//! comes from. So what the budget would hold if everybody on the roster claimed is known at any
//! time, after an edit of caps too, without a look at each grant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Moment;
use crate::domain::grant::{Grant, SETTLING};
use crate::domain::programme::Settings;
use crate::domain::values::money::Usd;

/// The number of people under each cap, in the budget's item: whatever changes them moves them in
/// its own transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unreserved(BTreeMap<String, i64>);

/// Before the name of the cap of those who had a key: another one takes what is left of it at most.
const AGAIN: &str = "again_";

/// People whose key costs alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyCost {
    pub cost: Usd,
    pub people: u32,
    pub had_a_key: bool,
}

impl Unreserved {
    pub fn of_grant(grant: &Grant, counted_at: Option<Moment>) -> Unreserved {
        let mut unreserved = Unreserved::default();
        unreserved.add(grant, counted_at);
        unreserved
    }

    /// Counts a grant under a name that fits into an expression, unless it has a reservation,
    /// cannot take one now, or gave one back that the budget, which was last counted for this
    /// instant, still holds.
    pub fn add(&mut self, grant: &Grant, counted_at: Option<Moment>) {
        if grant.has_reservation
            || !grant.holds.is_empty()
            || grant.is_over()
            || grant.is_in_budget(counted_at)
        {
            return;
        }
        let cap = match (grant.own_cap, &grant.group) {
            (Some(cap), _) => format!("own_{}", cap.micros()),
            (None, Some(group)) => of_group(group),
            (None, None) => "programme".to_owned(),
        };
        let prefix = if grant.stage.has_claimed() { AGAIN } else { "" };
        *self.0.entry(format!("{prefix}{cap}")).or_default() += 1;
    }

    /// By how many the counts are above those of another, by cap, where they differ.
    pub fn difference_from(&self, baseline: &Unreserved) -> Vec<(String, i64)> {
        let caps: BTreeSet<&String> = self.0.keys().chain(baseline.0.keys()).collect();
        let beyond = caps
            .into_iter()
            .map(|cap| (cap.clone(), self.count(cap) - baseline.count(cap)));
        beyond.filter(|(_, difference)| *difference != 0).collect()
    }

    fn count(&self, cap: &str) -> i64 {
        self.0.get(cap).copied().unwrap_or_default()
    }

    pub fn people(&self, settings: &Settings, now: Moment) -> u64 {
        self.costs(settings, now)
            .into_iter()
            .map(|key_cost| u64::from(key_cost.people))
            .sum()
    }

    /// The cost of a key under each cap, at most, with the number of people, the dearest first.
    /// Once keys cannot be claimed any more, those who have had one are left.
    pub fn costs(&self, settings: &Settings, now: Moment) -> Vec<KeyCost> {
        let caps = &settings.allowance.group_caps;
        let of_groups: HashMap<String, Usd> = caps
            .iter()
            .map(|(group, cap)| (of_group(group), *cap))
            .collect();
        let may_claim = now < settings.claim_closes_at();
        let mut costs = Vec::new();
        for (name, people) in &self.0 {
            let had_a_key = name.starts_with(AGAIN);
            if !may_claim && !had_a_key {
                continue;
            }
            let name = name.trim_start_matches(AGAIN);
            let own_cap = name
                .strip_prefix("own_")
                .and_then(|micros| micros.parse().ok())
                .map(Usd::from_micros);
            let cap = own_cap
                .or_else(|| of_groups.get(name).copied())
                .unwrap_or(settings.allowance.cap);
            let people = u32::try_from(*people).unwrap_or(0);
            costs.push(KeyCost {
                cost: settings.cost_of_a_key(cap, now),
                people,
                had_a_key,
            });
        }
        costs.sort_unstable_by(|a, b| b.cmp(a));
        costs
    }

    pub fn cost(&self, settings: &Settings, now: Moment) -> Usd {
        self.costs(settings, now)
            .into_iter()
            .map(|key_cost| key_cost.cost.times(key_cost.people))
            .sum()
    }

    /// How many of these people this much money is enough for, whoever of them comes first.
    pub fn enough_for(&self, mut room: Usd, settings: &Settings, now: Moment) -> u64 {
        let mut fit = 0;
        for KeyCost { cost, people, .. } in self.costs(settings, now) {
            for _ in 0..people {
                room = room - cost;
                if room < Usd::ZERO {
                    return fit;
                }
                fit += 1;
            }
        }
        fit
    }
}

impl Grant {
    /// Whether a budget that was counted for this instant holds what its last key could still
    /// spend: a key counts until its final reading.
    fn is_in_budget(&self, counted_at: Option<Moment>) -> bool {
        let Some(last) = self.newest_shown().filter(|last| last.gone.is_none()) else {
            return false;
        };
        let off_since = last.enabled.since(&false);
        let is_counted_since = off_since
            .zip(counted_at)
            .is_some_and(|(off, counted)| off + SETTLING <= counted);
        last.final_reading.is_some() || !is_counted_since
    }
}

/// A group as a name in an expression, which may have 255 letters of few kinds.
fn of_group(group: &str) -> String {
    let hash = Sha256::digest(group);
    format!(
        "group_{}",
        HEXLOWER.encode(hash.get(..16).unwrap_or_default())
    )
}
