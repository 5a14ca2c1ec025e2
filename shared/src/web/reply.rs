//! What a handler answers where nothing is wrong: a page, a file, or, after a form, the way to a
//! page with the sentence that it says. There is no other way to make one, so a form's handler
//! without its sentence does not compile.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Redirect, Response};
use serde_json::Value;

use super::session::Cookies;
use super::{AppError, FileNames, Flash};

/// What a handler and what it is made of return, unless they say otherwise.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

pub type Answer = Result<Reply>;

#[derive(Debug)]
#[must_use]
pub struct Reply(Response);

impl Reply {
    /// A file, or what a program reads. One that names people has been recorded.
    pub fn file(_: FileNames, headers: impl IntoResponseParts, content: impl Into<Body>) -> Reply {
        Reply((headers, content.into()).into_response())
    }

    /// A file of this name in JSON.
    pub fn json_file(name: &str, names: FileNames, value: &Value) -> Answer {
        let attachment = format!("attachment; filename=\"{name}.json\"");
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CONTENT_DISPOSITION, &*attachment),
        ];
        Ok(Reply::file(
            names,
            headers,
            serde_json::to_string_pretty(value)?,
        ))
    }

    pub(super) fn page(page: Response) -> Reply {
        Reply(page)
    }

    pub(super) fn done(cookies: Cookies, path: &str, notice: &Flash) -> Reply {
        Reply(Redirect::to(path).into_response()).setting(cookies.set_notice(notice))
    }

    pub fn with_status(mut self, status: StatusCode) -> Reply {
        *self.0.status_mut() = status;
        self
    }

    pub fn setting(mut self, cookie: HeaderValue) -> Reply {
        self.0.headers_mut().append(SET_COOKIE, cookie);
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.0
    }
}
