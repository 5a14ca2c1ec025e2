//! One person put on the roster by hand, or taken back who was dropped from it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{self, Grant, HoldKind, Line, LineRefused, ReleaseRefused, State as GrantState};
use bursar_core::domain::id::GrantId;
use bursar_core::domain::role::Role;
use bursar_core::store::{At, By, NewPerson, Outcome};
use bursar_core::web::{Answer, Fields, Posted, Site, Until};

use crate::access::{self, Sight};
use crate::overview::{self, EditForm, Seen};
use crate::roster::line;

/// The form, as somebody filled it.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) errors: Vec<(&'static str, String)>,
}

/// Whom the form names.
enum Named {
    /// Nobody yet, or somebody who is on the roster just so.
    New(NewPerson),
    /// Somebody who was dropped, as they are to be from now on.
    Dropped(GrantId, Line),
}

pub(crate) async fn post(
    State(site): State<Site>,
    Until(deadline): Until,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Faculty).await? else {
        return Ok(site.not_found());
    };
    let programme = &sight.programme;
    if !programme.settings.roster || programme.closed_at.is_some() {
        let sentence =
            if programme.settings.roster { "The programme is closed." } else { "A cost centre has no roster." };
        return Ok(site.refuse(StatusCode::CONFLICT, "Nobody was added", sentence));
    }
    let mut typed = Person::of(&fields);
    let known = site.table.grants(&programme.id).await?;
    match typed.read().and_then(|new| named(new, &known)) {
        Ok(Named::Dropped(grant, line)) => {
            let actor = access::actor(&site, &visitor, deadline).await?;
            let at = At { programme: &programme.id, grant: &grant, now: site.clock.now(), deadline };
            take_back(&site, &sight, at, &line, &actor).await
        }
        Ok(Named::New(new)) => {
            let actor = access::actor(&site, &visitor, deadline).await?;
            let by = By { actor: &actor, now: site.clock.now(), deadline };
            // Somebody who is on the roster just so stays as they are: it was pressed twice.
            site.table.invite(&programme.id, &[new], by).await?;
            Ok(to_overview(&sight))
        }
        Err(errors) => {
            typed.errors = errors;
            let Some(pot) = site.table.pot(&programme.id).await? else { return Ok(site.not_found()) };
            let edit = EditForm::of(&sight, pot.limit);
            let seen = Seen { asked: None, edit, person: &typed };
            overview::show(&site, &visitor, &sight, &pot, seen, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// Who was dropped returns, with what the form says of them.
async fn take_back(site: &Site, sight: &Sight, at: At<'_>, line: &Line, by: &Actor) -> Answer {
    let no_room = || {
        let why = "The budget has no room for what they may still spend. It must be raised first.";
        Ok(site.refuse(StatusCode::CONFLICT, "Nobody was taken back", why))
    };
    if let Outcome::Refused(LineRefused::PotExhausted) = site.table.describe(at, line, by).await? {
        return no_room();
    }
    if let Outcome::Refused(ReleaseRefused::PotExhausted) = site.table.release(at, HoldKind::Dropped, by).await? {
        return no_room();
    }
    site.orders().now_or_later(at).await;
    Ok(to_overview(sight))
}

fn to_overview(sight: &Sight) -> Response {
    Redirect::to(&format!("/console/programmes/{}", sight.programme.id)).into_response()
}

/// Whom the form means, unless somebody else has the address or the id. What it leaves empty is as it is on the roster.
fn named(new: NewPerson, known: &[Grant]) -> Result<Named, Vec<(&'static str, String)>> {
    let NewPerson { person, group } = &new;
    let Some(grant) = known.iter().find(|grant| grant.person.address == person.address) else {
        let has_id = |grant: &Grant| person.roster_id.is_some() && grant.person.roster_id == person.roster_id;
        if known.iter().any(has_id) {
            return Err(vec![("id", "Somebody else on the roster has this id.".to_owned())]);
        }
        return Ok(Named::New(new));
    };
    if line::is_another(grant.person.roster_id.as_deref(), person.roster_id.as_deref()) {
        return Err(vec![("email", format!("Refused: {}.", line::ANOTHER_ID))]);
    }
    let line = Line {
        person: grant::Person {
            address: grant.person.address.clone(),
            name: person.name.clone().or_else(|| grant.person.name.clone()),
            roster_id: person.roster_id.clone().or_else(|| grant.person.roster_id.clone()),
        },
        group: group.clone().or_else(|| grant.group.clone()),
    };
    let is_over = matches!(grant.state, GrantState::Revoked | GrantState::Ended);
    if grant.holds.dropped.is_some() && !is_over {
        return Ok(Named::Dropped(grant.id.clone(), line));
    }
    if (line.person, line.group) != (grant.person.clone(), grant.group.clone()) {
        let why = "This address is on the roster already. To change what is known of it, upload a roster.";
        return Err(vec![("email", why.to_owned())]);
    }
    Ok(Named::New(new))
}

impl Person {
    fn of(fields: &Fields) -> Person {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        Person { email: text("email"), name: text("name"), group: text("group"), id: text("id"), errors: Vec::new() }
    }

    /// What is said of a field.
    pub(crate) fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|(name, _)| *name == field).map(|(_, why)| why.as_str())
    }

    fn read(&self) -> Result<NewPerson, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let address = line::address(&self.email).map_err(|why| errors.push(("email", why))).ok();
        let mut text = |field, text: &str| {
            line::text(text).map_err(|why| errors.push((field, format!("This {why}.")))).unwrap_or_default()
        };
        let (name, group, roster_id) = (text("name", &self.name), text("group", &self.group), text("id", &self.id));
        match address {
            Some(address) if errors.is_empty() => {
                Ok(NewPerson { person: grant::Person { address, name, roster_id }, group })
            }
            _ => Err(errors),
        }
    }
}
