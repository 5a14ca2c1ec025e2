//! Creating a programme, which only admins may: anew, or as the copy of another one.

use askama::Template;
use axum::http::StatusCode;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{CopiedProgramme, NewProgramme};
use bursar_core::web::{Answer, AppError, Flash, Reply, Site, Visitor};
use ulid::Ulid;

use super::doubts::with_doubts;
use super::{FieldGroup, SettingsDraft, groups, read, refuse_impossible};
use crate::kit::access::{AdminAccess, Admins, Admission, PageFrame, Post};
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
    /// The id of this form, which makes one programme.
    id: Ulid,
}

pub(crate) async fn new(site: Site, AdminAccess { visitor }: AdminAccess) -> Answer {
    let programmes = site.table.list(Programme::all()).await?;
    let newest = programmes.iter().max_by_key(|programme| programme.settings.term.starts_on());
    let mut form = Form::blank();
    form.set("timezone", newest.map_or("UTC", |programme| programme.settings.term.timezone()).to_owned());
    Ok(page(&site, &visitor, &form))
}

pub(crate) async fn create(post: Post<Admins>) -> Answer {
    let Post { site, access: AdminAccess { visitor }, fields, .. } = &post;
    let mut form = Form::blank().typed(fields);
    let Some(draft) = read(&mut form) else {
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, Ok(page(site, visitor, &form))));
    };
    if let Some(status) = refuse_impossible(site, &mut form, &draft.settings, post.deadline).await? {
        return Err(AppError::page(status, Ok(page(site, visitor, &form))));
    }
    make(&post, draft, None).await
}

/// Makes the programme that an admin asked for, once for each form.
pub(crate) async fn make<A: Admission>(
    post: &Post<A>,
    draft: SettingsDraft,
    copied: Option<CopiedProgramme>,
) -> Answer {
    let form = post.fields.filled("form").and_then(|id| id.parse().ok());
    let notice = match &copied {
        Some(copied) => Flash::CopyMade { with_roster: copied.roster.is_some() },
        None => Flash::ProgrammeMade { has_roster: draft.settings.roster },
    };
    let notice = with_doubts(&post.site, notice, None, &draft).await?;
    let SettingsDraft { settings, budget } = draft;
    let is_copy = copied.is_some();
    let new = NewProgramme { settings, budget, form, copied };
    let id = post.site.table.create(new, post.author()).await?;
    if is_copy {
        jobs::in_a_request(&post.site, &id, post.deadline).await;
    }
    Ok(post.site.done(&paths::programme(&id), &notice))
}

fn page(site: &Site, visitor: &Visitor, form: &Form<SettingsDraft>) -> Reply {
    let optional = groups(form, |field| !is_first(field));
    site.page(&NewProgrammePage {
        frame: PageFrame::new(site, visitor),
        form,
        first: form.shown(is_first),
        more_open: optional.iter().flat_map(|group| &group.fields).any(|field| field.error.is_some()),
        optional,
        id: new_ulid(site.clock.now()),
    })
}

/// Whether a field is not among those that may be left as they are: it has no default, or one that few want.
fn is_first(field: &Field<SettingsDraft>) -> bool {
    field.is_required || field.id == "faculty"
}
