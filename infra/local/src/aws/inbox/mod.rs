//! The inbox origin: accepted mails as pages and as JSON, and routes that make SES report on a mail or
//! fail. Mails are kept by `ses`; other routes of this origin are merged in by the stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aws::ses::{Fault, Mail, Ses};

mod contents;
mod event;
mod page;

pub use contents::{Attachment, Contents};
pub use event::Event;

/// The receiver of events: it gets what Lambda would pass to `mail`, and returns when that is handled.
pub type Emit = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A handle to the inbox. Clones share its mails.
#[derive(Clone)]
pub struct Inbox {
    ses: Ses,
    emit: Emit,
    who: Arc<InboxGuide>,
}

/// The addresses that may sign in, and where: what a newcomer must know first.
#[derive(Clone, Debug, Default)]
pub struct InboxGuide {
    /// The URL of the pages.
    pub web: String,
    pub people: Vec<KnownLogin>,
}

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLogin {
    pub address: String,
    /// Their role, in some words.
    pub as_whom: String,
}

/// A mail in the answer of `GET /mails`.
#[derive(Serialize)]
struct MailSummary {
    id: String,
    at: Timestamp,
    from: String,
    to: Vec<String>,
    subject: String,
    kind: Option<String>,
    headers: BTreeMap<String, String>,
    text: Option<String>,
    html: Option<String>,
}

#[derive(Deserialize)]
struct EventAsked {
    mail: String,
    #[serde(rename = "type")]
    event: Event,
    permanent: Option<bool>,
}

#[derive(Deserialize)]
struct FaultAsked {
    kind: Fault,
    times: u32,
    to: Option<String>,
}

impl Inbox {
    pub fn new(ses: Ses, emit: Emit, who: InboxGuide) -> Inbox {
        Inbox { ses, emit, who: Arc::new(who) }
    }

    /// The routes of the inbox.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/mails", get(mails))
            .route("/mails/{id}", get(source))
            .route("/mails/faults", post(faults))
            .route("/events", post(events))
            .merge(page::router())
            .with_state(self.clone())
    }
}

async fn mails(State(inbox): State<Inbox>) -> Json<Vec<MailSummary>> {
    Json(inbox.ses.mails().into_iter().map(MailSummary::of).collect())
}

async fn source(State(inbox): State<Inbox>, Path(id): Path<String>) -> Response {
    match inbox.ses.mail(&id) {
        Some(mail) => ([(CONTENT_TYPE, "message/rfc822")], mail.raw).into_response(),
        None => no_such_mail(),
    }
}

async fn events(State(inbox): State<Inbox>, body: Bytes) -> Response {
    let asked: EventAsked = match understood(&body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(mail) = inbox.ses.mail(&asked.mail) else {
        return no_such_mail();
    };
    let is_permanent = asked.permanent.unwrap_or(true);
    if asked.event == Event::Complaint || (asked.event == Event::Bounce && is_permanent) {
        inbox.ses.suppress(&mail);
    }
    let event = event::notification(&mail, asked.event, is_permanent, inbox.ses.now());
    match (inbox.emit)(event).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(error) => {
            let sentence = format!("The event could not be handed over: {error:#}.\n");
            (StatusCode::BAD_GATEWAY, sentence).into_response()
        }
    }
}

async fn faults(State(inbox): State<Inbox>, body: Bytes) -> Response {
    let asked: FaultAsked = match understood(&body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    match asked.times {
        0 => inbox.ses.lift_faults(asked.to.as_deref()),
        times => inbox.ses.fail_next(asked.kind, times, asked.to.as_deref()),
    }
    Json(json!({})).into_response()
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    let malformed = |error| format!("The body is not the JSON that is wanted here: {error}.\n");
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, malformed(error)))
}

fn no_such_mail() -> Response {
    (StatusCode::NOT_FOUND, "There is no such mail here.\n").into_response()
}

impl MailSummary {
    fn of(mail: Mail) -> MailSummary {
        let Contents { subject, kind, headers, text, html, .. } = Contents::of(&mail.raw);
        let Mail { id, at, from, to, .. } = mail;
        MailSummary { id, at, from, to, subject, kind, headers, text, html }
    }
}
