//! The form by which an admin explains the residual.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::store::AccountDay;
use bursar_core::web::{Answer, RequestDeadline, Site};

use crate::access::{self, AdminAccess, Admins, Form};
use crate::paths;
use crate::spending::spans::SpanQuery;

use super::page::{self, Refused};

/// The longest reason, in characters: a sentence or two.
const LONGEST_REASON: usize = 500;

pub(crate) async fn explain(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access: AdminAccess { visitor }, fields }: Form<Admins>,
) -> Answer {
    let typed = fields.filled("reason").unwrap_or_default();
    let refused = match typed.chars().count() {
        0 => Some("Say why the account spent this: whoever reads the books next year wants to know.".to_owned()),
        long if long > LONGEST_REASON => Some(format!("At most {LONGEST_REASON} characters, please; this has {long}.")),
        _ => None,
    };
    if let Some(why) = refused {
        let refused = Refused { reason: Some((typed.to_owned(), why)), ..Refused::default() };
        let mut page = page::show(&site, &visitor, &SpanQuery::default(), refused).await?;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    }
    let newest = site.table.newest_account_days(1).await?.pop();
    let shown = fields.filled("residual");
    let is_shown = |day: &AccountDay| shown.is_none_or(|shown| shown == day.residual.to_string());
    let Some(day) = newest.filter(is_shown) else {
        let sentence = "A sync has found another residual meanwhile. Open the page of the account again.";
        return Ok(site.refuse(StatusCode::CONFLICT, "Nothing was done", sentence));
    };
    let person = access::person(&site, &visitor, deadline).await?;
    site.table.explain_residual(&day, typed, &person, site.clock.now(), deadline).await?;
    Ok(Redirect::to(paths::ACCOUNT).into_response())
}
