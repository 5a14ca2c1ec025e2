//! The inbox as pages: the list of mails, and one mail as HTML, text or source. It works without scripts;
//! the only script keeps the list fresh.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{Contents, Inbox, InboxGuide, no_such_mail};
use crate::aws::ses::Mail;

mod text;

use text::Piece;

const A_PAGE: usize = 100;
/// The length of source that a page shows; the whole source can be downloaded.
const SHOWN_SOURCE: usize = 200_000;

/// The policy of a mail's frame: its own styles and pictures, but no scripts, forms or requests. Its links
/// open outside the frame.
const FRAME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

#[derive(Template)]
#[template(path = "inbox/list.html")]
struct ListPage {
    list: List,
    who: Arc<InboxGuide>,
}

#[derive(Template)]
#[template(path = "inbox/mail.html")]
struct MailPage {
    list: List,
    mail: Reading,
}

struct List {
    rows: Vec<Row>,
    total: usize,
    newer: Option<usize>,
    older: Option<usize>,
    relay: Option<String>,
}

struct Row {
    id: String,
    to: String,
    subject: String,
    kind: Option<String>,
    beginning: String,
    when: ShownTime,
    open: bool,
}

/// A time in full for machines, and shortened for today's reader.
struct ShownTime {
    machine: String,
    full: String,
    short: String,
}

struct Reading {
    id: String,
    subject: String,
    from: String,
    to: String,
    kind: Option<String>,
    when: ShownTime,
    has_html: bool,
    has_text: bool,
    view: View,
    attachments: Vec<Listed>,
}

enum View {
    Html,
    Text(Vec<Piece>),
    Source { text: String, cut: bool },
    Empty,
}

struct Listed {
    number: usize,
    name: String,
    size: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum MailView {
    Html,
    Text,
    Source,
}

#[derive(Deserialize)]
struct InboxQuery {
    #[serde(rename = "as")]
    view: Option<MailView>,
    page: Option<usize>,
}

pub(super) fn router() -> Router<Inbox> {
    Router::new()
        .route("/", get(list))
        .route("/read/{id}", get(mail))
        .route("/read/{id}/html", get(html))
        .route("/read/{id}/attachments/{number}", get(attachment))
        .route(
            "/inbox.css",
            get(|| file("text/css; charset=utf-8", include_str!("../../../templates/inbox/inbox.css"))),
        )
        .route(
            "/inbox.js",
            get(|| file("text/javascript; charset=utf-8", include_str!("../../../templates/inbox/inbox.js"))),
        )
}

async fn list(State(inbox): State<Inbox>, Query(asked): Query<InboxQuery>) -> Response {
    page(&ListPage { list: List::of(&inbox, asked.page, None), who: inbox.who.clone() })
}

async fn mail(State(inbox): State<Inbox>, Path(id): Path<String>, Query(asked): Query<InboxQuery>) -> Response {
    let Some(mail) = inbox.ses.mail(&id) else {
        return no_such_mail();
    };
    let list = List::of(&inbox, asked.page, Some(&id));
    page(&MailPage { list, mail: Reading::of(&mail, asked.view, inbox.ses.now()) })
}

async fn html(State(inbox): State<Inbox>, Path(id): Path<String>) -> Response {
    let html = inbox.ses.mail(&id).and_then(|mail| Contents::of(&mail.raw).html_with_pictures());
    let Some(html) = html else { return no_such_mail() };
    // Without this target a link would open inside the frame, where no page allows itself to be shown.
    let html = format!("<!doctype html><base target=\"_blank\">{html}");
    ([(CONTENT_SECURITY_POLICY, FRAME_POLICY)], Html(html)).into_response()
}

async fn attachment(State(inbox): State<Inbox>, Path((id, number)): Path<(String, usize)>) -> Response {
    let attachments = inbox.ses.mail(&id).map(|mail| Contents::of(&mail.raw).attachments);
    let Some(found) = attachments.and_then(|all| all.into_iter().nth(number)) else {
        return no_such_mail();
    };
    let name: String =
        found.name.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || "-_. ".contains(*c)).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    (
        [(CONTENT_DISPOSITION, disposition), (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))],
        found.bytes,
    )
        .into_response()
}

async fn file(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], text)
}

fn page(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the inbox could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl List {
    /// The mails of one page, newest first; the first page is 1.
    fn of(inbox: &Inbox, page: Option<usize>, open: Option<&str>) -> List {
        let (mails, now) = (inbox.ses.mails(), inbox.ses.now());
        let page = page.unwrap_or(1).max(1);
        let rows = mails.iter().rev().skip((page - 1).saturating_mul(A_PAGE)).take(A_PAGE);
        let rows: Vec<Row> = rows.map(|mail| Row::of(mail, open, now)).collect();
        List {
            rows,
            total: mails.len(),
            newer: (page > 1).then(|| page - 1),
            older: (page.saturating_mul(A_PAGE) < mails.len()).then(|| page + 1),
            relay: inbox.ses.relay(),
        }
    }
}

impl Row {
    fn of(mail: &Mail, open: Option<&str>, now: Timestamp) -> Row {
        let contents = Contents::of(&mail.raw);
        let words = contents.text.as_deref().unwrap_or_default().split_whitespace().take(30);
        Row {
            id: mail.id.clone(),
            to: mail.to.join(", "),
            beginning: words.collect::<Vec<_>>().join(" "),
            subject: titled(&contents),
            kind: contents.kind,
            when: ShownTime::of(mail.at, now),
            open: open == Some(mail.id.as_str()),
        }
    }
}

impl Reading {
    fn of(mail: &Mail, asked: Option<MailView>, now: Timestamp) -> Reading {
        let contents = Contents::of(&mail.raw);
        let view = match (asked, &contents.html, &contents.text) {
            (Some(MailView::Source), _, _) => source(&mail.raw),
            (Some(MailView::Text), _, Some(text)) | (None | Some(MailView::Html), None, Some(text)) => {
                View::Text(text::pieces(text))
            }
            (_, Some(_), _) => View::Html,
            (_, None, None) => View::Empty,
        };
        let attachments = contents.attachments.iter().enumerate().map(|(number, part)| Listed {
            number,
            name: part.name.clone().unwrap_or_else(|| part.media_type.clone()),
            size: size(part.bytes.len()),
        });
        Reading {
            id: mail.id.clone(),
            subject: titled(&contents),
            from: contents.headers.get("From").unwrap_or(&mail.from).clone(),
            to: mail.to.join(", "),
            when: ShownTime::of(mail.at, now),
            has_html: contents.html.is_some(),
            has_text: contents.text.is_some(),
            view,
            attachments: attachments.collect(),
            kind: contents.kind,
        }
    }

    fn shows_html(&self) -> bool {
        matches!(self.view, View::Html)
    }

    fn shows_text(&self) -> bool {
        matches!(self.view, View::Text(_))
    }

    fn shows_source(&self) -> bool {
        matches!(self.view, View::Source { .. })
    }
}

impl ShownTime {
    fn of(time: Timestamp, now: Timestamp) -> ShownTime {
        let (utc, today) = (time.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
        let short = match (utc.date() == today.date(), utc.year() == today.year()) {
            (true, _) => "%H:%M",
            (false, true) => "%-d %b",
            (false, false) => "%-d %b %Y",
        };
        ShownTime {
            machine: time.to_string(),
            full: utc.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            short: utc.strftime(short).to_string(),
        }
    }
}

fn titled(contents: &Contents) -> String {
    if contents.subject.is_empty() { "(no subject)".to_owned() } else { contents.subject.clone() }
}

fn source(raw: &[u8]) -> View {
    let shown = raw.get(..SHOWN_SOURCE).unwrap_or(raw);
    View::Source { text: String::from_utf8_lossy(shown).replace("\r\n", "\n"), cut: shown.len() < raw.len() }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => format!("{} MB", bytes.div_ceil(1_000_000)),
    }
}
