//! Adding one person to the roster by hand, as a file with one row would, or restoring one who was dropped from it.

use super::page::{self, PageState};
use crate::form::Text;
use crate::prelude::*;
use crate::roster::{self, line};
use crate::work::import;

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

pub(crate) async fn add_person(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, .. } = &post;
    let programme = &access.programme;
    roster::has_open_roster(programme)?;
    let mut form = Form::<TypedPerson>::blank().apart("person-", "").typed(fields);
    if let Some(TypedPerson { address: Some(address), name, group, roster_id }) = form.read() {
        let known = site.table.grants(&programme.id).await?;
        let steps = roster::steps_of_one(Person { address: address.clone(), name, roster_id }, group, &known);
        let has_address = |id: &GrantId| known.iter().any(|of| of.id == *id && of.person.address == address);
        if !matches!(&steps[..], [Step::Change { grant, .. }] if has_address(grant)) {
            return apply(&post, &steps).await;
        }
        let why = "This address is on the roster already. To change what is known of it, upload a roster.";
        form.refuse("email", why.to_owned());
    }
    let state = PageState { person: Some(form), ..PageState::default() };
    Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page::show(site, access, state).await))
}

/// Takes the steps one after the other, which a second request finds taken.
async fn apply(post: &Post<Faculty>, steps: &[Step]) -> Answer {
    let programme = &post.access.programme.id;
    for step in steps.chunks(1) {
        if import::apply(&post.site, programme, None, step, post.author()).await? > 0 {
            let why = "The budget has no room for what they may still spend. It must be raised first.";
            return Err(AppError::conflict(why));
        }
    }
    Ok(Redirect::to(&paths::programme(programme)).into_response())
}
