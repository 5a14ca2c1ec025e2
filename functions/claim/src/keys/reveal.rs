//! Revealing and replacing a key: six steps that make a key once, record it, and only then show it.
//! The rules of begin and record are in `shared/src/domain/grant/claim.rs`;
//! `shared/src/store/grants/act.rs` writes them.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::RequestExt;
use axum::extract::{FromRequest, Path, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{
    BeginRefused, KeyCall, KeyGuardrail, KeyRequest, KeyRequestKind, MintedKey, NextGuardrail,
    OpenClaim, RecordRefused, Tell, View,
};
use bursar_core::domain::programme::guardrail::{ConfirmedRules, GuardrailOwner};
use bursar_core::domain::programme::{Programme, TermsHash};
use bursar_core::domain::values::id::{DeploymentId, Epoch, KeyHash, KeyName, Nonce, ProgrammeId};
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::domain::values::money::Usd;
use bursar_core::log;
use bursar_core::provider::keys::{CreatedKey, NewKey};
use bursar_core::provider::{FailureKind, ProviderError};
use bursar_core::settle::NotSettled;
use bursar_core::store::{ActContext, ActOutcome, ListedModels};
use bursar_core::web::{Answer, AppError, Fields, Frame, Posted, Reply, Result, Site, Visitor};

use crate::my::example::Example;
use crate::my::rules::StudentRules;
use crate::my::words;
use crate::refusal::{AGAIN, explain_refusal};
use crate::{my, refusal};

/// The least time left of a request in which a claim may begin.
const ENOUGH_TO_BEGIN: Duration = Duration::from_secs(20);
/// A begin that meets others is repeated for so long that this is left when its answer is late.
const LEFT_BY_BEGIN: Duration = Duration::from_secs(12);
/// The least time left of a request in which the provider may be asked for a key: ten seconds for
/// that call, and what it must leave.
const ENOUGH_TO_MINT: Duration = Duration::from_secs(17);
/// The time that the call which makes a key must leave for its guardrail and its record.
const LEFT_BY_MINT: Duration = Duration::from_secs(7);
/// The time that calls to the provider must leave for recording the key.
const LEFT_TO_RECORD: Duration = Duration::from_secs(4);

/// What a form about a key brings: who pressed, on which grant.
pub(crate) struct KeyForm {
    pub(super) site: Site,
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
    /// The grant as it stood when the form came.
    pub(super) view: View,
    pub(super) now: Moment,
    pub(super) deadline: Deadline,
}

impl FromRequest<Site> for KeyForm {
    type Rejection = AppError;

    async fn from_request(mut request: Request, site: &Site) -> Result<KeyForm> {
        let now = site.clock.now();
        let Ok(deadline) = request.extract_parts_with_state::<Deadline, _>(site).await;
        let programme = request
            .extract_parts_with_state::<Path<String>, _>(site)
            .await;
        let Path(programme) =
            programme.map_err(|refused| AppError::answer(refused.into_response()))?;
        let Posted { visitor, fields } = Posted::from_request(request, site).await?;
        let view = grant_in(site, &visitor, &programme).await?;
        Ok(KeyForm {
            site: site.clone(),
            visitor,
            fields,
            view,
            now,
            deadline,
        })
    }
}

impl KeyForm {
    pub(super) fn context(&self) -> ActContext<'_> {
        let View {
            programme, grant, ..
        } = &self.view;
        ActContext {
            programme: &programme.id,
            grant: &grant.id,
            now: self.now,
            deadline: self.deadline,
        }
    }

    /// The newest claim that its page knew of.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.fields.filled("epoch")?.parse().ok().map(Epoch::new)
    }
}

async fn grant_in(site: &Site, visitor: &Visitor, programme: &str) -> Result<View> {
    let programme = programme
        .parse::<ProgrammeId>()
        .map_err(|_| AppError::not_found())?;
    let enrolments = my::enrolments_of(site, visitor).await?;
    let enrolment = enrolments
        .into_iter()
        .find(|enrolment| enrolment.programme == programme);
    let enrolment = enrolment.ok_or_else(AppError::no_right)?;
    log::name_grant(&enrolment.grant);
    site.table
        .view(&enrolment.programme, &enrolment.grant)
        .await?
        .ok_or_else(AppError::not_found)
}

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
    context: ActContext<'a>,
    deployment: DeploymentId,
    /// The models of the provider's list, where it was read.
    listed: Option<ListedModels>,
}

/// A claim that was begun, with the grant as it stood then.
struct Begun {
    claim: OpenClaim,
    view: View,
}

/// All that is known before the key is asked for.
struct Prepared {
    programme: Arc<Programme>,
    limit: Usd,
    guardrail: Option<(GuardrailOwner, ConfirmedRules)>,
}

impl Prepared {
    /// The key that was made with this hash, which no guardrail bounds yet.
    fn to_minted(&self, hash: KeyHash) -> MintedKey {
        let expires_at = Some(self.programme.settings.keys_expire_at());
        MintedKey {
            hash,
            label: None,
            limit: self.limit,
            guardrail: None,
            expires_at,
        }
    }
}

/// The end of a claim without a key to show, and the key that it left at the provider, if it is
/// known.
struct Failed {
    minted: Option<MintedKey>,
    error: AppError,
}

pub(crate) async fn reveal(form: KeyForm) -> Answer {
    press(&form, KeyRequestKind::Reveal).await
}

pub(crate) async fn replace(form: KeyForm) -> Answer {
    press(&form, KeyRequestKind::Replace).await
}

async fn press(form: &KeyForm, kind: KeyRequestKind) -> Answer {
    let KeyForm {
        site,
        visitor,
        view,
        now,
        deadline,
        ..
    } = form;
    let Some(epoch) = form.epoch() else {
        let sentence = "The form was incomplete. Press the button on this page again.";
        return Err(my::refused(site, visitor, *now, sentence).await);
    };
    if view.next_guardrail() == NextGuardrail::NotConfirmed {
        return Err(refuse_unprepared());
    }
    let (meta, listed) = tokio::try_join!(
        site.table.meta(*now),
        site.table.get(ListedModels::key_of())
    )?;
    if site.table.is_copy(&meta) {
        let sentence =
            "Bursar is being restored. Keys can be made again in a few minutes; nothing is lost.";
        return Err(AppError::later(sentence));
    }
    // A management key of another account would make the key there, so nothing is written before
    // this check.
    let checked = site
        .provider
        .check_account(&meta.deployment, meta.account.as_ref(), *deadline)
        .await;
    checked.map_err(|error| refusal::provider(&error, NOT_MADE))?;

    let claim = Claim {
        form,
        site,
        context: form.context(),
        deployment: meta.deployment,
        listed,
    };
    let begun = claim
        .begin(KeyRequest {
            kind,
            epoch,
            terms: read_accepted_terms(&form.fields),
        })
        .await?;
    match claim.make(&begun).await {
        Ok(page) => Ok(page),
        Err(Failed { minted, error }) => {
            claim
                .give_up(&begun.claim, minted.as_ref(), error.reason())
                .await;
            Err(error)
        }
    }
}

impl Claim<'_> {
    /// Step 1: begins the claim in the table before a key is asked for, as the grant stood when the
    /// form came.
    async fn begin(&self, request: KeyRequest) -> Result<Begun> {
        if !self.context.deadline.leaves(ENOUGH_TO_BEGIN) {
            return Err(too_late());
        }
        let rule = |view: &View, now| {
            let (change, claim) = view.begin(request, Nonce::random(), now)?;
            let view = View {
                grant: change.grant.clone(),
                ..view.clone()
            };
            Ok((change, Begun { claim, view }))
        };
        let context = ActContext {
            deadline: self.context.deadline.earlier_by(LEFT_BY_BEGIN),
            ..self.context
        };
        let refused = match self
            .site
            .table
            .act_as_read(context, Some(self.form.view.clone()), rule)
            .await?
        {
            ActOutcome::Done(begun) => return Ok(begun),
            ActOutcome::Refused(refused) => refused,
            ActOutcome::NoSuchGrant => return Err(no_grant()),
        };
        if refused == BeginRefused::TermsNotAccepted {
            return Err(self.ask_for_terms(request).await);
        }
        if refused == BeginRefused::AlreadyShown {
            return Err(self.offer_to_replace(&refused).await);
        }
        Err(self.begin_refused(&refused))
    }

    fn begin_refused(&self, refused: &BeginRefused) -> AppError {
        refusal::begin(
            refused,
            &self.form.view.programme.settings,
            self.site.clock.now(),
        )
    }

    /// The page with the button for another key, since a key is not shown again.
    async fn offer_to_replace(&self, refused: &BeginRefused) -> AppError {
        let sentence = explain_refusal(refused, &self.form.view.programme.settings);
        let page = my::show(
            self.site,
            &self.form.visitor,
            self.context.now,
            Some(&sentence),
            None,
        )
        .await;
        AppError::page(StatusCode::CONFLICT, page).because(refusal::reason(refused))
    }

    /// The page once more, with the terms of use as they read now.
    async fn ask_for_terms(&self, request: KeyRequest) -> AppError {
        let sentence = match request.terms {
            None => "Accept the terms of the programme first: tick the box above the button.",
            Some(_) => {
                "The terms of the programme were changed meanwhile. Read them again, and tick the box if you accept them."
            }
        };
        my::refused(self.site, &self.form.visitor, self.context.now, sentence).await
    }

    /// The steps from the begun claim to the page that shows its key.
    async fn make(&self, begun: &Begun) -> Result<Reply, Failed> {
        let prepared = self.prepare_mint(begun).await.map_err(|error| Failed {
            minted: None,
            error,
        })?;
        let CreatedKey { hash, plaintext } = self.mint(begun, &prepared).await?;
        let minted = MintedKey {
            label: KeyLabel::parse(plaintext.reveal()),
            ..prepared.to_minted(hash)
        };
        let Prepared {
            limit, guardrail, ..
        } = prepared;
        let minted = self.restrict(minted, guardrail.as_ref()).await?;
        self.record(begun, minted).await?;
        // Step 6: shows the recorded key.
        let confirmed = guardrail
            .map(|(_, confirmed)| confirmed.rules)
            .unwrap_or_default();
        let rules = StudentRules {
            confirmed,
            ..StudentRules::default()
        };
        let rules = rules.naming(self.listed.as_ref(), self.site.clock.now());
        let view = &self.form.view;
        Ok(self.site.page(&KeyPage {
            frame: &self.site.frame,
            visitor: &self.form.visitor,
            programme: &view.programme.settings.name,
            key: plaintext.reveal(),
            allowance: words::allowance(view, limit, self.site.clock.now()),
            example: Example::new(&self.site.provider_url, view, &rules),
        }))
    }

    /// The steps before the provider is asked for a key.
    async fn prepare_mint(&self, begun: &Begun) -> Result<Prepared> {
        let retired = self.retire(begun).await?;
        let view = retired.as_ref().unwrap_or(&begun.view);
        let guardrail = match view.next_guardrail() {
            NextGuardrail::None => None,
            NextGuardrail::Confirmed { owner, confirmed } => Some((owner, confirmed)),
            NextGuardrail::NotConfirmed => return Err(refuse_unprepared()),
        };
        // The time is read anew: a window may have begun since the request, and an old window's
        // limit must not be sent in it.
        let limit = view
            .next_limit(self.site.clock.now())
            .ok_or_else(refuse_nothing_left)?;
        Ok(Prepared {
            programme: view.programme.clone(),
            limit,
            guardrail,
        })
    }

    /// Step 2: disables the keys that were shown before, and reads those whose final reading is
    /// due. Returns the grant as it is then, if there were such. One that is gone has neither.
    async fn retire(&self, begun: &Begun) -> Result<Option<View>> {
        let shown = begun
            .view
            .grant
            .keys
            .iter()
            .filter(|key| key.shown_at.is_some() && key.gone.is_none());
        let shown: Vec<&KeyHash> = shown.map(|key| &key.hash).collect();
        if shown.is_empty() {
            return Ok(None);
        }
        let patience = self.context.deadline.earlier_by(ENOUGH_TO_MINT);
        let settler = self.site.settler();
        let settled = settler
            .settle_until(self.context, patience, |call: &KeyCall| {
                matches!(call.tell, Tell::Off | Tell::Read) && shown.contains(&&call.key)
            })
            .await;
        let view = self
            .site
            .table
            .view(self.context.programme, self.context.grant)
            .await?
            .ok_or_else(no_grant)?;
        match settled {
            Ok(_) => Ok(Some(view)),
            Err(NotSettled::NotFound) => {
                let now = self.site.clock.now();
                let until = view
                    .grant
                    .keys
                    .iter()
                    .filter_map(|key| key.search_ends_at(now))
                    .max()
                    .unwrap_or(now);
                Err(self.begin_refused(&BeginRefused::KeyMissing { until }))
            }
            Err(NotSettled::InDoubt { until }) => Err(self
                .begin_refused(&BeginRefused::EnableUnderWay { until })
                .by_the_provider()),
            Err(NotSettled::Provider(error)) => Err(not_retired(&error)),
            Err(NotSettled::Table(error)) => Err(error.into()),
            Err(NotSettled::NotRead) => Err(not_read()),
            Err(NotSettled::NotConfirmed) => Err(AppError::later(format!("{NOT_RETIRED} {AGAIN}"))
                .by_the_provider()
                .because("the old key is not confirmed as off")),
            Err(NotSettled::NoTime | NotSettled::NoGuardrail) => Err(too_late().by_the_provider()),
        }
    }

    /// Step 3: asks the provider for the key, with one request that is never repeated in this
    /// claim.
    async fn mint(&self, begun: &Begun, prepared: &Prepared) -> Result<CreatedKey, Failed> {
        let settings = &prepared.programme.settings;
        let new = NewKey {
            name: &self.name(&begun.claim).to_string(),
            limit: prepared.limit,
            counting: settings.basis.into(),
            expires_at: Some(settings.keys_expire_at()),
        };
        // It is not sent without its ten seconds by then, whatever it had to wait for before.
        let created = self
            .site
            .provider
            .create_key(&new, self.context.deadline.earlier_by(LEFT_BY_MINT))
            .await;
        created.map_err(|error| {
            // A made key whose hash is known gets its disable; one of unknown hash is an orphan.
            let minted = match &error.kind {
                FailureKind::Unknown(made_key) => {
                    made_key.clone().map(|hash| prepared.to_minted(hash))
                }
                FailureKind::Refused
                | FailureKind::Later
                | FailureKind::ManagementKey
                | FailureKind::AnotherAccount(_) => None,
            };
            Failed {
                minted,
                error: not_made(&error),
            }
        })
    }

    /// Step 4: puts the key under its guardrail and waits for the provider's confirmation.
    async fn restrict(
        &self,
        minted: MintedKey,
        guardrail: Option<&(GuardrailOwner, ConfirmedRules)>,
    ) -> Result<MintedKey, Failed> {
        let Some((owner, ConfirmedRules { id, .. })) = guardrail else {
            return Ok(minted);
        };
        let patience = self.context.deadline.earlier_by(LEFT_TO_RECORD);
        let Err(error) = self
            .site
            .provider
            .assign_key(id, &minted.hash, patience)
            .await
        else {
            let guardrail = Some(KeyGuardrail {
                group: owner.group.clone(),
                id: id.clone(),
            });
            return Ok(MintedKey {
                guardrail,
                ..minted
            });
        };
        if error.is_not_found()
            && let Err(error) = self
                .site
                .table
                .doubt_guardrail(&owner.programme, id, self.site.clock.now(), patience)
                .await
        {
            tracing::warn!(guardrail = %owner, %error, "a guardrail that is gone is not made again");
        }
        Err(Failed {
            minted: Some(minted),
            error: not_restricted(&error),
        })
    }

    /// Step 5: records the key as the grant's live one. Only then may it be shown.
    async fn record(&self, begun: &Begun, minted: MintedKey) -> Result<(), Failed> {
        let context = ActContext {
            now: self.site.clock.now(),
            ..self.context
        };
        let error = match self
            .site
            .table
            .act(context, |view, now| view.record(&begun.claim, &minted, now))
            .await
        {
            Ok(ActOutcome::Done(_)) => return Ok(()),
            Ok(ActOutcome::Refused(refused)) => {
                refusal::record(refused, &begun.view.programme.settings)
            }
            Ok(ActOutcome::NoSuchGrant) => {
                refusal::record(RecordRefused::Lost, &begun.view.programme.settings)
            }
            // The record may have been written although the answer was lost. Then giving up changes
            // nothing, and the student replaces a key they never saw.
            Err(error) => error.into(),
        };
        Err(Failed {
            minted: Some(minted),
            error,
        })
    }

    /// Ends the claim in the table. A key that was made is disabled at once where possible.
    async fn give_up(&self, claim: &OpenClaim, minted: Option<&MintedKey>, why: &str) {
        let outcome = self
            .site
            .table
            .act(self.context, |view, now| {
                view.give_up(claim, minted, why, now)
            })
            .await;
        match (outcome, minted) {
            (Ok(ActOutcome::Done(_)), Some(minted)) => {
                let settler = self.site.settler();
                let settled = settler.settle(self.context, |call: &KeyCall| {
                    call.tell == Tell::Off && call.key == minted.hash
                });
                if let Err(error) = settled.await {
                    tracing::warn!(%error, "the disable of a key that nobody was shown is left to the work");
                }
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                tracing::error!(%error, "a claim was not given up; its lease runs out");
            }
        }
    }

    fn name(&self, claim: &OpenClaim) -> KeyName {
        KeyName {
            deployment: self.deployment.clone(),
            programme: self.context.programme.clone(),
            grant: self.context.grant.clone(),
            epoch: claim.epoch,
            nonce: claim.nonce.clone(),
        }
    }
}

/// The terms of use that the page showed beside the ticked box.
fn read_accepted_terms(fields: &Fields) -> Option<TermsHash> {
    fields.get("terms").filter(|ticked| *ticked == "on")?;
    fields.filled("terms_sha256")?.parse().ok()
}

fn no_grant() -> AppError {
    AppError::conflict(
        "Your access to this programme is gone. Ask the people who run the programme.",
    )
    .because("the grant is gone")
}

fn too_late() -> AppError {
    AppError::later("There was too little time to make a key. Nothing was spent.")
        .because("too little time was left")
}

fn refuse_unprepared() -> AppError {
    AppError::later("This programme is still being set up at OpenRouter. Nothing was spent.")
        .by_the_provider()
        .because("its rules are not confirmed yet")
}

fn refuse_nothing_left() -> AppError {
    AppError::conflict(
        "Your cap is used up, so no new key can be made before it resets. Your old key was ended.",
    )
    .because("nothing is left of the cap")
}

const NOT_RETIRED: &str = "OpenRouter did not confirm that your old key has ended and what it used, so no new key was made. No \
                           money was lost; Bursar tries again as soon as it reaches OpenRouter.";

/// The old key may still work, or what it used is not known.
fn not_retired(error: &ProviderError) -> AppError {
    refusal::provider(error, NOT_RETIRED)
        .because(format!("the old key was not retired: {}", error.trouble))
}

fn not_read() -> AppError {
    let sentence = "Your old key was ended, but OpenRouter did not say what it had used, so no new key was made. No money was lost.";
    AppError::later(format!("{sentence} {AGAIN}"))
        .by_the_provider()
        .because("its use was not told")
}

const NOT_MADE: &str = "OpenRouter did not make a key. Nothing was spent.";

fn not_made(error: &ProviderError) -> AppError {
    let sentence = if error.changed_nothing() {
        NOT_MADE
    } else {
        "OpenRouter did not say whether it made a key. If it did, nobody saw it and it cannot be used. Nothing was spent."
    };
    refusal::provider(error, sentence)
}

fn not_restricted(error: &ProviderError) -> AppError {
    let sentence = "OpenRouter made a key, but did not confirm that the rules of the programme apply to it, so it is not shown \
                    and was ended. Nothing was spent.";
    refusal::provider(error, sentence)
}
