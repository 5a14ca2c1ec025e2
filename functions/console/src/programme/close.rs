//! Closing a programme: nothing can be claimed any more, and a job ends every grant. Faculty ask the admins for it.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::programme::request::{CLOSE, Request, Wish};
use bursar_core::store::{Author, CloseOutcome};
use bursar_core::web::{Answer, AppError, RequestDeadline, Site};

use crate::access::{self, Faculty, Form, ProgrammeAccess};
use crate::paths;
use crate::work::jobs;

pub(crate) async fn close(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access, .. }: Form<Faculty>,
) -> Answer {
    let (id, now) = (&access.programme.id, site.clock.now());
    let person = access::person(&site, &access.visitor, deadline).await?;
    let actor = Actor::Person(person);
    let by = Author { actor: &actor, now, deadline };
    if !access.is_admin() {
        return ask(&site, &access, by).await;
    }
    match site.table.close(id, by).await? {
        CloseOutcome::NoSuchProgramme => return Err(AppError::not_found()),
        CloseOutcome::Done | CloseOutcome::Already => jobs::in_a_request(&site, id, deadline).await,
    }
    Ok(Redirect::to(&paths::programme(id)).into_response())
}

/// Asks the admins to close the programme, once a day.
async fn ask(site: &Site, access: &ProgrammeAccess, by: Author<'_>) -> Answer {
    let Actor::Person(person) = by.actor else { return Err(AppError::not_found()) };
    let id = &access.programme.id;
    if access.programme.closed_at.is_none() {
        let wish = Wish {
            setting: CLOSE.to_owned(),
            label: "Close the programme".to_owned(),
            words: "now, which ends every key".to_owned(),
        };
        let request = Request::of(id.clone(), person.clone(), vec![wish], by.now);
        let admins = site.table.people_of(&site.admins, by.deadline).await?;
        site.table.ask_admins(&request, &admins, AuditDetail::new(Act::Asked).noting(CLOSE), by).await?;
    }
    Ok(Redirect::to(&paths::programme(id)).into_response())
}
