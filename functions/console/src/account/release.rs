//! The forms by which an admin releases what was held back.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::PersonId;
use bursar_core::store::Release;
use bursar_core::web::{Answer, AppError, RequestDeadline, Site};
use jiff::Timestamp;

use super::another;
use crate::access::{self, AdminAccess, Admins, Form};
use crate::paths;

/// Releases what the form names: disables for the next sync, work with another management key, or an address
/// whose mail came back.
pub(crate) async fn release(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access: AdminAccess { visitor }, fields }: Form<Admins>,
) -> Answer {
    let person = access::person(&site, &visitor, deadline).await?;
    if let Some(address) = fields.filled("address").and_then(|address| EmailAddress::parse(address).ok()) {
        return try_again(&site, &address, &person, deadline).await;
    }
    if let Some(shown) = fields.filled("account") {
        return another::confirm(&site, shown, &person, deadline).await;
    }
    let sentence = "The form did not say what is to be let through. Open the page of the account again.";
    let shown = fields.filled("held").and_then(|held| held.parse::<Timestamp>().ok());
    let shown = shown.ok_or_else(|| AppError::unprocessable(sentence))?;
    match site.table.release_held_back(shown, &person, site.clock.now(), deadline).await? {
        Release::Done | Release::Already => Ok(Redirect::to(paths::ACCOUNT).into_response()),
        Release::NotThis => {
            let sentence = "What was held back is something else by now. Open the page of the account again.";
            Err(AppError::conflict(sentence))
        }
    }
}

/// Takes the mark off a person with a role, or a finance address, whose mail came back, so that mail is tried again.
async fn try_again(site: &Site, address: &EmailAddress, by: &PersonId, deadline: Deadline) -> Answer {
    let done = Redirect::to(paths::ACCOUNT).into_response();
    let (known, roles) =
        tokio::try_join!(site.table.known(address.matched(), &site.admins), site.table.roles_of(address.matched()))?;
    // The console has nothing for finance, so finance alone is no role of it.
    if known.is_none_or(|known| !known.has_role) && !roles.iter().any(|roles| roles.finance) {
        return Err(AppError::not_found());
    }
    let Some(mark) = site.table.undeliverable(address.matched(), site.clock.now()).await? else { return Ok(done) };
    let whom = site.table.person_of(address, deadline).await?;
    site.table.allow_mail_to(&mark, &whom, by, site.clock.now(), deadline).await?;
    Ok(done)
}
