//! Editing a programme: saves the fields of the form, provided that nobody has edited the programme since
//! the form was made. Faculty's changes of an admin's settings become a request.

use bursar_core::domain::programme::request::{BUDGET, Request};
use bursar_core::store::OutboxRow;
use bursar_core::store::{self, EditOutcome};

use super::page::{self, PageState};
use crate::prelude::*;
use crate::settings::{Audience, Difference, Draft, FormFields, Refusals, SettingTexts, not_listed};
use crate::work::{guardrails, jobs};

const UNREADABLE: &str = "Nothing was saved: a field below cannot be read.";
const FORBIDDEN: &str = "Nothing was saved: something below cannot be changed, or not like this.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what it is now, with what you changed. Where both of you changed something, both values are shown. Save again to save what you changed, and nothing else.";
const FIXED: &str = "People have keys that count like this, and the provider cannot change it in a key.";
const NO_VERSION: &str = "The form did not say which state of the programme it was made from.";

/// One edit of a programme: its state when the form was read, and the fields that were posted.
struct Edit<'a> {
    site: &'a Site,
    form: &'a Form<Faculty>,
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

pub(crate) async fn edit(form: Form<Faculty>) -> Answer {
    let Form { site, access, fields, .. } = &form;
    let programme = &access.programme;
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let before = Draft { settings: programme.settings.clone(), budget: budget.limit };
    let typed = SettingTexts::of(&before).with(fields);
    let (version, made_from) = (fields.filled("version"), fields.filled("made_from"));
    let edit = Edit { site, form: &form, access, before, typed, version, made_from };
    edit.carry_out().await?;
    Ok(Redirect::to(&paths::programme(&programme.id)).into_response())
}

impl Edit<'_> {
    async fn carry_out(&self) -> Result<(), AppError> {
        let Edit { site, form, access: ProgrammeAccess { programme, .. }, .. } = self;
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(refusals) => return Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, &refusals, UNREADABLE).await),
        };
        if plan.saved.is_empty() && plan.wished.is_empty() {
            return Ok(());
        }
        // Models and providers which were not named before have to exist.
        let refused = not_listed(site, Some(&self.before.settings), &plan.after.settings, form.deadline).await?;
        if let Some((status, refusals)) = refused {
            let why = if status == StatusCode::UNPROCESSABLE_ENTITY { UNREADABLE } else { FORBIDDEN };
            return Err(self.refused(status, &refusals, why).await);
        }
        let request = Request::of(programme.id.clone(), form.person.clone(), plan.wished.wishes(), form.now);
        if plan.saved.is_empty() && site.table.get(OutboxRow::key_of(request.form)).await?.is_some() {
            return Ok(());
        }
        if self.version.is_none() {
            return Err(AppError::unprocessable(NO_VERSION));
        }
        if programme.closed_at.is_some() {
            return Err(AppError::conflict("The programme is closed."));
        }
        if self.is_stale() {
            return Err(self.stale(programme.clone(), self.before.budget).await);
        }
        self.save(&plan).await?;
        if !plan.wished.is_empty() {
            let admins = site.table.people_of(&site.admins, form.deadline).await?;
            site.table.ask_admins(&request, &admins, plan.wished.entry(Act::Asked), form.author()).await?;
        }
        Ok(())
    }

    /// Splits the edit: faculty save their own settings, and request the others.
    fn plan(&self) -> Result<EditPlan, Refusals> {
        let wanted = self.typed.read(Some(&self.before.settings))?;
        let wished = Difference::between(&self.before, &wanted).of_admins();
        if self.access.is_admin() || wished.is_empty() {
            let saved = Difference::between(&self.before, &wanted);
            return Ok(EditPlan { after: wanted, saved, wished: Difference::none() });
        }
        let own = self.typed.clone().of_faculty(&SettingTexts::of(&self.before));
        let after = own.read(Some(&self.before.settings))?;
        Ok(EditPlan { saved: Difference::between(&self.before, &after), after, wished })
    }

    /// What was typed; of a form that is stale by now, only what its person changed.
    fn typed_since(&self) -> SettingTexts {
        if self.is_stale() {
            SettingTexts::of(&self.before).with_changes(&self.typed, self.made_from)
        } else {
            self.typed.clone()
        }
    }

    fn is_stale(&self) -> bool {
        self.version.is_some_and(|sent| sent != version(&self.access.programme, self.before.budget))
    }

    async fn save(&self, plan: &EditPlan) -> Result<(), AppError> {
        let programme = &self.access.programme;
        let Draft { settings, budget } = plan.after.clone();
        let what = plan.saved.without_budget().entry(Act::Edited);
        let edit =
            store::Edit { settings, version: programme.version, budget: Some((self.before.budget, budget)), what };
        match self.site.table.edit(&programme.id, &edit, self.form.author()).await? {
            EditOutcome::Done => {
                let rules = RulesSource::Programme(programme.id.clone());
                guardrails::in_a_request(self.site, rules, self.form.deadline).await;
                jobs::in_a_request(self.site, &programme.id, self.form.deadline).await;
                Ok(())
            }
            EditOutcome::NoSuchProgramme => Err(AppError::not_found()),
            EditOutcome::Stale(now) => {
                let (programme, budget) = *now;
                Err(self.stale(programme, budget).await)
            }
            EditOutcome::FixedByKeys => {
                let refusals = plan.saved.refused(&["reset", "byok", "timezone"], FIXED);
                Err(self.refused(StatusCode::CONFLICT, &refusals, FORBIDDEN).await)
            }
            EditOutcome::KeysEndBefore(until) => {
                let until = column_time(until, programme.settings.term.zone());
                let why = format!(
                    "Keys that people have end on {until} at the latest, and the provider cannot change that. Copy the programme into the next term."
                );
                let refusals = plan.saved.refused(&["ends_on"], &why);
                Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, &refusals, FORBIDDEN).await)
            }
            EditOutcome::BudgetTooSmall { budget, reserved } => {
                let (budget, reserved) = (budget.to_dollars_down(), reserved.to_dollars_up());
                let why = if plan.saved.has(BUDGET) {
                    format!(
                        "{budget} is less than the {reserved} that is held for keys: what they spent, and what they may still spend."
                    )
                } else {
                    format!("With this {reserved} would be held for keys that people have, and the budget is {budget}.")
                };
                let refusals = plan.saved.refused(&[BUDGET, "cap_usd", "ends_on"], &why);
                Err(self.refused(StatusCode::UNPROCESSABLE_ENTITY, &refusals, FORBIDDEN).await)
            }
        }
    }

    /// The form again, with what was typed. Of a stale one only what its person changed, beside what others saved meanwhile.
    async fn refused(&self, status: StatusCode, refusals: &Refusals, why: &'static str) -> AppError {
        let (now, typed) = (SettingTexts::of(&self.before), self.typed_since());
        let form = EditForm::refilled(self.access, self.before.budget, &typed, refusals, why);
        let form = if self.is_stale() { form.beside(&typed, &now) } else { form };
        self.again(status, self.access, form).await
    }

    /// The form again, with what somebody else has saved meanwhile.
    async fn stale(&self, programme: Programme, budget: Usd) -> AppError {
        let now = SettingTexts::of(&Draft { settings: programme.settings.clone(), budget });
        let access = ProgrammeAccess { programme, ..self.access.clone() };
        let merged = now.clone().with_changes(&self.typed, self.made_from);
        let form = EditForm::refilled(&access, budget, &merged, &Refusals::new(), STALE);
        self.again(StatusCode::CONFLICT, &access, form.beside(&merged, &now)).await
    }

    async fn again(&self, status: StatusCode, access: &ProgrammeAccess, edit: EditForm) -> AppError {
        let state = PageState { edit: Some(edit), ..PageState::default() };
        AppError::page(status, page::show(self.site, access, state).await)
    }
}

pub(super) struct EditForm {
    pub(super) version: String,
    /// The fingerprints of the settings as they are, by which a stale form knows what its person changed.
    pub(super) made_from: String,
    pub(super) fields: FormFields,
    pub(super) open: bool,
    /// The reason why the posted form was not saved.
    pub(super) refusal: Option<&'static str>,
}

impl EditForm {
    pub(super) fn of(access: &ProgrammeAccess, budget: Usd) -> EditForm {
        let texts = SettingTexts::of(&Draft { settings: access.programme.settings.clone(), budget });
        EditForm { open: false, refusal: None, ..EditForm::refilled(access, budget, &texts, &Refusals::new(), "") }
    }

    pub(super) fn refilled(
        access: &ProgrammeAccess,
        budget: Usd,
        texts: &SettingTexts,
        refusals: &Refusals,
        why: &'static str,
    ) -> EditForm {
        let audience = if access.is_admin() { Audience::Admin } else { Audience::Faculty };
        let fields = FormFields::of(texts, audience, refusals);
        let now = SettingTexts::of(&Draft { settings: access.programme.settings.clone(), budget });
        let version = version(&access.programme, budget);
        EditForm { version, made_from: now.fingerprints(), fields, open: true, refusal: Some(why) }
    }

    /// Adds the current value to each carried field that differs from it.
    pub(super) fn beside(mut self, typed: &SettingTexts, now: &SettingTexts) -> EditForm {
        self.fields = self.fields.beside(typed, now);
        self
    }
}

/// The version that an edit must have been made from. The budget is an item of its own, so its amount is part
/// of it beside its version.
pub(super) fn version(programme: &Programme, budget: Usd) -> String {
    format!("{}-{}", programme.version, budget.micros())
}
