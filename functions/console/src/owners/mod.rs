//! Owners of keys that Bursar did not make: an admin gives such keys to a programme, after a look at what that counts, or takes
//! them back. Nothing is done to the keys themselves.

mod page;
mod selection;

use bursar_core::store::AssignOutcome;
pub(crate) use page::{KeyOwners, OwnerWords, TypedOwner};

use self::selection::{KeySelection, Purpose, Wanted};
use crate::account;
use crate::prelude::*;

/// Where the account's page shows the owners.
const DONE: &str = "/console/account#owners";

const CHANGED: &str = "Something changed since you looked. This is how it stands now; what is not listed was given.";
const OUT_OF_TIME: &str =
    "So many keys take longer than one page may. Some are done; press again for those that are listed here.";

struct Asked {
    wanted: Wanted,
    purpose: Purpose,
}

pub(crate) async fn assign(form: Form<Admins>) -> Answer {
    let Form { site, access: AdminAccess { visitor }, fields, .. } = &form;
    let asked = asked(&form).await?;
    let selection = KeySelection::of(site, &asked.wanted, &asked.purpose).await?;
    if let Some(why) = selection.why_nothing(&asked.wanted) {
        return Err(refused(&form, why).await);
    }
    let preview = |selection: &KeySelection, why| page::preview(site, visitor, &asked, selection, why);
    let again = |status, selection: &KeySelection, why| AppError::page(status, Ok(preview(selection, why)));
    if fields.filled("apply") != Some("on") {
        return Ok(preview(&selection, None));
    }
    let is_given = keys_are_given(&asked.purpose, &selection);
    if fields.filled("shown").is_some_and(|shown| shown != selection.mark()) && !is_given {
        let why = "Other keys fit by now than when you looked, so nothing was done. These are the keys.";
        return Err(again(StatusCode::CONFLICT, &selection, Some(why)));
    }
    let by = form.author();
    let keys: Vec<KeyHash> = selection.chosen.iter().map(|chosen| chosen.key.clone()).collect();
    match &asked.purpose {
        Purpose::TakeBack if site.table.take_keys_back(&keys, by).await? => {}
        Purpose::TakeBack => {
            let after = KeySelection::of(site, &asked.wanted, &asked.purpose).await?;
            return Err(again(StatusCode::SERVICE_UNAVAILABLE, &after, Some(OUT_OF_TIME)));
        }
        // A second request finds that the keys are given.
        Purpose::Give { .. } if is_given => {}
        Purpose::Give { .. } if keys.is_empty() || selection.passes_the_budget() => {
            return Err(again(StatusCode::UNPROCESSABLE_ENTITY, &selection, None));
        }
        Purpose::Give { owner, from, .. } => match site.table.assign_keys(&owner.id, &keys, *from, by).await? {
            AssignOutcome::Done => {}
            outcome @ (AssignOutcome::OutOfTime
            | AssignOutcome::BudgetPassed
            | AssignOutcome::Changed
            | AssignOutcome::NoSuchProgramme) => {
                let after = KeySelection::of(site, &asked.wanted, &asked.purpose).await?;
                let (status, why) = match outcome {
                    AssignOutcome::OutOfTime => (StatusCode::SERVICE_UNAVAILABLE, OUT_OF_TIME),
                    _ => (StatusCode::CONFLICT, CHANGED),
                };
                return Err(again(status, &after, Some(why)));
            }
        },
    }
    Ok(Redirect::to(DONE).into_response())
}

/// Whether a request before this one gave all these keys.
fn keys_are_given(purpose: &Purpose, selection: &KeySelection) -> bool {
    matches!(purpose, Purpose::Give { .. }) && selection.chosen.is_empty() && selection.is_given_already()
}

/// What a form asks for.
async fn asked(form: &Form<Admins>) -> Result<Asked, AppError> {
    let Form { site, fields, .. } = form;
    let wanted = match Wanted::of(fields) {
        Ok(wanted) => wanted,
        Err(why) => return Err(refused(form, why).await),
    };
    let Some(typed) = fields.filled("owner") else { return Ok(Asked { wanted, purpose: Purpose::TakeBack }) };
    let owner = match typed.parse() {
        Ok(id) => site.table.get(Programme::key_of(&id)).await?,
        Err(_) => None,
    };
    let Some(owner) = owner else { return Err(refused(form, format!("There is no programme {typed}.")).await) };
    let from: Result<Date, _> = fields.filled("from").map_or(Ok(utc_date(form.now)), str::parse);
    let Ok(from) = from else {
        let why = "Type the first day that counts as a date such as 2026-10-01.".to_owned();
        return Err(refused(form, why).await);
    };
    let budget = site.table.get(Budget::key_of(&owner.id)).await?.ok_or_else(AppError::not_found)?;
    Ok(Asked { wanted, purpose: Purpose::Give { owner: Box::new(owner), from, budget } })
}

/// The form once more, with what was typed and what is wrong with it.
async fn refused(form: &Form<Admins>, why: String) -> AppError {
    let owner = TypedOwner { refused: Some(why), ..TypedOwner::of(&form.fields) };
    let refused = account::Refused { owner: Some(owner), ..account::Refused::default() };
    let page = account::show(&form.site, &form.access.visitor, &SpanQuery::default(), refused).await;
    AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page)
}
