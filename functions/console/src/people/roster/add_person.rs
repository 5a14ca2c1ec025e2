//! Adding one person to the roster by hand, as a file with one row would, or restoring one who was
//! dropped from it.

use axum::http::StatusCode;
use bursar_core::domain::grant::{ChangeRefused, Grant, Person};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::ActContext;
use bursar_core::web::{Answer, AppError, Fields, Flash};

use super::compare::RosterStep;
use super::page::{RefusedRosterForms, show};
use super::{domain, has_open_roster, line, steps_of_one};
use crate::kit::access::{Faculty, Post};
use crate::kit::form::{Field, FieldKind, FieldText, Form, FormValue};
use crate::kit::paths;
use crate::work::steps;

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
            kind: FieldKind::Address,
            read: |form, typed| {
                line::address(form.text()).map(|address| typed.address = Some(address))
            },
            ..Field::REQUIRED
        },
        Field {
            id: "name",
            label: "Name",
            read: |form, typed| text(form, &mut typed.name),
            ..Field::OPTIONAL
        },
        Field {
            id: "group",
            label: "Group",
            read: |form, typed| text(form, &mut typed.group),
            ..Field::OPTIONAL
        },
        Field {
            id: "id",
            label: "Id at the university",
            read: |form, typed| text(form, &mut typed.roster_id),
            ..Field::OPTIONAL
        },
    ];
}

fn text(form: &FieldText<'_, TypedPerson>, target: &mut Option<String>) -> Result<(), String> {
    *target = line::text(form.text()).map_err(|why| format!("This {why}."))?;
    Ok(())
}

pub(crate) async fn add_person(post: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        ..
    } = &post;
    let programme = &access.programme;
    has_open_roster(programme)?;
    let mut sure = None;
    let mut form = Form::<TypedPerson>::blank()
        .apart("person-", "")
        .typed(fields);
    if let Some(TypedPerson {
        address: Some(address),
        name,
        group,
        roster_id,
    }) = form.read()
    {
        let grants = site.table.grants(&programme.id).await?;
        match steps_of_one(
            Person {
                address: address.clone(),
                name,
                roster_id,
            },
            group,
            &grants,
        ) {
            Ok(steps)
                if !steps.is_empty()
                    && steps
                        .iter()
                        .all(|step| is_only_different(step, &address, &grants)) =>
            {
                let why = "This address is on the roster already. To change this person's details, upload a roster.";
                form.refuse("email", why.to_owned());
            }
            Ok(steps) => match doubt(&address, &grants, fields) {
                None => return apply(&post, steps).await,
                Some(question) => {
                    form.refuse("email", question);
                    sure = Some(domain(&address).to_owned());
                }
            },
            Err(why) => form.refuse("email", why),
        }
    }
    let refused = RefusedRosterForms {
        person: Some(form),
        sure,
        ..RefusedRosterForms::default()
    };
    Err(AppError::page(
        StatusCode::UNPROCESSABLE_ENTITY,
        show(site, access, refused).await,
    ))
}

/// Whether a step changes only what is known of somebody who has this address already.
fn is_only_different(step: &RosterStep, address: &EmailAddress, roster: &[Grant]) -> bool {
    match step {
        RosterStep::Describe { grant: id, .. } | RosterStep::Move { grant: id, .. } => roster
            .iter()
            .any(|grant| grant.id == *id && grant.person.address == *address),
        RosterStep::Add { .. }
        | RosterStep::Leave { .. }
        | RosterStep::Return { .. }
        | RosterStep::Drop { .. } => false,
    }
}

/// The question about an address at whose domain nobody on the roster has one, until the form comes
/// again with the domain as sure.
pub(crate) fn doubt(address: &EmailAddress, roster: &[Grant], fields: &Fields) -> Option<String> {
    let address_domain = domain(address);
    let mut standing = roster.iter().filter(|grant| !grant.is_over()).peekable();
    let is_usual = standing.peek().is_none()
        || standing.any(|grant| domain(&grant.person.address) == address_domain);
    (!is_usual && fields.get("sure") != Some(address_domain)).then(|| {
        format!("Is this address right? Nobody on the roster has one at {address_domain}. Nothing was done yet; if the address is right, press once more.")
    })
}

/// Takes the steps one after the other, which a second request finds taken. What may find no room
/// comes first: then nothing was done.
async fn apply(post: &Post<Faculty>, mut steps: Vec<RosterStep>) -> Answer {
    let programme = &post.access.programme.id;
    steps.sort_by_key(|step| !matches!(step, RosterStep::Move { .. } | RosterStep::Return { .. }));
    let notice = match steps.iter().find(|step| step.grant().is_none()) {
        None if steps.is_empty() => Flash::Already,
        Some(_) => Flash::PersonAdded,
        None if steps
            .iter()
            .any(|step| matches!(step, RosterStep::Return { .. })) =>
        {
            Flash::DropsUndone { people: 1 }
        }
        None => Flash::PersonChanged,
    };
    for step in &steps {
        let why = steps::take(&post.site, programme, step, None, post.author()).await?;
        if let Some(why) = why.filter(|why| *why != ChangeRefused::Unchanged) {
            return Err(AppError::conflict(refused(why)));
        }
    }
    if let Some(grant) = steps.iter().find_map(RosterStep::grant) {
        let context = ActContext {
            programme,
            grant,
            now: post.now,
            deadline: post.deadline,
        };
        post.site.settler().settle_or_leave(context).await;
    }
    Ok(post.site.done(&paths::roster(programme), &notice))
}

fn refused(why: ChangeRefused) -> &'static str {
    match why {
        ChangeRefused::BudgetExhausted => {
            "Nothing was changed: the budget has no room for what they may spend in that group. It must be raised first."
        }
        ChangeRefused::Over => "They were removed, or have ended.",
        ChangeRefused::AddressTaken => {
            "Another person on the roster was given this address. Reload the page."
        }
        ChangeRefused::AddressChanged => {
            "This person was given another address meanwhile. Reload the page."
        }
        ChangeRefused::Unchanged | ChangeRefused::NoKey | ChangeRefused::PausedByAnother => {
            "Nothing was changed."
        }
        ChangeRefused::NotMailed | ChangeRefused::ChangedSince => "Nothing was changed.",
    }
}
