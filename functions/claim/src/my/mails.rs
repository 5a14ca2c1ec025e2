//! The choice of bulk mails that a person gets.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use bursar_core::web::{Answer, Posted, RequestDeadline, Site};

use crate::my;

/// Changes only the choices that the form carries. They belong to the person and touch no grant, programme
/// or right, so no audit entry is written.
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
        return Err(my::refused(&site, &posted.visitor, site.clock.now(), sentence).await);
    };
    site.table.choose_mails(&posted.visitor.session.address, digest, reminders, deadline).await?;
    Ok(Redirect::to("/my#mails").into_response())
}
