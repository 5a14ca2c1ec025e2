//! The one sender: it makes the provider agree with what a grant's keys are to be by now, as the
//! grant stands at that moment. What it sends is noted before, so whatever becomes of a call, what
//! a key may hold is on record. No error takes a note back, since what was refused may have been
//! done. A settle makes each call once; the next repeats whatever fails, mostly the work of the
//! next minutes. The rules of guardrails are sent likewise; while the call of one sender may still
//! run, others do not send.
//!
//! In a restored copy of the table nothing is told but disables, until the sync has recorded what
//! the provider has: the copy may know less.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::OnceCell;

use crate::clock::{Clock, Moment};
use crate::deadline::Deadline;
use crate::domain::grant::{Answered, KeyCall, Reading, Tell, Unchanged, View};
use crate::domain::programme::guardrail::{Guardrail, MadeGuardrail, RulesRefusal};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::KeyHash;
use crate::domain::values::money::Usd;
use crate::provider::guardrails::{GuardrailRules, ProviderGuardrail};
use crate::provider::key::ProviderKey;
use crate::provider::keys::{FoundKey, KeyPatch};
use crate::provider::{FailureKind, Provider, ProviderError};
use crate::store::{ActContext, ActOutcome, Meta, StoreError, Table};

/// The time that one call may take, the provider's and the table's answers included.
pub const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);
/// The least time in which a call is begun.
const SHORTEST: Duration = Duration::from_secs(3);
/// A call begins so soon after its note, or is noted again.
const SOON: SignedDuration = SignedDuration::from_secs(5);

pub struct Settler<'a> {
    pub table: &'a Table,
    pub provider: &'a Provider,
    pub clock: &'a Clock,
    /// The provider's guardrails, listed before the first is made: whoever makes several within
    /// seconds lists once.
    pub listed: OnceCell<Vec<ProviderGuardrail>>,
}

#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    #[error("the time is up for this round")]
    NoTime,
    #[error("the provider does not know the key, which may be wrong")]
    NotFound,
    #[error("an earlier call may still take effect, until {until}")]
    InDoubt { until: Moment },
    #[error("the provider did not say what a key that is off has used")]
    NotRead,
    #[error("the answer does not confirm it yet")]
    NotConfirmed,
    #[error("the guardrail is not made yet")]
    NoGuardrail,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Table(#[from] StoreError),
}

impl Settler<'_> {
    /// Settles a grant for the act that changed it. A failure is only logged, since the work
    /// repeats it.
    pub async fn settle_or_leave(&self, context: ActContext<'_>) {
        if let Err(error) = self.settle(context, |call| call.tell != Tell::Read).await {
            tracing::warn!(grant = %context.grant, %error, "what a key is to hold is left to the work");
        }
    }

    /// Tells the provider what is meant of all that is due for a grant, one call after the other,
    /// and returns their number. A call that fails keeps no other from being made, and puts the
    /// grant off.
    pub async fn settle(
        &self,
        context: ActContext<'_>,
        is_meant: impl Fn(&KeyCall) -> bool,
    ) -> Result<u32, NotSettled> {
        self.settle_until(
            context,
            context.deadline.earlier_by(LEFT_FOR_THE_TABLE),
            is_meant,
        )
        .await
    }

    /// The same, with calls that are over by then.
    pub async fn settle_until(
        &self,
        context: ActContext<'_>,
        until: Deadline,
        is_meant: impl Fn(&KeyCall) -> bool,
    ) -> Result<u32, NotSettled> {
        let mut done = 0;
        let mut tried: Vec<KeyCall> = Vec::new();
        let mut failed: Option<NotSettled> = None;
        let is_copy = self
            .table
            .is_copy(&self.table.meta(self.clock.now()).await?);
        // The grant is read before each call: somebody may have changed it, or it is read after the
        // last.
        while let Some(view) = self.table.view(context.programme, context.grant).await? {
            let now = self.clock.now();
            let mut calls = view.calls(now);
            calls.retain(|call| is_meant(call) && (!is_copy || call.tell == Tell::Off));
            let mut due = calls.iter().filter(|call| call.due <= now);
            let untried = due.find(|call| {
                !tried
                    .iter()
                    .any(|earlier| earlier.key == call.key && earlier.tell == call.tell)
            });
            let Some(call) = untried else {
                // What was answered and is due all the same would be so again at once.
                if calls.iter().any(|call| call.due <= now) {
                    failed.get_or_insert(NotSettled::NotConfirmed);
                }
                let later = calls
                    .iter()
                    .filter(|call| call.tell != Tell::Read)
                    .map(|call| call.due)
                    .min();
                return match (failed, later) {
                    (Some(error), _) => Err(self.put_off(context, error).await),
                    (None, Some(until)) => Err(NotSettled::InDoubt { until }),
                    (None, None) => {
                        if view.grant.due_at.is_some_and(|due| due <= now) {
                            self.table
                                .act_as_read(self.now(context), Some(view), View::refresh_due)
                                .await?;
                        }
                        Ok(done)
                    }
                };
            };
            if !until.leaves(SHORTEST) {
                return Err(match failed {
                    Some(error) => self.put_off(context, error).await,
                    None => NotSettled::NoTime,
                });
            }
            tried.push(call.clone());
            match self
                .make(context, &view, call, until.limit_to(ENOUGH_FOR_ONE))
                .await
            {
                Ok(()) => done += 1,
                Err(NotSettled::Table(error)) => return Err(error.into()),
                Err(error) => {
                    // Whether the live key is gone is for the sync to judge, within its safety
                    // limit.
                    let is_live = view.grant.live().is_some_and(|live| live.hash == call.key);
                    if matches!(error, NotSettled::NotFound)
                        && self.not_found(context, &call.key, !is_live, until).await?
                    {
                        continue;
                    }
                    // That a key is not found tells less than another failure.
                    failed = failed
                        .filter(|failure| !matches!(failure, NotSettled::NotFound))
                        .or(Some(error));
                }
            }
        }
        Ok(done)
    }

    /// Makes one call, of which the provider's answer is taken in. One that is not due any more by
    /// then is not made.
    async fn make(
        &self,
        context: ActContext<'_>,
        view: &View,
        call: &KeyCall,
        patience: Deadline,
    ) -> Result<(), NotSettled> {
        match call.tell {
            Tell::Guardrail(None) => return Err(NotSettled::NoGuardrail),
            Tell::Read => return self.read(context, view, &call.key, patience).await,
            Tell::Off | Tell::Limit(_) | Tell::Guardrail(Some(_)) | Tell::On => {}
        }
        let noting = self.now(context);
        let noted = noting.now;
        if !matches!(
            self.table
                .act(noting, |view, now| view.with_note(call, now))
                .await?,
            ActOutcome::Done(_)
        ) {
            return Ok(());
        }
        let sent = self.clock.now();
        let reset = view.programme.settings.basis.reset;
        if sent > noted + SOON || reset.window_at(sent) != reset.window_at(noted) {
            return Err(NotSettled::NoTime);
        }
        let answered = match self.send(view, call, patience).await {
            // A single answer that there is no such key may be wrong.
            Err(NotSettled::NotFound) => {
                return self.read(context, view, &call.key, patience).await;
            }
            answered => answered?,
        };
        let is_read = match &answered {
            Some(provider_key) => {
                self.note_use(context, view, &call.key, (sent, provider_key))
                    .await?
            }
            None => true,
        };
        // That a key is off is so whatever it used; all else is confirmed together with that.
        if !is_read && call.tell != Tell::Off {
            return self.read(context, view, &call.key, patience).await;
        }
        let answer = Answered {
            noted,
            sent,
            is_read,
        };
        self.table
            .act(self.now(context), |view, now| {
                view.answered(call, answer, now)
            })
            .await?;
        Ok(())
    }

    /// Sends what was noted, and returns the key if the answer shows it.
    async fn send(
        &self,
        view: &View,
        call: &KeyCall,
        patience: Deadline,
    ) -> Result<FoundKey, NotSettled> {
        let key = &call.key;
        let basis = view.programme.settings.basis;
        let patch = match &call.tell {
            Tell::Off => KeyPatch::disabled(true),
            Tell::On => KeyPatch::disabled(false),
            Tell::Limit(limit) => KeyPatch::limit(Some(*limit)).counting(basis),
            Tell::Guardrail(Some(under)) => {
                let Err(error) = self.provider.assign_key(&under.id, key, patience).await else {
                    return Ok(None);
                };
                if error.is_not_found() {
                    // The answer does not say whether it is the key or the guardrail that is not
                    // found.
                    self.provider
                        .get_key(key, patience)
                        .await?
                        .ok_or(NotSettled::NotFound)?;
                    let programme = &view.programme.id;
                    self.table
                        .doubt_guardrail(programme, &under.id, self.clock.now(), patience)
                        .await?;
                    return Err(NotSettled::NoGuardrail);
                }
                return Err(error.into());
            }
            Tell::Guardrail(None) | Tell::Read => return Ok(None),
        };
        self.provider
            .patch_key(key, patch, patience)
            .await?
            .ok_or(NotSettled::NotFound)
            .map(Some)
    }

    /// Asks what the provider has of a key and what it used, as for the final reading of one that
    /// is off.
    async fn read(
        &self,
        context: ActContext<'_>,
        view: &View,
        key: &KeyHash,
        patience: Deadline,
    ) -> Result<(), NotSettled> {
        let (asked_at, answer) = self.provider.get_key_in_a_day(key, patience).await?;
        let provider_key = answer.ok_or(NotSettled::NotFound)?;
        let is_read = self
            .note_use(context, view, key, (asked_at, &provider_key))
            .await?;
        let shows = provider_key.seen(view.programme.settings.basis, asked_at, is_read);
        self.table
            .act(self.now(context), |view, now| view.shown(key, &shows, now))
            .await?;
        // The next listing may say what it used.
        if is_read {
            Ok(())
        } else {
            Err(NotSettled::NotRead)
        }
    }

    /// Takes in that the provider answered that it does not know a key, and says whether it is
    /// gone: after a second such answer, if it may end here, and if another key of the account is
    /// known, or none is but with the management key of before.
    pub async fn not_found(
        &self,
        context: ActContext<'_>,
        key: &KeyHash,
        may_end: bool,
        deadline: Deadline,
    ) -> Result<bool, NotSettled> {
        self.table
            .act(self.now(context), |view, now| view.not_found(key, now))
            .await?;
        let Some(view) = self.table.view(context.programme, context.grant).await? else {
            return Ok(false);
        };
        if !may_end || view.record_gone(key, self.clock.now()).is_err() {
            return Ok(false);
        }
        let meta = self.table.meta(self.clock.now()).await?;
        if let Some(account) = &meta.account
            && !self
                .provider
                .may_believe_a_404(key, &meta.deployment, account, deadline)
                .await?
        {
            return Ok(false);
        }
        Ok(matches!(
            self.table
                .act(self.now(context), |view, now| view.record_gone(key, now))
                .await?,
            ActOutcome::Done(_)
        ))
    }

    /// Records what a key used that was shown, as an answer about it says. Returns whether it says
    /// it.
    async fn note_use(
        &self,
        context: ActContext<'_>,
        view: &View,
        key: &KeyHash,
        (asked_at, provider_key): (Moment, &ProviderKey),
    ) -> Result<bool, StoreError> {
        let report = provider_key.usage_report(view.programme.settings.basis.reset);
        let Some(key) = view
            .grant
            .key_with(key)
            .filter(|key| key.shown_at.is_some())
        else {
            return Ok(true);
        };
        let Some(report) = report else {
            return Ok(false);
        };
        let reading = view.reading(key.epoch);
        let credits = reading.map_or(Usd::ZERO, Reading::lifetime);
        let byok = reading.map_or(Usd::ZERO, |reading| reading.used.byok.total());
        if credits >= report.lifetime
            && report
                .byok
                .is_none_or(|reported_byok| byok >= reported_byok)
        {
            return Ok(true);
        }
        Ok(self
            .table
            .take_in_use(
                view,
                &key.hash,
                Some(&report),
                asked_at,
                false,
                context.deadline,
            )
            .await?
            .is_ok())
    }

    /// Puts the grant off. If that cannot be written it stays due at once, which does no harm.
    async fn put_off(&self, context: ActContext<'_>, error: NotSettled) -> NotSettled {
        // That a wait is asked for says nothing of the grant, and holds all others up as well; but
        // a disable does not wait.
        let is_wait = matches!(&error, NotSettled::Provider(error) if error.asks_for_patience());
        let marked = self
            .table
            .act(self.now(context), |view, now| {
                if is_wait && !view.grant.has_key_to_end() {
                    Err(Unchanged)
                } else {
                    view.put_off(now)
                }
            })
            .await;
        if let Err(error) = marked {
            tracing::warn!(grant = %context.grant, %error, "that a call failed could not be marked");
        }
        error
    }

    fn now<'a>(&self, context: ActContext<'a>) -> ActContext<'a> {
        ActContext {
            now: self.clock.now(),
            ..context
        }
    }
}

#[derive(Debug)]
pub enum RulesTold {
    Confirmed,
    /// The provider refuses them, which only a person can mend.
    Refused(RulesRefusal),
    /// The provider was not asked, or did not answer.
    Not(ProviderError),
    /// Somebody else wrote the guardrail meanwhile, perhaps to send them; or the table is a
    /// restored copy.
    Overtaken,
}

impl Settler<'_> {
    /// Sends rules to a guardrail as it was read. Makes it where there is none. Its calls are over
    /// before its note counts no more.
    pub async fn tell_rules(
        &self,
        guardrail: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<RulesTold, StoreError> {
        let deadline = deadline.limit_to(ENOUGH_FOR_ONE);
        let now = self.clock.now();
        let meta = self.table.meta(now).await?;
        if self.table.is_copy(&meta) {
            return Ok(RulesTold::Overtaken);
        }
        if rules.tier().is_some() {
            return self
                .refuse(guardrail, rules, "There is no such tier.", deadline)
                .await;
        }
        let mut sent = guardrail.clone();
        let noted_at = sent.rules.note(rules, now);
        let Some(noted) = self
            .table
            .write_guardrail(guardrail, sent, now, deadline)
            .await?
        else {
            return Ok(RulesTold::Overtaken);
        };
        let asked_at = self.clock.now();
        let answer = match self.send_guardrail(&meta, &noted, rules, deadline).await {
            Ok(answer) => answer,
            Err(error) if error.kind == FailureKind::Refused => {
                return self
                    .refuse(&noted, rules, &error.trouble.message, deadline)
                    .await;
            }
            Err(error) => return Ok(RulesTold::Not(error)),
        };
        let now = self.clock.now();
        let remote = Some(MadeGuardrail {
            answered: answer.spelled(),
            id: answer.id,
            answered_at: now,
        });
        let mut after = Guardrail {
            remote,
            refusal: None,
            ..noted.clone()
        };
        after.rules.take_in(rules, asked_at, Some(noted_at), now);
        // Somebody else may have sent other rules since, or before without an answer, and nobody
        // knows which call the provider does last.
        let after = self
            .table
            .write_guardrail(&noted, after, now, deadline)
            .await?;
        let is_confirmed = after.is_some_and(|after| after.rules.is(rules));
        Ok(if is_confirmed {
            RulesTold::Confirmed
        } else {
            RulesTold::Overtaken
        })
    }

    /// Records that rules are refused, which only a person can mend.
    async fn refuse(
        &self,
        guardrail: &Guardrail,
        rules: &Rules,
        why: &str,
        deadline: Deadline,
    ) -> Result<RulesTold, StoreError> {
        let now = self.clock.now();
        let refusal = guardrail.refusal_after(rules, why, now);
        let refused = Guardrail {
            refusal: Some(refusal.clone()),
            ..guardrail.clone()
        };
        let written = self
            .table
            .write_guardrail(guardrail, refused, now, deadline)
            .await?;
        Ok(written.map_or(RulesTold::Overtaken, |_| RulesTold::Refused(refusal)))
    }

    async fn send_guardrail(
        &self,
        meta: &Meta,
        guardrail: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail, ProviderError> {
        let rules = GuardrailRules {
            name: guardrail.owner.name_at_provider(&meta.deployment),
            rules: rules.clone(),
        };
        if let Some(remote) = &guardrail.remote
            && let Some(answer) = self
                .provider
                .patch_guardrail(&remote.id, &rules, deadline)
                .await?
        {
            return Ok(answer);
        }
        // An earlier create may have taken effect although its answer was lost. So the guardrail is
        // looked up by name first, and sent the rules again.
        let listed = self
            .listed
            .get_or_try_init(|| self.provider.guardrails(deadline))
            .await
            .map_err(|error| {
                // A refused listing says nothing of the rules, so it counts as a failure to be retried.
                let is_refused = error.kind == FailureKind::Refused;
                ProviderError {
                    kind: if is_refused {
                        FailureKind::Later
                    } else {
                        error.kind
                    },
                    ..error
                }
            })?;
        if let Some(namesake) = listed.iter().find(|listed| listed.name == rules.name)
            && let Some(answer) = self
                .provider
                .patch_guardrail(&namesake.id, &rules, deadline)
                .await?
        {
            return Ok(answer);
        }
        // A management key of another account would make it there.
        self.provider
            .check_account(&meta.deployment, meta.account.as_ref(), deadline)
            .await?;
        self.provider.create_guardrail(&rules, deadline).await
    }
}
