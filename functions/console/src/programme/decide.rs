//! An admin's decision about what faculty asked for.

use axum::extract::Path;
use axum::http::StatusCode;
use bursar_core::domain::programme::request::{CLOSE, COPY, ProgrammeRequest};
use bursar_core::store::StoreError;
use bursar_core::web::form::{LONGEST_REASON, line};
use bursar_core::web::{Answer, AppError, Flash};
use ulid::Ulid;

use crate::kit::access::{Faculty, Post};
use crate::kit::paths;
use crate::programme::{close, copy, overview, settings};

/// An admin's decision, or that a line about a job is put away. A request to close or copy leads to the page on which that is done, which then answers the request.
pub(crate) async fn decide(Path((_, id)): Path<(String, String)>, post: Post<Faculty>) -> Answer {
    let id: Ulid = id.parse().map_err(|_| AppError::not_found())?;
    let Post { site, access, fields, now, .. } = &post;
    if fields.get("act") == Some("dismiss") {
        return put_away(&post, id).await;
    }
    if !access.is_admin() {
        return Err(AppError::no_right());
    }
    let programme = &access.programme;
    let request = site.table.get(ProgrammeRequest::key_of(&programme.id, id)).await?.ok_or_else(AppError::not_found)?;
    let is_approved = match fields.get("act") {
        Some("approve") => true,
        Some("decline") => false,
        _ => return Err(AppError::unprocessable("The form did not say whether to approve or to decline.")),
    };
    let reason = line(fields.filled("reason").unwrap_or_default(), LONGEST_REASON).map_err(AppError::unprocessable)?;
    if let Some(before) = &request.decision {
        if before.is_approved != is_approved {
            return Err(StoreError::Decided(before.verb()).into());
        }
        return Ok(site.done(&paths::programme(&programme.id), &Flash::Already));
    }
    if !request.is_open(*now) {
        return Err(AppError::not_found());
    }
    if !is_approved && reason.is_none() {
        let page = overview::show(site, access, Some(id)).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    }
    if is_approved && request.is_for(CLOSE) && programme.closed_at.is_none() {
        return close::look(&post, Some(&id.to_string()), None).await;
    }
    if is_approved && request.is_for(COPY) {
        let copying = Some(copy::copying_as_asked(site, programme, &request).await?);
        return settings::show(site, access, settings::PageState { copying, request: Some(id), ..Default::default() })
            .await;
    }
    let request = request.decided(is_approved, reason);
    let notice = if is_approved {
        settings::approve(&post, request).await?
    } else {
        site.table.decide(&request, post.author()).await?;
        Flash::RequestDecided { is_approved }
    };
    Ok(site.done(&paths::programme(&programme.id), &notice))
}

/// Has pages tell no more of a job that has ended.
async fn put_away(post: &Post<Faculty>, job: Ulid) -> Answer {
    let Post { site, access, deadline, .. } = post;
    let id = &access.programme.id;
    let notice = if site.table.put_job_away(id, job, *deadline).await? { Flash::JobPutAway } else { Flash::Already };
    Ok(site.done(&paths::programme(id), &notice))
}
