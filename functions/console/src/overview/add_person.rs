//! Adding one person to the roster by hand, or restoring one who was dropped from it.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{self, ChangeRefused, HoldKind, Person, RosterLine};
use bursar_core::store::{ActOutcome, NewPerson};

use super::page::{self, PageState};
use crate::form::{Field, Form, FormValue, Kind, Text};
use crate::prelude::*;
use crate::roster::{self, line};

/// A person as the form names them.
#[derive(Default)]
pub(crate) struct TypedPerson {
    pub(crate) address: Option<EmailAddress>,
    name: Option<String>,
    group: Option<String>,
    roster_id: Option<String>,
}

impl FormValue for TypedPerson {
    const FIELDS: &'static [Field<TypedPerson>] = &[
        Field {
            id: "email",
            label: "University address",
            kind: Kind::Address,
            read: |form, to| line::address(form.text()).map(|address| to.address = Some(address)),
            ..Field::REQUIRED
        },
        Field { id: "name", label: "Name", read: |form, to| text(form, &mut to.name), ..Field::OPTIONAL },
        Field { id: "group", label: "Group", read: |form, to| text(form, &mut to.group), ..Field::OPTIONAL },
        Field {
            id: "id",
            label: "Id at the university",
            read: |form, to| text(form, &mut to.roster_id),
            ..Field::OPTIONAL
        },
    ];

    fn start(_: Option<&TypedPerson>) -> TypedPerson {
        TypedPerson::default()
    }
}

fn text(form: &Text<'_, TypedPerson>, to: &mut Option<String>) -> Result<(), String> {
    *to = line::text(form.text()).map_err(|why| format!("This {why}."))?;
    Ok(())
}

enum PersonMatch {
    /// A new person, or one who is on the roster already with equal fields.
    New(NewPerson),
    /// A dropped person, with the roster line that they return with.
    Dropped(GrantId, RosterLine),
}

pub(crate) async fn add_person(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, .. } = &post;
    let programme = &access.programme;
    roster::has_open_roster(programme)?;
    let mut form = Form::<TypedPerson>::blank().apart("person-", "").typed(fields);
    let known = site.table.grants(&programme.id).await?;
    let typed = form.read().and_then(|typed| Some((typed.address.clone()?, typed)));
    let matched = typed.map(|(address, typed)| named(address, typed, &known));
    match matched {
        Some(Ok(PersonMatch::Dropped(grant, line))) => {
            let at = ActContext { programme: &programme.id, grant: &grant, now: post.now, deadline: post.deadline };
            take_back(site, at, &line, &post.actor).await
        }
        Some(Ok(PersonMatch::New(new))) => {
            // A second request leaves a person as they are who is on the roster already.
            site.table.invite(&programme.id, &[new], post.author()).await?;
            Ok(to_overview(&programme.id))
        }
        refused => {
            if let Some(Err((field, why))) = refused {
                form.refuse(field, why);
            }
            let state = PageState { person: Some(form), ..PageState::default() };
            Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page::show(site, access, state).await))
        }
    }
}

/// Restores a dropped person with the fields of the form.
async fn take_back(site: &Site, at: ActContext<'_>, line: &RosterLine, by: &Actor) -> Answer {
    if let ActOutcome::Refused(ChangeRefused::BudgetExhausted) = site.table.describe(at, line, by).await? {
        let why = "The budget has no room for what they may still spend. It must be raised first.";
        return Err(AppError::conflict(why));
    }
    site.table.act(at, |view, now| view.release(HoldKind::Dropped, by, now)).await?;
    site.orders().now_or_later(at).await;
    Ok(to_overview(at.programme))
}

fn to_overview(programme: &ProgrammeId) -> Response {
    Redirect::to(&paths::programme(programme)).into_response()
}

/// The person whom the form names, unless the address or id is another person's. Fields that are empty keep
/// the roster's values.
fn named(address: EmailAddress, typed: TypedPerson, known: &[Grant]) -> Result<PersonMatch, (&'static str, String)> {
    let TypedPerson { name, group, roster_id, .. } = typed;
    let Some(grant) = known.iter().find(|grant| grant.person.address == address) else {
        let has_id = |grant: &Grant| roster_id.is_some() && grant.person.roster_id == roster_id;
        if known.iter().any(has_id) {
            return Err(("id", "Somebody else on the roster has this id.".to_owned()));
        }
        return Ok(PersonMatch::New(NewPerson { person: Person { address, name, roster_id }, group }));
    };
    if line::is_another(grant.person.roster_id.as_deref(), roster_id.as_deref()) {
        return Err(("email", format!("Refused: {}.", line::ANOTHER_ID)));
    }
    let person = grant::Person {
        address: grant.person.address.clone(),
        name: name.or_else(|| grant.person.name.clone()),
        roster_id: roster_id.or_else(|| grant.person.roster_id.clone()),
    };
    let line = RosterLine { person, group: group.or_else(|| grant.group.clone()) };
    if grant.holds.dropped.is_some() && !grant.is_over() {
        return Ok(PersonMatch::Dropped(grant.id.clone(), line));
    }
    if line.person != grant.person || line.group != grant.group {
        let why = "This address is on the roster already. To change what is known of it, upload a roster.";
        return Err(("email", why.to_owned()));
    }
    Ok(PersonMatch::New(NewPerson { person: line.person, group: line.group }))
}
