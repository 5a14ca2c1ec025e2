//! The page of a programme's groups: the settings in which a group differs from its programme. A blank field means the
//! programme's.

mod form;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::store::{Edit, EditOutcome};
use bursar_core::web::{Answer, AppError, Frame, Site};

use self::form::{GroupChange, GroupForm};
use crate::access::{Faculty, Form, ProgrammeAccess};
use crate::paths;
use crate::settings::KnownModels;
use crate::work::jobs;

const REFUSED: &str = "Nothing was saved: see what is said beside the fields below.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what it is now, with what you changed. Save again to save what you changed, and nothing else.";
const FORBIDDEN: &str = "Nothing was saved: the budget has no room for it.";
const TOO_MANY: &str = "Nothing was saved: the groups of a programme have at most 50 different lists of models, with about 2,000 models in all.";
const NO_VERSION: &str = "The form did not say which state of the programme it was made from.";

/// How many different lists the groups may have, and how many bytes of models are in them.
const MOST_LISTS: usize = 51;
const MOST_BYTES: usize = 80_000;

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    programme: &'a Programme,
    is_admin: bool,
    may_edit: bool,
    version: u64,
    /// The marks of the groups as they are.
    made_from: String,
    refusal: Option<&'static str>,
    groups: Vec<GroupForm>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess) -> Answer {
    let forms = current(&site, &access.programme).await?;
    let made_from = marks(&forms);
    Ok(show(&site, &access, forms, made_from, None))
}

pub(crate) async fn save(form: Form<Faculty>) -> Answer {
    let Form { site, access, fields, deadline, .. } = &form;
    let programme = &access.programme;
    let version = fields.filled("version").and_then(|version| version.parse::<u64>().ok());
    let version = version.ok_or_else(|| AppError::unprocessable(NO_VERSION))?;
    let mut forms = current(site, programme).await?;
    let made_from = marks(&forms);
    forms.iter_mut().for_each(|group| group.take(fields));
    let news: Vec<String> = forms.iter().flat_map(|group| group.new_models(&programme.settings)).collect();
    let news: Vec<&str> = news.iter().map(String::as_str).collect();
    let known = KnownModels::of(site, &news, *deadline).await?;
    // What is wrong for good goes before what may be right in a minute.
    if let Some(status) = forms.iter_mut().filter_map(|group| group.check(&programme.settings, &known)).min() {
        return Err(refused(site, access, forms, made_from, REFUSED, status));
    }
    let changes: Vec<GroupChange> = forms.iter().filter_map(|group| group.change(&programme.settings)).collect();
    if changes.is_empty() {
        return Ok(to_groups(programme));
    }
    let settings = with(&programme.settings, &changes);
    let has_other_models = changes.iter().any(|change| change.from.models != change.to.models);
    if let Some(why) = too_many(&settings).filter(|_| has_other_models) {
        return Err(refused(site, access, forms, made_from, why, StatusCode::UNPROCESSABLE_ENTITY));
    }
    if programme.closed_at.is_some() {
        return Err(AppError::conflict("The programme is closed."));
    }
    if version != programme.version {
        return Err(refused(site, access, forms, made_from, STALE, StatusCode::CONFLICT));
    }
    let edit = Edit::of_settings(settings, version, form::entry(Act::Edited, &changes));
    match site.table.edit(&programme.id, &edit, form.author()).await? {
        EditOutcome::Done => {
            jobs::in_a_request(site, &programme.id, *deadline).await;
            Ok(to_groups(programme))
        }
        EditOutcome::NoSuchProgramme => Err(AppError::not_found()),
        EditOutcome::PotTooSmall { pot, reserved } => {
            let why = format!(
                "With this {} would be held for keys that people have, and the budget is {}.",
                reserved.to_dollars_up(),
                pot.to_dollars_down()
            );
            forms.iter_mut().for_each(|group| group.refuse_cap(&programme.settings, &why));
            Err(refused(site, access, forms, made_from, FORBIDDEN, StatusCode::UNPROCESSABLE_ENTITY))
        }
        EditOutcome::Stale(now) => {
            let (programme, _) = *now;
            let mut forms = current(site, &programme).await?;
            let made_from = marks(&forms);
            forms.iter_mut().for_each(|group| group.take(fields));
            let access = ProgrammeAccess { programme, ..access.clone() };
            Err(refused(site, &access, forms, made_from, STALE, StatusCode::CONFLICT))
        }
        // A group's cap changes neither.
        EditOutcome::FixedByKeys | EditOutcome::KeysEndBefore(_) => {
            Err(AppError::conflict("The programme's keys do not allow it."))
        }
    }
}

/// The groups of the roster and of the settings, with their people and as they are.
async fn current(site: &Site, programme: &Programme) -> Result<Vec<GroupForm>, AppError> {
    let mut people: BTreeMap<String, usize> = BTreeMap::new();
    for grant in site.table.grants(&programme.id).await? {
        if let Some(group) = grant.group {
            *people.entry(group).or_default() += 1;
        }
    }
    let names: BTreeSet<String> = people.keys().chain(programme.settings.groups.keys()).cloned().collect();
    let settings = &programme.settings;
    Ok(names.into_iter().map(|name| GroupForm::of(settings, people.get(&name).copied().unwrap_or(0), name)).collect())
}

/// The settings with these groups changed. A group that differs in nothing has no settings.
fn with(settings: &Settings, changes: &[GroupChange]) -> Settings {
    let mut settings = settings.clone();
    for change in changes {
        settings.groups.insert(change.name.clone(), change.to.clone());
    }
    settings.groups.retain(|_, group| *group != bursar_core::domain::programme::Group::default());
    settings
}

/// The reason that these groups name too many models, which all lie in the programme's item.
fn too_many(settings: &Settings) -> Option<&'static str> {
    let bytes: usize = settings.groups.values().flat_map(|group| &group.models).map(String::len).sum();
    (bytes > MOST_BYTES || settings.all_rules().len() > MOST_LISTS).then_some(TOO_MANY)
}

fn marks(forms: &[GroupForm]) -> String {
    let marks: Vec<String> = forms.iter().map(GroupForm::fingerprint).collect();
    marks.join(" ")
}

fn refused(
    site: &Site,
    access: &ProgrammeAccess,
    groups: Vec<GroupForm>,
    made_from: String,
    why: &'static str,
    status: StatusCode,
) -> AppError {
    AppError::page(status, Ok(show(site, access, groups, made_from, Some(why))))
}

fn show(
    site: &Site,
    access: &ProgrammeAccess,
    groups: Vec<GroupForm>,
    made_from: String,
    refusal: Option<&'static str>,
) -> Response {
    let page = GroupsPage {
        frame: &site.frame,
        csrf: access.visitor.csrf.reveal(),
        programme: &access.programme,
        is_admin: access.is_admin(),
        may_edit: access.is_faculty() && access.programme.closed_at.is_none(),
        version: access.programme.version,
        made_from,
        refusal,
        groups,
    };
    site.page(&page)
}

fn to_groups(programme: &Programme) -> Response {
    Redirect::to(&paths::groups(&programme.id)).into_response()
}
