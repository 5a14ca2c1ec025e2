//! The end of an attempt: recorded as live before the key is shown, or given up.

use crate::domain::grant::{
    Attempt, AttemptState, Change, DependsOn, HoldKind, KeyGuardrail, Notice, OpenAttempt, Unchanged,
};
use crate::prelude::*;

/// A key the provider made for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedKey {
    pub key: KeyHash,
    pub limit: Usd,
    /// The guardrail that the provider confirmed for it.
    pub guardrail: Option<KeyGuardrail>,
}

/// The reason that a key that was made is not recorded, and so never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
    #[error("held while the key was made")]
    Held(HoldKind),
    #[error("revoked while the key was made")]
    Revoked,
    /// The programme ended, and the grant with it.
    #[error("ended while the key was made")]
    Over,
    /// The attempt was swept, or another took its place.
    #[error("overtaken while the key was made")]
    Lost,
    /// The key could spend too much.
    #[error("the cap was lowered while the key was made")]
    LimitLowered,
}

/// The outcome of an attempt that shows no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// Certainly nothing was made, or what was made is known and will be disabled.
    Refused,
    /// A key may or may not have been made.
    Unknown,
    /// A key was made, but recording it was refused.
    Lost,
}

impl View {
    /// Makes the attempt's key the grant's live one. The key may be shown only after this is written.
    pub fn record(&self, begun: &OpenAttempt, minted: &MintedKey, now: Moment) -> Result<Change, RecordRefused> {
        match self.grant.state {
            GrantState::Revoked => return Err(RecordRefused::Revoked),
            GrantState::Ended => return Err(RecordRefused::Over),
            _ => {}
        }
        let mut change = self.change(&Actor::Student, DependsOn::Settings);
        let (grant, counts) = (&mut change.grant, self.next_key_counts(now));
        let is_open = |attempt: &&mut Attempt| attempt.epoch == begun.epoch && attempt.state == AttemptState::Open;
        let shown = grant.attempts.iter_mut().find(is_open).filter(|_| self.grant.is_minting_with(&begun.nonce));
        let shown = shown.ok_or(RecordRefused::Lost)?;
        if let Some(kind) = self.grant.holds.first() {
            return Err(RecordRefused::Held(kind));
        }
        shown.state = AttemptState::Shown;
        shown.guardrail.clone_from(&minted.guardrail);
        shown.key = Some(minted.key.clone());
        shown.limit = Some(minted.limit);
        shown.shown_at = Some(now);
        match self.next_limit(now) {
            Some(wanted) if wanted == minted.limit => {}
            // A window turned while the key was made, or the cap was raised.
            Some(wanted) if wanted > minted.limit => shown.order_limit(now),
            _ => return Err(RecordRefused::LimitLowered),
        }

        grant.state = GrantState::Live { key: minted.key.clone() };
        if counts {
            grant.replacements += 1;
        }
        // A free replacement uses the free time up.
        grant.counted_at = (counts || !grant.ever_shown).then_some(now);
        grant.ever_shown = true;
        change.notice = Some(Notice::KeyShown);
        let change = change.with_rules(self, now);
        Ok(change.audited(Act::Shown, &self.grant, Some(format!("attempt {}", begun.epoch.number()))))
    }

    /// Ends an attempt without a key. A key that was made has its disable ordered, whatever became of the
    /// grant. The grant returns to its earlier state if this attempt is still the one under way. Returns
    /// `Unchanged` if all of this is done already.
    pub fn give_up(
        &self,
        begun: &OpenAttempt,
        how: AttemptFailure,
        key: Option<&KeyHash>,
        why: &str,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone);
        let is_ours = |attempt: &&mut Attempt| attempt.epoch == begun.epoch && attempt.nonce == begun.nonce;
        let ended = change.grant.attempts.iter_mut().find(is_ours).ok_or(Unchanged)?;
        if ended.state == AttemptState::Shown {
            return Err(Unchanged);
        }
        let (state, act) = match how {
            AttemptFailure::Refused => (AttemptState::Refused, Act::Refused),
            AttemptFailure::Unknown => (AttemptState::Unknown, Act::Unknown),
            AttemptFailure::Lost => (AttemptState::Lost, Act::Lost),
        };
        if ended.state == AttemptState::Open {
            ended.state = state;
        }
        if ended.key.is_none() {
            ended.key = key.cloned();
        }
        ended.order_off(now);

        if self.grant.is_minting_with(&begun.nonce) {
            change.grant.state = self.grant.state_after_failure();
        } else if change.grant.attempts == self.grant.attempts {
            return Err(Unchanged);
        }
        let note = format!("attempt {}: {why}", begun.epoch.number());
        Ok(change.audited(act, &self.grant, Some(note)))
    }
}
