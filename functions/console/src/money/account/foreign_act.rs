//! The form by which an admin disables or limits a key that nobody here made. It is the only way in
//! which such a key is ever written; the key's name is typed, and what was pressed is on record
//! before the provider is asked.

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::ledger::foreign::{AnsweredKey, ForeignAct, ForeignChange, ForeignKey};
use bursar_core::domain::values::id::{KeyHash, KeyName};
use bursar_core::provider::ProviderError;
use bursar_core::provider::key::ProviderKey;
use bursar_core::provider::keys::KeyPatch;
use bursar_core::store::ForeignRequest;
use bursar_core::web::{Answer, AppError, Fields, Flash, Result, Site};

use super::forms::{TypedChange, change_form};
use super::page;
use super::page::RefusedForms;
use crate::kit::access::{Admins, Post};
use crate::kit::form::Form;
use crate::kit::paths;

/// The time that is left for the table after the provider's last answer.
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);

pub(crate) async fn act_on_foreign_key(Path(hash): Path<String>, post: Post<Admins>) -> Answer {
    let Post {
        site,
        fields,
        person,
        deadline,
        ..
    } = &post;
    let key = hash.parse::<KeyHash>().map_err(|_| AppError::not_found())?;
    let patience = deadline.earlier_by(LEFT_FOR_THE_TABLE);
    let answer = read(site, &key, patience)
        .await
        .map_err(|error| not_confirmed(NOTHING).with_cause(&error))?;
    let KeyAtProvider {
        name,
        state: before,
    } = answer.ok_or_else(|| unknown("OpenRouter has no such key."))?;
    if KeyName::is_bursars(&name) {
        let sentence = "Bursar made this key, here or in another deployment, and changes it on its student's page alone.";
        return Err(AppError::conflict(sentence));
    }
    // A renamed key of a grant is in no record of foreign keys, and neither is one that no sync has
    // seen.
    if site.table.get(ForeignKey::key_of(&key)).await?.is_none() {
        let sentence = "No check has found this key without an owner. A new key is listed here after the next check.";
        return Err(unknown(sentence));
    }
    let mut form = change_form(&key).typed(fields);
    let Some(change) = wanted(&mut form, &name, fields) else {
        return Err(page::refuse(
            &post,
            RefusedForms {
                key: Some((key, form)),
                ..RefusedForms::default()
            },
        )
        .await);
    };
    if before.has(change) {
        conclude_earlier(site, &key, change, before, *deadline).await?;
        return Ok(site.done(paths::ACCOUNT, &Flash::Already));
    }

    let request = ForeignRequest {
        key: &key,
        name: &name,
        change,
        before,
        actor: person,
        now: site.clock.now(),
    };
    let sentence = "Another change of this key is under way. Try again in half a minute.";
    let act = site.table.begin_foreign_act(&request, *deadline).await?;
    let act = act.ok_or_else(|| AppError::conflict(sentence))?;
    let answered = ask(site, &key, change, patience).await;
    let is_certain = answered
        .as_ref()
        .map_or_else(ProviderError::changed_nothing, |_| true);
    if is_certain {
        let answered = answered.as_ref().ok().copied().flatten();
        site.table
            .conclude_foreign_act(&act, answered, site.clock.now(), *deadline)
            .await?;
    }
    match answered {
        Ok(Some(_)) => {
            let notice = match change {
                ForeignChange::Disable => Flash::KeyDisabled,
                ForeignChange::Limit(limit) => Flash::KeyLimited { limit },
            };
            Ok(site.done(paths::ACCOUNT, &notice))
        }
        Ok(None) => {
            Err(not_confirmed(NOTHING).because("the provider does not find the key any more"))
        }
        Err(error) if is_certain => Err(not_confirmed(NOTHING).with_cause(&error)),
        Err(error) => {
            Err(not_confirmed("It is not known whether the key was changed.").with_cause(&error))
        }
    }
}

/// A key as the provider has it.
struct KeyAtProvider {
    name: String,
    state: AnsweredKey,
}

/// The key as the provider has it; `None` if it has none.
async fn read(
    site: &Site,
    key: &KeyHash,
    patience: Deadline,
) -> Result<Option<KeyAtProvider>, ProviderError> {
    let asked_at = site.clock.now();
    let provider_key = site.provider.get_key(key, patience).await?;
    Ok(provider_key.map(|provider_key| KeyAtProvider {
        state: answered(&provider_key, asked_at),
        name: provider_key.name,
    }))
}

/// Asks for a change, and looks at the key once more if no answer came. `None` if the provider does
/// not find the key any more.
async fn ask(
    site: &Site,
    key: &KeyHash,
    change: ForeignChange,
    patience: Deadline,
) -> Result<Option<AnsweredKey>, ProviderError> {
    let asked_at = site.clock.now();
    let patch = match change {
        ForeignChange::Disable => KeyPatch::disabled(true),
        ForeignChange::Limit(limit) => KeyPatch::limit(Some(limit)),
    };
    match site.provider.patch_key(key, patch, patience).await {
        Ok(Some(provider_key)) => Ok(Some(answered(&provider_key, asked_at))),
        Ok(None) => Ok(None),
        Err(error) if error.changed_nothing() => Err(error),
        Err(error) => match read(site, key, patience).await {
            Ok(Some(now)) if now.state.has(change) => Ok(Some(now.state)),
            _ => Err(error),
        },
    }
}

/// Records that a request has taken effect whose answer never came, if there is one.
async fn conclude_earlier(
    site: &Site,
    key: &KeyHash,
    change: ForeignChange,
    answered: AnsweredKey,
    deadline: Deadline,
) -> Result<()> {
    let earlier = site
        .table
        .get(ForeignAct::key_of(key))
        .await?
        .filter(|act| act.awaits(change));
    if let Some(act) = earlier {
        site.table
            .conclude_foreign_act(&act, Some(answered), site.clock.now(), deadline)
            .await?;
    }
    Ok(())
}

fn answered(provider_key: &ProviderKey, asked_at: Moment) -> AnsweredKey {
    AnsweredKey {
        answered_at: asked_at,
        enabled: !provider_key.disabled,
        limit: provider_key.limit,
    }
}

fn unknown(sentence: &'static str) -> AppError {
    AppError::refused(StatusCode::NOT_FOUND, sentence)
}

const NOTHING: &str = "Nothing was changed.";

/// The refusal of a change that the provider did not confirm. Its words are in the log.
fn not_confirmed(outcome: &str) -> AppError {
    let sentence = format!(
        "{outcome} OpenRouter did not confirm it. Press again in some minutes: nothing is done twice."
    );
    AppError::refused(StatusCode::BAD_GATEWAY, sentence)
}

/// The change that a form asks for, whose name must be the key's.
fn wanted(form: &mut Form<TypedChange>, name: &str, fields: &Fields) -> Option<ForeignChange> {
    let change = match fields.get("act") {
        Some("disable") => Some(ForeignChange::Disable),
        Some("limit") => form.read().map(|typed| ForeignChange::Limit(typed.limit)),
        _ => {
            form.refusal = Some("Press one of the two: set a limit, or disable the key.");
            None
        }
    };
    // A page shows every run of white space as one blank.
    if fields.get("name").is_none()
        || !form
            .text("name")
            .split_whitespace()
            .eq(name.split_whitespace())
    {
        form.refuse(
            "name",
            format!("This is not the key's name, which is “{name}” at OpenRouter now."),
        );
    }
    change.filter(|_| !form.is_refused())
}
