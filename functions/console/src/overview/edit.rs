//! Editing a programme: saves the fields of the form, provided that nobody has edited the programme since
//! the form was made. Faculty's changes of an admin's settings become a request.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::programme::request::{POT, Request};
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{self, Author, EditOutcome, RulesSource, StoreError};
use bursar_core::web::{Answer, Fault, RequestDeadline, Site};

use super::edit_form::{self, EditForm};
use super::page::{self, PageState};
use crate::access::{self, Faculty, Form, ProgrammeAccess};
use crate::paths;
use crate::settings::{Difference, Draft, Refusals, SettingTexts, not_listed};
use crate::work::{guardrails, jobs};

const UNREADABLE: &str = "Nothing was saved: a field below cannot be read.";
const FORBIDDEN: &str = "Nothing was saved: something below cannot be changed, or not like this.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what it is now, with what you changed. Where both of you changed something, both values are shown. Save again to save what you changed, and nothing else.";
const FIXED: &str = "People have keys that count like this, and the provider cannot change it in a key.";
const NO_VERSION: &str = "The form did not say which state of the programme it was made from.";

/// One edit of a programme: its state when the form was read, and the fields that were posted.
struct Edit<'a> {
    site: &'a Site,
    access: &'a ProgrammeAccess,
    before: Draft,
    typed: SettingTexts,
    /// The version of the programme that the form was made from.
    version: Option<&'a str>,
    /// The fingerprints of the fields as the form was made.
    made_from: Option<&'a str>,
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
    /// What the present state of programme and grants does not allow.
    Forbidden(StatusCode, Refusals),
    NoVersion,
    /// Somebody else has edited the programme; this is its current state, with its pot.
    Stale(Box<(Programme, Usd)>),
    Closed,
    NoSuchProgramme,
    Fault(Fault),
}

pub(crate) async fn edit(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access, fields }: Form<Faculty>,
) -> Answer {
    let programme = &access.programme;
    let Some(pot) = site.table.get(Pot::key_of(&programme.id)).await? else { return Ok(site.not_found()) };
    let before = Draft { settings: programme.settings.clone(), pot: pot.limit };
    let typed = SettingTexts::of(&before).with(&fields);
    let (version, made_from) = (fields.filled("version"), fields.filled("made_from"));
    let edit = Edit { site: &site, access: &access, before, typed, version, made_from };
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
        self.is_listed(&plan, deadline).await?;
        let person = access::person(self.site, &self.access.visitor, deadline).await?;
        let now = self.site.clock.now();
        let request = Request::of(self.access.programme.id.clone(), person.clone(), plan.wished.wishes(), now);
        if plan.saved.is_empty() && self.site.table.is_asked(&request).await? {
            return Ok(());
        }
        self.is_current()?;
        let actor = Actor::Person(person);
        let by = Author { actor: &actor, now, deadline };
        self.save(&plan, by).await?;
        self.ask(&plan, &request, by).await
    }

    /// Checks that models and providers which were not named before exist.
    async fn is_listed(&self, plan: &EditPlan, deadline: Deadline) -> Result<(), EditFailed> {
        match not_listed(self.site, Some(&self.before.settings), &plan.after.settings, deadline).await? {
            None => Ok(()),
            Some((StatusCode::UNPROCESSABLE_ENTITY, refusals)) => Err(EditFailed::Unreadable(refusals)),
            Some((status, refusals)) => Err(EditFailed::Forbidden(status, refusals)),
        }
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

    /// What was typed; of a form that is stale by now, only what its person changed.
    fn typed_since(&self) -> SettingTexts {
        match self.is_stale() {
            true => SettingTexts::of(&self.before).with_changes(&self.typed, self.made_from),
            false => self.typed.clone(),
        }
    }

    fn is_stale(&self) -> bool {
        self.version.is_some_and(|version| version != edit_form::version(&self.access.programme, self.before.pot))
    }

    /// Checks that the form was made from the current programme, and that this may still be edited.
    fn is_current(&self) -> Result<(), EditFailed> {
        let programme = &self.access.programme;
        match self.version {
            None => Err(EditFailed::NoVersion),
            Some(_) if programme.closed_at.is_some() => Err(EditFailed::Closed),
            Some(_) if self.is_stale() => Err(EditFailed::Stale(Box::new((programme.clone(), self.before.pot)))),
            Some(_) => Ok(()),
        }
    }

    async fn save(&self, plan: &EditPlan, by: Author<'_>) -> Result<(), EditFailed> {
        let programme = &self.access.programme;
        let Draft { settings, pot } = plan.after.clone();
        let what = plan.saved.without_pot().entry(Act::Edited);
        let edit = store::Edit { settings, version: programme.version, pot: Some((self.before.pot, pot)), what };
        match self.site.table.edit(&programme.id, &edit, by).await? {
            EditOutcome::Done => {
                let rules = RulesSource::Programme(programme.id.clone());
                guardrails::in_a_request(self.site, rules, by.deadline).await;
                jobs::in_a_request(self.site, &programme.id, by.deadline).await;
                Ok(())
            }
            EditOutcome::NoSuchProgramme => Err(EditFailed::NoSuchProgramme),
            EditOutcome::Stale(now) => Err(EditFailed::Stale(now)),
            EditOutcome::FixedByKeys => {
                let refusals = plan.saved.refused(&["reset", "byok", "timezone"], FIXED);
                Err(EditFailed::Forbidden(StatusCode::CONFLICT, refusals))
            }
            EditOutcome::KeysEndBefore(until) => {
                let until = column_time(until, programme.settings.term.zone());
                let why = format!(
                    "Keys that people have end on {until} at the latest, and the provider cannot change that. Copy the programme into the next term."
                );
                let refusals = plan.saved.refused(&["ends_on"], &why);
                Err(EditFailed::Forbidden(StatusCode::UNPROCESSABLE_ENTITY, refusals))
            }
            EditOutcome::PotTooSmall { pot, reserved } => {
                let (pot, reserved) = (pot.to_dollars_down(), reserved.to_dollars_up());
                let why = match plan.saved.has(POT) {
                    true => format!(
                        "{pot} is less than the {reserved} that is held for keys: what they spent, and what they may still spend."
                    ),
                    false => format!(
                        "With this {reserved} would be held for keys that people have, and the budget is {pot}."
                    ),
                };
                let refusals = plan.saved.refused(&[POT, "cap_usd", "ends_on"], &why);
                Err(EditFailed::Forbidden(StatusCode::UNPROCESSABLE_ENTITY, refusals))
            }
        }
    }

    async fn ask(&self, plan: &EditPlan, request: &Request, by: Author<'_>) -> Result<(), EditFailed> {
        if !plan.wished.is_empty() {
            let admins = self.site.table.people_of(&self.site.admins, by.deadline).await?;
            self.site.table.ask_admins(request, &admins, plan.wished.entry(Act::Asked), by).await?;
        }
        Ok(())
    }

    /// The form again, with what was typed. Of a stale one only what its person changed, beside what others saved meanwhile.
    async fn refused(&self, status: StatusCode, refusals: &Refusals, why: &'static str) -> Answer {
        let (now, typed) = (SettingTexts::of(&self.before), self.typed_since());
        let form = EditForm::refilled(self.access, self.before.pot, &typed, refusals, why);
        let form = if self.is_stale() { form.beside(&typed, &now) } else { form };
        self.again(status, self.access, form).await
    }

    async fn answer(&self, failed: EditFailed) -> Answer {
        let refuse = |status, why| Ok(self.site.refuse(status, "Nothing was saved", why));
        match failed {
            EditFailed::Unreadable(refusals) => {
                self.refused(StatusCode::UNPROCESSABLE_ENTITY, &refusals, UNREADABLE).await
            }
            EditFailed::Forbidden(status, refusals) => self.refused(status, &refusals, FORBIDDEN).await,
            EditFailed::Stale(current) => {
                let (programme, pot) = *current;
                let now = SettingTexts::of(&Draft { settings: programme.settings.clone(), pot });
                let access = ProgrammeAccess { programme, ..self.access.clone() };
                let merged = now.clone().with_changes(&self.typed, self.made_from);
                let form = EditForm::refilled(&access, pot, &merged, &Refusals::new(), STALE);
                self.again(StatusCode::CONFLICT, &access, form.beside(&merged, &now)).await
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
