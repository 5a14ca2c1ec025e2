//! Closing a programme: nothing can be claimed any more, and a job ends every grant. Faculty ask the admins for it.

use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::request::{CLOSE, Request, Wish};
use bursar_core::store::CloseOutcome;
use bursar_core::web::{Answer, AppError};

use crate::access::{Faculty, Form};
use crate::paths;
use crate::work::jobs;

pub(crate) async fn close(form: Form<Faculty>) -> Answer {
    let Form { site, access, deadline, .. } = &form;
    let id = &access.programme.id;
    if access.is_admin() {
        match site.table.close(id, form.author()).await? {
            CloseOutcome::NoSuchProgramme => return Err(AppError::not_found()),
            CloseOutcome::Done | CloseOutcome::Already => jobs::in_a_request(site, id, *deadline).await,
        }
    } else if access.programme.closed_at.is_none() {
        ask(&form, CLOSE, "Close the programme", "now, which ends every key".to_owned()).await?;
    }
    Ok(Redirect::to(&paths::programme(id)).into_response())
}

/// Asks the admins for what only they may do, once a day for the same.
pub(super) async fn ask(form: &Form<Faculty>, what: &str, label: &str, words: String) -> Result<(), AppError> {
    let table = &form.site.table;
    let wish = Wish { setting: what.to_owned(), label: label.to_owned(), words };
    let request = Request::of(form.access.programme.id.clone(), form.person.clone(), vec![wish], form.now);
    let admins = table.people_of(&form.site.admins, form.deadline).await?;
    table.ask_admins(&request, &admins, AuditDetail::new(Act::Asked).noting(what), form.author()).await?;
    Ok(())
}
