//! The state of every page's handler: the table, the provider, the clock, and the frame of pages.
//! Each of the two functions has one, made without input or output.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lambda_http::RequestExt;
use lambda_runtime::Context;
use tokio::sync::OnceCell;

use super::page::Frame;
use super::session::Cookies;
use super::{Flash, Reply};
use crate::clock::Clock;
use crate::config::{Config, FrontSecret, Origin, SignOn, SignOnRequired};
use crate::deadline::{Deadline, Waits};
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::provider::{Provider, ProviderError};
use crate::settle::Settler;
use crate::store::{StoreError, Table};
use crate::version;

/// The time left of an event below which no alarm is raised in it, since the answer still has to
/// leave.
const ENOUGH_TO_TELL: Duration = Duration::from_secs(10);

/// A deployment, as its pages see it. Clones share everything.
#[derive(Clone)]
pub struct Site {
    pub frame: Arc<Frame>,
    pub origin: Origin,
    pub front: Option<FrontSecret>,
    pub sign_on: Option<SignOn>,
    pub sign_on_required: SignOnRequired,
    pub mail_from: Arc<str>,
    pub security_contact: Option<Arc<str>>,
    pub cookies: Cookies,
    pub table: Table,
    pub provider: Provider,
    /// The address of the provider's API at which students spend on their keys.
    pub provider_url: Arc<str>,
    pub clock: Clock,
    pub retention_days: u16,
    waits: Waits,
}

impl Site {
    pub fn new(config: &Config, clock: Clock) -> Site {
        let table = Table::new(config);
        Site {
            frame: Arc::new(Frame::from_config(config)),
            origin: config.origin.clone(),
            front: config.front_secret.clone(),
            sign_on: config.sign_on.clone(),
            sign_on_required: config.sign_on_required,
            mail_from: config.mail_from.as_written().into(),
            security_contact: config.security_contact.as_deref().map(Arc::from),
            cookies: Cookies::new(&config.origin),
            provider: Provider::new(config, &clock),
            table,
            provider_url: config.spend_at.as_str().into(),
            clock,
            retention_days: config.retention_days,
            waits: config.waits,
        }
    }

    /// The same, whose pages say which version this is.
    #[must_use]
    pub fn showing_the_version(self) -> Site {
        let frame = Frame {
            version: Some(version::to_words()),
            ..Frame::clone(&self.frame)
        };
        Site {
            frame: Arc::new(frame),
            ..self
        }
    }

    /// The same, which calls the provider at most so often in a second.
    #[must_use]
    pub fn with_calls_at_most(&self, calls_a_second: Option<NonZeroU32>) -> Site {
        Site {
            provider: self.provider.limit_to(calls_a_second),
            ..self.clone()
        }
    }

    pub fn deadline(&self, context: &Context) -> Deadline {
        Deadline::from_context(context).with_waits(self.waits)
    }

    pub fn settler(&self) -> Settler<'_> {
        Settler {
            table: &self.table,
            provider: &self.provider,
            clock: &self.clock,
            listed: OnceCell::new(),
        }
    }

    pub fn page(&self, page: &impl Template) -> Reply {
        Reply::page(Frame::page(page))
    }

    /// The answer to a form that did what it is for: the page to look at next, which says this.
    pub fn done(&self, path: &str, notice: &Flash) -> Reply {
        Reply::done(self.cookies, path, notice)
    }

    /// Raises the alarm of a request or a round of work that met a fault of the management key. If
    /// that fails, the next one that meets it raises it.
    pub async fn raise_in_time(&self, cause: Cause, deadline: Deadline) {
        if deadline.leaves(ENOUGH_TO_TELL)
            && let Err(error) = self.raise(cause, deadline).await
        {
            tracing::error!(%error, "nobody was told what is the matter with the management key");
        }
    }

    /// Has the admins told, once a day, if an error of the provider is the management key's.
    pub async fn tell_of(&self, error: &ProviderError, deadline: Deadline) {
        if let Some(cause) = error.refusal() {
            self.raise_in_time(cause, deadline).await;
        }
    }

    pub async fn raise(&self, cause: Cause, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.table
            .tell_admins(&Alarm::now(cause, now), now, deadline)
            .await
            .map(drop)
    }
}

impl FromRequestParts<Site> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, site: &Site) -> Result<Site, Infallible> {
        Ok(site.clone())
    }
}

/// Until when the request must be answered.
impl FromRequestParts<Site> for Deadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Deadline, Infallible> {
        let context = parts.lambda_context_ref();
        Ok(context.map_or(Deadline::after(Duration::ZERO), |context| {
            site.deadline(context)
        }))
    }
}
