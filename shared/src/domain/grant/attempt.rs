//! A claim or replacement: an attempt is opened before anything is asked of the provider, and recorded as live before the key
//! is shown, or given up.

use super::*;
use crate::domain::held::LATE;
use crate::domain::programme::TermsHash;
use crate::domain::values::id::Nonce;

/// The number of attempts that one grant's item has room for. Only an outage together with a script reaches it.
const MAX_ATTEMPTS: usize = 1000;

/// The longest time for which an attempt that made nothing is remembered. A complete sync that began after
/// the grace period forgets it sooner: a key listed after that is an orphan by its name.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);

/// The number of requests in a row that may fail before the next has to wait. The wait doubles with each
/// further failure, from the shortest to the longest.
const FAILURES_AT_ONCE: usize = 10;
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// A student's request, with what the page showed: the epoch, and the terms if their box was ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRequest {
    pub kind: KeyRequestKind,
    pub epoch: Epoch,
    pub terms: Option<TermsHash>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRequestKind {
    Reveal,
    Replace,
}

/// An attempt under way, owned by the invocation that holds its nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAttempt {
    pub epoch: Epoch,
    pub nonce: Nonce,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginRefused {
    Revoked,
    /// The programme is closed or its term has run out.
    Over,
    Held(HoldKind),
    /// The key that this press asks for was shown already, as when its page is loaded again; the page offers to replace it.
    AlreadyShown,
    /// Replace was pressed, but no key was ever shown; the page offers to reveal one.
    NothingToReplace,
    /// Another invocation is making the key, and owns the attempt until this time at the latest.
    BeingMade {
        until: Moment,
    },
    /// An older key was told to be on, without an answer, and that may take effect until this time.
    EnableUnderWay {
        until: Moment,
    },
    /// Too many requests failed in a row; the next is accepted at this time.
    FailedOften {
        until: Moment,
    },
    StalePage,
    NotOpenYet {
        opens: Moment,
    },
    WindowClosed,
    ReplacementsUsedUp,
    /// Too many attempts ended with an unknown outcome, so a person has to look at the grant.
    TooManyAttempts,
    /// Less than a cent of the cap is left in this window.
    NothingLeft {
        resets_at: Option<Moment>,
    },
    BudgetExhausted,
    /// The programme's terms, as they read now, are not accepted yet. Nothing else stands in the way.
    TermsNotAccepted,
}

impl View {
    /// Opens an attempt and takes a reservation in the budget where the grant has none; no older key is to be on any more.
    pub fn begin(&self, request: KeyRequest, nonce: Nonce, now: Moment) -> Result<(Change, OpenAttempt), BeginRefused> {
        self.may_begin(request, now)?;
        let mut change = self.change(&Actor::Student, DependsOn::Settings);
        // An attempt that made nothing can be forgotten once a sync would have found its key; the audit keeps a trace.
        change.grant.attempts.retain(|attempt| self.is_remembered(attempt, now));
        for lapsed in change.grant.attempts.iter_mut().filter(|attempt| attempt.state == AttemptState::Open) {
            lapsed.state = AttemptState::Superseded;
        }

        let epoch = self.grant.epoch.next();
        (change.grant.epoch, change.grant.has_reservation) = (epoch, true);
        change.grant.state = GrantState::Minting { nonce: nonce.clone(), lease_until: now + LEASE };
        let expires_at = Some(self.programme.settings.keys_expire_at());
        change.grant.attempts.push(Attempt { expires_at, ..Attempt::open(epoch, nonce.clone(), now) });
        let change = change.with_room(self, now).ok_or(BeginRefused::BudgetExhausted)?;
        let accepted = self.terms_to_accept();
        if accepted.is_some() && request.terms != accepted {
            return Err(BeginRefused::TermsNotAccepted);
        }
        let mut note = format!("attempt {}", epoch.number());
        if let Some(terms) = accepted {
            note += &format!("; terms accepted, sha256 {terms}");
        }
        let change = change.audited(Act::Begun, &self.grant, Some(note));
        Ok((change, OpenAttempt { epoch, nonce }))
    }

    /// The terms that a request has to accept. Until a key was shown, every request has to.
    pub fn terms_to_accept(&self) -> Option<TermsHash> {
        self.programme.settings.terms_hash().filter(|_| !self.grant.ever_shown)
    }

    pub(super) fn next_key_counts(&self, now: Moment) -> bool {
        let soon_after = self.grant.counted_at.is_some_and(|counted| now < counted + FREE_REPLACEMENT);
        self.grant.ever_shown && !soon_after && !self.is_rotation(now)
    }

    fn may_begin(&self, request: KeyRequest, now: Moment) -> Result<(), BeginRefused> {
        let (grant, settings) = (&self.grant, &self.programme.settings);
        if grant.state == GrantState::Revoked {
            return Err(BeginRefused::Revoked);
        }
        if grant.state == GrantState::Ended || self.programme.is_over(now) {
            return Err(BeginRefused::Over);
        }
        if let Some(kind) = grant.holds.first() {
            return Err(BeginRefused::Held(kind));
        }
        match (request.kind, &grant.state) {
            (KeyRequestKind::Reveal, GrantState::Live { .. } | GrantState::Stopped { .. }) => {
                return Err(BeginRefused::AlreadyShown);
            }
            (KeyRequestKind::Replace, GrantState::Live { .. }) if request.epoch < grant.epoch => {
                return Err(BeginRefused::AlreadyShown);
            }
            (KeyRequestKind::Replace, GrantState::Invited) => return Err(BeginRefused::NothingToReplace),
            (_, GrantState::Minting { lease_until, .. }) if now < *lease_until => {
                return Err(BeginRefused::BeingMade { until: *lease_until });
            }
            _ => {}
        }
        if request.epoch != grant.epoch {
            return Err(BeginRefused::StalePage);
        }
        if !grant.ever_shown {
            if now < settings.claim_opens_at() {
                return Err(BeginRefused::NotOpenYet { opens: settings.claim_opens_at() });
            }
            if now >= settings.claim_closes_at() {
                return Err(BeginRefused::WindowClosed);
            }
        }
        if self.next_key_counts(now) && grant.replacements >= settings.claims.replacements.saturating_add(grant.allowed)
        {
            return Err(BeginRefused::ReplacementsUsedUp);
        }
        if grant.attempts.iter().filter(|attempt| self.is_remembered(attempt, now)).count() >= MAX_ATTEMPTS {
            return Err(BeginRefused::TooManyAttempts);
        }
        if let Some(until) = self.failed_often_until().filter(|until| now < *until) {
            return Err(BeginRefused::FailedOften { until });
        }
        // The key that is live now is retired as well once the attempt has begun.
        if self.next_limit(now).is_none() {
            return Err(BeginRefused::NothingLeft { resets_at: settings.basis.reset.resets_at(now) });
        }
        let enables = grant.attempts.iter().filter_map(|attempt| attempt.on.sent(&true));
        match enables.max().map(|sent| sent + LATE).filter(|until| now < *until) {
            Some(until) => Err(BeginRefused::EnableUnderWay { until }),
            None => Ok(()),
        }
    }

    fn is_remembered(&self, attempt: &Attempt, now: Moment) -> bool {
        let made_nothing = attempt.key.is_none() && !matches!(attempt.state, AttemptState::Open | AttemptState::Shown);
        let is_looked_for = self.budget.counted_at.is_some_and(|counted| counted >= attempt.begun_at + GRACE);
        !made_nothing || !(is_looked_for || now >= attempt.begun_at + REMEMBERED)
    }

    /// The time until which the next request waits because the last ones failed.
    fn failed_often_until(&self) -> Option<Moment> {
        let failed = self.grant.attempts.iter().rev().take_while(|attempt| attempt.state != AttemptState::Shown);
        let failed = failed.filter(|attempt| attempt.state != AttemptState::Open);
        let more = failed.clone().count().checked_sub(FAILURES_AT_ONCE)?;
        let wait = FIRST_WAIT * 2_i32.pow(u32::try_from(more).unwrap_or(u32::MAX).min(10));
        Some(failed.map(|attempt| attempt.begun_at).max()? + wait.min(LONGEST_WAIT))
    }

    /// Whether a rule of the programme asks for the replacement of the last key shown: the key is too old, or
    /// was announced to be soon.
    fn is_rotation(&self, now: Moment) -> bool {
        let last =
            self.grant.attempts.iter().filter(|attempt| attempt.shown_at.is_some()).max_by_key(|last| last.shown_at);
        let is_too_old = |last: &Attempt| self.too_old_at(last).is_some_and(|too_old| now >= too_old);
        let is_told = |last: &Attempt| last.announced.contains_key(&Notice::TooOldSoon);
        last.is_some_and(|last| is_told(last) || is_too_old(last))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedKey {
    pub key: KeyHash,
    pub limit: Usd,
    pub guardrail: Option<KeyGuardrail>,
}

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// Certainly nothing was made, or what was made is known and will be disabled.
    Refused,
    /// A key may or may not have been made.
    Unknown,
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
        shown.key = Some(minted.key.clone());
        shown.shown_at = Some(now);
        // A window may have turned while the key was made, or its cap or rules were changed: that is told next.
        shown.on = Held::confirmed(true, now);
        shown.limit = Held::confirmed(minted.limit, now);
        shown.guardrail = minted.guardrail.clone().map(|under| Held::confirmed(under, now)).unwrap_or_default();

        grant.state = GrantState::Live { key: minted.key.clone() };
        if counts {
            grant.replacements += 1;
        }
        // A free replacement uses the free time up.
        grant.counted_at = (counts || !grant.ever_shown).then_some(now);
        grant.ever_shown = true;
        change.notice = Some(Notice::KeyShown);
        Ok(change.audited(Act::Shown, &self.grant, Some(format!("attempt {}", begun.epoch.number()))))
    }

    /// Ends an attempt without a key. A key that was made is not to be on, whatever became of the
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
        if let Some(key) = key.filter(|_| ended.key.is_none()) {
            (ended.key, ended.on) = (Some(key.clone()), Held::confirmed(true, now));
        }

        if self.grant.is_minting_with(&begun.nonce) {
            change.grant.state = self.grant.state_after_failure();
        } else if change.grant.attempts == self.grant.attempts {
            return Err(Unchanged);
        }
        let note = format!("attempt {}: {why}", begun.epoch.number());
        Ok(change.audited(act, &self.grant, Some(note)))
    }
}
