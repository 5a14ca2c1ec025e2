//! A student's own page: their grants and what is left of each; and everything that is stored about them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bursar_core::domain::audit::{Actor, Entry};
use bursar_core::domain::grant::View;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::web::{Answer, Fault, Frame, Site, Visitor};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::card::Card;
use crate::example::Example;

#[derive(Template)]
#[template(path = "my.html")]
struct MyPage<'a> {
    frame: &'a Frame,
    visitor: &'a Visitor,
    alert: Option<&'a str>,
    cards: Vec<Card<'a>>,
    /// How to use each key that there is to use.
    examples: Vec<Example<'a>>,
}

pub(crate) async fn page(State(site): State<Site>, visitor: Visitor) -> Answer {
    let now = site.clock.now();
    show(&site, &visitor, now, StatusCode::OK, None).await
}

/// The same page, with what is the matter above it.
pub(crate) async fn with_alert(
    site: &Site,
    visitor: &Visitor,
    now: Timestamp,
    status: StatusCode,
    alert: &str,
) -> Answer {
    show(site, visitor, now, status, Some(alert)).await
}

/// Everything stored about this person. Who of the staff did something is theirs to keep.
pub(crate) async fn data(State(site): State<Site>, visitor: Visitor) -> Answer {
    let (now, session) = (site.clock.now(), &visitor.session);
    let mut grants = Vec::new();
    for view in grants_of(&site, &visitor).await? {
        let history = site.table.entries_of(&view.programme.id, &view.grant.id).await?;
        grants.push(json!({
            "programme_name": view.programme.settings.name,
            "grant": view.grant,
            "readings": view.readings,
            "history": history.iter().map(told).collect::<Vec<Value>>(),
        }));
    }
    let sign_in = site.table.sign_in_of(&session.address).await?;
    let live_links = sign_in.links.iter().filter(|link| now < link.ends_at).map(|link| link.ends_at.to_string());
    let mails = sign_in.mailed.iter().map(|mailed| mailed.at.to_string());
    let undeliverable = site.table.undeliverable(&session.address).await?;
    let person = match &session.person {
        Some(person) => site.table.person(person).await?.map(|person| person.address),
        None => None,
    };
    let stored = json!({
        "address": session.address,
        "address_of_staff": person,
        "session_ends_at": session.ends_at.to_string(),
        "links_good_until": live_links.collect::<Vec<String>>(),
        "link_mails_of_the_last_hour": mails.collect::<Vec<String>>(),
        "mail_comes_back_since": undeliverable.map(|mark| mark.at.to_string()),
        "grants": grants,
    });
    Ok(([(CONTENT_TYPE, "application/json")], stored.to_string()).into_response())
}

/// This person's grant in a programme, as it stands.
pub(crate) async fn grant_in(site: &Site, visitor: &Visitor, programme: &str) -> Result<Option<View>, Fault> {
    let Ok(programme) = programme.parse::<ProgrammeId>() else { return Ok(None) };
    let enrolments = site.table.enrolments(&visitor.session.address).await?;
    let Some(enrolment) = enrolments.into_iter().find(|enrolment| enrolment.programme == programme) else {
        return Ok(None);
    };
    Ok(site.table.view(&enrolment.programme, &enrolment.grant).await?)
}

async fn grants_of(site: &Site, visitor: &Visitor) -> Result<Vec<View>, Fault> {
    let mut views = Vec::new();
    for enrolment in site.table.enrolments(&visitor.session.address).await? {
        views.extend(site.table.view(&enrolment.programme, &enrolment.grant).await?);
    }
    Ok(views)
}

async fn show(
    site: &Site,
    visitor: &Visitor,
    now: Timestamp,
    status: StatusCode,
    alert: Option<&str>,
) -> Result<Response, Fault> {
    let views = grants_of(site, visitor).await?;
    let is_in_use =
        |view: &&View| view.grant.live().is_some() && view.grant.holds.is_empty() && !view.programme.is_over(now);
    let page = MyPage {
        frame: &site.frame,
        visitor,
        alert,
        cards: views.iter().map(|view| Card::of(view, now)).collect(),
        examples: views.iter().filter(is_in_use).map(|view| Example::of(site, view)).collect(),
    };
    Ok(Frame::page(status, &page))
}

fn told(entry: &Entry) -> Value {
    let by = match entry.by {
        Actor::Student => "you",
        Actor::Person(_) => "staff",
        Actor::Sync | Actor::Rule => "bursar",
    };
    json!({"at": entry.at.to_string(), "by": by, "what": entry.what})
}
