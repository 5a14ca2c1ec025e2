//! The error of a handler, which is an answer: a refusal with its status, its sentence and the
//! reason for the log, or a fault.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;

use super::Answer;
use crate::domain::mail::alarm::Cause;
use crate::provider::{FailureKind, ProviderError};

/// The `Retry-After` of 503 where nothing else says when.
const SOON: Duration = Duration::from_secs(10);
/// The `Retry-After` of a fault.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// The `Retry-After` where a person has to act first.
const A_PERSON_MUST: Duration = Duration::from_secs(60);

/// What a request is answered instead of what it asked for. `?` makes a fault of any other error.
#[derive(Debug)]
#[must_use]
pub struct AppError(Box<Refusal>);

#[derive(Debug, Default)]
struct Refusal {
    status: StatusCode,
    told: ErrorFacts,
    retry_after: Option<Duration>,
    /// The reason, for the log and audit entries, without personal data.
    reason: Option<Cow<'static, str>>,
    /// A page in place of the plain one: the form with what was typed, a new preview.
    page: Option<Response>,
    cookie: Option<HeaderValue>,
    fault: Option<anyhow::Error>,
}

/// What the layers around an answer are told of it.
#[derive(Debug, Clone, Default)]
pub(super) struct ErrorFacts {
    /// `None` for the sentence that goes with the status.
    pub(super) sentence: Option<Cow<'static, str>>,
    /// What the admins are to be told.
    pub(super) alarm: Option<Cause>,
    /// Whether the provider refused, or did not answer.
    pub(super) is_providers: bool,
    /// Whether it is a fault of ours, which is no refusal.
    pub(super) is_fault: bool,
}

impl AppError {
    pub fn status(status: StatusCode) -> AppError {
        AppError(Box::new(Refusal {
            status,
            ..Refusal::default()
        }))
    }

    pub fn refused(status: StatusCode, sentence: impl Into<Cow<'static, str>>) -> AppError {
        let mut error = AppError::status(status);
        error.0.told.sentence = Some(sentence.into());
        error
    }

    /// A refusal by a page of the handler's own, such as the form again, with another status.
    pub fn page(status: StatusCode, page: Answer) -> AppError {
        match page {
            Ok(page) => AppError::answer(page.with_status(status).into_response()),
            Err(error) => error,
        }
    }

    /// Another answer than the one that was asked for, as it is.
    pub fn answer(answer: Response) -> AppError {
        let mut error = AppError::status(answer.status());
        error.0.page = Some(answer);
        error
    }

    /// What does not exist, or is not this person's.
    pub fn not_found() -> AppError {
        AppError::status(StatusCode::NOT_FOUND)
    }

    /// What this person has no right to see is answered like what does not exist.
    pub fn no_right() -> AppError {
        AppError::not_found().because("right")
    }

    /// The present state forbids it.
    pub fn conflict(sentence: impl Into<Cow<'static, str>>) -> AppError {
        AppError::refused(StatusCode::CONFLICT, sentence)
    }

    /// A field is missing or wrong.
    pub fn unprocessable(sentence: impl Into<Cow<'static, str>>) -> AppError {
        AppError::refused(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    /// It may be repeated after a while.
    pub fn too_fast(sentence: impl Into<Cow<'static, str>>, after: SignedDuration) -> AppError {
        AppError::refused(StatusCode::TOO_MANY_REQUESTS, sentence)
            .after(after.try_into().unwrap_or_default())
    }

    /// It may succeed later.
    pub fn later(sentence: impl Into<Cow<'static, str>>) -> AppError {
        AppError::refused(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }

    /// The provider refused, or the outcome of its call is not known.
    pub fn provider(error: &ProviderError, sentence: impl Into<Cow<'static, str>>) -> AppError {
        let refused = match error.kind {
            FailureKind::Later => AppError::later(sentence).after(error.after.unwrap_or(SOON)),
            FailureKind::AnotherAccount(_) => AppError::later(sentence).after(A_PERSON_MUST),
            _ => AppError::refused(StatusCode::BAD_GATEWAY, sentence),
        };
        refused.with_cause(error)
    }

    /// Sets `Retry-After`, rounded up so that a retry at that time is not too early.
    pub fn after(mut self, after: Duration) -> AppError {
        self.0.retry_after = Some(after);
        self
    }

    /// Has the log say that it is the provider's doing.
    pub fn by_the_provider(mut self) -> AppError {
        self.0.told.is_providers = true;
        self
    }

    /// The same of one of its errors, with the admins told if the management key is at fault.
    pub fn with_cause(mut self, error: &ProviderError) -> AppError {
        self.0.told.alarm = error.refusal();
        self.by_the_provider().because(error.trouble.to_string())
    }

    pub fn setting(mut self, cookie: HeaderValue) -> AppError {
        self.0.cookie = Some(cookie);
        self
    }

    pub fn because(mut self, reason: impl Into<Cow<'static, str>>) -> AppError {
        self.0.reason = Some(reason.into());
        self
    }

    /// The reason, for an audit entry.
    pub fn reason(&self) -> &str {
        self.0
            .reason
            .as_deref()
            .unwrap_or("something did not work on our side")
    }
}

impl<E: Into<anyhow::Error>> From<E> for AppError {
    fn from(error: E) -> AppError {
        let error = error.into();
        let mut fault = AppError::status(StatusCode::SERVICE_UNAVAILABLE).after(AFTER_A_FAULT);
        fault.0.fault = Some(error);
        fault
    }
}

impl IntoResponse for AppError {
    /// The handler's own page, or a bare status to which `site` adds the page. It is logged here,
    /// once.
    fn into_response(self) -> Response {
        let Refusal {
            status,
            mut told,
            retry_after,
            reason,
            page,
            cookie,
            fault,
        } = *self.0;
        told.is_fault = fault.is_some();
        if let Some(error) = fault {
            tracing::error!(error = format!("{error:#}"), "a page could not be made");
        } else if let Some(reason) = reason {
            // The provider's number of a call is in the line of that call, and these are to be
            // counted.
            let reason = reason.split(" (request ").next().unwrap_or_default();
            tracing::info!(refused = %reason, "somebody was refused");
        }
        let mut response = page.unwrap_or_else(|| status.into_response());
        if let Some(after) =
            retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON))
        {
            let seconds = after.as_millis().div_ceil(1000) as u64;
            response
                .headers_mut()
                .insert(RETRY_AFTER, seconds.max(1).into());
        }
        response
            .headers_mut()
            .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response.extensions_mut().insert(told);
        response
    }
}
