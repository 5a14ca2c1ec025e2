//! The acts of people with a role on one grant. The table is written first and the provider called
//! after it in the same request; failed calls are repeated by the work of each minute.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use bursar_core::domain::grant::{
    ChangeRefused, Grant, GrantAct, GrantAction, GrantState, LeakRefused, ShownState, Tell, View,
};
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::money::Usd;
use bursar_core::settle::NotSettled;
use bursar_core::store::{
    ActContext, ActOutcome, Author, Enrolment, StoreError, Undeliverable, Whose,
};
use bursar_core::web::form::LONGEST_REASON;
use bursar_core::web::{Answer, AppError, Fields, Flash, Result, Site};

use super::grant;
use crate::kit::access::{Admission, Assistants, Faculty, PageFrame, Post, ProgrammeAccess};
use crate::kit::form::{Field, FieldKind, Form, FormValue, ShownField};
use crate::kit::paths;
use crate::people::roster;
use crate::people::roster::TypedPerson;
use crate::people::roster::compare::RosterStep;
use crate::programme::settings;
use crate::work::grant_action::{act_on, own_cap};
use crate::work::steps;

/// What removing a student does, before it is done.
#[derive(Template)]
#[template(path = "revoke.html")]
struct RevokePage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    grant: &'a Grant,
    /// Whether a key works, or is being made.
    has_key: bool,
    spent: Usd,
    unspent: Usd,
    reason: Option<&'a str>,
}

struct GrantRequest<'a> {
    site: &'a Site,
    access: &'a ProgrammeAccess,
    fields: &'a Fields,
    view: View,
    context: ActContext<'a>,
    author: Author<'a>,
}

pub(crate) async fn act(
    Path((_, grant, action)): Path<(String, String, String)>,
    post: Post<Assistants>,
) -> Answer {
    let action = GrantAction::named(&action).ok_or_else(AppError::not_found)?;
    let least = action.role_for_one().ok_or_else(AppError::not_found)?;
    if post.access.role < least {
        return Err(AppError::no_right());
    }
    let grant = grant::id(&grant)?;
    let request = GrantRequest::new(&post, &grant).await?;
    let notice = match action {
        GrantAction::Pause => request.pause().await?,
        GrantAction::Resume => request.resume().await?,
        GrantAction::Resend => request.resend().await?,
        GrantAction::Revoke => match request.revoke().await? {
            Some(notice) => notice,
            None => return request.look_before_revoking(),
        },
        GrantAction::Allow => request.allow().await?,
        GrantAction::Cap => request.cap().await?,
        GrantAction::Remind | GrantAction::Group => return Err(AppError::not_found()),
    };
    Ok(post
        .site
        .done(&paths::grant(&post.access.programme.id, &grant), &notice))
}

/// What faculty alone do to one student, each by a route of its own.
macro_rules! acts_of_faculty {
    ($($(#[$doc:meta])* $route:ident: $act:ident;)*) => {
        $($(#[$doc])*
        pub(crate) async fn $route(Path((_, grant)): Path<(String, String)>, post: Post<Faculty>) -> Answer {
            let grant = grant::id(&grant)?;
            let notice = GrantRequest::new(&post, &grant).await?.$act().await?;
            Ok(post.site.done(&paths::grant(&post.access.programme.id, &grant), &notice))
        })*
    };
}

acts_of_faculty! {
    /// Gives a grant its person's right address.
    correct_address: address;
    /// Decides what a student asked for.
    decide_more: decide;
    /// Ends a key that others have, for a student who may have another.
    end_leaked: leaked;
    /// Says whose a grant is.
    tell_person: tell_person;
    /// Takes somebody off the roster, as a file would that does not name them.
    take_off_roster: drop;
}

impl<'a> GrantRequest<'a> {
    async fn new<A>(post: &'a Post<A>, grant: &'a GrantId) -> Result<GrantRequest<'a>>
    where
        A: Admission<Access = ProgrammeAccess>,
    {
        let Post {
            site,
            access,
            fields,
            now,
            deadline,
            ..
        } = post;
        let context = ActContext {
            programme: &access.programme.id,
            grant,
            now: *now,
            deadline: *deadline,
        };
        let view = grant::view(site, access, grant).await?;
        Ok(GrantRequest {
            site,
            access,
            fields,
            view,
            context,
            author: post.author(),
        })
    }

    /// Does it, and returns why a rule refuses it, if one does. Faculty may end an admin's pause
    /// too.
    async fn act(
        &self,
        action: GrantAction,
        cap: Option<Usd>,
        reason: Option<String>,
    ) -> Result<Option<ChangeRefused>, StoreError> {
        let act = GrantAct {
            action,
            cap,
            group: None,
            reason,
        };
        act_on(
            self.site,
            self.context,
            &act,
            (self.author.actor, self.access.role.min(Role::Faculty)),
            None,
        )
        .await
    }

    async fn pause(&self) -> Result<Flash> {
        let mut forms = self.forms();
        forms.pause = forms.pause.typed_only(|id| id == "reason", self.fields);
        let Some(TypedAct { reason, .. }) = forms.pause.read() else {
            return Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, forms).await);
        };
        match self.act(GrantAction::Pause, None, reason).await? {
            // A second request repeats a disable that failed.
            None | Some(ChangeRefused::Unchanged) => {}
            Some(_) => return Err(over()),
        }
        self.site.settler().settle_or_leave(self.context).await;
        Ok(Flash::Paused)
    }

    async fn resume(&self) -> Result<Flash> {
        let is_dropped = self.view.grant.holds.dropped.is_some();
        let why = match self.act(GrantAction::Resume, None, None).await? {
            Some(ChangeRefused::PausedByAnother) => {
                "Faculty or an admin paused this student. Ask them to resume the key."
            }
            Some(ChangeRefused::BudgetExhausted) => {
                "The budget has no room for this student's cap now. Raise it, or remove students who need no key."
            }
            Some(ChangeRefused::Unchanged) if is_dropped => {
                "This student is not paused, but dropped from the roster."
            }
            // A second request repeats an enable that failed.
            None | Some(ChangeRefused::Unchanged) => return self.enable().await,
            Some(_) => return Err(over()),
        };
        Err(AppError::conflict(why))
    }

    /// Nothing is done before the page has been seen that says what it does.
    async fn revoke(&self) -> Result<Option<Flash>> {
        let mut forms = self.forms();
        forms.revoke = forms.revoke.typed_only(|id| id == "reason", self.fields);
        let Some(TypedAct { reason, .. }) = forms.revoke.read() else {
            return Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, forms).await);
        };
        match self.fields.filled("confirm") {
            _ if self.view.grant.state == GrantState::Revoked => {}
            None => return Ok(None),
            Some(named) if named == self.view.programme.settings.name => {}
            Some(_) => {
                return Err(AppError::unprocessable(
                    "The form names another programme. Press “Remove” again.",
                ));
            }
        }
        let notice = match self.act(GrantAction::Revoke, None, reason).await? {
            None => Flash::Revoked {
                had_key: self.view.grant.live().is_some(),
            },
            Some(_) => Flash::Already,
        };
        self.site.settler().settle_or_leave(self.context).await;
        Ok(Some(notice))
    }

    async fn leaked(&self) -> Result<Flash> {
        let epoch = self
            .fields
            .filled("epoch")
            .and_then(|epoch| epoch.parse().ok());
        let epoch = epoch.map_or(self.view.grant.epoch, Epoch::new);
        match self
            .site
            .table
            .act(self.context, |view, _| {
                view.report_leaked(epoch, self.author.actor)
            })
            .await?
            .refusal()
        {
            // A second request repeats a disable that failed.
            None | Some(LeakRefused::Reported) => {}
            Some(LeakRefused::Replaced) => return Ok(Flash::Already),
            Some(LeakRefused::NoKey) => {
                return Err(AppError::conflict(
                    "This student has no key that works, so there is none to end.",
                ));
            }
        }
        self.site.settler().settle_or_leave(self.context).await;
        Ok(Flash::LeakEnded)
    }

    /// Notes what an admin says of a grant under an older id: whether it is another person's.
    async fn tell_person(&self) -> Result<Flash> {
        if !self.access.is_admin() {
            return Err(AppError::no_right());
        }
        let is_anothers = match self.fields.get("act") {
            Some("other") => true,
            Some("same") => false,
            _ => {
                return Err(AppError::unprocessable(
                    "Nothing was done: the form did not say whose this key is.",
                ));
            }
        };
        let Grant {
            programme,
            id,
            person,
            ..
        } = &self.view.grant;
        let table = &self.site.table;
        let whose = table
            .whose(programme, id, person.address.matched(), self.context.now)
            .await?;
        if is_anothers && whose == Whose::Persons {
            return Err(AppError::conflict(
                "No newer row has this address under another id.",
            ));
        }
        let is_changed = table
            .set_anothers(&self.view.grant, is_anothers, self.author)
            .await?;
        Ok(if is_changed {
            Flash::PersonTold { is_anothers }
        } else {
            Flash::Already
        })
    }

    async fn drop(&self) -> Result<Flash> {
        let step = RosterStep::Drop {
            grant: self.context.grant.clone(),
        };
        match steps::take(self.site, self.context.programme, &step, None, self.author).await? {
            None | Some(ChangeRefused::Unchanged) => {}
            Some(_) => return Err(over()),
        }
        self.site.settler().settle_or_leave(self.context).await;
        Ok(Flash::TakenOffRoster {
            had_key: self.view.grant.live().is_some(),
        })
    }

    fn look_before_revoking(&self) -> Answer {
        let View {
            programme, grant, ..
        } = &self.view;
        let spending = self.view.spending(self.context.now);
        Ok(self.site.page(&RevokePage {
            frame: PageFrame::new(self.site, &self.access.visitor),
            programme,
            grant,
            has_key: matches!(
                grant.display_state(self.context.now),
                ShownState::Live | ShownState::Minting
            ),
            spent: spending.lifetime,
            unspent: (self.view.reservation().cost(self.context.now) - spending.lifetime).or_zero(),
            reason: self.fields.filled("reason"),
        }))
    }

    async fn allow(&self) -> Result<Flash> {
        // The form carries the number allowed when it was made, so that a second request does not
        // allow one more.
        let seen = self
            .fields
            .filled("allowed")
            .and_then(|allowed| allowed.parse::<u32>().ok());
        if seen.is_some_and(|seen| seen != self.view.grant.allowed) {
            return Ok(Flash::Already);
        }
        match self.act(GrantAction::Allow, None, None).await? {
            Some(_) => Err(over()),
            None => Ok(Flash::ReplacementAllowed),
        }
    }

    async fn cap(&self) -> Result<Flash> {
        let mut forms = self.forms();
        forms.cap = forms.cap.typed(self.fields);
        let Some(TypedAct { cap, reason }) = forms.cap.read() else {
            return Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, forms).await);
        };
        match self.act(GrantAction::Cap, cap, reason).await? {
            Some(ChangeRefused::BudgetExhausted) => {
                forms.cap.refuse("cap_usd", self.no_room().await?);
                Err(self.refused(StatusCode::CONFLICT, forms).await)
            }
            None | Some(ChangeRefused::Unchanged) => {
                self.site.settler().settle_or_leave(self.context).await;
                let allowance = &self.view.programme.settings.allowance;
                let cap = cap.unwrap_or_else(|| allowance.cap_of(self.view.grant.group.as_deref()));
                Ok(Flash::CapSet { cap })
            }
            Some(_) => Err(over()),
        }
    }

    async fn no_room(&self) -> Result<String> {
        let table = &self.site.table;
        let id = self.context.programme;
        let budget = table.budget(id).await?;
        let counts = table.roster_counts(id).await?;
        let tonight = if counts.frees_something() {
            format!("; {}", counts.free_tonight())
        } else {
            String::new()
        };
        let larger = self.access.role.explain_raise(None);
        Ok(format!(
            "The budget has no room for so high a cap: of the budget of {} only {} is neither spent nor promised{tonight}. {larger}",
            budget.limit.to_cents(),
            (budget.limit - budget.reserved)
                .or_zero()
                .whole_cents()
                .to_cents()
        ))
    }

    /// Raises the cap as the student asked, or declines with a sentence for them. The same decision
    /// again changes nothing.
    async fn decide(&self) -> Result<Flash> {
        let fields = self.fields;
        let table = &self.site.table;
        match fields.get("act") {
            Some("raise") => {
                let cap = settings::cap(fields.filled("cap_usd").unwrap_or_default())
                    .map_err(AppError::unprocessable)?;
                let outcome = table.act(self.context, |view, now| {
                    if view.open_request(now).is_none() {
                        return Err(ChangeRefused::Unchanged);
                    }
                    view.set_cap(own_cap(Some(cap), view), self.author.actor, None, now)
                });
                match outcome.await? {
                    ActOutcome::NoSuchGrant => Err(AppError::not_found()),
                    ActOutcome::Refused(ChangeRefused::BudgetExhausted) => {
                        let mut forms = self.forms();
                        forms.decision.refuse("cap_usd", self.no_room().await?);
                        Err(self.refused(StatusCode::CONFLICT, forms).await)
                    }
                    ActOutcome::Refused(_)
                        if self.view.grant.cap(&self.view.programme.settings) == cap =>
                    {
                        Ok(Flash::Already)
                    }
                    ActOutcome::Refused(_) => Err(already_decided()),
                    ActOutcome::Done(_) => {
                        self.site.settler().settle_or_leave(self.context).await;
                        Ok(Flash::CapSet { cap })
                    }
                }
            }
            Some("decline") => {
                let mut forms = self.forms();
                forms.decision = forms.decision.typed_only(|id| id == "reason", fields);
                let reason = forms.decision.read().and_then(|typed| typed.reason);
                let Some(reason) = reason else {
                    if !forms.decision.is_refused() {
                        forms
                            .decision
                            .refuse("reason", "Write a sentence for the student.".to_owned());
                    }
                    return Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, forms).await);
                };
                match table
                    .act(self.context, |view, now| {
                        view.decline_more(&reason, self.author.actor, now)
                    })
                    .await?
                {
                    ActOutcome::NoSuchGrant => Err(AppError::not_found()),
                    ActOutcome::Refused(_) => {
                        let was_declined = self
                            .view
                            .grant
                            .more_request
                            .as_ref()
                            .is_some_and(|request| request.declined.is_some());
                        if was_declined {
                            Ok(Flash::Already)
                        } else {
                            Err(already_decided())
                        }
                    }
                    ActOutcome::Done(_) => Ok(Flash::MoreDeclined),
                }
            }
            _ => Err(AppError::unprocessable(
                "The form did not say whether to raise the cap or to decline.",
            )),
        }
    }

    fn forms(&self) -> ActForms {
        ActForms::new(&self.view.grant, &self.view.programme.settings)
    }

    async fn refused(&self, status: StatusCode, forms: ActForms) -> AppError {
        AppError::page(
            status,
            grant::show(self.site, self.access, &self.view, forms).await,
        )
    }

    async fn address(&self) -> Result<Flash> {
        let table = &self.site.table;
        let context = self.context;
        let mut forms = self.forms();
        forms.address = forms.address.typed_only(|id| id == "email", self.fields);
        let mut status = StatusCode::UNPROCESSABLE_ENTITY;
        if let Some(TypedPerson {
            address: Some(address),
            ..
        }) = forms.address.read()
        {
            let enrolled = table
                .get(Enrolment::key_of(address.matched(), context.programme))
                .await?;
            if enrolled.is_some_and(|enrolled| enrolled.grant != *context.grant) {
                forms.address.refuse(
                    "email",
                    "Another person on the roster has this address.".to_owned(),
                );
                status = StatusCode::CONFLICT;
            } else if let Some(question) = roster::doubt(
                &address,
                &table.grants(context.programme).await?,
                self.fields,
            ) {
                forms.address.refuse("email", question);
                forms.sure = Some(roster::domain(&address).to_owned());
            } else {
                return match table
                    .act(context, |view, _| {
                        view.correct_address(&address, self.author.actor)
                    })
                    .await?
                {
                    ActOutcome::NoSuchGrant => Err(AppError::not_found()),
                    ActOutcome::Done(_) => Ok(Flash::AddressCorrected),
                    ActOutcome::Refused(ChangeRefused::Unchanged) => Ok(Flash::Already),
                    ActOutcome::Refused(_) => Err(over()),
                };
            }
        }
        Err(self.refused(status, forms).await)
    }

    async fn resend(&self) -> Result<Flash> {
        if self.view.grant.is_over() {
            return Err(over());
        }
        if self.view.grant.holds.dropped.is_some() {
            return Err(AppError::conflict(
                "This student was dropped from the roster, so no mail is sent.",
            ));
        }
        if self.view.grant.person.address.is_none() {
            return Err(AppError::conflict(
                "This student has no address here, so no mail is sent. Type one first.",
            ));
        }
        let whose = self.view.grant.person.address.matched();
        if let Some(mark) = self
            .site
            .table
            .undeliverable(whose, self.context.now)
            .await?
        {
            return self.try_again(&mark).await;
        }
        if self.act(GrantAction::Resend, None, None).await?.is_none() {
            return Ok(Flash::InvitationSent);
        }
        let again_at = self.site.table.may_resend_at(self.context).await?;
        let sentence =
            "The invitation was sent again within the last hour. Try again when the hour is over.";
        Err(AppError::too_fast(
            sentence,
            again_at.duration_since(self.context.now),
        ))
    }

    /// Takes the mark off an address whose mail came back or was complained about. The next mail
    /// that comes back sets it again.
    async fn try_again(&self, mark: &Undeliverable) -> Result<Flash> {
        let table = &self.site.table;
        let grant = &self.view.grant;
        if !self.access.is_faculty() {
            let why = "Mail to this address came back or is not wanted. Faculty can have it tried once more.";
            return Err(AppError::conflict(why));
        }
        // Somebody else may have taken the mark off meanwhile.
        if table
            .allow_mail(self.context, grant, mark, self.author.actor)
            .await?
            || table
                .undeliverable(&mark.address, self.context.now)
                .await?
                .is_none()
        {
            return Ok(Flash::MailTriedAgain);
        }
        let why = "The invitation was sent by hand within the last hour, and mail has come back since. Try again in an hour.";
        Err(AppError::conflict(why))
    }

    async fn enable(&self) -> Result<Flash> {
        let why = "The student is resumed here, but OpenRouter has not switched the key on yet. Bursar tries again each minute; there is nothing more for you to do.";
        // A limit that has changed meanwhile is sent before the enable.
        match self
            .site
            .settler()
            .settle(self.context, |call| call.tell != Tell::Read)
            .await
        {
            Ok(_) => Ok(Flash::Resumed),
            Err(NotSettled::Table(error)) => Err(error.into()),
            Err(NotSettled::Provider(error)) => {
                Err(AppError::refused(StatusCode::BAD_GATEWAY, why).with_cause(&error))
            }
            Err(error) => {
                Err(AppError::refused(StatusCode::BAD_GATEWAY, why).because(error.to_string()))
            }
        }
    }
}

fn over() -> AppError {
    AppError::conflict("This student was removed, or the programme has ended.")
}

fn already_decided() -> AppError {
    AppError::conflict("Nothing was changed: this request is decided already, or has lapsed.")
}

/// The forms of a grant's page, one of which may have been refused. Of those for an address and of
/// those for a reason, only that field is shown.
pub(super) struct ActForms {
    pub(super) pause: Form<TypedAct>,
    pub(super) cap: Form<TypedAct>,
    pub(super) decision: Form<TypedAct>,
    pub(super) address: Form<TypedPerson>,
    /// The domain of an address that is asked about: whoever presses again is sure of it.
    pub(super) sure: Option<String>,
    pub(super) revoke: Form<TypedAct>,
}

impl ActForms {
    pub(super) fn new(grant: &Grant, settings: &Settings) -> ActForms {
        let cap = TypedAct {
            cap: Some(grant.cap(settings)),
            reason: None,
        };
        ActForms {
            pause: Form::blank().apart("pause-", ""),
            cap: Form::edit(cap).apart("cap-", ""),
            decision: Form::blank().apart("more-", ""),
            address: Form::blank().apart("corrected-", ""),
            sure: None,
            revoke: Form::blank().apart("revoke-", ""),
        }
    }

    /// Why a cap was not raised as the student asked.
    pub(super) fn not_raised(&self) -> Option<&str> {
        self.decision.list_other_errors(&["reason"]).next()
    }

    /// The reason of a decline, which unlike the others is for the student.
    pub(super) fn decline(&self) -> Vec<ShownField<'_>> {
        let mut fields = self.decision.only(&["reason"]);
        fields
            .iter_mut()
            .for_each(|field| field.label = "Reason for declining (the student gets it by mail)");
        fields
    }
}

/// A person's cap with the reason for it, or the reason alone for another act.
#[derive(Default)]
pub(super) struct TypedAct {
    /// Without one the group's or programme's holds again.
    cap: Option<Usd>,
    reason: Option<String>,
}

impl FormValue for TypedAct {
    const FIELDS: &'static [Field<TypedAct>] = &[
        Field {
            id: "cap_usd",
            label: "Cap in dollars",
            hint: "The total for the term, or until the cap resets, including what is already spent. Leave empty for the cap of the group or the programme.",
            kind: FieldKind::Money,
            write: |typed| typed.cap.map(settings::plain).unwrap_or_default(),
            read: |form, typed| settings::own_cap(form.text()).map(|cap| typed.cap = cap),
            ..Field::OPTIONAL
        },
        Field {
            id: "reason",
            label: "Reason",
            read: |form, typed| {
                form.line(LONGEST_REASON)
                    .map(|reason| typed.reason = reason)
            },
            ..Field::OPTIONAL
        },
    ];
}
