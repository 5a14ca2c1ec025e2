//! What no key explains: how much of it nobody has explained yet, and the press by which an admin says why it is so.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::money::Usd;
use bursar_core::store::{AccountDay, SyncState};
use bursar_core::web::{Answer, Posted, Site, Until};

use super::{PATH, show_page};
use crate::access;
use crate::spans::Asked;

/// A reason is a sentence or two.
const LONGEST_REASON: usize = 500;

/// The residual as the page shows it.
pub(super) struct Residual {
    /// As the newest sync that read everything found it; the form says so, so that no other is explained.
    pub(super) usd: Usd,
    pub(super) until: String,
    /// How much of it nobody has explained.
    pub(super) news: Usd,
    /// Whether keys used more than the account spent.
    pub(super) is_less: bool,
    /// Whether that is more than rounding may come to.
    pub(super) matters: bool,
    pub(super) tolerance: Usd,
    /// What was typed for a reason, and what is the matter with it.
    pub(super) typed: String,
    pub(super) refused: Option<String>,
}

impl Residual {
    pub(super) fn of(day: &AccountDay, state: &SyncState, refused: Option<(String, String)>) -> Residual {
        let (typed, refused) = refused.map_or((String::new(), None), |(typed, why)| (typed, Some(why)));
        Residual {
            usd: day.residual,
            until: day.day.to_string(),
            news: day.residual - state.residual.explained,
            is_less: day.residual < state.residual.explained,
            matters: !state.residual.explains(day.residual, day.tolerance),
            tolerance: day.tolerance,
            typed,
            refused,
        }
    }
}

pub(crate) async fn explain(
    State(site): State<Site>,
    Until(deadline): Until,
    Posted { visitor, fields }: Posted,
) -> Answer {
    if !access::is_let_in_as_admin(&site, &visitor) {
        return Ok(site.not_found());
    }
    let typed = fields.filled("reason").unwrap_or_default();
    let refused = match typed.chars().count() {
        0 => Some("Say why the account spent this: whoever reads the books next year wants to know.".to_owned()),
        long if long > LONGEST_REASON => Some(format!("At most {LONGEST_REASON} characters, please; this has {long}.")),
        _ => None,
    };
    if let Some(why) = refused {
        let mut page = show_page(&site, &visitor, &Asked::default(), Some((typed.to_owned(), why))).await?;
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
    Ok(Redirect::to(PATH).into_response())
}
