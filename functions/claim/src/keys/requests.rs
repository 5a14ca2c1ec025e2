//! The requests of a student about an existing key: report a leak, hand the key back, refresh its
//! usage, resume after disuse, and ask for a larger cap. Making and replacing keys is left to
//! [`reveal`](super::reveal).

use axum::http::StatusCode;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{
    ChangeRefused, GrantState, HoldKind, KeyCall, LeakRefused, Stopped, Tell,
};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::money::Usd;
use bursar_core::settle::NotSettled;
use bursar_core::store::ActOutcome;
use bursar_core::web::form::LONGEST_REASON;
use bursar_core::web::{Answer, AppError, Flash, Result, form};
use jiff::SignedDuration;

use crate::keys::reveal::KeyForm;
use crate::my::card::MoreForm;
use crate::refusal::explain_not_resumed;
use crate::{my, refusal};

/// Where all of these requests lead.
const MY: &str = "/my";
const BETWEEN_READINGS: SignedDuration = SignedDuration::from_mins(1);
const NOT_ON_YET: &str = "OpenRouter has not switched your key on yet. Bursar asks again every minute; you need not do anything.";
const NO_REASON: &str = "Say in a sentence what you need more for.";

/// Reports the key as leaked, which ends it at once. A disable that fails here is repeated by the
/// console's work each minute.
pub(crate) async fn leaked(form: KeyForm) -> Answer {
    let KeyForm { site, view, .. } = &form;
    let context = form.context();
    let epoch = form.epoch().unwrap_or(view.grant.epoch);
    match site
        .table
        .act(context, |view, _| {
            view.report_leaked(epoch, &Actor::Student)
        })
        .await?
    {
        ActOutcome::Done(_) | ActOutcome::Refused(LeakRefused::Reported) => {}
        ActOutcome::Refused(LeakRefused::Replaced) => return Ok(site.done(MY, &Flash::Already)),
        ActOutcome::Refused(LeakRefused::NoKey) => {
            return Err(AppError::conflict(
                "You have no working key in this programme to end.",
            ));
        }
        ActOutcome::NoSuchGrant => return Err(AppError::not_found()),
    }
    if let Err(error) = site
        .settler()
        .settle(context, |call: &KeyCall| call.tell == Tell::Off)
        .await
    {
        tracing::warn!(%error, "the disable of a leaked key is left to the work");
    }
    Ok(site.done(MY, &Flash::KeyLeaked))
}

/// Hands the key back: it ends, and the unspent rest of its reservation returns to the budget after
/// the final reading. A second request changes nothing.
pub(crate) async fn hand_back(form: KeyForm) -> Answer {
    let KeyForm { site, view, .. } = &form;
    let context = form.context();
    let epoch = form.epoch().unwrap_or(view.grant.epoch);
    let was_returned = matches!(
        view.grant.state,
        GrantState::Stopped {
            why: Stopped::Returned
        }
    );
    match site
        .table
        .act(context, |view, _| view.hand_back(epoch))
        .await?
    {
        ActOutcome::Done(_) => site.settler().settle_or_leave(context).await,
        ActOutcome::Refused(_) if was_returned => {}
        // Another claim has replaced the key of this page, which ended that key.
        ActOutcome::Refused(_) if epoch < view.grant.epoch => {}
        ActOutcome::Refused(_) => {
            return Err(AppError::conflict(
                "You have no working key in this programme to hand back.",
            ));
        }
        ActOutcome::NoSuchGrant => return Err(AppError::not_found()),
    }
    Ok(site.done(MY, &Flash::KeyHandedBack))
}

pub(crate) async fn refresh(form: KeyForm) -> Answer {
    let KeyForm {
        site,
        view,
        now,
        deadline,
        ..
    } = &form;
    let no_key = "You have no working key in this programme to check.";
    let live = view
        .grant
        .live()
        .ok_or_else(|| AppError::conflict(no_key))?;
    let last = view
        .readings
        .iter()
        .find(|reading| reading.epoch == live.epoch)
        .map(|reading| reading.as_of);
    if let Some(last) = last.filter(|last| *now < *last + BETWEEN_READINGS) {
        let seconds = u64::try_from(now.duration_since(last).as_secs()).unwrap_or_default();
        return Ok(site.done(
            MY,
            &if seconds > 0 {
                Flash::KeyReadBefore { seconds }
            } else {
                Flash::KeyRead
            },
        ));
    }
    // Of two requests at once, one asks the provider and its reading serves both.
    if !site
        .table
        .may_refresh(form.context(), BETWEEN_READINGS)
        .await?
    {
        return Ok(site.done(MY, &Flash::KeyRead));
    }
    let silent = "OpenRouter did not say what your key has used. Nothing is lost; try again in a few minutes.";
    let (asked_at, answer) = site
        .provider
        .get_key_in_a_day(&live.hash, *deadline)
        .await
        .map_err(|error| AppError::provider(&error, silent))?;
    let provider_key = answer.ok_or_else(|| AppError::later(silent))?;
    let basis = view.programme.settings.basis;
    let report = provider_key.usage_report(basis.reset);
    // Where the provider now says less, the figure on record stands: it came from an equally good
    // reading.
    match site
        .table
        .take_in_use(view, &live.hash, report.as_ref(), asked_at, true, *deadline)
        .await?
    {
        Ok(None) => {}
        Ok(Some(doubt)) => tracing::warn!(%doubt, "a counter of a key went back"),
        Err(unusable) => {
            tracing::warn!(%unusable, "a key could not be read");
            return Err(AppError::later(silent));
        }
    }
    let shows = provider_key.seen(basis, asked_at, true);
    site.table
        .act(form.context(), |view, now| {
            view.shown(&live.hash, &shows, now)
        })
        .await?;
    Ok(site.done(MY, &Flash::KeyRead))
}

/// Ends a hold for disuse. Enabling the key is the last step; if it fails, the console's work or
/// another press repeats it.
pub(crate) async fn resume(form: KeyForm) -> Answer {
    let KeyForm { site, view, .. } = &form;
    let context = form.context();
    let was_resumed = view.grant.holds.unused
        || view
            .grant
            .live()
            .is_some_and(|live| live.resumed_at.is_some());
    match site
        .table
        .act(context, |view, now| {
            view.release(HoldKind::Unused, &Actor::Student, now)
        })
        .await?
    {
        ActOutcome::Done(_) => {}
        // A second request repeats an enable that failed.
        ActOutcome::Refused(ChangeRefused::Unchanged) if was_resumed => {}
        ActOutcome::Refused(refused) => {
            return Err(AppError::conflict(explain_not_resumed(
                &refused,
                &view.programme.settings,
            )));
        }
        ActOutcome::NoSuchGrant => return Err(AppError::not_found()),
    }
    // A limit that has changed meanwhile is sent before the enable.
    match site
        .settler()
        .settle(context, |call| call.tell != Tell::Read)
        .await
    {
        Ok(_) => Ok(site.done(MY, &Flash::KeyResumed)),
        Err(NotSettled::Table(error)) => Err(error.into()),
        Err(NotSettled::Provider(error)) => Err(AppError::provider(&error, NOT_ON_YET)),
        Err(_) => Err(AppError::later(NOT_ON_YET)),
    }
}

/// Asks those who decide about the programme for a larger cap, at most once a week.
pub(crate) async fn ask_for_more(form: KeyForm) -> Answer {
    let KeyForm {
        site,
        visitor,
        fields,
        view,
        now,
        deadline,
    } = &form;
    view.may_ask_for_more(*now)
        .map_err(|refused| refusal::more(refused, *now))?;
    // Browsers send line breaks as two characters, and count one.
    let typed = fields
        .get("reason")
        .unwrap_or_default()
        .replace("\r\n", "\n");
    let in_a_line = typed.split_whitespace().joined(" ");
    let line = form::line(&in_a_line, LONGEST_REASON);
    let reason = line.and_then(|reason| reason.ok_or_else(|| NO_REASON.to_owned()));
    let typed_cap = fields.get("cap_usd").unwrap_or_default().trim();
    let wanted_cap = read_wanted_cap(
        typed_cap,
        view.grant.cap(&view.programme.settings),
        view.budget.limit,
    );
    let (Ok(reason), Ok(wanted_cap)) = (&reason, &wanted_cap) else {
        let cap = typed_cap.to_owned();
        let more_form = MoreForm {
            reason: typed,
            error: reason.err(),
            cap,
            cap_error: wanted_cap.err(),
        };
        let page = my::show(
            site,
            visitor,
            *now,
            None,
            Some((&view.programme.id, more_form)),
        )
        .await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    };
    let in_charge = site.table.list_in_charge(&view.programme.settings).await?;
    let people = site.table.people_of(&in_charge, *deadline).await?;
    match site
        .table
        .act(form.context(), |view, now| {
            view.ask_for_more(reason, *wanted_cap, &people, now)
        })
        .await?
    {
        ActOutcome::Done(_) => Ok(site.done(MY, &Flash::MoreAsked)),
        ActOutcome::Refused(refused) => Err(refusal::more(refused, *now)),
        ActOutcome::NoSuchGrant => Err(AppError::not_found()),
    }
}

/// The cap that a student asks for; nothing where the field is empty.
fn read_wanted_cap(text: &str, cap: Usd, budget: Usd) -> Result<Option<Usd>, String> {
    match Usd::from_form(text) {
        _ if text.is_empty() => Ok(None),
        Ok(wanted_cap) if wanted_cap > budget => Err(
            "That is more than the whole programme has. Write a smaller sum, or leave this empty."
                .to_owned(),
        ),
        Ok(wanted_cap) if wanted_cap > cap => Ok(Some(wanted_cap)),
        Ok(_) => Err(format!(
            "Your cap is {} now. Write a larger one, or leave this empty.",
            cap.to_dollars()
        )),
        Err(_) => {
            Err("Write an amount in dollars such as 25 or 25.50, or leave this empty.".to_owned())
        }
    }
}
