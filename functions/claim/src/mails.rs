//! Which of the mails that are written to many somebody wants, and whether mail reaches them at all.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::window::utc_date;
use bursar_core::store::items::{Undeliverable, Why};
use bursar_core::web::{Answer, Posted, Site, Until};

use crate::my;

/// Changes what the form carries and nothing else. It is the person's own wish and changes nothing of a grant, a programme or a
/// right, so it has no entry in anybody's audit.
pub(crate) async fn choose(State(site): State<Site>, Until(deadline): Until, posted: Posted) -> Answer {
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

/// What somebody reads whom mail does not reach, or who does not want it.
pub(crate) fn not_reached(mark: &Undeliverable) -> String {
    let since = utc_date(mark.at).strftime("%-d %B %Y");
    let ask = "The people who run your programme can have it tried again.";
    match mark.why {
        Why::Bounced | Why::Suppressed => format!(
            "Mail to {} has come back since {since}, so you get none from us: no link to sign in, and no word before a key is switched \
             off because it is not used or too old. {ask}",
            mark.address.as_str()
        ),
        Why::Complained => format!(
            "On {since} a mail to {} was reported as unwanted. You still get links to sign in and notices of your key, and nothing that \
             is written to many: no digests, no reminders, and no word before a key is switched off because it is not used or too \
             old. {ask}",
            mark.address.as_str()
        ),
    }
}
