//! The state of every page's handler: the table, the provider, the clock, and the frame of pages. Each of the
//! two functions has one, made without input or output.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use jiff::SignedDuration;
use lambda_http::RequestExt;
use lambda_runtime::Context;

use super::cookies::Cookies;
use super::page::{Frame, Message};
use super::refused::{Denial, note_refusal};
use crate::clock::Clock;
use crate::config::{Config, Origin};
use crate::deadline::{Deadline, Waits};
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::domain::values::address::EmailAddress;
use crate::orders::Orders;
use crate::provider::Provider;
use crate::store::{StoreError, Table};

/// The time left of an event below which no alarm is raised in it, since the answer still has to leave.
const ENOUGH_TO_TELL: Duration = Duration::from_secs(10);

/// A deployment, as its pages see it. Clones share everything.
#[derive(Clone)]
pub struct Site {
    pub frame: Arc<Frame>,
    pub origin: Origin,
    pub cookies: Cookies,
    pub admins: Arc<[EmailAddress]>,
    pub table: Table,
    pub provider: Provider,
    /// The address of the provider's API at which students spend on their keys.
    pub provider_url: Arc<str>,
    pub clock: Clock,
    waits: Waits,
}

/// The time by which this request must be answered.
#[derive(Debug, Clone, Copy)]
pub struct RequestDeadline(pub Deadline);

impl Site {
    pub fn new(config: &Config, clock: Clock) -> Site {
        let table = Table::new(config);
        Site {
            frame: Arc::new(Frame::of(config)),
            origin: config.origin.clone(),
            cookies: Cookies::of(&config.origin),
            admins: config.admins.clone().into(),
            provider: Provider::new(config, &clock),
            table,
            provider_url: config.spend_at.as_str().into(),
            clock,
            waits: config.waits,
        }
    }

    /// The deadline of an event.
    pub fn deadline(&self, context: &Context) -> Deadline {
        Deadline::of(context).with_waits(self.waits)
    }

    /// The sender of orders, and of rules.
    pub fn orders(&self) -> Orders<'_> {
        Orders { table: &self.table, provider: &self.provider, clock: &self.clock }
    }

    /// A page that says in one sentence why nothing was done.
    pub fn refuse(&self, status: StatusCode, heading: &str, sentence: &str) -> Response {
        Frame::page(status, &Message { frame: &self.frame, heading, sentence })
    }

    /// The refusal of an action that may be repeated after a while.
    pub fn too_fast(&self, sentence: &str, after: SignedDuration) -> Response {
        let mut response = self.refuse(StatusCode::TOO_MANY_REQUESTS, "Please wait a little", sentence);
        response.headers_mut().insert(RETRY_AFTER, whole_seconds(after).into());
        response
    }

    /// The page for what does not exist, or is not this person's.
    pub fn not_found(&self) -> Response {
        self.frame.not_found()
    }

    /// The refusal of a form that no page of this session offered.
    pub fn foreign_form(&self) -> Response {
        note_refusal(Denial::Form);
        self.refuse(
            StatusCode::FORBIDDEN,
            "Nothing was done",
            "This form is not from this session. Open the page again and press once more.",
        )
    }

    pub fn page(&self, page: &impl Template) -> Response {
        Frame::page(StatusCode::OK, page)
    }

    /// Raises an alarm, once a day, if the management key was refused during this event or is of another
    /// account. The answer is already made. If the alarm fails, the next refusal raises it.
    pub async fn tell_of_a_refusal(&self, deadline: Deadline) {
        if deadline.leaves(ENOUGH_TO_TELL)
            && let Some(cause) = self.provider.take_refusal()
            && let Err(error) = self.raise(cause, deadline).await
        {
            tracing::error!(%error, "nobody was told what is the matter with the management key");
        }
    }

    /// Raises an alarm for a cause, once a day.
    pub async fn raise(&self, cause: Cause, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        let alarm = Alarm::now(cause, now);
        if self.table.is_notified(&alarm).await? {
            return Ok(());
        }
        let admins = self.table.people_of(&self.admins, deadline).await?;
        self.table.raise(&alarm, &admins, now, deadline).await.map(drop)
    }
}

impl FromRequestParts<Site> for RequestDeadline {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<RequestDeadline, Self::Rejection> {
        let context = parts.lambda_context_ref();
        Ok(RequestDeadline(context.map_or(Deadline::after(Duration::ZERO), |context| site.deadline(context))))
    }
}

/// Adds a page to refusals that came without one: a body too large, a wrong type, a fault.
pub(super) async fn with_page(State(frame): State<Frame>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !(status.is_client_error() || status.is_server_error()) || is_page {
        return response;
    }
    let (heading, sentence) = match status {
        StatusCode::METHOD_NOT_ALLOWED => return frame.not_found(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("Too large", "Nothing was done, since more was sent than fits here. Open the page again and send less.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "Nothing was done",
            "What was sent is not a form of this site. Open the page here and press the button on it.",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => {
            ("A field is missing", "Nothing was done. Open the page again and fill the form.")
        }
        StatusCode::BAD_REQUEST => (
            "Nothing was done",
            "What was sent could not be read as a form. Open the page again, fill the form and press once more.",
        ),
        _ => ("Please try again", "Something did not work on our side. Nothing is lost; try again in some seconds."),
    };
    let mut page = Frame::page(status, &Message { frame: &frame, heading, sentence });
    for (name, value) in response.headers() {
        if *name == RETRY_AFTER {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// The seconds to wait, rounded up so that a retry at that time is not too early.
pub fn whole_seconds(after: SignedDuration) -> u64 {
    u64::try_from(after.as_millis()).unwrap_or(0).div_ceil(1000).max(1)
}
