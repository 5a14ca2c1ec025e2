//! The people who have no reservation in the budget and may take one, counted by where their cap comes from. So what the budget
//! would hold if everybody on the roster claimed is known at any time, after an edit of caps too, without a look at each grant.

use data_encoding::HEXLOWER;

use crate::domain::grant::Grant;
use crate::domain::programme::Settings;
use crate::prelude::*;

/// The number of people under each cap. Counts that are moved one by one may be a little off until the next whole count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unreserved(BTreeMap<String, i64>);

impl Unreserved {
    /// Under what a grant is counted, as a name in an expression; nothing where it has a reservation, or cannot take one now.
    pub fn cap_of(grant: &Grant) -> Option<String> {
        if grant.has_reservation || !grant.holds.is_empty() || grant.is_over() {
            return None;
        }
        let group = || format!("group_{}", HEXLOWER.encode(grant.group.as_deref().unwrap_or_default().as_bytes()));
        Some(grant.own_cap.map_or_else(group, |cap| format!("own_{}", cap.micros())))
    }

    pub fn add(&mut self, grant: &Grant) {
        if let Some(cap) = Unreserved::cap_of(grant) {
            *self.0.entry(cap).or_default() += 1;
        }
    }

    pub fn people(&self) -> u64 {
        self.0.values().map(|people| u64::try_from(*people).unwrap_or(0)).sum()
    }

    /// The cost of a key under each cap, with the number of people, the dearest first.
    pub fn costs(&self, settings: &Settings, now: Moment) -> Vec<(Usd, u32)> {
        let cost = |(cap, people): (&String, &i64)| {
            let own = cap.strip_prefix("own_").and_then(|micros| micros.parse().ok()).map(Usd::from_micros);
            let group = || {
                let name = HEXLOWER.decode(cap.strip_prefix("group_")?.as_bytes()).ok()?;
                String::from_utf8(name).ok().filter(|name| !name.is_empty())
            };
            let cap = own.unwrap_or_else(|| settings.allowance.cap_of(group().as_deref()));
            (settings.cost_of_a_key(cap, now), u32::try_from(*people).unwrap_or(0))
        };
        let mut costs: Vec<(Usd, u32)> = self.0.iter().map(cost).collect();
        costs.sort_unstable_by(|one, other| other.cmp(one));
        costs
    }

    pub fn cost(&self, settings: &Settings, now: Moment) -> Usd {
        self.costs(settings, now).into_iter().map(|(cost, people)| cost.times(people)).sum()
    }

    /// How many of these people this much money is enough for, whoever of them comes first.
    pub fn enough_for(&self, mut room: Usd, settings: &Settings, now: Moment) -> u64 {
        let mut fit = 0;
        for (cost, people) in self.costs(settings, now) {
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
