//! The settings of a programme, with the forms that edit, copy and close it. Assistants read them.

use bursar_core::store::Overview;

use super::{Draft, FieldGroup, edit, groups};
use crate::form::{Owner, ShownField};
use crate::job_line::JobLine;
use crate::prelude::*;
use crate::programmes::{CARRIED, copying};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    jobs: Vec<JobLine>,
    may_edit: bool,
    groups: Vec<FieldGroup<'a>>,
    version: String,
    made_from: String,
    refusal: Option<&'static str>,
    errors: Vec<ShownField<'a>>,
    /// The form that copies the programme; assistants have none.
    copying: Option<CopyFields<'a>>,
}

struct CopyFields<'a> {
    fields: Vec<ShownField<'a>>,
    /// What is wrong with settings that the form does not show.
    other_errors: Vec<&'a str>,
    with_roster: bool,
    request: Option<Ulid>,
    /// The id of this form, which makes one copy.
    form: String,
}

/// The forms as they were posted.
#[derive(Default)]
pub(crate) struct PageState {
    pub(crate) edit: Option<Form<Draft>>,
    /// With whether the roster is copied too.
    pub(crate) copying: Option<(Form<Draft>, bool)>,
    /// The request that the copy answers.
    pub(crate) request: Option<Ulid>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess) -> Answer {
    show(&site, &access, PageState::default()).await
}

pub(crate) async fn show(site: &Site, access: &ProgrammeAccess, state: PageState) -> Answer {
    let (now, programme) = (site.clock.now(), &access.programme);
    let known = site.table.overview(&programme.id).await?;
    let Overview { budget, jobs, .. } = known.ok_or_else(AppError::not_found)?;
    let edited = state.edit.unwrap_or_else(|| {
        let settings = programme.settings.clone();
        Form::of(Draft { settings, budget: budget.limit })
    });
    let (copied, with_roster) = state.copying.unwrap_or_else(|| (copying(programme, budget.limit), false));
    let copying = access.is_faculty().then(|| CopyFields {
        fields: copied.shown(|field| CARRIED.contains(&field.id)),
        other_errors: copied.other_errors(&CARRIED).collect(),
        with_roster,
        request: state.request,
        form: new_ulid(now).to_string(),
    });
    Ok(site.page(&SettingsPage {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        jobs: JobLine::of_programme(site, programme, &jobs, access.is_faculty()).await,
        may_edit: access.is_faculty() && programme.closed_at.is_none(),
        groups: groups(&edited, |field| field.owner != Owner::Creator),
        version: edit::version(programme, budget.limit),
        made_from: edited.made_from(),
        refusal: edited.refusal,
        errors: edited.errors(),
        copying,
    }))
}
