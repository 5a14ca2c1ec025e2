//! The forms by which an admin releases what was held back.

use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::Release;
use bursar_core::web::{Answer, AppError};
use jiff::Timestamp;

use super::another;
use crate::access::{Admins, Form};
use crate::paths;

/// Releases what the form names: disables for the next sync, work with another management key, or an address
/// whose mail came back.
pub(crate) async fn release(form: Form<Admins>) -> Answer {
    let Form { site, fields, person, now, deadline, .. } = &form;
    if let Some(address) = fields.filled("address").and_then(|address| EmailAddress::parse(address).ok()) {
        return try_again(&form, &address).await;
    }
    if let Some(shown) = fields.filled("account") {
        return another::confirm(&form, shown).await;
    }
    let sentence = "The form did not say what is to be let through. Open the page of the account again.";
    let shown = fields.filled("held").and_then(|held| held.parse::<Timestamp>().ok());
    let shown = shown.ok_or_else(|| AppError::unprocessable(sentence))?;
    match site.table.release_held_back(shown, person, *now, *deadline).await? {
        Release::Done | Release::Already => Ok(Redirect::to(paths::ACCOUNT).into_response()),
        Release::NotThis => {
            let sentence = "What was held back is something else by now. Open the page of the account again.";
            Err(AppError::conflict(sentence))
        }
    }
}

/// Takes the mark off a person with a role, or a finance address, whose mail came back, so that mail is tried again.
async fn try_again(form: &Form<Admins>, address: &EmailAddress) -> Answer {
    let Form { site, person, now, deadline, .. } = form;
    let done = Redirect::to(paths::ACCOUNT).into_response();
    let (known, roles) =
        tokio::try_join!(site.table.known(address.matched(), &site.admins), site.table.roles_of(address.matched()))?;
    // The console has nothing for finance, so finance alone is no role of it.
    if known.is_none_or(|known| !known.has_role) && !roles.iter().any(|roles| roles.finance) {
        return Err(AppError::not_found());
    }
    let Some(mark) = site.table.undeliverable(address.matched(), *now).await? else { return Ok(done) };
    let whom = site.table.person_of(address, *deadline).await?;
    site.table.allow_mail_to(&mark, &whom, person, *now, *deadline).await?;
    Ok(done)
}
