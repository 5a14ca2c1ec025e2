//! The choice of which mails that are written to many somebody wants.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::web::{Answer, Posted, RequestDeadline, Site};

use crate::my;

/// Changes what the form carries and nothing else. It is the person's own wish and changes nothing of a grant, a programme or a
/// right, so it has no entry in anybody's audit.
pub(crate) async fn choose(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    posted: Posted,
) -> Answer {
    let chosen = |name| match posted.fields.get(name) {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(_) => Err(()),
    };
    let (Ok(digest), Ok(reminders)) = (chosen("digest"), chosen("reminders")) else {
        let sentence = "Nothing was changed: choose “Send them” or “Do not send them”.";
        let (now, status) = (site.clock.now(), StatusCode::UNPROCESSABLE_ENTITY);
        return my::with_alert(&site, &posted.visitor, now, status, sentence).await;
    };
    site.table.choose_mails(&posted.visitor.session.address, digest, reminders, deadline).await?;
    Ok(Redirect::to("/my#mails").into_response())
}
