//! Creating a programme, which only admins may: from a blank form, or from one that another
//! programme fills for the next term.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{CopiedProgramme, NewProgramme};
use bursar_core::web::{Answer, AppError, Flash, Reply, Result, Site, Visitor};
use ulid::Ulid;

use super::doubts::with_doubts;
use super::next_term::{fill, keep_roster};
use super::{FieldGroup, SettingsDraft, groups, read, refuse_impossible};
use crate::kit::access::{AdminAccess, Admins, PageFrame, Post};
use crate::kit::form::{Field, Form, ShownField};
use crate::kit::paths;
use crate::work::jobs;

#[derive(Template)]
#[template(path = "new.html")]
struct NewProgrammePage<'a> {
    frame: PageFrame<'a>,
    form: &'a Form<SettingsDraft>,
    first: Vec<ShownField<'a>>,
    optional: Vec<FieldGroup<'a>>,
    more_open: bool,
    /// The programme that filled the form.
    from: Option<&'a Programme>,
    with_roster: bool,
    /// The id of this form, which makes one programme.
    id: Ulid,
}

/// The form as it is shown or was posted, and the programme that filled it.
struct Blank {
    form: Form<SettingsDraft>,
    from: Option<Programme>,
    with_roster: bool,
}

pub(crate) async fn new(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let blank = Blank::read(&site, query.get("from").map(String::as_str)).await?;
    Ok(blank.page(&site, &visitor))
}

/// Makes the programme that an admin asked for, once for each form.
pub(crate) async fn create(post: Post<Admins>) -> Answer {
    let Post {
        site,
        access: AdminAccess { visitor },
        fields,
        now,
        deadline,
        ..
    } = &post;
    let mut blank = Blank::read(site, fields.get("from")).await?;
    blank.form = blank.form.typed(fields);
    blank.with_roster = fields.get("with_roster") == Some("on");
    let Some(draft) = read(&mut blank.form) else {
        return Err(AppError::page(
            StatusCode::UNPROCESSABLE_ENTITY,
            Ok(blank.page(site, visitor)),
        ));
    };
    if let Some(status) =
        refuse_impossible(site, &mut blank.form, &draft.settings, *deadline).await?
    {
        return Err(AppError::page(status, Ok(blank.page(site, visitor))));
    }
    let tiers = site.table.tiers().await?;
    if let Some(tier) = draft
        .settings
        .rules
        .tiers()
        .find(|tier| tiers.models(tier).is_none())
    {
        let why = format!(
            "A group has the model list {tier}, which was removed. Make it again on the page of model lists, or give the group other models."
        );
        return Err(AppError::conflict(why));
    }
    let mut copied = None;
    let mut has_people = false;
    if let Some(from) = &blank.from {
        let mut roster = None;
        if blank.with_roster && draft.settings.roster {
            roster = keep_roster(site, from, *now, *deadline).await?;
        }
        has_people = roster.is_some();
        copied = Some(CopiedProgramme {
            from: from.id.clone(),
            roster,
        });
    }
    let notice = if has_people {
        Flash::RosterTakenAlong
    } else {
        Flash::ProgrammeMade {
            has_roster: draft.settings.roster,
        }
    };
    let notice = with_doubts(site, notice, None, &draft).await?;
    let SettingsDraft { settings, budget } = draft;
    let form = fields.filled("form").and_then(|id| id.parse().ok());
    let id = site
        .table
        .create(
            NewProgramme {
                settings,
                budget,
                form,
                copied,
            },
            post.author(),
        )
        .await?;
    if has_people {
        jobs::run_in_request(site, &id, *deadline).await;
    }
    Ok(site.done(&paths::programme(&id), &notice))
}

impl Blank {
    /// The form, filled from the programme of this id, if one is named.
    async fn read(site: &Site, from: Option<&str>) -> Result<Blank> {
        let Some(from) = from.filter(|from| !from.is_empty()) else {
            let programmes = site.table.list(Programme::all()).await?;
            let newest = programmes
                .iter()
                .max_by_key(|programme| programme.settings.term.starts_on());
            let mut form = Form::blank();
            form.set(
                "timezone",
                newest
                    .map_or("UTC", |programme| programme.settings.term.timezone())
                    .to_owned(),
            );
            return Ok(Blank {
                form,
                from: None,
                with_roster: false,
            });
        };
        let id = from.parse().map_err(|_| AppError::not_found())?;
        let programme = site
            .table
            .get(Programme::key_of(&id))
            .await?
            .ok_or_else(AppError::not_found)?;
        let form = fill(&programme, site.table.budget(&id).await?.limit);
        Ok(Blank {
            form,
            from: Some(programme),
            with_roster: false,
        })
    }

    fn page(&self, site: &Site, visitor: &Visitor) -> Reply {
        let optional = groups(&self.form, |field| !is_first(field));
        let has_error = optional
            .iter()
            .flat_map(|group| &group.fields)
            .any(|field| field.error.is_some());
        site.page(&NewProgrammePage {
            frame: PageFrame::new(site, visitor),
            form: &self.form,
            first: self.form.shown(is_first),
            more_open: has_error || self.from.is_some(),
            optional,
            from: self.from.as_ref(),
            with_roster: self.with_roster,
            id: new_ulid(site.clock.now()),
        })
    }
}

/// Whether a field is not among those that may be left as they are: it has no default, or one that
/// few want.
fn is_first(field: &Field<SettingsDraft>) -> bool {
    field.is_required || field.id == "faculty"
}
