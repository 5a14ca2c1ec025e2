//! After a restore of the table: the provider has keys of a grant that no attempt here made. They are recorded as they are found;
//! the newest that works becomes the live one. Which listed keys are of this kind is for the sync to see.
//!
//! Such a key is recorded by its own number and nonce. It takes its reservation in the budget whether there is room or not, since it can
//! be spent already. Outside a copy of the table it is never recorded while an attempt of its number is still open.
//!
//! Its student hears which key is theirs by now, since whether they were told went with the record.

use crate::domain::grant::{Attempt, AttemptState, Change, DependsOn, Draft, Notice, Stopped, SwitchState, Unchanged};
use crate::domain::values::id::Nonce;
use crate::prelude::*;

/// A key that the provider lists under the name of this grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredKey {
    pub epoch: Epoch,
    pub nonce: Nonce,
    pub key: KeyHash,
    pub enabled: bool,
    /// The key's limit; `None` if it has none.
    pub limit: Option<Usd>,
    pub made_at: Moment,
}

impl View {
    /// Records keys that the table does not know, the newest enabled one as live. `found` may hold every
    /// listed key of the grant. Recorded keys, epochs below the grant's, and numbers of other attempts are
    /// passed over. In a copy of the table an open attempt counts as shown; elsewhere its invocation may
    /// still be running. Returns `Unchanged` if there is nothing to record.
    pub fn recover(&self, found: &[RecoveredKey], in_copy: bool, now: Moment) -> Result<Change, Unchanged> {
        let unknown = self.unknown(found, in_copy);
        if unknown.is_empty() {
            return Err(Unchanged);
        }
        let live = self.newest_enabled(&unknown);
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let grant = &mut change.grant;
        for found in &unknown {
            grant.attempts.retain(|attempt| attempt.epoch != found.epoch);
            grant.attempts.push(found.attempt(now));
        }
        grant.attempts.sort_by_key(|attempt| attempt.epoch);
        grant.epoch = unknown.iter().map(|found| found.epoch).fold(grant.epoch, Epoch::max);
        grant.ever_shown = true;
        for open in grant.attempts.iter_mut().filter(|attempt| attempt.state == AttemptState::Open) {
            open.state = AttemptState::Superseded;
        }
        match (live, &self.grant.state) {
            (Some(live), _) => grant.state = GrantState::Live { key: live.key.clone() },
            (None, GrantState::Invited | GrantState::Minting { .. }) => {
                grant.state = GrantState::Stopped { why: Stopped::GoneAtProvider };
            }
            (None, _) => {}
        }
        self.disable_all_but(live, found, &mut change, now);
        change.grant.has_reservation |= live.is_some();
        // The record of whether this mail was sent was lost in the restore. So the student is told which key
        // is live now, perhaps for the second time. A student whose key ends without a successor is not: a
        // person ended it.
        change.notice = live.map(|_| Notice::KeyShown);
        let numbers: Vec<String> = unknown.iter().map(|found| found.epoch.number().to_string()).collect();
        let which = live.map(|live| format!(", of which {} is live", live.epoch.number())).unwrap_or_default();
        let change = change.with_rules(self, now);
        Ok(change.audited(Act::Recovered, &self.grant, Some(format!("attempts {}{which}", numbers.join(", ")))))
    }

    /// Whether a recovery would record this key.
    pub fn can_recover(&self, found: &RecoveredKey, in_copy: bool) -> bool {
        match self.grant.attempt(found.epoch) {
            Some(attempt) => in_copy && attempt.nonce == found.nonce && attempt.state == AttemptState::Open,
            None => found.epoch > self.grant.epoch,
        }
    }

    /// The enabled keys that a recovery would end on its own judgement; a hold, revocation or end by a person
    /// is not its own.
    pub fn ended_by_recovery<'f>(&self, found: &'f [RecoveredKey], in_copy: bool) -> Vec<&'f RecoveredKey> {
        let unknown = self.unknown(found, in_copy);
        if unknown.is_empty() || self.grant.is_over() || !self.grant.holds.is_empty() {
            return Vec::new();
        }
        let live = self.newest_enabled(&unknown).map(|live| &live.key);
        let stays = live.or(self.grant.live().and_then(|live| live.key.as_ref()));
        let is_in_question = |found: &&RecoveredKey| {
            let was_live = self.grant.live().is_some_and(|live| live.key.as_ref() == Some(&found.key));
            was_live || unknown.iter().any(|unknown| unknown.key == found.key)
        };
        let enabled = found.iter().filter(|found| found.enabled).filter(is_in_question);
        enabled.filter(|found| Some(&found.key) != stays).collect()
    }

    /// The found keys that can be recorded and that no attempt records, the oldest first; of two with one
    /// number, the first.
    fn unknown<'f>(&self, found: &'f [RecoveredKey], in_copy: bool) -> Vec<&'f RecoveredKey> {
        let mut unknown: Vec<&RecoveredKey> = found.iter().filter(|found| self.can_recover(found, in_copy)).collect();
        // Of two keys of one epoch, the enabled one counts.
        unknown.sort_by_key(|found| (found.epoch, !found.enabled));
        unknown.dedup_by_key(|found| found.epoch);
        unknown
    }

    /// The key that becomes live; `None` for a grant that is over.
    fn newest_enabled<'f>(&self, unknown: &[&'f RecoveredKey]) -> Option<&'f RecoveredKey> {
        let enabled = unknown.iter().filter(|found| found.enabled && !self.grant.is_over());
        enabled.max_by_key(|found| found.epoch).copied()
    }

    fn disable_all_but(&self, live: Option<&RecoveredKey>, found: &[RecoveredKey], change: &mut Draft, now: Moment) {
        let was_live = self.grant.live().and_then(|live| live.key.clone());
        let is_held = !self.grant.holds.is_empty();
        let in_use = live.map(|live| live.key.clone()).or(was_live).filter(|_| !is_held);
        for attempt in change.grant.attempts.iter_mut().filter(|attempt| attempt.key != in_use) {
            let is_enabled = found.iter().any(|found| found.enabled && Some(&found.key) == attempt.key.as_ref());
            if is_enabled {
                attempt.order_off_again(now);
            } else {
                attempt.order_off(now);
            }
        }
    }
}

impl RecoveredKey {
    /// The attempt that must have made the key. The time of its showing is lost, so the key counts as shown
    /// when it was made.
    fn attempt(&self, now: Moment) -> Attempt {
        let disable = if self.enabled { SwitchState::On } else { SwitchState::Off { at: now } };
        Attempt {
            state: AttemptState::Shown,
            key: Some(self.key.clone()),
            limit: self.limit,
            shown_at: Some(self.made_at),
            switch: disable,
            ..Attempt::open(self.epoch, self.nonce.clone(), self.made_at)
        }
    }
}
