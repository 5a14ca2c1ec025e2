//! A form with a file: a multipart body from a page of the visitor's session.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bursar_core::web::{AppError, Posted, RequestDeadline, Site, Visitor};

use crate::access::{Faculty, Form, programme_in};

/// The largest roster, in bytes.
const MOST_OF_A_FILE: usize = 4 << 20;
/// The largest body: a roster with the form around it.
pub(crate) const MOST_BYTES: usize = MOST_OF_A_FILE + (64 << 10);
/// The most parts of a body, more than any form of ours has.
const MOST_PARTS: usize = 32;

/// A multipart form that faculty posted.
pub(crate) struct Upload {
    pub(crate) form: Form<Faculty>,
    /// The part `file`; `None` when no file was chosen.
    pub(crate) file: Option<Bytes>,
}

impl FromRequest<Site> for Upload {
    type Rejection = AppError;

    async fn from_request(request: Request, site: &Site) -> Result<Upload, AppError> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, site).await?;
        let programme = programme_in(&mut parts).await;
        let Ok(RequestDeadline(deadline)) = RequestDeadline::from_request_parts(&mut parts, site).await;
        let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase()).unwrap_or_default();
        if !kind.starts_with(b"multipart/form-data") {
            return Err(AppError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let request = Request::from_parts(parts, body);
        let mut form = Multipart::from_request(request, site).await.map_err(unreadable)?;
        let (mut fields, mut file) = (Vec::new(), None);
        while let Some(part) = form.next_field().await.map_err(unreadable)? {
            if fields.len() == MOST_PARTS {
                return Err(AppError::status(StatusCode::BAD_REQUEST));
            }
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(unreadable)?;
            if name == "file" {
                file = Some(bytes);
            } else {
                fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        let Posted { visitor, fields } = Posted::of(visitor, fields.into_iter().collect())?;
        if file.as_ref().is_some_and(|file| file.len() > MOST_OF_A_FILE) {
            return Err(AppError::status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let form = Form::of(site, visitor, programme.as_deref(), fields, deadline).await?;
        Ok(Upload { form, file: file.filter(|file| !file.is_empty()) })
    }
}

/// The extractor's own errors carry the status: 413 beyond the limit, 400 for a malformed body.
fn unreadable(error: impl IntoResponse) -> AppError {
    AppError::answer(error.into_response())
}
