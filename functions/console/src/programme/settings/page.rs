//! The settings of a programme, with the forms that edit, copy and close it. Assistants read them.

use askama::Template;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::request::BUDGET;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Overview;
use bursar_core::web::{Answer, AppError, Site};
use jiff::ToSpan;
use ulid::Ulid;

use super::edit::version;
use super::{BrakeFloor, FieldGroup, SettingsDraft, groups, how_long};
use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::form::{Form, Owner};
use crate::kit::job_line::JobLine;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    jobs: Vec<JobLine>,
    may_edit: bool,
    version: String,
    edit: Form<SettingsDraft>,
    /// The form that copies the programme, and whether its roster is copied too; assistants have none.
    copying: Option<(Form<SettingsDraft>, bool)>,
    request: Option<Ulid>,
    /// The id of that form, which makes one copy.
    form: Ulid,
}

/// The forms as they were posted.
#[derive(Default)]
pub(crate) struct PageState {
    pub(crate) edit: Option<Form<SettingsDraft>>,
    /// With whether the roster is copied too.
    pub(crate) copying: Option<(Form<SettingsDraft>, bool)>,
    /// The request that the copy answers.
    pub(crate) request: Option<Ulid>,
}

impl SettingsPage<'_> {
    fn groups(&self) -> Vec<FieldGroup<'_>> {
        groups(&self.edit, |field| field.owner != Owner::Creator)
    }
}

pub(crate) async fn page(site: Site, access: ProgrammeAccess) -> Answer {
    show(&site, &access, PageState::default()).await
}

pub(crate) async fn show(site: &Site, access: &ProgrammeAccess, state: PageState) -> Answer {
    let programme = &access.programme;
    let overview = site.table.overview(&programme.id).await?;
    let Overview { budget, jobs, counts, .. } = overview.ok_or_else(AppError::not_found)?;
    let keys = u64::try_from(counts.have_claimed()).unwrap_or_default();
    let saved = SettingsDraft { settings: programme.settings.clone(), budget: budget.limit };
    let copied = state.copying.unwrap_or_else(|| (copying(programme, budget.limit), false));
    let edit = state.edit.unwrap_or_else(|| Form::edit(saved));
    let floor = BrakeFloor::read(&site.table, &programme.settings).await?;
    Ok(site.page(&SettingsPage {
        frame: PageFrame::new(site, &access.visitor),
        programme,
        jobs: JobLine::of_programme(site, programme, &jobs, access.is_faculty()).await,
        may_edit: access.is_faculty() && programme.closed_at.is_none(),
        version: version(programme, budget.limit),
        edit: edit.hinting("pause_until", how_long(keys)).hinting("daily_usd", floor.hint()),
        copying: Some(copied).filter(|_| access.is_faculty()),
        request: state.request,
        form: new_ulid(site.clock.now()),
    }))
}

/// The settings that the copy's form shows; all others are copied.
pub(crate) const CARRIED: &[&str] = &["name", "starts_on", "ends_on", BUDGET];

/// The form of a new programme, filled with what another one has, whose term is as long and begins when that is over.
pub(crate) fn copying(programme: &Programme, budget: Usd) -> Form<SettingsDraft> {
    let term = &programme.settings.term;
    let starts_on = term.ends_on().saturating_add(1.day());
    let ends_on = starts_on.saturating_add(term.ends_on() - term.starts_on());
    let mut form = Form::filled_with(SettingsDraft { settings: programme.settings.clone(), budget }).apart("copy-", "");
    form.set("starts_on", starts_on.to_string());
    form.set("ends_on", ends_on.to_string());
    form
}
