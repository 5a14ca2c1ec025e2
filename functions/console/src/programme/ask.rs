//! Faculty ask the admins by mail for what only admins may do. Nothing is changed by it.

use axum::http::StatusCode;
use bursar_core::store::{AskedOfAdmins, BETWEEN_ASKS};
use bursar_core::web::{Answer, AppError, Flash, Result};

use crate::kit::access::{Faculty, Post, is_open};
use crate::kit::form::Form;
use crate::kit::paths;
use crate::programme::settings::{self, SettingsDraft};

const UNREADABLE: &str = "The admins were not asked. Please correct:";

pub(crate) async fn ask(post: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        person,
        now,
        deadline,
        ..
    } = &post;
    let programme = &access.programme;
    let page = paths::settings(&programme.id);
    let request = match fields.filled("what") {
        Some("close") => AskedOfAdmins::Close,
        Some("next") => AskedOfAdmins::NextTerm,
        Some(_) => {
            return Err(AppError::unprocessable(
                "The form did not say what to ask for.",
            ));
        }
        None => wishes(&post).await?,
    };
    if request != AskedOfAdmins::NextTerm {
        is_open(programme)?;
    }
    if request == AskedOfAdmins::Settings(Vec::new()) {
        return Ok(site.done(&page, &Flash::Already));
    }
    if !site
        .table
        .ask_admins(&programme.id, person, &request, *now, *deadline)
        .await?
    {
        let sentence = "You asked the admins about this programme within the last hour. Answer that mail, or ask again later.";
        return Err(AppError::too_fast(sentence, BETWEEN_ASKS));
    }
    Ok(site.done(&page, &Flash::AdminsAsked))
}

/// The settings that an admin decides and that differ from what is saved.
async fn wishes(post: &Post<Faculty>) -> Result<AskedOfAdmins> {
    let Post {
        site,
        access,
        fields,
        ..
    } = post;
    let programme = &access.programme;
    let budget = site.table.budget(&programme.id).await?.limit;
    let saved = SettingsDraft {
        settings: programme.settings.clone(),
        budget,
    };
    let mut form = Form::edit(saved).typed(fields);
    match settings::read(&mut form) {
        Some(after) => Ok(AskedOfAdmins::Settings(form.changes(&after).wishes())),
        None => {
            let page = settings::show(site, access, Some(form.refused(UNREADABLE)), None).await;
            Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page))
        }
    }
}
