//! Creating a programme, which only admins may.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::NewProgramme;
use bursar_core::web::{Answer, AppError, Frame, Site, Visitor};

use super::{Audience, Draft, FormFields, Refusals, SettingTexts, not_listed};
use crate::access::{AdminAccess, Admins, Form};
use crate::paths;

#[derive(Template)]
#[template(path = "new.html")]
struct NewProgrammePage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    fields: FormFields,
    more_open: bool,
    /// The id of this form, which makes one programme.
    form: String,
}

pub(crate) async fn new(State(site): State<Site>, AdminAccess { visitor }: AdminAccess) -> Answer {
    Ok(page(&site, &visitor, &SettingTexts::of_new_programme(), &Refusals::new()))
}

pub(crate) async fn create(form: Form<Admins>) -> Answer {
    let Form { site, access: AdminAccess { visitor }, fields, .. } = &form;
    let typed = SettingTexts::of_new_programme().with(fields);
    let refused = |status, refusals| AppError::page(status, Ok(page(site, visitor, &typed, &refusals)));
    let draft = typed.read(None).map_err(|refusals| refused(StatusCode::UNPROCESSABLE_ENTITY, refusals))?;
    let Draft { settings, pot } = draft;
    if let Some((status, refusals)) = not_listed(site, None, &settings, form.deadline).await? {
        return Err(refused(status, refusals));
    }
    let sent = fields.filled("form").and_then(|id| id.parse().ok());
    let new = NewProgramme { settings, pot, form: sent, copied: None };
    let id = site.table.create(new, form.author()).await?;
    Ok(Redirect::to(&paths::programme(&id)).into_response())
}

fn page(site: &Site, visitor: &Visitor, texts: &SettingTexts, refusals: &Refusals) -> Response {
    let fields = FormFields::of(texts, Audience::Creator, refusals);
    let more_open = fields.optional.iter().any(|field| field.error.is_some());
    site.page(&NewProgrammePage {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        is_admin: true,
        fields,
        more_open,
        form: new_ulid(site.clock.now()).to_string(),
    })
}
