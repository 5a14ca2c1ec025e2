//! Editing a programme: what the form carries, on condition that nobody edited it since the form was made. What only an admin may
//! change, faculty ask for by it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::audit::{Act, Actor, What};
use bursar_core::domain::programme::Pot;
use bursar_core::domain::request::Request;
use bursar_core::domain::role::Role;
use bursar_core::store::{By, Saved};
use bursar_core::web::{Answer, Fault, Posted, Site, Until, Visitor};

use crate::access::{self, Sight};
use crate::overview::{self, EditForm, Seen};
use crate::people::Person;
use crate::settings_form::{Asked, Difference};

const REFUSED: &str = "Nothing was saved: a field below cannot be read.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what you typed, and what it is now. Save again to replace that.";
const PLACES_TAKEN: &str = "Nothing was saved: students have claimed keys, so the cap, the reset, the time zone, what counts against a limit and the end of the term cannot be changed any more.";

pub(crate) async fn post(
    State(site): State<Site>,
    Until(deadline): Until,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Faculty).await? else {
        return Ok(site.not_found());
    };
    let Some(pot) = site.table.pot(&sight.programme.id).await? else { return Ok(site.not_found()) };
    let settings = &sight.programme.settings;
    let current = Asked::of(settings, pot.limit);
    let asked = current.clone().with(&fields);
    let form = Form { site: &site, visitor: &visitor, sight: &sight, pot: &pot, asked: &asked, current: &current };

    let Ok((edited, limit)) = asked.read(Some(settings)) else {
        return form.again(StatusCode::UNPROCESSABLE_ENTITY, REFUSED).await;
    };
    let difference = Difference::between((settings, pot.limit), (&edited, limit));
    let done = Redirect::to(&format!("/console/programmes/{}", sight.programme.id)).into_response();
    if difference.is_empty() {
        return Ok(done);
    }
    let person = access::person(&site, &visitor, deadline).await?;
    let now = site.clock.now();
    // Faculty save what is theirs, and ask for the rest.
    let wishes = if sight.role < Role::Admin { difference.of_admins() } else { Difference::none() };
    let (edited, limit) = if wishes.is_empty() {
        (edited, limit)
    } else {
        let theirs = asked.clone().without_what_is_admins(&current);
        let Ok(theirs) = theirs.read(Some(settings)) else {
            return form.again(StatusCode::UNPROCESSABLE_ENTITY, REFUSED).await;
        };
        theirs
    };
    let difference = Difference::between((settings, pot.limit), (&edited, limit));
    let request = Request::of(sight.programme.id.clone(), person.clone(), wishes.wishes(), now);
    if difference.is_empty() && site.table.request(&request.programme, request.day, &request.request).await?.is_some() {
        return Ok(done);
    }
    let Some(version) = fields.filled("version") else {
        let sentence = "The form did not say which state of the programme it was made from.";
        return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was saved", sentence));
    };
    if version != overview::version(&sight.programme, pot.limit) {
        return form.again(StatusCode::CONFLICT, STALE).await;
    }
    if sight.programme.closed_at.is_some() {
        return Ok(site.refuse(StatusCode::CONFLICT, "Nothing was saved", "The programme is closed."));
    }

    let actor = Actor::Person(person);
    let by = By { actor: &actor, now, deadline };
    if edited != *settings {
        let what = entry(Act::Edited, &difference.without_the_pot());
        match site.table.save_settings(&sight.programme.id, edited, sight.programme.edits, what, by).await? {
            Saved::Done => {}
            Saved::PlacesTaken => return form.again(StatusCode::CONFLICT, PLACES_TAKEN).await,
            Saved::NoSuchProgramme => return Ok(site.not_found()),
            Saved::Stale(programme) => {
                let sight = Sight { programme: *programme, role: sight.role };
                let current = Asked::of(&sight.programme.settings, pot.limit);
                let form = Form { sight: &sight, current: &current, ..form };
                return form.again(StatusCode::CONFLICT, STALE).await;
            }
        }
    }
    if limit != pot.limit {
        site.table.set_pot(&sight.programme.id, limit, by).await?;
    }
    if !wishes.is_empty() {
        let admins = site.table.people_of(&site.admins, deadline).await?;
        site.table.ask_admins(&request, &admins, entry(Act::Asked, &wishes), by).await?;
    }
    Ok(done)
}

/// What an audit entry says of a difference. Settings that name people are named and not told.
fn entry(act: Act, difference: &Difference) -> What {
    let (from, to, silent) = difference.told();
    let what = What::new(act).changing(from, to);
    if silent.is_empty() { what } else { what.noting(silent) }
}

struct Form<'a> {
    site: &'a Site,
    visitor: &'a Visitor,
    sight: &'a Sight,
    pot: &'a Pot,
    asked: &'a Asked,
    current: &'a Asked,
}

impl Form<'_> {
    /// The page again with what was typed, and what it is now beside it.
    async fn again(&self, status: StatusCode, why: &'static str) -> Result<Response, Fault> {
        let edit = EditForm::refilled(self.sight, self.pot.limit, self.asked, Some(why));
        let edit = if why == STALE { edit.beside(self.asked, self.current) } else { edit };
        let seen = Seen { asked: None, edit, person: &Person::default() };
        overview::show(self.site, self.visitor, self.sight, self.pot, seen, status).await
    }
}
