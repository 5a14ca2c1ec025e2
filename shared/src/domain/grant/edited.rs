//! What an edit of a programme's settings means for the grants that it has by then: what their reservations cost more, and how long
//! their keys live. Nothing is given back here: that follows once the provider confirmed the lower limits.

use super::{Grant, GrantState, Reading, Reservation};
use crate::prelude::*;

/// The effect of an edit on the grants of a programme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EditEffect {
    /// What reservations cost more under the new settings.
    pub more: Usd,
    /// The first end of a key that is in use.
    pub keys_until: Option<Moment>,
    /// The grants on the roster, and those of them that have a key or are getting one.
    pub grants: u32,
    pub with_keys: u32,
}

impl EditEffect {
    /// The effect on these grants, as of the instant for which their budget was counted last.
    pub fn of(
        grants: &[(Grant, Vec<Reading>)],
        budget: &Budget,
        before: &Settings,
        after: &Settings,
        now: Moment,
    ) -> EditEffect {
        let now = budget.counted_at.map_or(now, |counted| counted.max(now));
        let mut effect = EditEffect::default();
        for (grant, readings) in grants {
            let cost = |settings| Reservation { grant, readings, settings, read_until: budget.counted_at }.cost(now);
            effect.more += (cost(after) - cost(before)).or_zero();
            effect.grants += 1;
            if matches!(grant.state, GrantState::Minting { .. } | GrantState::Live { .. }) {
                effect.with_keys += 1;
                let last = grant.live().or(grant.attempts.last());
                let until = last.map(|attempt| attempt.key_expires_at(before));
                effect.keys_until = [effect.keys_until, until].into_iter().flatten().min();
            }
        }
        effect
    }

    /// The effect on these grants and on others.
    #[must_use]
    pub fn and(self, other: EditEffect) -> EditEffect {
        EditEffect {
            more: self.more + other.more,
            keys_until: [self.keys_until, other.keys_until].into_iter().flatten().min(),
            grants: self.grants + other.grants,
            with_keys: self.with_keys + other.with_keys,
        }
    }
}
