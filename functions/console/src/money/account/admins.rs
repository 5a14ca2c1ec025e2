//! Who is an admin, and the form that adds one or removes one who was added.

use bursar_core::domain::mail::kind::MailClass;
use bursar_core::domain::programme::role::is_among;
use bursar_core::store::MOST_ADMINS;
use bursar_core::web::{Answer, AppError, Flash};
use jiff::SignedDuration;

use super::forms::{TypedAdmin, blank};
use super::page;
use super::page::RefusedForms;
use crate::kit::access::{AdminAccess, Admins, Post, SIGN_ON_FOR_THIS};
use crate::kit::paths;

/// The age of a session from which it adds no admin: whoever finds a browser open makes nobody one.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

pub(crate) async fn change_admins(post: Post<Admins>) -> Answer {
    let Post {
        site,
        access: AdminAccess { visitor },
        fields,
        person,
        now,
        deadline,
        ..
    } = &post;
    let is_to_be = match fields.get("act") {
        Some("add") => true,
        Some("remove") => false,
        _ => {
            return Err(AppError::unprocessable(
                "The form did not say whether to add or to remove an admin.",
            ));
        }
    };
    let mut form = blank().typed(fields);
    let Some(TypedAdmin {
        address: Some(address),
    }) = form.read()
    else {
        return Err(page::refuse(
            &post,
            RefusedForms {
                admin: Some(form),
                ..RefusedForms::default()
            },
        )
        .await);
    };
    let matched = address.matched();
    if visitor.session.is_shortened() {
        return Err(AppError::conflict(SIGN_ON_FOR_THIS));
    }
    if !is_to_be && site.table.is_admin_of_environment(matched) {
        let sentence = "This admin is named in the parameter Admins of the deployment (BURSAR_ADMINS), and is removed there.";
        return Err(AppError::conflict(sentence));
    }
    let admins = site.table.admins().await?;
    let mark = site.table.undeliverable(matched, *now).await?;
    if is_to_be && !is_among(matched, &admins) {
        if mark.is_some_and(|mark| mark.keeps_back(MailClass::Urgent)) {
            form.refuse("email", "Mail does not reach this address.".to_owned());
        } else if admins.len() >= MOST_ADMINS {
            form.refuse(
                "email",
                format!("There are {MOST_ADMINS} admins, which is enough. Remove one first."),
            );
        }
        if form.is_refused() {
            return Err(page::refuse(
                &post,
                RefusedForms {
                    admin: Some(form),
                    ..RefusedForms::default()
                },
            )
            .await);
        }
        if visitor.session.begun_at + FRESH_FOR <= *now {
            return Ok(site.done("/", &Flash::SignInAgain));
        }
    }
    site.table
        .set_admin(&address, is_to_be, person, *now, *deadline)
        .await?;
    Ok(site.done(
        paths::ACCOUNT,
        &if is_to_be {
            Flash::AdminAdded
        } else {
            Flash::AdminRemoved
        },
    ))
}
