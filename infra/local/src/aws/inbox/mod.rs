//! The inbox origin: accepted mails as pages and as JSON, who may sign in, and routes that make SES
//! report on a mail or fail. Mails are kept by `ses`; other routes of this origin are merged in by
//! the stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_core::clock::Moment;
use bursar_core::domain::grant::GrantState;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{StoreError, Table};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use mail_parser::{Message, MessageParser};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aws::invoke::Invoke;
use crate::aws::ses::{Fault, Mail, Ses};
use crate::aws::wiring::HEARS_MAIL_EVENTS;

mod contents;

pub use contents::Contents;

const LISTED: usize = 200;
/// Of a programme's students so many are looked at, and so many named that have come equally far.
const READ: usize = 100;
const NAMED: usize = 3;

/// The policy of a mail's frame: its own styles, but no scripts, forms or requests. Its links
/// open outside the frame.
const FRAME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// Those of a programme who may sign in, which a newcomer must know first.
struct Programme {
    name: String,
    people: Vec<KnownLogins>,
}

/// People of one role.
struct KnownLogins {
    role: &'static str,
    addresses: Vec<EmailAddress>,
    are_all: bool,
}

#[derive(Clone)]
struct Inbox {
    ses: Ses,
    invoke: Arc<dyn Invoke>,
    table: Table,
    web: String,
}

#[derive(Deserialize)]
struct Filter {
    /// A part of the recipient's address.
    #[serde(default)]
    to: String,
}

/// A mail in the answer of `GET /mails`, and on the pages.
#[derive(Serialize)]
struct ReadMail {
    id: String,
    at: jiff::Timestamp,
    from: String,
    to: Vec<String>,
    #[serde(flatten)]
    contents: Contents,
}

#[derive(Template)]
#[template(path = "inbox/list.html")]
struct ListPage {
    web: String,
    programmes: Vec<Programme>,
    recipient: String,
    relay: Option<String>,
    in_all: usize,
    /// Newest first.
    mails: Vec<ReadMail>,
}

#[derive(Template)]
#[template(path = "inbox/mail.html")]
struct MailPage {
    mail: ReadMail,
}

/// The outcome that SES reports.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    Delivery,
    Bounce,
    Complaint,
}

#[derive(Deserialize)]
struct EventRequest {
    mail: String,
    #[serde(rename = "type")]
    event: Event,
    permanent: Option<bool>,
}

#[derive(Deserialize)]
struct FaultRequest {
    kind: Fault,
    times: u32,
    to: Option<String>,
}

pub fn router(ses: Ses, invoke: Arc<dyn Invoke>, table: Table, web: String) -> Router {
    let css = || async {
        (
            [(CONTENT_TYPE, "text/css")],
            include_str!("../../../templates/inbox/inbox.css"),
        )
    };
    let js = || async {
        (
            [(CONTENT_TYPE, "text/javascript")],
            include_str!("../../../templates/inbox/inbox.js"),
        )
    };
    Router::new()
        .route("/", get(list))
        .route("/inbox.css", get(css))
        .route("/inbox.js", get(js))
        .route("/read/{id}", get(read))
        .route("/read/{id}/html", get(frame))
        .route("/mails", get(mails))
        .route("/mails/{id}", get(source))
        .route("/mails/faults", post(faults))
        .route("/events", post(events))
        .with_state(Inbox {
            ses,
            invoke,
            table,
            web,
        })
}

async fn list(
    State(inbox): State<Inbox>,
    Query(Filter { to: recipient }): Query<Filter>,
) -> Response {
    let recipient = recipient.trim().to_lowercase();
    let mut mails = inbox.ses.mails();
    mails.retain(|mail| mail.to.join(" ").to_lowercase().contains(&recipient));
    let programmes = match who_may_sign_in(&inbox.table, inbox.ses.now()).await {
        Ok(programmes) => programmes,
        Err(error) => return no_page(&error),
    };
    page(&ListPage {
        web: inbox.web,
        programmes,
        recipient,
        relay: inbox.ses.relay(),
        in_all: mails.len(),
        mails: mails
            .into_iter()
            .rev()
            .take(LISTED)
            .map(ReadMail::parse)
            .collect(),
    })
}

/// The admins, and of each programme those who run it and its students by how far they have come.
async fn who_may_sign_in(table: &Table, now: Moment) -> Result<Vec<Programme>, StoreError> {
    let admins = "admins, who make programmes and see them all";
    let admins = KnownLogins::read(table, now, admins, table.admins().await?).await?;
    let mut programmes = vec![Programme {
        name: "Everywhere".to_owned(),
        people: vec![admins],
    }];
    for programme in table.readable_programmes().await?.0 {
        let mut students = BTreeMap::<_, Vec<_>>::new();
        for grant in table
            .readable_grants(&programme.id)
            .await?
            .into_iter()
            .take(READ)
        {
            let come_so_far = match grant.state {
                GrantState::Invited => "students who have not claimed a key yet",
                GrantState::Live { .. } => "students with a key",
                GrantState::Stopped { .. } | GrantState::Revoked | GrantState::Ended => {
                    "students without a key now"
                }
            };
            students
                .entry(come_so_far)
                .or_default()
                .push(grant.person.address);
        }
        let Settings {
            name,
            people: staff,
            ..
        } = programme.settings;
        let staff = [
            ("faculty", staff.faculty),
            (
                "assistants, who see it and may pause keys",
                staff.assistants,
            ),
        ];
        let mut people = Vec::new();
        for (role, those) in staff.into_iter().chain(students) {
            people.push(KnownLogins::read(table, now, role, those).await?);
        }
        people.retain(|those| !those.addresses.is_empty());
        programmes.push(Programme { name, people });
    }
    Ok(programmes)
}

/// The page of the mails to this address.
fn mails_to(address: &str) -> String {
    format!(
        "/?to={}#mails",
        utf8_percent_encode(address, NON_ALPHANUMERIC)
    )
}

async fn read(State(inbox): State<Inbox>, Path(id): Path<String>) -> Response {
    match inbox.ses.mail(&id) {
        Some(mail) => page(&MailPage {
            mail: ReadMail::parse(mail),
        }),
        None => no_such_mail(),
    }
}

async fn frame(State(inbox): State<Inbox>, Path(id): Path<String>) -> Response {
    let html = inbox
        .ses
        .mail(&id)
        .and_then(|mail| Contents::parse(&mail.raw).html);
    let Some(html) = html else {
        return no_such_mail();
    };
    // Without this target a link would open inside the frame, where no page allows itself to be
    // shown.
    let html = format!("<!doctype html><base target=\"_blank\">{html}");
    ([(CONTENT_SECURITY_POLICY, FRAME_POLICY)], Html(html)).into_response()
}

async fn mails(State(inbox): State<Inbox>) -> Json<Vec<ReadMail>> {
    Json(inbox.ses.mails().into_iter().map(ReadMail::parse).collect())
}

async fn source(State(inbox): State<Inbox>, Path(id): Path<String>) -> Response {
    match inbox.ses.mail(&id) {
        Some(mail) => ([(CONTENT_TYPE, "message/rfc822")], mail.raw).into_response(),
        None => no_such_mail(),
    }
}

async fn events(State(inbox): State<Inbox>, body: Bytes) -> Result<Response, JsonRejection> {
    let Json(request) = Json::<EventRequest>::from_bytes(&body)?;
    let Some(mail) = inbox.ses.mail(&request.mail) else {
        return Ok(no_such_mail());
    };
    let is_permanent = request.permanent.unwrap_or(true);
    match request.event {
        Event::Bounce if is_permanent => inbox.ses.count_bounce(),
        Event::Complaint => inbox.ses.count_complaint(),
        Event::Bounce | Event::Delivery => {}
    }
    let event = notification(&mail, request.event, is_permanent);
    Ok(match inbox.invoke.invoke(HEARS_MAIL_EVENTS, event).await {
        Ok(_) => Json(json!({})).into_response(),
        Err(error) => (
            StatusCode::BAD_GATEWAY,
            format!("The event was not handled: {error:#}.\n"),
        )
            .into_response(),
    })
}

async fn faults(State(inbox): State<Inbox>, body: Bytes) -> Result<Json<Value>, JsonRejection> {
    let Json(request) = Json::<FaultRequest>::from_bytes(&body)?;
    match request.times {
        0 => inbox.ses.lift_faults(request.to.as_deref()),
        times => inbox
            .ses
            .fail_next(request.kind, times, request.to.as_deref()),
    }
    Ok(Json(json!({})))
}

/// What Lambda receives: an event of a configuration set as text in an SNS notification, with what
/// Bursar reads of it. `permanent` matters for bounces only.
pub(crate) fn notification(mail: &Mail, event: Event, permanent: bool) -> Value {
    let recipients: Vec<Value> = mail
        .to
        .iter()
        .map(|address| json!({"emailAddress": address}))
        .collect();
    let (name, key, details) = match event {
        Event::Delivery => ("Delivery", "delivery", json!({"recipients": mail.to})),
        Event::Bounce => {
            let kind = if permanent { "Permanent" } else { "Transient" };
            (
                "Bounce",
                "bounce",
                json!({"bounceType": kind, "bouncedRecipients": recipients}),
            )
        }
        Event::Complaint => (
            "Complaint",
            "complaint",
            json!({"complainedRecipients": recipients}),
        ),
    };
    let parsed = MessageParser::default().parse_headers(&mail.raw);
    let headers = parsed.iter().flat_map(Message::headers_raw);
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!({"name": name, "value": value.trim()}))
        .collect();
    let message = json!({
        "eventType": name,
        "mail": {"messageId": mail.id, "destination": mail.to, "headers": headers},
        key: details,
    });
    json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": message.to_string()}}]})
}

fn page(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => no_page(&error),
    }
}

fn no_page(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a page of the inbox could not be written");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "The page could not be written; the log says why.\n",
    )
        .into_response()
}

fn no_such_mail() -> Response {
    (StatusCode::NOT_FOUND, "There is no such mail here.\n").into_response()
}

impl KnownLogins {
    /// Of these people the first whom a mail reaches.
    async fn read(
        table: &Table,
        now: Moment,
        role: &'static str,
        mut people: Vec<EmailAddress>,
    ) -> Result<KnownLogins, StoreError> {
        people.sort_unstable_by(|first, second| first.as_written().cmp(second.as_written()));
        let mut people = people.into_iter();
        let mut addresses = Vec::new();
        while addresses.len() < NAMED
            && let Some(person) = people.next()
        {
            if table.undeliverable(person.matched(), now).await?.is_none() {
                addresses.push(person);
            }
        }
        Ok(KnownLogins {
            role,
            addresses,
            are_all: people.next().is_none(),
        })
    }
}

impl ReadMail {
    fn parse(mail: Mail) -> ReadMail {
        let contents = Contents::parse(&mail.raw);
        let Mail {
            id,
            at: accepted_at,
            from,
            to: recipients,
            ..
        } = mail;
        ReadMail {
            id,
            at: *accepted_at,
            from,
            to: recipients,
            contents,
        }
    }

    /// The time of acceptance, as the pages show it.
    fn when(&self) -> String {
        self.at.strftime("%-d %b %Y, %H:%M UTC").to_string()
    }
}
