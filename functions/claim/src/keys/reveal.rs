//! Revealing and replacing a key: six steps that make a key once, record it, and only then show it. The
//! rules of each step are in [`grant`](bursar_core::domain::grant).

use std::time::Duration;

use bursar_core::domain::grant::{
    AttemptFailure, AttemptState, BETWEEN_LOOKS, KeyCall, KeyGuardrail, MintedKey, OpenAttempt, RecordRefused,
};
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::id::{DeploymentId, KeyName};
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::provider::keys::{CreatedKey, NewKey};
use bursar_core::store::Meta;

use crate::keys::requests::{KeyForm, KeyLookup, read};
use crate::my::example::Example;
use crate::my::words;
use crate::prelude::*;
use crate::refusal::{self, AGAIN, why_not};

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
    /// How much it may spend, and until when.
    allowance: String,
    example: Example<'a>,
}

struct Claim<'a> {
    form: &'a KeyForm,
    site: &'a Site,
    at: ActContext<'a>,
    deployment: DeploymentId,
}

/// An attempt that ended without a key to show, and the key that it may have left at the provider.
struct FailedAttempt {
    how: AttemptFailure,
    key: Option<KeyHash>,
    error: AppError,
}

/// A failure before any key was made.
impl<E: Into<AppError>> From<E> for FailedAttempt {
    fn from(error: E) -> FailedAttempt {
        FailedAttempt { how: AttemptFailure::Refused, key: None, error: error.into() }
    }
}

pub(crate) async fn reveal(form: KeyForm) -> Answer {
    press(&form, KeyRequestKind::Reveal).await
}

pub(crate) async fn replace(form: KeyForm) -> Answer {
    press(&form, KeyRequestKind::Replace).await
}

async fn press(form: &KeyForm, kind: KeyRequestKind) -> Answer {
    let KeyForm { site, visitor, view, now, deadline, .. } = form;
    let Some(epoch) = form.epoch() else {
        let sentence = "The form was incomplete. Press the button again, here.";
        return Err(my::refused(site, visitor, *now, sentence).await);
    };
    if view.next_guardrail() == NextGuardrail::NotConfirmed {
        return Err(being_prepared());
    }
    let meta = site.table.meta(*now).await?;
    if site.table.is_copy(&meta) {
        let sentence = "Bursar is being restored. Keys can be made again in a few minutes; nothing is lost.";
        return Err(AppError::later(sentence));
    }
    // A management key of another account would make the key there, so nothing is written before this
    // check.
    let checked = site.provider.check_account(&meta.deployment, meta.account.as_ref(), *deadline).await;
    checked.map_err(|error| not_made(&error))?;

    let claim = Claim { form, site, at: form.at(), deployment: meta.deployment };
    let begun = claim.begin(KeyRequest { kind, epoch, terms: accepted(&form.fields) }).await?;
    match claim.make(&begun).await {
        Ok(page) => Ok(page),
        Err(FailedAttempt { how, key, error }) => {
            claim.give_up(&begun, how, key.as_ref(), error.reason().to_owned()).await;
            Err(error)
        }
    }
}

impl Claim<'_> {
    /// Step 1: opens the attempt in the table before any call to the provider.
    async fn begin(&self, request: KeyRequest) -> Result<OpenAttempt, AppError> {
        if !self.at.deadline.leaves(ENOUGH_TO_BEGIN) {
            return Err(too_late());
        }
        let refused = match self.site.table.act(self.at, |view, now| view.begin(request, Nonce::random(), now)).await? {
            ActOutcome::Done(begun) => return Ok(begun),
            ActOutcome::Refused(refused) => refused,
            ActOutcome::NoSuchGrant => return Err(no_grant()),
        };
        match refused {
            BeginRefused::TermsNotAccepted => Err(self.ask_for_terms(request).await),
            BeginRefused::AlreadyShown => Err(self.offer_to_replace(&refused).await),
            _ => Err(self.begin_refused(&refused)),
        }
    }

    fn begin_refused(&self, refused: &BeginRefused) -> AppError {
        refusal::begin(refused, &self.form.view.programme.settings.term, self.site.clock.now())
    }

    /// The page with the button for another key, since a key is not shown again.
    async fn offer_to_replace(&self, refused: &BeginRefused) -> AppError {
        let sentence = why_not(refused, &self.form.view.programme.settings.term);
        let page = my::show(self.site, &self.form.visitor, self.at.now, Some(&sentence), None).await;
        AppError::page(StatusCode::CONFLICT, page)
    }

    /// The page once more, with the terms of use as they read now.
    async fn ask_for_terms(&self, request: KeyRequest) -> AppError {
        let sentence = match request.terms {
            None => "Accept the terms of the programme first: tick the box above the button.",
            Some(_) => {
                "The terms of the programme were changed meanwhile. Read them again, and tick the box if you accept them."
            }
        };
        my::refused(self.site, &self.form.visitor, self.at.now, sentence).await
    }

    /// The steps from the begun attempt to the page that shows its key.
    async fn make(&self, begun: &OpenAttempt) -> Result<Reply, FailedAttempt> {
        self.retire(begun).await?;
        let view = self.view().await?;
        let guardrail = match view.next_guardrail() {
            NextGuardrail::None => None,
            NextGuardrail::Confirmed { of, confirmed } => Some((of, confirmed)),
            NextGuardrail::NotConfirmed => return Err(being_prepared().into()),
        };
        let (made, limit) = self.mint(begun, &view).await?;
        self.restrict(&made.hash, guardrail.as_ref()).await?;
        let key = self.record(begun, made, limit, guardrail.as_ref()).await?;
        // Step 6: shows the recorded key.
        let confirmed = guardrail.map(|(_, confirmed)| confirmed.rules).unwrap_or_default();
        let rules = KeyRules { confirmed, ..KeyRules::default() };
        let view = &self.form.view;
        Ok(self.site.page(&KeyPage {
            frame: &self.site.frame,
            visitor: &self.form.visitor,
            programme: &view.programme.settings.name,
            key: key.reveal(),
            allowance: words::allowance(view, limit, self.site.clock.now()),
            example: Example::of(self.site, view, &rules),
        }))
    }

    /// Step 2: disables the keys that were shown before, and records their final usage. One that is gone has neither.
    async fn retire(&self, begun: &OpenAttempt) -> Result<(), AppError> {
        let patience = self.at.deadline.earlier_by(ENOUGH_TO_MINT);
        let older = |of: &&Attempt| of.epoch < begun.epoch && of.state == AttemptState::Shown && of.gone.is_none();
        let shown: Vec<Epoch> = self.form.view.grant.attempts.iter().filter(older).map(|of| of.epoch).collect();
        if shown.is_empty() {
            return Ok(());
        }
        let is_off = |call: &KeyCall| call.tell == Tell::Off && shown.contains(&call.epoch);
        let settled = self.site.settler().settle_until(self.at, patience, is_off).await;
        let missed = match settled {
            Ok(_) => false,
            Err(NotSettled::NotFound) => true,
            Err(NotSettled::Provider(error)) => return Err(not_retired(&error)),
            Err(NotSettled::Table(error)) => return Err(error.into()),
            Err(NotSettled::NoTime | NotSettled::NoGuardrail) => return Err(too_late()),
            Err(NotSettled::InDoubt { until }) => {
                return Err(self.begin_refused(&BeginRefused::EnableUnderWay { until }));
            }
        };
        let view = self.view().await?;
        for old in view.grant.attempts.iter().filter(older) {
            if missed && old.is_missing() {
                self.accept_missing_key(old, patience).await?;
            } else {
                self.read_finally(&view, old, patience).await?;
            }
        }
        Ok(())
    }

    async fn read_finally(&self, view: &View, old: &Attempt, patience: Deadline) -> Result<(), AppError> {
        let Some(key) = old.key.as_ref().filter(|_| !is_read_for_the_last_time(view, old, self.at)) else {
            return Ok(());
        };
        match read(self.site, view, old, key, patience).await.map_err(|error| not_read(&error))? {
            KeyLookup::Reading(reading) => {
                self.site.table.note_reading(&reading, self.at.deadline).await?;
                Ok(())
            }
            KeyLookup::Gone => {
                let at = ActContext { now: self.site.clock.now(), ..self.at };
                self.site.table.act(at, |view, now| view.not_found(old.epoch, key, now)).await?;
                self.accept_missing_key(old, patience).await
            }
            KeyLookup::Silent => Err(AppError::later(format!("{NOT_READ} {AGAIN}")).because("its use was not told")),
        }
    }

    /// Decides whether to go on although the provider says that an old key does not exist. That answer is
    /// believed only after some minutes, of a key that is not new, and when another key of the account is
    /// found. The recorded usage then stands, and the disable is told again.
    async fn accept_missing_key(&self, old: &Attempt, patience: Deadline) -> Result<(), AppError> {
        let meta = self.site.table.get(Meta::key_of()).await?;
        let account = meta.and_then(|meta| meta.account).filter(|_| old.may_be_gone(self.site.clock.now()));
        let Some(account) = account else { return Err(not_found()) };
        match self.site.provider.finds_one_of(&account, patience).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_found()),
            Err(error) => Err(not_retired(&error)),
        }
    }

    /// Step 3: asks the provider for the key, with one request that is never repeated in this attempt.
    async fn mint(&self, begun: &OpenAttempt, view: &View) -> Result<(CreatedKey, Usd), FailedAttempt> {
        let settings = &view.programme.settings;
        // The time is read anew: a window may have begun since the request, and an old window's limit must
        // not be sent in it.
        let limit = view.next_limit(self.site.clock.now()).ok_or_else(nothing_left)?;
        if !self.at.deadline.leaves(ENOUGH_TO_MINT) {
            return Err(too_late().into());
        }
        let attempt = view.grant.attempt(begun.epoch);
        let expires_at = attempt.map_or_else(|| settings.keys_expire_at(), |attempt| attempt.key_expires_at(settings));
        let new = NewKey {
            name: &self.name(begun).to_string(),
            limit,
            reset: settings.basis.reset,
            include_byok_in_limit: settings.basis.byok == Byok::Inside,
            expires_at: Some(expires_at),
            workspace: None,
        };
        match self.site.provider.create_key(&new, self.at.deadline).await {
            Ok(made) => Ok((made, limit)),
            Err(error) => {
                let key = match &error {
                    ProviderError::Unknown { made, .. } => made.clone(),
                    _ => None,
                };
                // A made key whose hash is known gets its disable; only a key of unknown hash leaves the
                // attempt in doubt.
                let is_certain = error.changed_nothing() || key.is_some();
                let how = if is_certain { AttemptFailure::Refused } else { AttemptFailure::Unknown };
                Err(FailedAttempt { how, key, error: not_made(&error) })
            }
        }
    }

    /// Step 4: puts the key under its guardrail and waits for the provider's confirmation.
    async fn restrict(
        &self,
        key: &KeyHash,
        to: Option<&(GuardrailOwner, ConfirmedRules)>,
    ) -> Result<(), FailedAttempt> {
        let Some((of, ConfirmedRules { id, .. })) = to else { return Ok(()) };
        let patience = self.at.deadline.earlier_by(LEFT_TO_RECORD);
        let assigned = self.site.provider.assign_key(id, key, patience).await;
        let Err(error) = assigned else { return Ok(()) };
        if error.is_not_found()
            && let Err(error) = self.guardrail_not_found(of, id, patience).await
        {
            tracing::warn!(guardrail = %of, %error, "a guardrail that is gone is not made again");
        }
        Err(FailedAttempt { how: AttemptFailure::Refused, key: Some(key.clone()), error: not_restricted(&error) })
    }

    /// Has the guardrail made again by the work of the next minute, so that a later press succeeds.
    async fn guardrail_not_found(&self, of: &GuardrailOwner, id: &str, deadline: Deadline) -> Result<(), StoreError> {
        let is_it = |known: &Guardrail| known.made.as_ref().is_some_and(|made| made.id == id);
        if let Some(known) = self.site.table.get(Guardrail::key_of(of)).await?.filter(is_it) {
            self.site.table.write_guardrail(&known, known.doubted(), self.site.clock.now(), deadline).await?;
        }
        Ok(())
    }

    /// Step 5: records the key as the grant's live one, and only then gives it away to be shown.
    async fn record(
        &self,
        begun: &OpenAttempt,
        made: CreatedKey,
        limit: Usd,
        guardrail: Option<&(GuardrailOwner, ConfirmedRules)>,
    ) -> Result<PlaintextKey, FailedAttempt> {
        let guardrail = guardrail.map(|(of, known)| KeyGuardrail { group: of.group.clone(), id: known.id.clone() });
        let minted = MintedKey { key: made.hash, limit, guardrail };
        // The time is read anew: a window may have begun since the request, and the limit is checked against
        // the current one.
        let at = ActContext { now: self.site.clock.now(), ..self.at };
        let error = match self.site.table.act(at, |view, now| view.record(begun, &minted, now)).await {
            Ok(ActOutcome::Done(_)) => return Ok(made.plaintext),
            Ok(ActOutcome::Refused(refused)) => refusal::record(refused),
            Ok(ActOutcome::NoSuchGrant) => refusal::record(RecordRefused::Lost),
            // The record may have been written although the answer was lost. Then giving up changes
            // nothing, and the student replaces a key they never saw.
            Err(error) => error.into(),
        };
        Err(FailedAttempt { how: AttemptFailure::Lost, key: Some(minted.key), error })
    }

    /// Ends the attempt in the table. A key that was made is disabled at once where possible.
    async fn give_up(&self, begun: &OpenAttempt, how: AttemptFailure, key: Option<&KeyHash>, why: String) {
        match self.site.table.act(self.at, |view, now| view.give_up(begun, how, key, &why, now)).await {
            Ok(ActOutcome::Done(_)) if key.is_some() => {
                let is_own = |call: &KeyCall| call.tell == Tell::Off && Some(&call.key) == key;
                if let Err(error) = self.site.settler().settle(self.at, is_own).await {
                    tracing::warn!(%error, "the disable of a key that nobody was shown is left to the work");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "an attempt was not given up; its lease runs out"),
        }
    }

    async fn view(&self) -> Result<View, AppError> {
        self.site.table.view(self.at.programme, self.at.grant).await?.ok_or_else(no_grant)
    }

    fn name(&self, begun: &OpenAttempt) -> KeyName {
        KeyName {
            deployment: self.deployment.clone(),
            programme: self.at.programme.clone(),
            grant: self.at.grant.clone(),
            epoch: begun.epoch,
            nonce: begun.nonce.clone(),
        }
    }
}

/// Whether an old key's usage is final: it was read after the disable, or its window is over.
fn is_read_for_the_last_time(view: &View, old: &Attempt, at: ActContext<'_>) -> bool {
    let Some(disabled) = old.on.since(&false) else { return false };
    let reset = view.programme.settings.basis.reset;
    let is_past = reset.window_at(disabled) < reset.window_at(at.now);
    is_past || view.readings.iter().any(|reading| reading.epoch == old.epoch && reading.as_of >= disabled)
}

/// The terms of use that the page showed beside the ticked box.
fn accepted(fields: &Fields) -> Option<TermsHash> {
    fields.get("terms").filter(|ticked| *ticked == "on")?;
    fields.filled("terms_sha256")?.parse().ok()
}

fn no_grant() -> AppError {
    AppError::conflict("Your access to this programme is gone. Ask the people who run it.").because("the grant is gone")
}

fn too_late() -> AppError {
    AppError::later("There was too little time to make a key. Nothing was spent.").because("too little time was left")
}

fn being_prepared() -> AppError {
    AppError::later("This programme is still being set up at OpenRouter. Nothing was spent.")
        .because("its rules are not confirmed yet")
}

fn nothing_left() -> AppError {
    AppError::conflict("Your cap is used up, so no new key can be made before it resets. Your old key was ended.")
        .because("nothing is left of the cap")
}

/// The old key may still work.
fn not_retired(error: &ProviderError) -> AppError {
    let sentence = "Your old key could not be ended at OpenRouter, so no new one was made. No money was lost; the old key will be \
                    ended as soon as OpenRouter can be reached.";
    refusal::provider(error, sentence).because(format!("the old key was not retired: {}", error.trouble()))
}

/// The provider answered that the old key does not exist, which is not believed yet.
fn not_found() -> AppError {
    AppError::later(
        "OpenRouter says that it does not know your old key. That may be a mistake, so it is asked again before a new one \
         is made. No money was lost. Press again in ten minutes.",
    )
    .after(BETWEEN_LOOKS.unsigned_abs())
    .because("the old key was not found")
}

const NOT_READ: &str = "Your old key was ended, but OpenRouter did not say what it had used, so no new one was made. \
                        No money was lost.";

fn not_read(error: &ProviderError) -> AppError {
    refusal::provider(error, NOT_READ).because(format!("what the old key used was not read: {}", error.trouble()))
}

fn not_made(error: &ProviderError) -> AppError {
    let sentence = match error {
        ProviderError::Unknown { .. } => {
            "OpenRouter did not say whether it made a key. If it did, nobody saw it and it cannot be used. Nothing was \
             spent."
        }
        _ => "OpenRouter did not make a key. Nothing was spent.",
    };
    refusal::provider(error, sentence)
}

fn not_restricted(error: &ProviderError) -> AppError {
    let sentence = "OpenRouter made a key, but did not confirm that the rules of the programme apply to it, so it is not shown \
                    and was ended. Nothing was spent.";
    refusal::provider(error, sentence)
}
