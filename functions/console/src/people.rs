//! One person put on the roster by hand.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::grant::{self, Grant};
use bursar_core::domain::role::Role;
use bursar_core::store::{By, NewPerson};
use bursar_core::web::{Answer, Fields, Posted, Site, Until};

use crate::access;
use crate::overview::{self, EditForm, Seen};
use crate::roster::line;

/// The form, as somebody filled it.
#[derive(Debug, Default)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) errors: Vec<(&'static str, String)>,
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
    match typed.read().and_then(|new| is_new(new, &known)) {
        Ok(new) => {
            let actor = access::actor(&site, &visitor, deadline).await?;
            let by = By { actor: &actor, now: site.clock.now(), deadline };
            // Somebody who is on the roster just so stays as they are: it was pressed twice.
            site.table.invite(&programme.id, &[new], by).await?;
            Ok(Redirect::to(&format!("/console/programmes/{}", programme.id)).into_response())
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

/// This person, unless somebody else has the address or the id.
fn is_new(new: NewPerson, known: &[Grant]) -> Result<NewPerson, Vec<(&'static str, String)>> {
    let same_address = known.iter().find(|grant| grant.person.address == new.person.address);
    if same_address.is_some_and(|grant| {
        (&grant.person.name, &grant.person.roster_id, &grant.group)
            != (&new.person.name, &new.person.roster_id, &new.group)
    }) {
        let why = "This address is on the roster already. To change what is known of it, upload a roster.";
        return Err(vec![("email", why.to_owned())]);
    }
    let has_id = |grant: &&Grant| new.person.roster_id.is_some() && grant.person.roster_id == new.person.roster_id;
    if same_address.is_none() && known.iter().any(|grant| has_id(&grant)) {
        return Err(vec![("id", "Somebody else on the roster has this id.".to_owned())]);
    }
    Ok(new)
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
