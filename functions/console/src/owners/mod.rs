//! Owners of keys that Bursar did not make: an admin gives such keys to a programme, after a look at what that counts, or takes
//! them back. Nothing is done to the keys themselves.

mod page;
mod selection;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{AssignOutcome, Author};
use bursar_core::web::{Answer, Fault, Fields, RequestDeadline, Site, Visitor};
use jiff::Timestamp;
use jiff::civil::Date;

use self::page::show;
use self::selection::{KeySelection, Purpose, Wanted};
use crate::access::{self, AdminAccess, Admins, Form};

pub(crate) use page::{KeyOwners, OwnerWords, TypedOwner};

/// Where the account's page shows the owners.
const DONE: &str = "/console/account#owners";

/// A form that was understood.
struct Asked {
    wanted: Wanted,
    purpose: Purpose,
}

pub(crate) async fn assign(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access: AdminAccess { visitor }, fields }: Form<Admins>,
) -> Answer {
    let now = site.clock.now();
    let asked = match asked(&site, &fields, now).await? {
        Ok(asked) => asked,
        Err(why) => return refused(&site, &visitor, &fields, &why).await,
    };
    let selection = KeySelection::of(&site, &asked.wanted, &asked.purpose).await?;
    if let Some(why) = selection.why_nothing(&asked.wanted) {
        return refused(&site, &visitor, &fields, &why).await;
    }
    if fields.filled("apply") != Some("on") {
        return Ok(page::preview(&site, &visitor, &asked, &selection, StatusCode::OK, None));
    }
    let actor = access::actor(&site, &visitor, deadline).await?;
    let by = Author { actor: &actor, now, deadline };
    let keys: Vec<KeyHash> = selection.chosen.iter().map(|chosen| chosen.key.clone()).collect();
    match &asked.purpose {
        Purpose::TakeBack => site.table.take_keys_back(&keys, by).await?,
        // A second press finds that the keys are given.
        Purpose::Give { .. } if keys.is_empty() && selection.is_given_already() => {}
        Purpose::Give { .. } if keys.is_empty() || selection.passes_the_pot() => {
            return Ok(page::preview(&site, &visitor, &asked, &selection, StatusCode::UNPROCESSABLE_ENTITY, None));
        }
        Purpose::Give { owner, from, .. } => match site.table.assign_keys(&owner.id, &keys, *from, by).await? {
            AssignOutcome::Done => {}
            AssignOutcome::PotPassed | AssignOutcome::Changed | AssignOutcome::NoSuchProgramme => {
                let after = KeySelection::of(&site, &asked.wanted, &asked.purpose).await?;
                let why =
                    "Something changed since you looked. This is how it stands now; what is not listed was given.";
                return Ok(page::preview(&site, &visitor, &asked, &after, StatusCode::CONFLICT, Some(why)));
            }
        },
    }
    Ok(Redirect::to(DONE).into_response())
}

/// What a form asks for, or why it is refused.
async fn asked(site: &Site, fields: &Fields, now: Timestamp) -> Result<Result<Asked, String>, Fault> {
    let wanted = match Wanted::of(fields) {
        Ok(wanted) => wanted,
        Err(why) => return Ok(Err(why)),
    };
    let Some(typed) = fields.filled("owner") else { return Ok(Ok(Asked { wanted, purpose: Purpose::TakeBack })) };
    let owner = match typed.parse() {
        Ok(id) => site.table.programme(&id).await?,
        Err(_) => None,
    };
    let Some(owner) = owner else { return Ok(Err(format!("There is no programme {typed}."))) };
    let from: Result<Date, _> = fields.filled("from").map_or(Ok(utc_date(now)), str::parse);
    let Ok(from) = from else {
        return Ok(Err("Type the first day that counts as a date such as 2026-10-01.".to_owned()));
    };
    let pot = site.table.pot(&owner.id).await?;
    let Some(pot) = pot else { return Ok(Err(format!("{typed} has no budget."))) };
    Ok(Ok(Asked { wanted, purpose: Purpose::Give { owner: Box::new(owner), from, pot } }))
}

/// The form once more, with what was typed and what is wrong with it.
async fn refused(site: &Site, visitor: &Visitor, fields: &Fields, why: &str) -> Result<Response, Fault> {
    show(site, visitor, TypedOwner::of(fields), why).await
}
