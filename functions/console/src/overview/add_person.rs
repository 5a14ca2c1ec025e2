//! Adding one person to the roster by hand, or restoring one who was dropped from it.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{self, ChangeRefused, HoldKind, Person, RosterLine};
use bursar_core::store::{ActOutcome, NewPerson};

use super::page::{self, PageState};
use crate::prelude::*;
use crate::roster::{self, line};

enum PersonMatch {
    /// A new person, or one who is on the roster already with equal fields.
    New(NewPerson),
    /// A dropped person, with the roster line that they return with.
    Dropped(GrantId, RosterLine),
}

pub(crate) async fn add_person(form: Form<Faculty>) -> Answer {
    let Form { site, access, fields, .. } = &form;
    let programme = &access.programme;
    roster::has_open_roster(programme)?;
    let mut typed = PersonForm::of(fields);
    let known = site.table.grants(&programme.id).await?;
    match typed.read().and_then(|new| named(new, &known)) {
        Ok(PersonMatch::Dropped(grant, line)) => {
            let at = ActContext { programme: &programme.id, grant: &grant, now: form.now, deadline: form.deadline };
            take_back(site, at, &line, &form.actor).await
        }
        Ok(PersonMatch::New(new)) => {
            // A second request leaves a person as they are who is on the roster already.
            site.table.invite(&programme.id, &[new], form.author()).await?;
            Ok(to_overview(&programme.id))
        }
        Err(errors) => {
            typed.errors = errors;
            let state = PageState { person: typed, ..PageState::default() };
            Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page::show(site, access, state).await))
        }
    }
}

/// Restores a dropped person with the fields of the form.
async fn take_back(site: &Site, at: ActContext<'_>, line: &RosterLine, by: &Actor) -> Answer {
    let why = "The budget has no room for what they may still spend. It must be raised first.";
    if let ActOutcome::Refused(ChangeRefused::BudgetExhausted) = site.table.describe(at, line, by).await? {
        return Err(AppError::conflict(why));
    }
    if let ActOutcome::Refused(ChangeRefused::BudgetExhausted) =
        site.table.act(at, |view, now| view.release(HoldKind::Dropped, by, now)).await?
    {
        return Err(AppError::conflict(why));
    }
    site.orders().now_or_later(at).await;
    Ok(to_overview(at.programme))
}

fn to_overview(programme: &ProgrammeId) -> Response {
    Redirect::to(&paths::programme(programme)).into_response()
}

/// The person whom the form names, unless the address or id is another person's. Fields that are empty keep
/// the roster's values.
fn named(new: NewPerson, known: &[Grant]) -> Result<PersonMatch, Vec<(&'static str, String)>> {
    let NewPerson { person, group } = &new;
    let Some(grant) = known.iter().find(|grant| grant.person.address == person.address) else {
        let has_id = |grant: &Grant| person.roster_id.is_some() && grant.person.roster_id == person.roster_id;
        if known.iter().any(has_id) {
            return Err(vec![("id", "Somebody else on the roster has this id.".to_owned())]);
        }
        return Ok(PersonMatch::New(new));
    };
    if line::is_another(grant.person.roster_id.as_deref(), person.roster_id.as_deref()) {
        return Err(vec![("email", format!("Refused: {}.", line::ANOTHER_ID))]);
    }
    let line = RosterLine {
        person: grant::Person {
            address: grant.person.address.clone(),
            name: person.name.clone().or_else(|| grant.person.name.clone()),
            roster_id: person.roster_id.clone().or_else(|| grant.person.roster_id.clone()),
        },
        group: group.clone().or_else(|| grant.group.clone()),
    };
    let is_over = grant.is_over();
    if grant.holds.dropped.is_some() && !is_over {
        return Ok(PersonMatch::Dropped(grant.id.clone(), line));
    }
    if (line.person, line.group) != (grant.person.clone(), grant.group.clone()) {
        let why = "This address is on the roster already. To change what is known of it, upload a roster.";
        return Err(vec![("email", why.to_owned())]);
    }
    Ok(PersonMatch::New(new))
}

#[derive(Default)]
pub(super) struct PersonForm {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) group: String,
    pub(super) id: String,
    pub(super) errors: Vec<(&'static str, String)>,
}

impl PersonForm {
    pub(super) fn of(fields: &Fields) -> PersonForm {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        PersonForm {
            email: text("email"),
            name: text("name"),
            group: text("group"),
            id: text("id"),
            errors: Vec::new(),
        }
    }

    pub(super) fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|(name, _)| *name == field).map(|(_, why)| why.as_str())
    }

    pub(super) fn read(&self) -> Result<NewPerson, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let address = line::address(&self.email).map_err(|why| errors.push(("email", why))).ok();
        let mut text = |field, text: &str| {
            line::text(text).map_err(|why| errors.push((field, format!("This {why}.")))).unwrap_or_default()
        };
        let (name, group, roster_id) = (text("name", &self.name), text("group", &self.group), text("id", &self.id));
        match address {
            Some(address) if errors.is_empty() => Ok(NewPerson { person: Person { address, name, roster_id }, group }),
            _ => Err(errors),
        }
    }
}
