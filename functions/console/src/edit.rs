//! Editing a programme: what the form carries, on condition that nobody edited it since the form was made.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::audit::{Act, What};
use bursar_core::domain::programme::Pot;
use bursar_core::domain::role::Role;
use bursar_core::store::{By, Saved};
use bursar_core::web::{Answer, Fault, Posted, Site, Until, Visitor};

use crate::access::{self, Sight};
use crate::overview::{self, EditForm, Seen};
use crate::people::Person;
use crate::settings_form::{Asked, Difference};

const REFUSED: &str = "Nothing was saved: a field below cannot be read.";
const STALE: &str = "Nothing was saved: somebody edited the programme meanwhile. Below is what you typed, and what it is now. Save again to replace that.";
const PLACES_TAKEN: &str = "Nothing was saved: students have claimed keys, so the cap, the reset and the end of the term cannot be changed any more.";

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
    let admins = difference.for_admins();
    if sight.role < Role::Admin && !admins.is_empty() {
        let sentence = format!("Only an admin may change {}. Nothing was saved.", admins.join(", "));
        return Ok(site.refuse(StatusCode::FORBIDDEN, "Nothing was saved", &sentence));
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

    let actor = access::actor(&site, &visitor, deadline).await?;
    let by = By { actor: &actor, now: site.clock.now(), deadline };
    if edited != *settings {
        let (from, to, silent) = difference.told();
        let what = What::new(Act::Edited).changing(from, to);
        let what = if silent.is_empty() { what } else { what.noting(silent) };
        match site.table.save_settings(&sight.programme.id, edited, sight.programme.version, what, by).await? {
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
    Ok(done)
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
