//! Making a programme: admins only.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::store::By;
use bursar_core::web::{Answer, Frame, Posted, Site, Until, Visitor};

use crate::access;
use crate::settings_form::{self, Asked, Field, For};

#[derive(Template)]
#[template(path = "new.html")]
struct New<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    fields: Vec<Field>,
    more: Vec<Field>,
    more_open: bool,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor) -> Answer {
    if !access::is_let_in_as_admin(&site, &visitor) {
        return Ok(site.not_found());
    }
    Ok(form(&site, &visitor, &Asked::new_programme(), StatusCode::OK))
}

pub(crate) async fn post(
    State(site): State<Site>,
    Until(deadline): Until,
    Posted { visitor, fields }: Posted,
) -> Answer {
    if !access::is_let_in_as_admin(&site, &visitor) {
        return Ok(site.not_found());
    }
    let asked = Asked::new_programme().with(&fields);
    let Ok((settings, pot)) = asked.read(None) else {
        return Ok(form(&site, &visitor, &asked, StatusCode::UNPROCESSABLE_ENTITY));
    };
    let actor = access::actor(&site, &visitor, deadline).await?;
    let by = By { actor: &actor, now: site.clock.now(), deadline };
    let id = site.table.create_programme(settings, pot, by).await?;
    Ok(Redirect::to(&format!("/console/programmes/{id}")).into_response())
}

fn form(site: &Site, visitor: &Visitor, asked: &Asked, status: StatusCode) -> axum::response::Response {
    let (fields, more) = settings_form::fields(asked, For::New, status != StatusCode::OK);
    let more_open = more.iter().any(|field| field.error.is_some());
    Frame::page(
        status,
        &New { frame: &site.frame, csrf: visitor.csrf.reveal(), is_admin: true, fields, more, more_open },
    )
}
