//! What a grant can still cost, its reservation: the one sum by which an act takes from the budget, and which the sync counts anew.
//!
//! It is what the grant spent, what this window can still cost, and the same for each later window. This window costs the larger
//! of the cap and of what a key may spend that is not known to be off and read.
//!
//! An act that needs room in the budget asks for it and may be refused. What is found to be spendable already, such as a key that
//! somebody enabled again, is counted whether there is room or not.
//!
//! No act gives anything back. A key costs its limit until the provider confirmed the disable or the lower limit and the key was read a
//! quarter of an hour later; the next count of the whole budget, which the nightly sync makes, then frees the rest. So revoking, ending,
//! handing back, disuse, a drop after its week and a lower cap all free it overnight.
//!
//! The rest of the limit of a key that is gone stays promised until a complete run finds no residual but the one that admins were
//! told.

use super::*;

/// The time after which the reservation of a student who was dropped from the roster goes back.
pub const DROPPED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Debug, Clone, Copy)]
pub struct Reservation<'a> {
    pub grant: &'a Grant,
    pub readings: &'a [Reading],
    pub settings: &'a Settings,
    /// The time up to which everything counts as read, whatever each reading says: when the sync last
    /// recomputed the budget.
    pub read_until: Option<Moment>,
}

impl Reservation<'_> {
    pub fn cost(&self, now: Moment) -> Usd {
        let lifetime = Spending::of(self.grant, self.readings, self.settings, now).lifetime;
        lifetime + self.unspent(self.grant.has_reservation, now)
    }

    /// The most that can still be spent, in this window and in each later one. A window counts with the largest amount of those
    /// that hold in it, this one less what was used in it: a key's limit until the key expires, and the cap until keys made now
    /// would.
    pub(super) fn unspent(&self, has_reservation: bool, now: Moment) -> Usd {
        let settings = self.settings;
        let (mut left, mut later) = (Usd::ZERO, Vec::new());
        let mut count = |amount: Usd, used: Usd, expires: Moment| {
            if now < expires {
                left = left.max(amount - used);
                later.push((amount, settings.basis.reset.windows_between(now, expires)));
            }
        };
        for attempt in self.grant.attempts.iter().filter(|attempt| self.may_still_spend(attempt)) {
            count(self.largest_limit(attempt), self.used_by(attempt, now), attempt.key_expires_at(settings));
        }
        if has_reservation && self.counts_cap(now) {
            let used = self.grant.attempts.iter().map(|attempt| self.used_by(attempt, now)).sum();
            count(self.grant.cap(settings), used, settings.keys_expire_at());
        }
        left + largest_in_each(later)
    }

    /// Whether the cap itself is reserved: not for a grant held as unused or dropped long ago, unless a key
    /// of it may still spend.
    pub(super) fn counts_cap(&self, now: Moment) -> bool {
        let holds = &self.grant.holds;
        let is_out = holds.unused || holds.dropped.is_some_and(|dropped| now >= dropped + DROPPED_KEPT);
        let can_spend = || self.grant.attempts.iter().any(|attempt| self.may_still_spend(attempt));
        !is_out || can_spend()
    }

    /// Whether the attempt's key may have use that no reading shows. It cannot if the key was never shown, or
    /// is off and was read since. Nor can it if its final reading came before a later key was shown.
    pub(super) fn may_still_spend(&self, attempt: &Attempt) -> bool {
        if attempt.state != AttemptState::Shown || attempt.key.is_none() {
            return false;
        }
        match attempt.gone {
            Some(KeyAbsence::Purged) => return false,
            Some(KeyAbsence::Missing) => return attempt.rest_promised_since.is_some(),
            None => {}
        }
        let SwitchState::Off { at } = attempt.switch else { return true };
        let is_replaced =
            self.grant.attempts.iter().any(|later| later.epoch > attempt.epoch && later.state == AttemptState::Shown);
        !is_replaced && (attempt.is_missing() || !self.is_read_since(attempt, at))
    }

    /// The largest limit under which the key may spend, or may have spent without a reading.
    fn largest_limit(&self, attempt: &Attempt) -> Usd {
        let held = attempt.limit.unwrap_or_default();
        let Some(larger) = attempt.larger_limit else {
            return if attempt.is_off_until_limited() { Usd::ZERO } else { held };
        };
        let is_read = larger.until.is_some_and(|until| self.is_read_since(attempt, until));
        if larger.unanswered_since.is_none() && is_read { held } else { held.max(larger.limit) }
    }

    /// Whether a key was read so long after an instant that all of its use up to then is known.
    pub(super) fn is_read_since(&self, attempt: &Attempt, instant: Moment) -> bool {
        let settled = instant + SETTLING;
        let reading = self.readings.iter().find(|reading| reading.epoch == attempt.epoch);
        self.read_until.is_some_and(|read_until| read_until >= settled)
            || reading.is_some_and(|reading| reading.as_of >= settled)
    }

    /// What its key used in this window.
    fn used_by(&self, attempt: &Attempt, now: Moment) -> Usd {
        let reading = self.readings.iter().find(|reading| reading.epoch == attempt.epoch);
        reading.map_or(Usd::ZERO, |reading| reading.used.in_window(self.settings.basis, now))
    }
}

/// The sum over windows, of which an amount holds in as many as its number says. Each window has the largest of its amounts.
fn largest_in_each(mut amounts: Vec<(Usd, u32)>) -> Usd {
    amounts.sort_unstable_by(|one, other| other.cmp(one));
    let (mut sum, mut summed) = (Usd::ZERO, 0);
    for (amount, windows) in amounts {
        sum += amount.times(windows.saturating_sub(summed));
        summed = summed.max(windows);
    }
    sum
}

impl View {
    pub fn reservation(&self) -> Reservation<'_> {
        let settings = &self.programme.settings;
        Reservation { grant: &self.grant, readings: &self.readings, settings, read_until: self.budget.counted_at }
    }

    /// Records the final reading of a key, after its disable or lower limit was confirmed. Returns `Unchanged` if no
    /// reading is wanted any more.
    pub fn read_for_the_last_time(&self, reading: &Reading) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_mut(reading.epoch).ok_or(Unchanged)?;
        attempt.read_at.take().ok_or(Unchanged)?;
        (attempt.put_off, attempt.missing_since) = (None, None);
        if self.reading(reading.epoch).is_none_or(|known| known.as_of < reading.as_of) {
            change.reading = Some(reading.clone());
        }
        Ok(change.marked(Mark::Read))
    }
}

impl<L> Change<L> {
    /// Takes the grant's added cost out of the budget. `None` if the budget has no room.
    pub(super) fn with_room(mut self, view: &View, now: Moment) -> Option<Change<L>> {
        let more = self.added_cost(view, now);
        if !more.is_zero() {
            self.budget = BudgetChange::Take(more);
        }
        (more.is_zero() || view.budget.has_room_for(more)).then_some(self)
    }

    /// Takes the grant's added cost, for acts that do not ask for room. What can be spent
    /// already is counted whether there is room or not; use beyond a limit is counted by the sync.
    ///
    /// An act that decides under which cap the grant has its reservation writes the budget in any case. So it cannot
    /// pass an edit of caps that was reckoned on the grant as it was.
    #[must_use]
    pub fn counted(mut self, view: &View, now: Moment) -> Change<L> {
        let more = self.added_cost(view, now);
        if self.budget == BudgetChange::None && self.reading.is_none() && !more.is_zero() {
            self.budget = BudgetChange::TakeAnyway(more);
        }
        let basis = |grant: &Grant| (grant.own_cap, grant.group.clone(), grant.has_reservation);
        if self.budget == BudgetChange::None && self.grant.has_reservation && basis(&self.grant) != basis(&view.grant) {
            self.budget = BudgetChange::TakeAnyway(Usd::ZERO);
        }
        if self.budget != BudgetChange::None {
            self.depends_on = DependsOn::Settings;
        }
        self
    }

    /// How much more the grant costs. A reservation is worth less each time a window turns, so what was counted for a later instant is not
    /// reckoned as of an earlier one.
    fn added_cost(&self, view: &View, now: Moment) -> Usd {
        let counted_at = view.budget.counted_at;
        let at = counted_at.map_or(now, |counted| counted.max(now));
        let more = |read_until| {
            let before = Reservation { read_until, ..view.reservation() };
            let after = Reservation { grant: &self.grant, ..before };
            (after.cost(at) - before.cost(at)).or_zero()
        };
        // A count that is under way may have read the keys since the last, and free what they left.
        more(counted_at).max(more(Some(now)))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EditEffect {
    /// What reservations cost more under the new settings.
    pub more: Usd,
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
