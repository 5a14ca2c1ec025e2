//! The end of an attempt: recorded as live before the key is shown, or given up.

use jiff::Timestamp;

use super::{AttemptState, Begun, Change, Disable, Notice, State, View};
use crate::domain::audit::{Act, Actor};
use crate::domain::id::Epoch;
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
    Held,
    /// The grant was revoked, ended or swept, or another attempt took over.
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
        let attempt = self
            .attempt(begun.epoch)
            .filter(|attempt| attempt.state == AttemptState::Open);
        let Some(attempt) = attempt.filter(|_| self.grant.is_minting_with(&begun.nonce)) else {
            return Err(RecordRefused::Lost);
        };
        if !self.grant.holds.is_empty() {
            return Err(RecordRefused::Held);
        }
        let mut change = self.change(&Actor::Student);
        let (grant, counts) = (&mut change.grant, self.next_key_counts(now));
        grant.state = State::Live {
            key: minted.key.clone(),
        };
        if counts {
            grant.replacements += 1;
        }
        if counts || !grant.ever_shown {
            grant.counted_at = Some(now);
        }
        grant.ever_shown = true;

        let mut shown = attempt.clone();
        shown.state = AttemptState::Shown;
        shown.key = Some(minted.key.clone());
        shown.limit = Some(minted.limit);
        shown.shown_at = Some(now);
        change.attempts.push(shown);
        change.notice = Some(Notice::KeyShown);
        Ok(change.audited(
            Act::Shown,
            &self.grant,
            Some(format!("attempt {}", begun.epoch.number())),
        ))
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
        let attempt = self
            .attempt(begun.epoch)
            .filter(|attempt| attempt.nonce == begun.nonce)?;
        if attempt.state == AttemptState::Shown {
            return None;
        }
        let mut ended = attempt.clone();
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

        let mut change = self.change(&Actor::Student);
        if self.grant.is_minting_with(&begun.nonce) {
            change.grant.state = self.grant.state_after_failure();
        } else if ended == *attempt {
            return None;
        }
        change.attempts.push(ended);
        let note = format!("attempt {}: {why}", begun.epoch.number());
        Some(change.audited(act, &self.grant, Some(note)))
    }

    /// Marks that the provider answered the disable of an attempt's key. None when there is nothing to mark.
    pub fn disabled(&self, epoch: Epoch, now: Timestamp) -> Option<Change> {
        let attempt = self
            .attempt(epoch)
            .filter(|attempt| matches!(attempt.disable, Disable::Owed { .. }))?;
        let mut done = attempt.clone();
        done.disable = Disable::Done { at: now };
        let mut change = self.change(&Actor::Sync);
        change.attempts.push(done);
        Some(change)
    }
}
