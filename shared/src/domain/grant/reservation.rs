//! What a grant can still cost, its reservation: the one sum by which an act takes from the budget,
//! and which the sync counts anew.
//!
//! It is what the grant spent, what this window can still cost, and the same for each later window.
//! This window costs the larger of the cap and of what the newest key may spend under the largest
//! limit that the provider may hold. A key that is off counts until its final reading, a quarter of
//! an hour after that was confirmed; what its grant's other keys used is known by the time it is
//! made.
//!
//! An act that needs room in the budget asks for it and may be refused. What is found to be
//! spendable already, such as a key that somebody enabled again, is counted whether there is room
//! or not.
//!
//! No act gives anything back: the next count of the whole budget, which the nightly sync makes,
//! frees what is not needed any more. So revoking, ending, handing back, disuse, a drop after its
//! week and a lower cap all free it overnight.
//!
//! Of a key that is gone the recorded use counts and nothing else.

use super::*;
use crate::domain::programme::Budget;

/// The time after which the reservation of a student who was dropped from the roster goes back.
pub const DROPPED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Debug, Clone, Copy)]
pub struct Reservation<'a> {
    pub grant: &'a Grant,
    pub readings: &'a [Reading],
    pub settings: &'a Settings,
}

impl Reservation<'_> {
    pub fn cost(&self, now: Moment) -> Usd {
        let lifetime = Spending::sum(self.grant, self.readings, self.settings, now).lifetime;
        lifetime + self.unspent(now)
    }

    /// The most that can still be spent, in this window and in each later one. A window counts with
    /// the largest amount of those that hold in it, this one less what was used in it: the newest
    /// key's limit until the key expires, and the cap until keys made now would.
    pub(super) fn unspent(&self, now: Moment) -> Usd {
        let settings = self.settings;
        let mut current = Usd::ZERO;
        let mut later = Vec::new();
        let mut count = |amount: Usd, used: Usd, expires: Moment| {
            if now < expires {
                current = current.max(amount - used);
                later.push((amount, settings.basis.reset.windows_between(now, expires)));
            }
        };
        if let Some(newest) = self
            .grant
            .newest_shown()
            .filter(|newest| newest.may_still_spend())
        {
            count(
                newest.largest_limit(),
                self.used_by(newest, now),
                newest.expires(settings),
            );
        }
        if self.grant.has_reservation {
            let used = self
                .readings
                .iter()
                .map(|reading| reading.used.in_window(settings.basis, now))
                .sum();
            count(self.grant.cap(settings), used, settings.keys_expire_at());
        }
        current + largest_in_each(later)
    }

    /// What its key used in this window.
    fn used_by(&self, key: &GrantKey, now: Moment) -> Usd {
        let reading = self
            .readings
            .iter()
            .find(|reading| reading.epoch == key.epoch);
        reading.map_or(Usd::ZERO, |reading| {
            reading.used.in_window(self.settings.basis, now)
        })
    }
}

/// The sum over windows, of which an amount holds in as many as its number says. Each window has
/// the largest of its amounts.
fn largest_in_each(mut amounts: Vec<(Usd, u32)>) -> Usd {
    amounts.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = Usd::ZERO;
    let mut summed = 0;
    for (amount, windows) in amounts {
        sum += amount.times(windows.saturating_sub(summed));
        summed = summed.max(windows);
    }
    sum
}

impl View {
    pub fn reservation(&self) -> Reservation<'_> {
        Reservation {
            grant: &self.grant,
            readings: &self.readings,
            settings: &self.programme.settings,
        }
    }
}

impl GrantKey {
    /// Whether the key may have use that no reading shows: it was shown, and may be on, or was not
    /// read for the last time.
    fn may_still_spend(&self) -> bool {
        let may_have_more = self.enabled.may_be(&true) || self.final_reading.is_some();
        self.shown_at.is_some() && self.gone.is_none() && may_have_more
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EditEffect {
    /// What reservations cost more under the new settings.
    pub increase: Usd,
    /// When the first key ends that somebody has or is getting.
    pub keys_until: Option<Moment>,
    pub grants: u32,
}

impl EditEffect {
    /// The effect on these grants, as of the instant for which their budget was counted last.
    pub fn compute(
        grants: &[(Grant, Vec<Reading>)],
        budget: &Budget,
        before: &Settings,
        after: &Settings,
        now: Moment,
    ) -> EditEffect {
        let now = budget.counted_at.map_or(now, |counted| counted.max(now));
        let mut effect = EditEffect::default();
        for (grant, readings) in grants {
            let [cost_before, cost_after] = [before, after].map(|settings| {
                Reservation {
                    grant,
                    readings,
                    settings,
                }
                .cost(now)
            });
            effect.increase += (cost_after - cost_before).or_zero();
            effect.grants += 1;
            let is_made = grant.is_being_made(now).then(|| before.keys_expire_at());
            let live = grant
                .live()
                .filter(|live| !live.has_expired(now))
                .map(|live| live.expires(before));
            effect.keys_until = effect.keys_until.into_iter().chain(live.or(is_made)).min();
        }
        effect
    }

    #[must_use]
    pub fn and(self, effect: EditEffect) -> EditEffect {
        EditEffect {
            increase: self.increase + effect.increase,
            keys_until: [self.keys_until, effect.keys_until]
                .into_iter()
                .flatten()
                .min(),
            grants: self.grants + effect.grants,
        }
    }
}
