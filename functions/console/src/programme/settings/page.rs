//! The settings of a programme, with the forms that edit and close it, or with which faculty ask
//! the admins. Assistants read them.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::time_in;
use bursar_core::store::Overview;
use bursar_core::web::{Answer, AppError, Fields, Result, Site};

use super::edit::version;
use super::{FieldGroup, SettingsDraft, groups, read};
use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::form::{Form, Owner};
use crate::kit::job_line::JobLine;
use crate::kit::show;

const NO_VALUES: &str =
    "Nothing was saved. The link has values that cannot be saved. Please correct:";

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    jobs: Vec<JobLine>,
    is_faculty: bool,
    may_edit: bool,
    version: String,
    edit: Form<SettingsDraft>,
    /// Who asked for the values with which the form is filled, and when.
    reason: Option<String>,
}

impl SettingsPage<'_> {
    /// The settings that the visitor may save. Assistants may save none, and read all.
    fn own(&self) -> Vec<FieldGroup<'_>> {
        let has_all = self.frame.is_admin || !self.may_edit;
        groups(&self.edit, |field| {
            field.owner == Owner::Faculty || (has_all && field.owner == Owner::Admins)
        })
    }

    fn of_admins(&self) -> Vec<FieldGroup<'_>> {
        groups(&self.edit, |field| field.owner == Owner::Admins)
    }
}

/// The page. Whoever may edit the programme finds its form filled with what the query says.
pub(crate) async fn page(site: Site, access: ProgrammeAccess, RawQuery(query): RawQuery) -> Answer {
    let programme = &access.programme;
    let Some(query) = query.filter(|_| may_edit(&access)) else {
        return show(&site, &access, None, None).await;
    };
    let wished: Fields = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let budget = site.table.budget(&programme.id).await?.limit;
    let saved = SettingsDraft {
        settings: programme.settings.clone(),
        budget,
    };
    let mut form = Form::edit(saved).typed(&wished).beside();
    let is_refused = read(&mut form).is_none();
    let reason = reason(&site, programme, &wished).await?;
    if is_refused {
        let page = show(&site, &access, Some(form.refused(NO_VALUES)), reason).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    }
    show(&site, &access, Some(form), reason).await
}

/// Who asked for what a link says, and when, where the link names that.
async fn reason(site: &Site, programme: &Programme, wished: &Fields) -> Result<Option<String>> {
    let Some(asked_by) = wished
        .get("asked_by")
        .and_then(|person| person.parse().ok())
    else {
        return Ok(None);
    };
    let Some(asked_at) = wished
        .get("asked_at")
        .and_then(|text| text.parse::<Moment>().ok())
    else {
        return Ok(None);
    };
    let who = show::person(&site.table, &asked_by).await?;
    Ok(Some(format!(
        "{who} asked for this on {}.",
        time_in(asked_at, programme.settings.term.zone())
    )))
}

fn may_edit(access: &ProgrammeAccess) -> bool {
    access.is_faculty() && access.programme.closed_at.is_none()
}

/// The page with this form, or else with what is saved.
pub(crate) async fn show(
    site: &Site,
    access: &ProgrammeAccess,
    edit: Option<Form<SettingsDraft>>,
    reason: Option<String>,
) -> Answer {
    let programme = &access.programme;
    let overview = site.table.overview(&programme.id).await?;
    let Overview { budget, jobs, .. } = overview.ok_or_else(AppError::not_found)?;
    let saved = SettingsDraft {
        settings: programme.settings.clone(),
        budget: budget.limit,
    };
    let edit = edit.unwrap_or_else(|| Form::edit(saved));
    Ok(site.page(&SettingsPage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        jobs: JobLine::of_programme(site, programme, &jobs).await,
        is_faculty: access.is_faculty(),
        may_edit: may_edit(access),
        version: version(programme, budget.limit),
        edit,
        reason,
    }))
}
