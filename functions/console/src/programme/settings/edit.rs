//! Editing a programme: saves the fields of the form, provided that nobody has edited the programme
//! since the form was made.

use axum::http::StatusCode;
use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::store;
use bursar_core::store::{EditOutcome, RulesSource};
use bursar_core::web::{Answer, AppError, Flash, Result, Site};

use super::doubts::with_doubts;
use super::page::show;
use super::table::BUDGET;
use super::{SettingsDraft, read, refuse_impossible};
use crate::kit::access::{Faculty, Post, ProgrammeAccess, is_open};
use crate::kit::form::{Difference, Form};
use crate::kit::paths;
use crate::work::{guardrails, jobs};

const UNREADABLE: &str = "Nothing was saved. Please correct:";
const FORBIDDEN: &str = "Nothing was saved. These changes are not possible:";
const STALE: &str = "Nothing was saved: the programme was edited meanwhile. The fields below show its present values with your changes. Where both edits changed a field, both values are shown. Save again to save your changes only.";
const OF_ADMINS: &str = "An admin decides this. Ask the admins below.";
pub(crate) const OVERTAKEN: &str = "Nothing was saved: too many others claimed or changed something at the same moment. Save again in a moment.";
const FIXED: &str = "Students have keys that were made with this setting, and OpenRouter cannot change it in an existing key.";
pub(crate) const NO_VERSION: &str =
    "The form does not say which version of the programme it shows. Open the page again.";

/// One edit of a programme, as it was when the form was read.
struct SettingsEdit<'a> {
    post: &'a Post<Faculty>,
    /// The budget before.
    budget: Usd,
    form: Form<SettingsDraft>,
    is_stale: bool,
}

pub(crate) async fn edit(post: Post<Faculty>) -> Answer {
    let notice = SettingsEdit::read(&post).await?.carry_out().await?;
    Ok(post
        .site
        .done(&paths::settings(&post.access.programme.id), &notice))
}

impl<'a> SettingsEdit<'a> {
    async fn read(post: &'a Post<Faculty>) -> Result<SettingsEdit<'a>> {
        let Post { access, fields, .. } = post;
        let programme = &access.programme;
        let budget = post.site.table.budget(&programme.id).await?.limit;
        let is_stale = fields
            .filled("version")
            .is_some_and(|sent| sent != version(programme, budget));
        let form = Form::edit(SettingsDraft {
            settings: programme.settings.clone(),
            budget,
        })
        .typed(fields);
        Ok(SettingsEdit {
            post,
            budget,
            form,
            is_stale,
        })
    }

    async fn carry_out(mut self) -> Result<Flash> {
        let post = self.post;
        let Post {
            site,
            access,
            fields,
            deadline,
            ..
        } = post;
        let programme = &access.programme;
        let Some(after) = read(&mut self.form) else {
            return Err(self
                .refused(StatusCode::UNPROCESSABLE_ENTITY, UNREADABLE)
                .await);
        };
        let saved = self.form.changes(&after);
        if saved.is_empty() {
            return Ok(Flash::Already);
        }
        if !access.is_admin() && saved.of_admins().next().is_some() {
            saved
                .of_admins()
                .for_each(|id| self.form.refuse(id, OF_ADMINS.to_owned()));
            return Err(self
                .refused(StatusCode::UNPROCESSABLE_ENTITY, FORBIDDEN)
                .await);
        }
        // Models and providers which were not named before have to exist.
        if let Some(status) =
            refuse_impossible(site, &mut self.form, &after.settings, *deadline).await?
        {
            let why = if status == StatusCode::UNPROCESSABLE_ENTITY {
                UNREADABLE
            } else {
                FORBIDDEN
            };
            return Err(self.refused(status, why).await);
        }
        if fields.filled("version").is_none() {
            return Err(AppError::unprocessable(NO_VERSION));
        }
        is_open(programme)?;
        if self.is_stale {
            return Err(self.refused(StatusCode::CONFLICT, STALE).await);
        }
        let notice =
            with_doubts(site, Flash::Saved, Some((programme, self.budget)), &after).await?;
        self.save(after, &saved).await?;
        Ok(notice)
    }

    async fn save(mut self, after: SettingsDraft, saved: &Difference) -> Result<()> {
        let Post {
            site,
            access,
            deadline,
            ..
        } = self.post;
        let programme = &access.programme;
        let edit = store::ProgrammeEdit {
            settings: after.settings,
            version: programme.version,
            budget: Some((self.budget, after.budget)),
            // The budget's change has an entry of its own.
            what: saved.clone().without(BUDGET).entry(Act::Edited),
        };
        let status = match site
            .table
            .edit(&programme.id, &edit, self.post.author())
            .await?
        {
            EditOutcome::Done => {
                let rules = RulesSource::Programme(programme.id.clone());
                guardrails::run_in_request(site, rules, *deadline).await;
                jobs::run_in_request(site, &programme.id, *deadline).await;
                return Ok(());
            }
            EditOutcome::Stale(now) => {
                let (programme, budget) = *now;
                let now = SettingsDraft {
                    settings: programme.settings.clone(),
                    budget,
                };
                let form = Form::edit(now)
                    .typed(&self.post.fields)
                    .beside()
                    .refused(STALE);
                let access = ProgrammeAccess {
                    programme,
                    ..access.clone()
                };
                return Err(again(site, StatusCode::CONFLICT, &access, form).await);
            }
            EditOutcome::Overtaken => {
                return Err(self
                    .refused(StatusCode::SERVICE_UNAVAILABLE, OVERTAKEN)
                    .await);
            }
            EditOutcome::FixedByKeys => {
                self.refuse(saved, &["reset", "byok", "timezone"], FIXED);
                StatusCode::CONFLICT
            }
            EditOutcome::KeysEndBefore(until) => {
                let until = column_time(until, programme.settings.term.zone());
                let why = format!(
                    "Existing keys end on {until} at the latest, and OpenRouter cannot change that. Make a programme for the next term instead."
                );
                self.refuse(saved, &["ends_on"], &why);
                StatusCode::UNPROCESSABLE_ENTITY
            }
            EditOutcome::BudgetTooSmall { budget, reserved } => {
                let budget = budget.to_dollars();
                let reserved = reserved.up_to_the_cent().to_dollars();
                let why = if saved.has(BUDGET) {
                    format!(
                        "{budget} is less than the {reserved} that is promised to students: what they spent, and what they may still spend."
                    )
                } else {
                    format!(
                        "This would promise {reserved} to students who have keys, but the budget is {budget}."
                    )
                };
                self.refuse(saved, &[BUDGET, "cap_usd", "ends_on"], &why);
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Err(self.refused(status, FORBIDDEN).await)
    }

    /// Refuses those of these fields that were changed, or else the first change.
    fn refuse(&mut self, saved: &Difference, fields: &[&str], why: &str) {
        saved
            .find_first(fields)
            .for_each(|id| self.form.refuse(id, why.to_owned()));
    }

    /// The form again, with what was typed; a stale one beside what was saved meanwhile.
    async fn refused(self, status: StatusCode, why: &'static str) -> AppError {
        let form = self.form.refused(why);
        let form = if self.is_stale { form.beside() } else { form };
        again(&self.post.site, status, &self.post.access, form).await
    }
}

async fn again(
    site: &Site,
    status: StatusCode,
    access: &ProgrammeAccess,
    form: Form<SettingsDraft>,
) -> AppError {
    AppError::page(status, show(site, access, Some(form), None).await)
}

/// The version that an edit must have been made from. The budget is an item of its own, so its
/// amount is part of it beside its version.
pub(super) fn version(programme: &Programme, budget: Usd) -> String {
    format!("{}-{}", programme.version, budget.micros())
}
