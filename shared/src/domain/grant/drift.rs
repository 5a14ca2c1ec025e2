//! What the provider shows of keys against what is recorded of them: a key that is enabled and must not be, one that is disabled or
//! gone and should not be, a limit that is not the wanted one. The sync disables; nothing here ever enables.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Attempt, Change, Disable, Gone, LEASE, State, Stopped, View};
use crate::domain::audit::{Act, Actor};
use crate::domain::id::Epoch;
use crate::domain::key::KeyHash;
use crate::domain::limit::wanted_limit;
use crate::domain::money::Usd;
use crate::domain::window::Window;

/// A key of a revoked grant is of use to nobody, but its last use may settle late.
const REVOKED_KEPT: SignedDuration = SignedDuration::from_hours(48);
/// Other keys are kept while somebody may still ask about them.
const ENDED_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// A table that went back may go back further, to where a deleted key is still live.
const AFTER_A_RESTORE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What the provider says a key's limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listed {
    /// It was not asked.
    Unasked,
    Unlimited,
    Limit(Usd),
    /// Whatever it is, it is counted in another window than the programme's, or with other use of keys of one's own.
    CountedOtherwise,
}

/// What is to become of the limit of a live key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This one is to be sent.
    Limit(Usd),
    /// Less than a cent is left: the key is to be stopped.
    UsedUp,
}

impl View {
    /// Owes the disable of a recorded key once more, which the provider shows enabled although nobody may use it. None when it is
    /// the live key of a grant without a hold, when it is owed already, and when no attempt records this key: that is the
    /// sweeper's, or a table that went back. What was seen before the last disable was answered is told by nobody any more.
    pub fn disable_again(&self, epoch: Epoch, key: &KeyHash, seen_at: Timestamp, now: Timestamp) -> Option<Change> {
        if self.usable().is_some_and(|live| live.epoch == epoch) {
            return None;
        }
        let mut change = self.change(&Actor::Sync);
        let attempts = change.grant.attempts.iter_mut();
        let again =
            attempts.filter(|attempt| attempt.epoch == epoch && attempt.key.as_ref() == Some(key)).find(|again| {
                match again.disable {
                    Disable::No | Disable::Lifted { .. } => true,
                    Disable::Owed { .. } => false,
                    Disable::Done { at } => at < seen_at,
                }
            })?;
        again.owe_disable_again(now);
        Some(change)
    }

    /// Stops a grant whose key the provider says is disabled, although nothing here disables it. None when that key is not the one
    /// in use, while its enable is owed, and just after a hold was taken off: then nobody there disabled it.
    pub fn found_disabled(&self, epoch: Epoch, key: &KeyHash, now: Timestamp) -> Option<Change> {
        let live = self.usable().filter(|live| live.epoch == epoch && live.key.as_ref() == Some(key))?;
        let is_just_resumed = live.resumed_at.is_some_and(|resumed| now < resumed + LEASE);
        if is_just_resumed || matches!(live.disable, Disable::Lifted { .. }) {
            return None;
        }
        self.stop(Stopped::GoneAtProvider, &Actor::Sync, now)
    }

    /// Marks a key that the provider does not have any more. A grant that was live with it is stopped. None when it is marked, or
    /// no attempt records it.
    pub fn found_gone(&self, epoch: Epoch, key: &KeyHash, now: Timestamp) -> Option<Change> {
        let mut change = self.change(&Actor::Sync);
        self.recorded(&mut change, epoch, key)?.note_gone(Gone::Missing, now);
        if self.grant.live().is_none_or(|live| live.epoch != epoch) {
            return Some(change);
        }
        change = change.disabling_all(now);
        change.grant.state = State::Stopped { why: Stopped::GoneAtProvider };
        Some(change.audited(Act::Stopped, &self.grant, Some(Stopped::GoneAtProvider.as_str().to_owned())))
    }

    /// Marks a key that was deleted at the provider because it was of no use any more. None when it is marked, or live.
    pub fn purged(&self, epoch: Epoch, key: &KeyHash, now: Timestamp) -> Option<Change> {
        if self.grant.live().is_some_and(|live| live.epoch == epoch) {
            return None;
        }
        let mut change = self.change(&Actor::Sync);
        self.recorded(&mut change, epoch, key)?.note_gone(Gone::Purged, now);
        Some(change.audited(Act::Purged, &self.grant, Some(format!("attempt {}", epoch.number()))))
    }

    /// Whether a key may be deleted at the provider: one of a revoked grant two days after its last reading changed, any other
    /// disabled key of a grant that ended after ninety, and none soon after the table went back.
    pub fn may_purge(&self, epoch: Epoch, restored_at: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(attempt) = self.grant.attempt(epoch).filter(|attempt| attempt.key.is_some() && attempt.gone.is_none())
        else {
            return false;
        };
        let Disable::Done { at: disabled_at } = attempt.disable else { return false };
        let read_at = self.readings.iter().find(|reading| reading.epoch == epoch).map(|reading| reading.as_of);
        let last = read_at.map_or(disabled_at, |read_at| read_at.max(disabled_at));
        let kept_until = match self.grant.state {
            State::Revoked => last + REVOKED_KEPT,
            State::Ended => last.max(self.programme.over_since()) + ENDED_KEPT,
            _ => return false,
        };
        now >= kept_until && restored_at.is_none_or(|restored| now >= restored + AFTER_A_RESTORE)
    }

    /// What the limit of the live key should become, where the last one sent or the one that the provider lists is another. None
    /// when it is right, and when no key is in use.
    pub fn wanted(&self, listed: Listed, now: Timestamp) -> Option<Wanted> {
        let live = self.usable()?;
        let Some(wanted) = wanted_limit(self.grant.cap(&self.programme.settings), &self.spending(now)) else {
            return Some(Wanted::UsedUp);
        };
        let is_listed = match listed {
            Listed::Unasked => true,
            Listed::Unlimited | Listed::CountedOtherwise => false,
            Listed::Limit(limit) => limit == wanted,
        };
        let is_right = is_listed && live.limit == Some(wanted);
        (!is_right).then_some(Wanted::Limit(wanted))
    }

    /// Records the limit that was sent for the live key, reckoned in this window. None when it is on record, when the key is not
    /// live any more, and when the window has turned since: then another is wanted.
    pub fn limit_sent(&self, epoch: Epoch, limit: Usd, window: Window, now: Timestamp) -> Option<Change> {
        let live = self.grant.live().filter(|live| live.epoch == epoch && live.limit != Some(limit))?;
        if self.programme.settings.reset.window_at(now) != window {
            return None;
        }
        let was = live.limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        let mut change = self.change(&Actor::Sync);
        change.grant.attempts.iter_mut().find(|attempt| attempt.epoch == epoch)?.limit = Some(limit);
        let mut change = change.audited(Act::LimitSent, &self.grant, None);
        change.audit = change.audit.map(|what| what.changing(was, limit));
        Some(change)
    }

    /// The attempt whose key may be used now.
    pub(super) fn usable(&self) -> Option<&Attempt> {
        self.grant.live().filter(|_| self.grant.holds.is_empty())
    }

    /// The attempt that records this key, if it is not known to be gone.
    fn recorded<'c>(&self, change: &'c mut Change, epoch: Epoch, key: &KeyHash) -> Option<&'c mut Attempt> {
        let is_it = |attempt: &&mut Attempt| attempt.epoch == epoch && attempt.key.as_ref() == Some(key);
        change.grant.attempts.iter_mut().find(is_it).filter(|attempt| attempt.gone.is_none())
    }
}
