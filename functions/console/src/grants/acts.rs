//! The acts of people with a role on one grant. The table is written first and the provider called after it
//! in the same request; failed calls are repeated by the work of each minute.

use axum::extract::Path;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{ChangeRefused, Hold, OrderKind, View};
use bursar_core::orders::NotCarriedOut;
use bursar_core::store::{ActOutcome, Undeliverable};

use super::grant;
use crate::access::Assistants;
use crate::prelude::*;
use crate::settings;

const LONGEST_REASON: usize = 500;

struct GrantRequest<'a> {
    site: &'a Site,
    form: &'a Form<Assistants>,
    view: &'a View,
    at: ActContext<'a>,
    by: &'a Actor,
}

pub(crate) async fn act(Path((_, grant, act)): Path<(String, String, String)>, form: Form<Assistants>) -> Answer {
    let Form { site, access, actor, now, deadline, .. } = &form;
    let least = match act.as_str() {
        "pause" | "resume" | "resend" => Role::Assistant,
        "revoke" | "allow" | "cap" => Role::Faculty,
        _ => return Err(AppError::not_found()),
    };
    if access.role < least {
        return Err(AppError::no_right());
    }
    let view = grant::view(site, access, &grant).await?;
    let at = ActContext { programme: &access.programme.id, grant: &view.grant.id, now: *now, deadline: *deadline };
    let request = GrantRequest { site, form: &form, view: &view, at, by: actor };
    match act.as_str() {
        "pause" => request.pause().await?,
        "resume" => request.resume().await?,
        "resend" => request.resend().await?,
        "revoke" => request.revoke().await?,
        "allow" => request.allow().await?,
        _ => request.cap().await?,
    }
    Ok(Redirect::to(&paths::grant(at.programme, at.grant)).into_response())
}

impl GrantRequest<'_> {
    async fn pause(&self) -> Result<(), AppError> {
        match self.site.table.act(self.at, |view, now| view.hold(self.paused(), self.by, self.reason(), now)).await? {
            ActOutcome::NoSuchGrant => return Err(AppError::not_found()),
            // A second request repeats a disable that failed.
            ActOutcome::Done(_) | ActOutcome::Refused(ChangeRefused::Unchanged) => {}
            ActOutcome::Refused(_) => return Err(over()),
        }
        self.site.orders().now_or_later(self.at).await;
        Ok(())
    }

    async fn resume(&self) -> Result<(), AppError> {
        let is_dropped = self.view.grant.holds.dropped.is_some();
        let why = match self.site.table.act(self.at, |view, now| view.release(self.paused(), self.by, now)).await? {
            ActOutcome::NoSuchGrant => return Err(AppError::not_found()),
            ActOutcome::Refused(ChangeRefused::PausedByAnother) => {
                "Somebody with another role paused this. Ask the faculty to resume it."
            }
            ActOutcome::Refused(ChangeRefused::BudgetExhausted) => {
                "The budget has no room for this grant now. Raise it, or revoke grants that nobody needs."
            }
            ActOutcome::Refused(ChangeRefused::Unchanged) if is_dropped => {
                "It is not paused: it was dropped from the roster."
            }
            // A second request repeats an enable that failed.
            ActOutcome::Done(_) | ActOutcome::Refused(ChangeRefused::Unchanged) => return self.enable().await,
            ActOutcome::Refused(_) => return Err(over()),
        };
        Err(AppError::conflict(why))
    }

    /// A pause in the visitor's role. Faculty may end an admin's pause too.
    fn paused(&self) -> Hold {
        Hold::Paused(self.form.access.role.min(Role::Faculty))
    }

    async fn revoke(&self) -> Result<(), AppError> {
        let revoked = self.site.table.act(self.at, |view, now| view.revoke(self.by, self.reason(), now)).await?;
        if revoked == ActOutcome::NoSuchGrant {
            return Err(AppError::not_found());
        }
        self.site.orders().now_or_later(self.at).await;
        Ok(())
    }

    async fn allow(&self) -> Result<(), AppError> {
        // The form carries the number allowed when it was made, so that a second request does not allow one
        // more.
        let seen = self.form.fields.filled("allowed").and_then(|allowed| allowed.parse::<u32>().ok());
        if seen.is_some_and(|seen| seen != self.view.grant.allowed) {
            return Ok(());
        }
        match self.site.table.act(self.at, |view, _| view.allow(self.by)).await? {
            ActOutcome::NoSuchGrant => Err(AppError::not_found()),
            ActOutcome::Refused(_) => Err(over()),
            ActOutcome::Done(_) => Ok(()),
        }
    }

    async fn cap(&self) -> Result<(), AppError> {
        let typed = CapForm::of(&self.form.fields);
        let cap = match typed.read() {
            Ok(cap) => cap,
            Err(why) => return Err(self.cap_refused(StatusCode::UNPROCESSABLE_ENTITY, typed, why).await),
        };
        let set = |view: &View, now| view.set_cap(own_cap(cap, view), self.by, self.reason(), now);
        match self.site.table.act(self.at, set).await? {
            ActOutcome::NoSuchGrant => Err(AppError::not_found()),
            ActOutcome::Refused(ChangeRefused::BudgetExhausted) => {
                let budget =
                    self.site.table.get(Budget::key_of(self.at.programme)).await?.ok_or_else(AppError::not_found)?;
                let why = format!(
                    "Of the budget of {}, {} is held for keys, which leaves too little for so high a cap.",
                    budget.limit.to_cents_down(),
                    budget.reserved.to_cents_up()
                );
                Err(self.cap_refused(StatusCode::CONFLICT, typed, why).await)
            }
            ActOutcome::Done(_) | ActOutcome::Refused(ChangeRefused::Unchanged) => {
                self.site.orders().now_or_later(self.at).await;
                Ok(())
            }
            ActOutcome::Refused(_) => Err(over()),
        }
    }

    async fn cap_refused(&self, status: StatusCode, typed: CapForm, why: String) -> AppError {
        let typed = CapForm { cap_error: Some(why), ..typed };
        AppError::page(status, grant::show(self.site, &self.form.access, self.view, Some(typed)).await)
    }

    async fn resend(&self) -> Result<(), AppError> {
        if self.view.grant.holds.dropped.is_some() {
            return Err(AppError::conflict("It was dropped from the roster, so no mail is sent."));
        }
        let whose = self.view.grant.person.address.matched();
        if let Some(mark) = self.site.table.undeliverable(whose, self.at.now).await? {
            return self.try_again(&mark).await;
        }
        let table = &self.site.table;
        match table.resend_roster_mail(self.at.programme, self.at.grant, self.at.now, self.at.deadline).await? {
            None => Ok(()),
            Some(at) => {
                let sentence = "The roster mail was sent again within the last hour. Try again when the hour is over.";
                Err(AppError::too_fast(sentence, at.duration_since(self.at.now)))
            }
        }
    }

    /// Takes the mark off an address whose mail came back or was complained about. The next mail that comes
    /// back sets it again.
    async fn try_again(&self, mark: &Undeliverable) -> Result<(), AppError> {
        let (table, grant) = (&self.site.table, &self.view.grant);
        if !self.form.access.is_faculty() {
            let why = "Mail to this address came back or is not wanted. Faculty can have it tried once more.";
            return Err(AppError::conflict(why));
        }
        if grant.is_over() {
            return Err(over());
        }
        // Somebody else may have taken the mark off meanwhile.
        if table.allow_mail(self.at, grant, mark, self.by).await?
            || table.undeliverable(&mark.address, self.at.now).await?.is_none()
        {
            return Ok(());
        }
        let why = "The roster mail was sent by hand within the last hour, and mail has come back since. Try again in an hour.";
        Err(AppError::conflict(why))
    }

    async fn enable(&self) -> Result<(), AppError> {
        let why = "It is resumed here, but the provider did not switch the key on yet. It is asked again each minute; you need do nothing more.";
        // A limit that has changed meanwhile is sent before the enable.
        match self.site.orders().carry_out(self.at, |order| order.kind != OrderKind::Read).await {
            Ok(_) => Ok(()),
            Err(NotCarriedOut::Table(error)) => Err(error.into()),
            Err(NotCarriedOut::Provider(error)) => {
                Err(AppError::refused(StatusCode::BAD_GATEWAY, why).caused_by(&error))
            }
            Err(error) => Err(AppError::refused(StatusCode::BAD_GATEWAY, why).because(error.to_string())),
        }
    }

    fn reason(&self) -> Option<&str> {
        let reason = self.form.fields.filled("reason")?;
        let end = reason.char_indices().nth(LONGEST_REASON).map_or(reason.len(), |(end, _)| end);
        Some(&reason[..end])
    }
}

fn over() -> AppError {
    AppError::conflict("The grant was revoked or has ended.")
}

/// A cap equal to the group's is not stored as one of the grant's own, so that it follows the group's.
fn own_cap(cap: Option<Usd>, view: &View) -> Option<Usd> {
    let (settings, group) = (&view.programme.settings, view.grant.group.as_deref());
    cap.filter(|cap| *cap != settings.allowance.cap_of(group))
}

/// The fields as they are shown or were posted.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapForm {
    pub(crate) cap: String,
    pub(crate) reason: String,
    pub(crate) cap_error: Option<String>,
}

impl CapForm {
    pub(super) fn now(grant: &Grant, settings: &Settings) -> CapForm {
        CapForm { cap: settings::plain(grant.cap(settings)), ..CapForm::default() }
    }

    fn of(fields: &Fields) -> CapForm {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        CapForm { cap: text("cap_usd"), reason: text("reason"), cap_error: None }
    }

    /// The cap, or what is wrong with it. Without one the group's or programme's holds again.
    fn read(&self) -> Result<Option<Usd>, String> {
        if self.cap.is_empty() { Ok(None) } else { settings::cap(&self.cap).map(Some) }
    }
}
