//! The end of an attempt: recorded as live before the key is shown, or given up.

use jiff::Timestamp;

use super::{Attempt, AttemptState, Begun, Change, Debt, Disable, HoldKind, Notice, State, Switch, View};
use crate::domain::audit::{Act, Actor};
use crate::domain::key::KeyHash;
use crate::domain::money::Usd;

/// A key the provider made for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    pub key: KeyHash,
    pub limit: Usd,
}

/// Why a key that was made is not recorded, and so never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordRefused {
    /// A hold came while the key was made.
    Held(HoldKind),
    /// The grant was revoked meanwhile.
    Revoked,
    /// The programme ended meanwhile, and the grant with it.
    Over,
    /// The attempt was swept, or another took over.
    Lost,
}

/// How an attempt that shows no key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveUp {
    /// For certain nothing was made, or what was made is known and will be disabled.
    Refused,
    /// Nobody knows whether a key was made.
    Unknown,
    /// A key was made, but recording it was refused.
    Lost,
}

impl View {
    /// Makes the attempt's key the grant's live one. Only after this is written may the key be shown.
    pub fn record(&self, begun: &Begun, minted: &Minted, now: Timestamp) -> Result<Change, RecordRefused> {
        match self.grant.state {
            State::Revoked => return Err(RecordRefused::Revoked),
            State::Ended => return Err(RecordRefused::Over),
            _ => {}
        }
        let mut change = self.change(&Actor::Student);
        let (grant, counts) = (&mut change.grant, self.next_key_counts(now));
        let is_open = |attempt: &&mut Attempt| attempt.epoch == begun.epoch && attempt.state == AttemptState::Open;
        let shown = grant.attempts.iter_mut().find(is_open).filter(|_| self.grant.is_minting_with(&begun.nonce));
        let shown = shown.ok_or(RecordRefused::Lost)?;
        if let Some(kind) = self.grant.holds.first() {
            return Err(RecordRefused::Held(kind));
        }
        shown.state = AttemptState::Shown;
        shown.key = Some(minted.key.clone());
        shown.limit = Some(minted.limit);
        shown.shown_at = Some(now);

        grant.state = State::Live { key: minted.key.clone() };
        if counts {
            grant.replacements += 1;
        }
        // A free replacement uses the freedom up.
        grant.counted_at = (counts || !grant.ever_shown).then_some(now);
        grant.ever_shown = true;
        change.notice = Some(Notice::KeyShown);
        Ok(change.audited(Act::Shown, &self.grant, Some(format!("attempt {}", begun.epoch.number()))))
    }

    /// Ends an attempt without a key. A key that was made is owed its disable, whatever became of the grant meanwhile; the
    /// grant goes back to where it was if this attempt is still the one under way. None when all that is so already.
    pub fn give_up(
        &self,
        begun: &Begun,
        how: GaveUp,
        key: Option<&KeyHash>,
        why: &str,
        now: Timestamp,
    ) -> Option<Change> {
        let mut change = self.change(&Actor::Student);
        let is_ours = |attempt: &&mut Attempt| attempt.epoch == begun.epoch && attempt.nonce == begun.nonce;
        let ended = change.grant.attempts.iter_mut().find(is_ours)?;
        if ended.state == AttemptState::Shown {
            return None;
        }
        let (state, act) = match how {
            GaveUp::Refused => (AttemptState::Refused, Act::Refused),
            GaveUp::Unknown => (AttemptState::Unknown, Act::Unknown),
            GaveUp::Lost => (AttemptState::Lost, Act::Lost),
        };
        if ended.state == AttemptState::Open {
            ended.state = state;
        }
        if ended.key.is_none() {
            ended.key = key.cloned();
        }
        ended.owe_disable(now);

        if self.grant.is_minting_with(&begun.nonce) {
            change.grant.state = self.grant.state_after_failure();
        } else if change.grant.attempts == self.grant.attempts {
            return None;
        }
        let note = format!("attempt {}: {why}", begun.epoch.number());
        Some(change.audited(act, &self.grant, Some(note)))
    }

    /// Marks that the provider answered what it was owed. A debt that came later stays owed, whatever an earlier answer says; and where
    /// the opposite is wanted by now, that is owed anew, since nobody knows which of the two the provider did last. None when there is
    /// nothing to mark.
    pub fn settled(&self, debt: &Debt, now: Timestamp) -> Option<Change> {
        let mut change = self.change(&Actor::Sync);
        let is_it = |attempt: &&mut Attempt| attempt.epoch == debt.epoch && attempt.key.as_ref() == Some(&debt.key);
        let attempt = change.grant.attempts.iter_mut().find(is_it).filter(|attempt| attempt.gone.is_none())?;
        let (since, is_in_use) = (debt.since, self.usable().is_some_and(|live| live.epoch == debt.epoch));
        let owed = match (debt.switch, attempt.disable) {
            (Switch::Off, owed) if owed == (Disable::Owed { since }) => Disable::Done { at: now },
            (Switch::On, owed) if owed == (Disable::Lifted { since }) => Disable::No,
            (Switch::Off, is) if is_in_use && !is.is_wanted() => Disable::Lifted { since: now },
            (Switch::On, is) if is.is_wanted() => Disable::Owed { since: now },
            _ => return None,
        };
        // Decided again after a lost answer, it finds itself done.
        if attempt.disable == owed {
            return None;
        }
        attempt.disable = owed;
        Some(change)
    }
}
