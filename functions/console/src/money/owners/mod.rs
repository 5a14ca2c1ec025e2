//! Owners of keys that Bursar did not make: an admin gives such keys to a programme, for which they
//! count from then on, or takes them back, after a look at what stays with whom. Nothing is done to
//! the keys themselves.

mod page;
mod selection;

use std::time::Duration;

use axum::http::StatusCode;
use bursar_core::deadline::Deadline;
use bursar_core::domain::ledger::cut::LifetimeUse;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::store::{AssignOutcome, UsedNow};
use bursar_core::web::{Answer, AppError, Flash, Result, Site};
use futures_util::stream::{StreamExt, iter};

use self::selection::{KeySelection, Purpose, Wanted};
use crate::kit::access::{AdminAccess, Admins, Post};
use crate::kit::form::Form;
use crate::kit::paths;
use crate::money::account;

pub(crate) use page::{KeysByOwner, OwnerWords, OwnersInWords, TypedOwner};

const CHANGED: &str = "Something changed since the preview. These are the keys that are left; those that are not listed were given.";
const OUT_OF_TIME: &str = "There was no time for all of these keys. Some are done; press again for those that are listed here.";

/// The most keys that are read at the press itself. Of more, what the last check read counts.
const MOST_READ: usize = 25;
const READ_AT_ONCE: usize = 5;
/// The time that is left for the table after the provider's last answer.
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(14);

struct Asked {
    selector: Wanted,
    purpose: Purpose,
}

pub(crate) async fn assign(post: Post<Admins>) -> Answer {
    let Post {
        site,
        access: AdminAccess { visitor },
        fields,
        ..
    } = &post;
    let choice = asked(&post).await?;
    let selection = KeySelection::read(site, &choice.selector, &choice.purpose).await?;
    if let Some(why) = selection.explain_nothing(&choice.selector) {
        return Err(refused(&post, Form::blank().typed(fields), "match", why).await);
    }
    let once_more = |status, selection: &KeySelection, why| {
        AppError::page(
            status,
            Ok(page::preview(site, visitor, &choice, selection, why)),
        )
    };
    if fields.filled("apply") != Some("on") {
        return Ok(page::preview(site, visitor, &choice, &selection, None));
    }
    let is_given = keys_are_given(&choice.purpose, &selection);
    if fields
        .filled("shown")
        .is_some_and(|shown| shown != selection.mark())
        && !is_given
    {
        let why = "Nothing was done: other keys match now than in the preview. These are the keys.";
        return Err(once_more(StatusCode::CONFLICT, &selection, Some(why)));
    }
    let author = post.author();
    let keys: Vec<KeyHash> = selection
        .chosen
        .iter()
        .map(|chosen| chosen.key.clone())
        .collect();
    let used = read_use_now(site, &keys, author.deadline.earlier_by(LEFT_FOR_THE_TABLE)).await;
    let failed = match &choice.purpose {
        Purpose::TakeBack if site.table.take_keys_back(&keys, &used, author).await? => None,
        Purpose::TakeBack => Some((StatusCode::SERVICE_UNAVAILABLE, OUT_OF_TIME)),
        // A second request finds that the keys are given.
        Purpose::Give { .. } if is_given => None,
        Purpose::Give { .. } if keys.is_empty() => {
            return Err(once_more(
                StatusCode::UNPROCESSABLE_ENTITY,
                &selection,
                None,
            ));
        }
        Purpose::Give { owner, .. } => match site
            .table
            .assign_keys(&owner.id, &keys, &used, author)
            .await?
        {
            AssignOutcome::Done => None,
            AssignOutcome::OutOfTime => Some((StatusCode::SERVICE_UNAVAILABLE, OUT_OF_TIME)),
            AssignOutcome::Changed => Some((StatusCode::CONFLICT, CHANGED)),
        },
    };
    if let Some((status, why)) = failed {
        let after = KeySelection::read(site, &choice.selector, &choice.purpose).await?;
        return Err(once_more(status, &after, Some(why)));
    }
    let keys = keys.len() as u64;
    let notice = match &choice.purpose {
        Purpose::TakeBack => Flash::KeysTakenBack { keys },
        Purpose::Give { .. } if is_given => Flash::Already,
        Purpose::Give { .. } => Flash::KeysGiven { keys },
    };
    Ok(site.done(paths::ACCOUNT, &notice))
}

/// What some keys have used by now, as far as the provider says so in time.
async fn read_use_now(site: &Site, keys: &[KeyHash], patience: Deadline) -> UsedNow {
    if keys.len() > MOST_READ {
        return UsedNow::new();
    }
    let reads: Vec<_> = keys
        .iter()
        .map(|key| used_by(site, key, patience))
        .collect();
    let read: Vec<_> = iter(reads).buffer_unordered(READ_AT_ONCE).collect().await;
    read.into_iter().flatten().collect()
}

async fn used_by(site: &Site, key: &KeyHash, patience: Deadline) -> Option<(KeyHash, LifetimeUse)> {
    let provider_key = site.provider.get_key(key, patience).await.ok()??;
    Some((
        key.clone(),
        LifetimeUse {
            credits: provider_key.usage?,
            byok: provider_key.byok_usage.unwrap_or_default(),
        },
    ))
}

/// Whether a request before this one gave all these keys.
fn keys_are_given(purpose: &Purpose, selection: &KeySelection) -> bool {
    matches!(purpose, Purpose::Give { .. })
        && selection.chosen.is_empty()
        && selection.is_given_already()
}

/// What a form asks for.
async fn asked(post: &Post<Admins>) -> Result<Asked> {
    let Post { site, fields, .. } = post;
    let mut form = Form::blank().typed(fields);
    let selector = match Wanted::from_fields(fields) {
        Ok(selector) => selector,
        Err(why) => return Err(refused(post, form, "match", why).await),
    };
    let Some(typed) = form.read() else {
        return Err(again(post, form).await);
    };
    if typed.owner.is_empty() {
        return Ok(Asked {
            selector,
            purpose: Purpose::TakeBack,
        });
    }
    let owner = match typed.owner.parse() {
        Ok(id) => site.table.get(Programme::key_of(&id)).await?,
        Err(_) => None,
    };
    let Some(owner) = owner else {
        let why = format!("There is no programme {}.", typed.owner);
        return Err(refused(post, form, "owner", why).await);
    };
    let budget = site.table.budget(&owner.id).await?;
    let free = (budget.limit - budget.reserved).or_zero();
    Ok(Asked {
        selector,
        purpose: Purpose::Give {
            owner: Box::new(owner),
            free,
        },
    })
}

async fn refused(
    post: &Post<Admins>,
    mut form: Form<TypedOwner>,
    field: &str,
    why: String,
) -> AppError {
    form.refuse(field, why);
    again(post, form).await
}

/// The form once more, with what was typed and what is wrong with it.
async fn again(post: &Post<Admins>, form: Form<TypedOwner>) -> AppError {
    account::refuse(
        post,
        account::RefusedForms {
            owner: Some(form),
            ..account::RefusedForms::default()
        },
    )
    .await
}
