//! What an admin does for one person, whatever their programmes: the file of all that is stored
//! about them, for somebody who cannot sign in or for a court, and a hold on retention.

use axum::http::StatusCode;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{Erasure, KnownAddress};
use bursar_core::web::{Answer, AppError, FileNames, FileRequest, Flash, Reply, Result};

use crate::kit::access::{Admins, Post};
use crate::kit::show;

/// The longest reason for a hold, in characters.
const LONGEST_REASON: usize = 500;

/// The address that a form names, if anything is stored under it.
async fn known(post: &Post<Admins>) -> Result<EmailAddress> {
    let typed = post.fields.get("email").unwrap_or_default();
    let address = EmailAddress::parse(typed)
        .map_err(|error| AppError::unprocessable(format!("Nothing was done: {error}.")))?;
    let table = &post.site.table;
    let is_known = table.known(address.matched()).await?.is_some()
        || table
            .get(KnownAddress::key_of(address.matched()))
            .await?
            .is_some();
    let nobody = "Nothing is stored under this address. Is it spelled as on the roster?";
    if is_known {
        Ok(address)
    } else {
        Err(AppError::refused(StatusCode::NOT_FOUND, nobody))
    }
}

pub(crate) async fn download(request: FileRequest, post: Post<Admins>) -> Answer {
    let address = known(&post).await?;
    let Post {
        site, access, now, ..
    } = &post;
    let enrolments = site
        .table
        .enrolments_by_person(address.matched(), *now)
        .await?;
    let mut views = Vec::new();
    for (enrolment, whose) in &enrolments {
        let view = site
            .table
            .view(&enrolment.programme, &enrolment.grant)
            .await?;
        views.extend(view.map(|view| (view, *whose)));
    }
    let export = site
        .table
        .export_person(address.matched(), &views, None, *now)
        .await?;
    let about = enrolments
        .first()
        .map(|(enrolment, _)| (&enrolment.programme, &enrolment.grant))
        .unzip();
    // Who has no grant is named by the id of the person.
    let person = site
        .table
        .address_record(address.matched())
        .await?
        .person
        .filter(|_| enrolments.is_empty());
    let file = person.map_or("all that is stored".to_owned(), |person| {
        format!("all that is stored of {person}")
    });
    let recorded = request.record(site, &access.visitor, &file, about).await?;
    Reply::json_file("bursar-data", FileNames::People(recorded), &export)
}

pub(crate) async fn retain(post: Post<Admins>) -> Answer {
    let address = known(&post).await?;
    let Post { site, fields, .. } = &post;
    let matched = address.matched();
    let is_held = fields.get("act") == Some("hold");
    let mut reason = None;
    if is_held {
        reason = fields
            .filled("reason")
            .filter(|reason| reason.chars().count() <= LONGEST_REASON);
        if reason.is_none() {
            let missing = "Nothing was done: write why this person's data is kept, in at most 500 characters.";
            return Err(AppError::unprocessable(missing));
        }
        let grants = site.table.grants_of_address(matched).await?;
        let erasures = site.table.list(Erasure::all()).await?;
        if erasures
            .iter()
            .any(|erasure| erasure.is_running() && erasure.has_any(matched, &grants))
        {
            return Err(AppError::conflict("This person is being erased already."));
        }
    } else if fields.get("act") != Some("release") {
        return Err(AppError::unprocessable(
            "Nothing was done: neither hold nor release was chosen.",
        ));
    }
    let is_changed = site
        .table
        .set_retention_hold(matched, reason, post.author())
        .await?;
    let notice = if is_changed {
        Flash::RetentionChanged { is_held }
    } else {
        Flash::Already
    };
    Ok(site.done(
        &show::address("/console", &[("q", matched.as_str())]),
        &notice,
    ))
}
