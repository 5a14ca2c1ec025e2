//! The form that each press about a key sends: who sent it, about which of their grants, and until when it must be answered.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::IntoResponse;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::View;
use bursar_core::domain::values::id::Epoch;
use bursar_core::store::ActContext;
use bursar_core::web::{AppError, Fields, Posted, RequestDeadline, Site, Visitor};
use jiff::Timestamp;

use crate::my;

/// A form about one grant of its sender.
pub(crate) struct KeyForm {
    pub(super) site: Site,
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
    /// The grant as it stood when the form came.
    pub(super) view: View,
    pub(super) now: Timestamp,
    pub(super) deadline: Deadline,
}

impl FromRequest<Site> for KeyForm {
    type Rejection = AppError;

    async fn from_request(request: Request, site: &Site) -> Result<KeyForm, AppError> {
        let now = site.clock.now();
        let (mut parts, body) = request.into_parts();
        let Ok(RequestDeadline(deadline)) = RequestDeadline::from_request_parts(&mut parts, site).await;
        let programme = Path::<String>::from_request_parts(&mut parts, site).await;
        let Path(programme) = programme.map_err(|refused| AppError::answer(refused.into_response()))?;
        let Posted { visitor, fields } = Posted::from_request(Request::from_parts(parts, body), site).await?;
        let view = my::grant_in(site, &visitor, &programme).await?;
        Ok(KeyForm { site: site.clone(), visitor, fields, view, now, deadline })
    }
}

impl KeyForm {
    pub(super) fn at(&self) -> ActContext<'_> {
        let View { programme, grant, .. } = &self.view;
        ActContext { programme: &programme.id, grant: &grant.id, now: self.now, deadline: self.deadline }
    }

    /// The newest attempt that its page knew of.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.fields.filled("epoch")?.parse().ok().map(Epoch::new)
    }
}
