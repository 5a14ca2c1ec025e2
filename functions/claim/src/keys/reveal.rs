//! Revealing and replacing a key: six steps that make a key once, record it, and only then show it. The
//! rules of each step are in `domain::grant`, the words for its failure in `not_shown`.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{
    Attempt, AttemptFailure, AttemptState, BeginRefused, KeyGuardrail, MintedKey, OpenAttempt, Order, OrderKind, Press,
    PressKind, RecordRefused, SwitchState, View,
};
use bursar_core::domain::programme::Byok;
use bursar_core::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};
use bursar_core::domain::programme::terms::TermsHash;
use bursar_core::domain::values::id::{DeploymentId, Epoch, KeyName, Nonce};
use bursar_core::domain::values::key::{KeyHash, PlaintextKey};
use bursar_core::domain::values::money::Usd;
use bursar_core::orders::NotCarriedOut;
use bursar_core::provider::ProviderError;
use bursar_core::provider::keys::NewKey;
use bursar_core::store::{ActContext, ActOutcome, StoreError};
use bursar_core::web::{Answer, Fields, Frame, Site, Visitor};
use jiff::Timestamp;

use crate::keys::form::KeyForm;
use crate::keys::not_shown::{FailedAttempt, NotShown};
use crate::keys::reading::{KeyLookup, read};
use crate::my;
use crate::my::example::Example;
use crate::my::rules::{KeyRules, NextGuardrail};
use crate::refusal::Refusal;

/// The least time left of a request in which a claim may begin.
const ENOUGH_TO_BEGIN: Duration = Duration::from_secs(20);
/// The least time left of a request in which the provider may be asked for a key.
const ENOUGH_TO_MINT: Duration = Duration::from_secs(17);
/// The time that calls to the provider must leave for recording the key.
const LEFT_TO_RECORD: Duration = Duration::from_secs(4);

/// The only page that shows a key.
#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    programme: &'a str,
    key: &'a str,
    limit: String,
    example: Example<'a>,
}

/// A recorded key, which may be shown.
struct RecordedKey {
    key: PlaintextKey,
    limit: Usd,
    rules: KeyRules,
}

/// A key that the provider has made for an attempt and the table does not record yet.
struct UnrecordedKey {
    key: KeyHash,
    plaintext: PlaintextKey,
    limit: Usd,
    /// The guardrail that it has to be under.
    guardrail: Option<(GuardrailOwner, ConfirmedRules)>,
}

/// One request for a key, with what its steps need.
struct Claim<'a> {
    site: &'a Site,
    at: ActContext<'a>,
    deployment: DeploymentId,
}

pub(crate) async fn reveal(form: KeyForm) -> Answer {
    press(&form, PressKind::Reveal).await
}

pub(crate) async fn replace(form: KeyForm) -> Answer {
    press(&form, PressKind::Replace).await
}

async fn press(form: &KeyForm, kind: PressKind) -> Answer {
    let KeyForm { site, visitor, view, now, deadline, .. } = form;
    let now = *now;
    let Some(epoch) = form.epoch() else {
        let sentence = "The form was not whole. Press once more, here.";
        return my::with_alert(site, visitor, now, StatusCode::UNPROCESSABLE_ENTITY, sentence).await;
    };
    let (press, settings) = (Press { kind, epoch, terms: accepted(&form.fields) }, &view.programme.settings);
    if view.begin(press, Nonce::random(), now).is_err_and(|refused| refused == BeginRefused::TermsNotAccepted) {
        return ask_for_terms(site, visitor, now, press).await;
    }
    if NextGuardrail::of(&site.table, view).await? == NextGuardrail::NotConfirmed {
        return Ok(form.refuse(&NotShown::BeingPrepared.refusal(settings, now)));
    }
    let meta = site.table.meta(now).await?;
    if site.table.is_copy(&meta) {
        let sentence = "Bursar is being restored. Keys can be made again in some minutes; nothing is lost.";
        return Ok(form.refuse(&Refusal::later(sentence, None)));
    }

    // A management key of another account would make the key there, so nothing is written before this
    // check.
    if let Err(error) = site.provider.check_account(&meta.deployment, meta.account.as_ref(), *deadline).await {
        return Ok(form.refuse(&NotShown::NotMade(error).refusal(settings, now)));
    }

    let claim = Claim { site, at: form.at(), deployment: meta.deployment };
    match claim.carry_out(press).await {
        Ok(shown) => Ok(reveal_page(site, visitor, view, &shown)),
        // The terms of use changed between the page and the press.
        Err(NotShown::Begin(BeginRefused::TermsNotAccepted)) => ask_for_terms(site, visitor, now, press).await,
        Err(not_shown) => Ok(form.refuse(&not_shown.refusal(settings, site.clock.now()))),
    }
}

/// The page once more, with the terms of use as they read now.
async fn ask_for_terms(site: &Site, visitor: &Visitor, now: Timestamp, press: Press) -> Answer {
    let sentence = match press.terms {
        None => "Accept the terms of the programme first: tick the box above the button.",
        Some(_) => {
            "The terms of the programme were changed meanwhile. Read them again, and tick the box if you accept them."
        }
    };
    my::with_alert(site, visitor, now, StatusCode::UNPROCESSABLE_ENTITY, sentence).await
}

impl Claim<'_> {
    async fn carry_out(&self, press: Press) -> Result<RecordedKey, NotShown> {
        let begun = self.begin(press).await?;
        match self.make(&begun).await {
            Ok(shown) => Ok(shown),
            Err(failed) => {
                self.give_up(&begun, &failed).await;
                Err(failed.why)
            }
        }
    }

    async fn make(&self, begun: &OpenAttempt) -> Result<RecordedKey, FailedAttempt> {
        self.retire(begun).await?;
        let made = self.mint(begun).await?;
        self.restrict(&made).await?;
        self.record(begun, &made).await?;
        let confirmed = made.guardrail.map(|(_, confirmed)| confirmed.rules).unwrap_or_default();
        let rules = KeyRules { confirmed, ..KeyRules::default() };
        Ok(RecordedKey { key: made.plaintext, limit: made.limit, rules })
    }

    /// Step 1: opens the attempt in the table before any call to the provider.
    async fn begin(&self, press: Press) -> Result<OpenAttempt, NotShown> {
        if !self.at.deadline.leaves(ENOUGH_TO_BEGIN) {
            return Err(NotShown::TooLate);
        }
        match self.site.table.act(self.at, |view, now| view.begin(press, Nonce::random(), now)).await {
            Ok(ActOutcome::Done(begun)) => Ok(begun),
            Ok(ActOutcome::Refused(refused @ BeginRefused::EnableUnderWay { until: None })) => {
                self.take_enable_back().await?;
                Err(NotShown::Begin(refused))
            }
            Ok(ActOutcome::Refused(refused)) => Err(NotShown::Begin(refused)),
            Ok(ActOutcome::NoSuchGrant) => Err(NotShown::NoSuchGrant),
            Err(error) => Err(NotShown::table(&error)),
        }
    }

    /// Takes back an enable of the old key that is still ordered. Its writer does not retry then, but a
    /// call under way may still take effect for some seconds.
    async fn take_enable_back(&self) -> Result<(), NotShown> {
        match self.site.table.act(self.at, View::take_enable_back).await {
            Ok(_) => self.site.orders().now_or_later(self.at).await,
            Err(error) => return Err(NotShown::table(&error)),
        }
        Ok(())
    }

    /// Step 2: disables every key of older epochs and records its final usage.
    async fn retire(&self, begun: &OpenAttempt) -> Result<(), FailedAttempt> {
        let patience = self.at.deadline.earlier_by(ENOUGH_TO_MINT);
        let view = self.view().await?;
        for old in view.grant.attempts.iter().filter(|attempt| attempt.epoch < begun.epoch) {
            self.retire_one(&view, old, patience).await.map_err(FailedAttempt::nothing)?;
        }
        Ok(())
    }

    async fn retire_one(&self, view: &View, old: &Attempt, patience: Deadline) -> Result<(), NotShown> {
        let Some(key) = &old.key else { return Ok(()) };
        let off = view.grant.orders_off().find(|order| order.epoch == old.epoch);
        if let Some(off) = off {
            match self.site.orders().carry_out_one(self.at, &off, patience).await {
                Ok(_) => {}
                Err(NotCarriedOut::NotFound) => return self.accept_missing_key(old, patience).await,
                Err(NotCarriedOut::Provider(error)) => return Err(NotShown::NotRetired(error)),
                Err(NotCarriedOut::Table(error)) => return Err(NotShown::table(&error)),
                Err(NotCarriedOut::NoTime) => return Err(NotShown::TooLate),
                Err(NotCarriedOut::NotFirm | NotCarriedOut::Overtaken | NotCarriedOut::NotConfirmed) => {
                    return Err(NotShown::Begin(BeginRefused::EnableUnderWay { until: None }));
                }
            }
        }
        // A key that was never shown cannot have been used.
        if old.state != AttemptState::Shown || is_read_for_the_last_time(view, old, self.at) {
            return Ok(());
        }
        let read = read(self.site, view, old, key, patience).await;
        match read.map_err(|error| NotShown::NotRead(Some(error)))? {
            KeyLookup::Reading(reading) => match self.site.table.note_reading(&reading, self.at.deadline).await {
                Ok(_) => Ok(()),
                Err(error) => {
                    tracing::error!(%error, "a retired key's last reading could not be written");
                    Err(NotShown::NotRead(None))
                }
            },
            KeyLookup::Gone => {
                let at = ActContext { now: self.site.clock.now(), ..self.at };
                match self.site.table.act(at, |view, now| view.not_found(old.epoch, key, now)).await {
                    Ok(_) => self.accept_missing_key(old, patience).await,
                    Err(error) => Err(NotShown::table(&error)),
                }
            }
            KeyLookup::Silent => Err(NotShown::NotRead(None)),
        }
    }

    /// Decides whether to go on although the provider says that an old key does not exist. That answer is
    /// believed only after some minutes, of a key that is not new, and when another key of the account is
    /// found. The recorded usage then stands, and the disable stays ordered.
    async fn accept_missing_key(&self, old: &Attempt, patience: Deadline) -> Result<(), NotShown> {
        if !old.may_be_gone(self.site.clock.now()) {
            return Err(NotShown::NotFound);
        }
        let meta = self.site.table.known_meta().await.map_err(|error| NotShown::table(&error))?;
        let Some(account) = meta.and_then(|meta| meta.account) else { return Err(NotShown::NotFound) };
        match self.site.provider.finds_one_of(&account, patience).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotShown::NotFound),
            Err(error) => Err(NotShown::NotRetired(error)),
        }
    }

    /// Step 3: asks the provider for the key, with one request that is never repeated in this attempt.
    async fn mint(&self, begun: &OpenAttempt) -> Result<UnrecordedKey, FailedAttempt> {
        let view = self.view().await?;
        let settings = &view.programme.settings;
        // The time is read anew: a window may have begun since the press, and an old window's limit must
        // not be sent in it.
        let limit = view.next_limit(self.site.clock.now());
        let limit = limit.ok_or_else(|| FailedAttempt::nothing(NotShown::NothingLeft))?;
        let next = NextGuardrail::of(&self.site.table, &view).await;
        let guardrail = match next.map_err(|error| FailedAttempt::nothing(NotShown::table(&error)))? {
            NextGuardrail::None => None,
            NextGuardrail::Confirmed { of, confirmed } => Some((of, confirmed)),
            NextGuardrail::NotConfirmed => return Err(FailedAttempt::nothing(NotShown::BeingPrepared)),
        };
        if !self.at.deadline.leaves(ENOUGH_TO_MINT) {
            return Err(FailedAttempt::nothing(NotShown::TooLate));
        }
        let attempt = view.grant.attempt(begun.epoch);
        let expires_at = attempt.map_or_else(|| settings.keys_expire_at(), |attempt| attempt.key_expires_at(settings));
        let new = NewKey {
            name: &self.name(begun.epoch, &begun.nonce).to_string(),
            limit,
            reset: settings.reset,
            include_byok_in_limit: settings.byok == Byok::Inside,
            expires_at: Some(expires_at),
            workspace: None,
        };
        match self.site.provider.create_key(&new, self.at.deadline).await {
            Ok(made) => Ok(UnrecordedKey { key: made.hash, plaintext: made.plaintext, limit, guardrail }),
            Err(error) => {
                let key = match &error {
                    ProviderError::Unknown { made, .. } => made.clone(),
                    _ => None,
                };
                // A made key whose hash is known gets its disable; only a key of unknown hash leaves the
                // attempt in doubt.
                let is_certain = error.changed_nothing() || key.is_some();
                let how = if is_certain { AttemptFailure::Refused } else { AttemptFailure::Unknown };
                Err(FailedAttempt { how, key, why: NotShown::NotMade(error) })
            }
        }
    }

    /// Step 4: puts the key under its guardrail and waits for the provider's confirmation.
    async fn restrict(&self, made: &UnrecordedKey) -> Result<(), FailedAttempt> {
        let Some((of, ConfirmedRules { id, .. })) = &made.guardrail else { return Ok(()) };
        let patience = self.at.deadline.earlier_by(LEFT_TO_RECORD);
        let assigned = self.site.provider.assign_key(id, &made.key, patience).await;
        let Err(error) = assigned else { return Ok(()) };
        if error.is_not_found()
            && let Err(error) = self.guardrail_not_found(of, id, patience).await
        {
            tracing::warn!(guardrail = %of, %error, "a guardrail that is gone is not made again");
        }
        Err(FailedAttempt {
            how: AttemptFailure::Refused,
            key: Some(made.key.clone()),
            why: NotShown::NotRestricted(error),
        })
    }

    /// Has the guardrail made again by the work of the next minute, so that a later press succeeds.
    async fn guardrail_not_found(&self, of: &GuardrailOwner, id: &str, deadline: Deadline) -> Result<(), StoreError> {
        let is_it = |known: &Guardrail| known.confirmed.as_ref().is_some_and(|confirmed| confirmed.id == id);
        if let Some(known) = self.site.table.guardrail(of).await?.filter(is_it) {
            self.site.table.write_guardrail(&known, known.doubted(), self.site.clock.now(), deadline).await?;
        }
        Ok(())
    }

    /// Step 5: records the key as the grant's live one. A key that cannot be recorded is never shown.
    async fn record(&self, begun: &OpenAttempt, made: &UnrecordedKey) -> Result<(), FailedAttempt> {
        let guardrail = made.guardrail.as_ref();
        let guardrail = guardrail.map(|(of, known)| KeyGuardrail { group: of.group.clone(), id: known.id.clone() });
        let minted = MintedKey { key: made.key.clone(), limit: made.limit, guardrail };
        // The time is read anew: a window may have begun since the press, and the limit is checked against
        // the current one.
        let at = ActContext { now: self.site.clock.now(), ..self.at };
        let why = match self.site.table.act(at, |view, now| view.record(begun, &minted, now)).await {
            Ok(ActOutcome::Done(_)) => return Ok(()),
            Ok(ActOutcome::Refused(refused)) => NotShown::Record(refused),
            Ok(ActOutcome::NoSuchGrant) => NotShown::Record(RecordRefused::Lost),
            // The record may have been written although the answer was lost. Then giving up changes
            // nothing, and the student replaces a key they never saw.
            Err(error) => NotShown::table(&error),
        };
        Err(FailedAttempt { how: AttemptFailure::Lost, key: Some(made.key.clone()), why })
    }

    /// Ends the attempt in the table. For a key that was made this orders a disable, which is sent at once
    /// where possible.
    async fn give_up(&self, begun: &OpenAttempt, failed: &FailedAttempt) {
        let (key, why) = (failed.key.as_ref(), failed.why.to_string());
        match self.site.table.act(self.at, |view, now| view.give_up(begun, failed.how, key, &why, now)).await {
            Ok(ActOutcome::Done(grant)) => {
                let is_own = |order: &Order| order.kind == OrderKind::Off && Some(&order.key) == key;
                if grant.orders().iter().any(is_own)
                    && let Err(error) = self.site.orders().carry_out(self.at, is_own).await
                {
                    tracing::warn!(%error, "the disable of a key that nobody was shown is still ordered");
                }
            }
            Ok(ActOutcome::Refused(_) | ActOutcome::NoSuchGrant) => {}
            Err(error) => tracing::error!(%error, "an attempt was not given up; its lease runs out"),
        }
    }

    async fn view(&self) -> Result<View, FailedAttempt> {
        match self.site.table.view(self.at.programme, self.at.grant).await {
            Ok(Some(view)) => Ok(view),
            Ok(None) => Err(FailedAttempt::nothing(NotShown::NoSuchGrant)),
            Err(error) => Err(FailedAttempt::nothing(NotShown::table(&error))),
        }
    }

    fn name(&self, epoch: Epoch, nonce: &Nonce) -> KeyName {
        KeyName {
            deployment: self.deployment.clone(),
            programme: self.at.programme.clone(),
            grant: self.at.grant.clone(),
            epoch,
            nonce: nonce.clone(),
        }
    }
}

/// Step 6: shows the recorded key.
fn reveal_page(site: &Site, visitor: &Visitor, view: &View, shown: &RecordedKey) -> Response {
    site.page(&KeyPage {
        frame: &site.frame,
        visitor,
        programme: &view.programme.settings.name,
        key: shown.key.reveal(),
        limit: shown.limit.to_dollars_down(),
        example: Example::of(site, view, &shown.rules),
    })
}

/// Whether an old key's usage is final: it was read after the disable, or its window is over.
fn is_read_for_the_last_time(view: &View, old: &Attempt, at: ActContext<'_>) -> bool {
    let SwitchState::Off { at: disabled } = old.switch else { return false };
    let reset = view.programme.settings.reset;
    let is_past = reset.window_at(disabled) < reset.window_at(at.now);
    is_past || view.readings.iter().any(|reading| reading.epoch == old.epoch && reading.as_of >= disabled)
}

/// The terms of use that the page showed beside the ticked box.
fn accepted(fields: &Fields) -> Option<TermsHash> {
    fields.get("terms").filter(|ticked| *ticked == "on")?;
    fields.filled("terms_sha256")?.parse().ok()
}
