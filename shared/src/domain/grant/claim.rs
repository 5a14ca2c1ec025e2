//! A claim of a first key or of another: it is begun before a key is asked of the provider, and its
//! key is recorded before it is shown. A claim that ends otherwise leaves nothing to be put back:
//! its lease goes or runs out, and the next is another.

use super::*;
use crate::domain::audit::{Act, Actor};
use crate::domain::held::LATE;
use crate::domain::programme::TermsHash;
use crate::domain::programme::counts::Stage;
use crate::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};

/// The number of claims in a row that may come to nothing before the next has to wait. The wait
/// doubles with each further one, from the shortest to the longest.
const FAILURES_AT_ONCE: u32 = 10;
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// The number of keys that a grant is shown within a day.
const KEYS_A_DAY: usize = 5;

/// A student's request, with what the page showed: the epoch, and the terms if their box was
/// ticked.
#[derive(Debug, Clone, Copy)]
pub struct KeyRequest {
    pub kind: KeyRequestKind,
    pub epoch: Epoch,
    pub terms: Option<TermsHash>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyRequestKind {
    Reveal,
    Replace,
}

/// A claim under way, owned by the invocation that holds its nonce.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenClaim {
    pub epoch: Epoch,
    pub nonce: Nonce,
}

#[derive(Debug, PartialEq)]
pub enum BeginRefused {
    Revoked,
    /// The programme is closed or its term has run out.
    Over,
    Held(HoldKind),
    /// The key that this press asks for was shown already, as when its page is loaded again; the
    /// page offers to replace it.
    AlreadyShown,
    /// Replace was pressed, but no key was ever shown; the page offers to reveal one.
    NothingToReplace,
    /// Another invocation is making the key, and owns the claim until this time at the latest.
    BeingMade {
        until: Moment,
    },
    /// An older key was told to be on, without an answer, and that may take effect until this time.
    EnableUnderWay {
        until: Moment,
    },
    /// The provider answered that it does not know an older key. That may be wrong until this time,
    /// when it is asked again.
    KeyMissing {
        until: Moment,
    },
    /// Too many claims in a row came to nothing; the next is accepted at this time.
    FailedOften {
        until: Moment,
    },
    StalePage,
    NotOpenYet {
        opens: Moment,
    },
    WindowClosed,
    ReplacementsUsedUp,
    /// As many keys were shown within a day as may be; the next is accepted at this time.
    ManyKeys {
        until: Moment,
    },
    /// Less than a cent of the cap is left in this window.
    NothingLeft {
        resets_at: Option<Moment>,
    },
    BudgetExhausted,
    /// The programme's terms, as they read now, are not accepted yet. Nothing else stands in the
    /// way.
    TermsNotAccepted,
}

impl View {
    /// Begins a claim and takes a reservation in the budget where the grant has none; no older key
    /// is to be on any more.
    pub fn begin(
        &self,
        request: KeyRequest,
        nonce: Nonce,
        now: Moment,
    ) -> Result<(Change, OpenClaim), BeginRefused> {
        self.may_begin(request, now)?;
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone);
        let epoch = self.grant.epoch.next();
        change.grant.epoch = epoch;
        change.grant.begun_at = Some(now);
        change.grant.lease = Some(ClaimLease {
            nonce: nonce.clone(),
            until: now + LEASE,
        });
        change.grant.has_reservation = true;
        if let GrantState::Live { .. } = self.grant.state {
            change.grant.state = GrantState::Stopped {
                why: Stopped::Replacing,
            };
        }
        let change = change
            .with_room(self, now)
            .ok_or(BeginRefused::BudgetExhausted)?;
        let accepted = self.terms_to_accept();
        if accepted.is_some() && request.terms != accepted {
            return Err(BeginRefused::TermsNotAccepted);
        }
        let mut note = key_number(epoch);
        if let Some(terms) = accepted {
            note += &format!("; terms accepted, sha256 {terms}");
        }
        let change = change.with_entry(Act::Begun, Some(&note));
        Ok((change, OpenClaim { epoch, nonce }))
    }

    /// The terms that a request has to accept. Until a key was shown, every request has to.
    pub fn terms_to_accept(&self) -> Option<TermsHash> {
        self.programme
            .settings
            .terms_hash()
            .filter(|_| !self.grant.stage.has_claimed())
    }

    /// Whether the next key counts as a replacement: not soon after another, and not where a leak,
    /// a rule or the provider made it necessary.
    pub(super) fn next_key_counts(&self, now: Moment) -> bool {
        let soon_after = self
            .grant
            .counted_at
            .is_some_and(|counted| now < counted + FREE_REPLACEMENT);
        let is_lost = self.grant.state.stopped().is_some_and(Stopped::is_loss);
        self.grant.stage.has_claimed() && !soon_after && !is_lost && !self.is_rotation(now)
    }

    fn may_begin(&self, request: KeyRequest, now: Moment) -> Result<(), BeginRefused> {
        let grant = &self.grant;
        let settings = &self.programme.settings;
        if grant.state == GrantState::Revoked {
            return Err(BeginRefused::Revoked);
        }
        if grant.state == GrantState::Ended || self.programme.is_over(now) {
            return Err(BeginRefused::Over);
        }
        if let Some(kind) = grant.holds.first() {
            return Err(BeginRefused::Held(kind));
        }
        if let Some(lease) = grant.lease.as_ref().filter(|lease| now < lease.until) {
            return Err(BeginRefused::BeingMade { until: lease.until });
        }
        match (request.kind, &grant.state) {
            (KeyRequestKind::Reveal, GrantState::Live { .. } | GrantState::Stopped { .. }) => {
                return Err(BeginRefused::AlreadyShown);
            }
            (KeyRequestKind::Replace, GrantState::Live { .. }) if request.epoch < grant.epoch => {
                return Err(BeginRefused::AlreadyShown);
            }
            (KeyRequestKind::Replace, GrantState::Invited) => {
                return Err(BeginRefused::NothingToReplace);
            }
            _ => {}
        }
        if request.epoch != grant.epoch {
            return Err(BeginRefused::StalePage);
        }
        if !grant.stage.has_claimed() {
            if now < settings.claim_opens_at() {
                return Err(BeginRefused::NotOpenYet {
                    opens: settings.claim_opens_at(),
                });
            }
            if now >= settings.claim_closes_at() {
                return Err(BeginRefused::WindowClosed);
            }
        }
        let shown = grant
            .keys
            .iter()
            .rev()
            .filter_map(|key| key.shown_at)
            .nth(KEYS_A_DAY - 1);
        if let Some(until) = shown
            .map(|first| first + 24.hours())
            .filter(|until| now < *until)
        {
            return Err(BeginRefused::ManyKeys { until });
        }
        if let Some(until) = grant.failed_often_until().filter(|until| now < *until) {
            return Err(BeginRefused::FailedOften { until });
        }
        let old = grant
            .keys
            .iter()
            .filter(|key| key.shown_at.is_some() && now >= key.made_at + GRACE);
        if let Some(until) = old
            .filter_map(|key| key.search_ends_at(now))
            .max()
            .filter(|until| now < *until)
        {
            return Err(BeginRefused::KeyMissing { until });
        }
        // The key that is live now is retired as well once the claim has begun.
        if self.next_limit(now).is_none() {
            return Err(BeginRefused::NothingLeft {
                resets_at: settings.basis.reset.resets_at(now),
            });
        }
        // After all that lasts, since the report of a leak ends this alone.
        if self.next_key_counts(now) && grant.replacements_left(settings) == 0 {
            return Err(BeginRefused::ReplacementsUsedUp);
        }
        let enables = grant.keys.iter().filter_map(|key| key.enabled.sent(&true));
        match enables
            .max()
            .map(|sent| sent + LATE)
            .filter(|until| now < *until)
        {
            Some(until) => Err(BeginRefused::EnableUnderWay { until }),
            None => Ok(()),
        }
    }

    /// Whether a rule of the programme asks for the replacement of the last key shown: the key is
    /// too old, or was announced to be soon.
    fn is_rotation(&self, now: Moment) -> bool {
        self.grant.newest_shown().is_some_and(|last| {
            let is_announced = last.announced.contains_key(&StudentNotice::TooOldSoon);
            is_announced || self.too_old_at(last).is_some_and(|too_old| now >= too_old)
        })
    }
}

impl Grant {
    /// The time until which the next claim waits because the last ones came to nothing.
    fn failed_often_until(&self) -> Option<Moment> {
        let excess = self
            .epoch
            .number()
            .checked_sub(self.last_shown().number() + FAILURES_AT_ONCE)?;
        let wait = FIRST_WAIT * 2_i32.pow(excess.min(10));
        Some(self.begun_at? + wait.min(LONGEST_WAIT))
    }

    fn is_claimed_by(&self, claim: &OpenClaim) -> bool {
        self.epoch == claim.epoch
            && self
                .lease
                .as_ref()
                .is_some_and(|lease| lease.nonce == claim.nonce)
    }
}

/// A key as it was made for a claim.
#[derive(Debug, Clone)]
pub struct MintedKey {
    pub hash: KeyHash,
    pub label: Option<KeyLabel>,
    pub limit: Usd,
    pub guardrail: Option<KeyGuardrail>,
    pub expires_at: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RecordRefused {
    #[error("held while the key was made")]
    Held(HoldKind),
    #[error("revoked while the key was made")]
    Revoked,
    /// The programme ended, and the grant with it.
    #[error("ended while the key was made")]
    Over,
    /// The cap was lowered, and what the key costs more than that was given to others.
    #[error("no room in the budget any more")]
    BudgetExhausted,
    /// Another claim took its place.
    #[error("overtaken while the key was made")]
    Lost,
}

impl View {
    /// Makes the key of a claim the grant's live one. It may be shown only after this is written.
    /// Settings may have been edited since the claim was begun, so the grant is due at once.
    pub fn record(
        &self,
        claim: &OpenClaim,
        minted: &MintedKey,
        now: Moment,
    ) -> Result<Change, RecordRefused> {
        match self.grant.state {
            GrantState::Revoked => return Err(RecordRefused::Revoked),
            GrantState::Ended => return Err(RecordRefused::Over),
            GrantState::Invited | GrantState::Live { .. } | GrantState::Stopped { .. } => {}
        }
        if !self.grant.is_claimed_by(claim) || self.grant.key_with(&minted.hash).is_some() {
            return Err(RecordRefused::Lost);
        }
        if let Some(kind) = self.grant.holds.first() {
            return Err(RecordRefused::Held(kind));
        }
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone);
        let grant = &mut change.grant;
        let counts = self.next_key_counts(now);
        grant.put_key(GrantKey {
            shown_at: Some(now),
            ..minted.key(claim.epoch, now)
        });
        grant.state = GrantState::Live {
            key: minted.hash.clone(),
        };
        grant.lease = None;
        if counts {
            grant.replacements += 1;
        }
        // A free replacement uses the free time up.
        grant.counted_at = (counts || !grant.stage.has_claimed()).then_some(now);
        grant.stage = grant.stage.after(Stage::Claimed);
        change.notice = Some(StudentNotice::KeyShown);
        let change = change
            .with_room(self, now)
            .ok_or(RecordRefused::BudgetExhausted)?;
        Ok(change.with_entry(Act::Shown, Some(&key_number(claim.epoch))))
    }

    /// Ends a claim without a key to show. A key that was made is not to be on, whatever became of
    /// the grant. Returns `Unchanged` if all of this is done already.
    pub fn give_up(
        &self,
        claim: &OpenClaim,
        minted: Option<&MintedKey>,
        why: &str,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone);
        let unrecorded = minted.filter(|minted| self.grant.key_with(&minted.hash).is_none());
        if self.grant.is_claimed_by(claim) {
            change.grant.lease = None;
        } else if unrecorded.is_none() {
            return Err(Unchanged);
        }
        if let Some(minted) = unrecorded {
            change.grant.put_key(minted.key(claim.epoch, now));
        }
        let note = format!("{}: {why}", key_number(claim.epoch));
        Ok(change.with_entry(Act::NotShown, Some(&note)))
    }
}

impl MintedKey {
    fn key(&self, epoch: Epoch, now: Moment) -> GrantKey {
        GrantKey {
            label: self.label.clone(),
            expires_at: self.expires_at,
            limit: Held::confirmed(self.limit, now),
            guardrail: self
                .guardrail
                .clone()
                .map(|under| Held::confirmed(under, now))
                .unwrap_or_default(),
            ..GrantKey::made(epoch, self.hash.clone(), now)
        }
    }
}

/// A key as audit entries name it.
pub(super) fn key_number(epoch: Epoch) -> String {
    format!("key {}", epoch.number())
}

/// The guardrail that the next key is put under before it is shown.
#[derive(Debug, Default, PartialEq)]
pub enum NextGuardrail {
    #[default]
    None,
    Confirmed {
        owner: GuardrailOwner,
        confirmed: ConfirmedRules,
    },
    /// The provider has not confirmed any rules of it yet, so no key is made.
    NotConfirmed,
}

impl View {
    /// The limit of the next key if no key were live any more; `None` with less than a cent left.
    pub fn next_limit(&self, now: Moment) -> Option<Usd> {
        let mut spending = self.spending(now);
        spending.retired_in_window = spending.in_window;
        compute_limit(self.grant.cap(&self.programme.settings), &spending)
    }

    pub fn next_guardrail(&self) -> NextGuardrail {
        let Some(owner) = self.guardrail_of_next_key() else {
            return NextGuardrail::None;
        };
        match self.guardrail(&owner).and_then(Guardrail::confirmed) {
            Some(confirmed) => NextGuardrail::Confirmed { owner, confirmed },
            None => NextGuardrail::NotConfirmed,
        }
    }

    /// `None` if the next key may call everything.
    pub(super) fn guardrail_of_next_key(&self) -> Option<GuardrailOwner> {
        let rules = self
            .programme
            .settings
            .rules
            .rules_for(self.grant.group.as_deref());
        (!rules.allow_all()).then(|| self.guardrail_of_group())
    }
}
