//! Editing a programme: saves the fields of the form, provided that nobody has edited the programme since
//! the form was made. Faculty's changes of an admin's settings become a request.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::request::Request;
use bursar_core::store::{Author, EditOutcome, StoreError};
use bursar_core::web::{Answer, Fault, RequestDeadline, Site};

use super::edit_form::{self, EditForm};
use super::page::{self, PageState};
use crate::access::{self, Faculty, Form, ProgrammeAccess};
use crate::paths;
use crate::settings::{Difference, Draft, Refusals, SettingTexts};

const UNREADABLE: &str = "Nothing was saved: a field below cannot be read.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what you typed, and what it is now. Save again to replace that.";
const PLACES_TAKEN: &str = "Nothing was saved: students have claimed keys, so the cap, the reset, the time zone, what counts against a limit and the end of the term cannot be changed any more.";
const NO_VERSION: &str = "The form did not say which state of the programme it was made from.";

/// One edit of a programme: its state when the form was read, and the fields that were posted.
struct Edit<'a> {
    site: &'a Site,
    access: &'a ProgrammeAccess,
    before: Draft,
    typed: SettingTexts,
    /// The version of the programme that the form was made from.
    version: Option<&'a str>,
}

/// The result of an edit: what is saved, and what is requested of the admins.
struct EditPlan {
    after: Draft,
    saved: Difference,
    wished: Difference,
}

/// The reason why an edit is not saved.
enum EditFailed {
    Unreadable(Refusals),
    NoVersion,
    /// Somebody else has edited the programme; this is its current state.
    Stale(Box<Programme>),
    Closed,
    PlacesTaken,
    NoSuchProgramme,
    Fault(Fault),
}

pub(crate) async fn edit(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access, fields }: Form<Faculty>,
) -> Answer {
    let programme = &access.programme;
    let Some(pot) = site.table.pot(&programme.id).await? else { return Ok(site.not_found()) };
    let before = Draft { settings: programme.settings.clone(), pot: pot.limit };
    let typed = SettingTexts::of(&before).with(&fields);
    let version = fields.filled("version");
    let edit = Edit { site: &site, access: &access, before, typed, version };
    match edit.carry_out(deadline).await {
        Ok(()) => Ok(Redirect::to(&paths::programme(&programme.id)).into_response()),
        Err(failed) => edit.answer(failed).await,
    }
}

impl Edit<'_> {
    async fn carry_out(&self, deadline: Deadline) -> Result<(), EditFailed> {
        let plan = self.plan()?;
        if plan.saved.is_empty() && plan.wished.is_empty() {
            return Ok(());
        }
        let person = access::person(self.site, &self.access.visitor, deadline).await?;
        let now = self.site.clock.now();
        let request = Request::of(self.access.programme.id.clone(), person.clone(), plan.wished.wishes(), now);
        if plan.saved.is_empty() && self.is_asked(&request).await? {
            return Ok(());
        }
        self.is_current()?;
        let actor = Actor::Person(person);
        let by = Author { actor: &actor, now, deadline };
        self.save(&plan, by).await?;
        self.ask(&plan, &request, by).await
    }

    /// Splits the edit: faculty save their own settings, and request the others.
    fn plan(&self) -> Result<EditPlan, EditFailed> {
        let read = |texts: &SettingTexts| texts.read(Some(&self.before.settings)).map_err(EditFailed::Unreadable);
        let wanted = read(&self.typed)?;
        let wished = Difference::between(&self.before, &wanted).of_admins();
        if self.access.is_admin() || wished.is_empty() {
            let saved = Difference::between(&self.before, &wanted);
            return Ok(EditPlan { after: wanted, saved, wished: Difference::none() });
        }
        let after = read(&self.typed.clone().of_faculty(&SettingTexts::of(&self.before)))?;
        Ok(EditPlan { saved: Difference::between(&self.before, &after), after, wished })
    }

    async fn is_asked(&self, request: &Request) -> Result<bool, StoreError> {
        Ok(self.site.table.request(&request.programme, request.day, &request.request).await?.is_some())
    }

    /// Checks that the form was made from the current programme, and that this may still be edited.
    fn is_current(&self) -> Result<(), EditFailed> {
        let programme = &self.access.programme;
        match self.version {
            None => Err(EditFailed::NoVersion),
            Some(version) if version != edit_form::version(programme, self.before.pot) => {
                Err(EditFailed::Stale(Box::new(programme.clone())))
            }
            Some(_) if programme.closed_at.is_some() => Err(EditFailed::Closed),
            Some(_) => Ok(()),
        }
    }

    async fn save(&self, plan: &EditPlan, by: Author<'_>) -> Result<(), EditFailed> {
        let (table, programme) = (&self.site.table, &self.access.programme);
        let Draft { settings, pot } = &plan.after;
        if *settings != self.before.settings {
            let entry = plan.saved.without_pot().entry(Act::Edited);
            match table.save_settings(&programme.id, settings.clone(), programme.edits, entry, by).await? {
                EditOutcome::Done => {}
                EditOutcome::PlacesTaken => return Err(EditFailed::PlacesTaken),
                EditOutcome::NoSuchProgramme => return Err(EditFailed::NoSuchProgramme),
                EditOutcome::Stale(programme) => return Err(EditFailed::Stale(programme)),
            }
        }
        if *pot != self.before.pot {
            table.set_pot(&programme.id, *pot, by).await?;
        }
        Ok(())
    }

    async fn ask(&self, plan: &EditPlan, request: &Request, by: Author<'_>) -> Result<(), EditFailed> {
        if !plan.wished.is_empty() {
            let admins = self.site.table.people_of(&self.site.admins, by.deadline).await?;
            self.site.table.ask_admins(request, &admins, plan.wished.entry(Act::Asked), by).await?;
        }
        Ok(())
    }

    async fn answer(&self, failed: EditFailed) -> Answer {
        let refuse = |status, why| Ok(self.site.refuse(status, "Nothing was saved", why));
        match failed {
            EditFailed::Unreadable(refusals) => {
                let form = EditForm::refilled(self.access, self.before.pot, &self.typed, &refusals, UNREADABLE);
                self.again(StatusCode::UNPROCESSABLE_ENTITY, self.access, form).await
            }
            EditFailed::Stale(programme) => {
                let access = ProgrammeAccess { programme: *programme, ..self.access.clone() };
                let now = Draft { settings: access.programme.settings.clone(), pot: self.before.pot };
                let form = EditForm::refilled(&access, now.pot, &self.typed, &Refusals::new(), STALE);
                let form = form.beside(&self.typed, &SettingTexts::of(&now));
                self.again(StatusCode::CONFLICT, &access, form).await
            }
            EditFailed::PlacesTaken => {
                let form =
                    EditForm::refilled(self.access, self.before.pot, &self.typed, &Refusals::new(), PLACES_TAKEN);
                self.again(StatusCode::CONFLICT, self.access, form).await
            }
            EditFailed::NoVersion => refuse(StatusCode::UNPROCESSABLE_ENTITY, NO_VERSION),
            EditFailed::Closed => refuse(StatusCode::CONFLICT, "The programme is closed."),
            EditFailed::NoSuchProgramme => Ok(self.site.not_found()),
            EditFailed::Fault(fault) => Err(fault),
        }
    }

    /// The page once more, with the form as it was posted.
    async fn again(&self, status: StatusCode, access: &ProgrammeAccess, edit: EditForm) -> Answer {
        page::show(self.site, access, PageState { edit: Some(edit), ..PageState::default() }, status).await
    }
}

impl From<StoreError> for EditFailed {
    fn from(error: StoreError) -> EditFailed {
        EditFailed::Fault(error.into())
    }
}

impl From<Fault> for EditFailed {
    fn from(fault: Fault) -> EditFailed {
        EditFailed::Fault(fault)
    }
}
