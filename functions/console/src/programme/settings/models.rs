//! A list of models as a form writes it, and whether the provider lists the models and providers
//! that are new in it.

use std::time::Duration;

use axum::http::StatusCode;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::rules::{ListedModel, Tiers};
use bursar_core::domain::programme::{Settings, rules};
use bursar_core::domain::values::format::Joined;
use bursar_core::store::StoreError;
use bursar_core::web::Site;

use super::SettingsDraft;
use super::reader::{list_of, words};
use crate::kit::form::Form;

const MOST: usize = 200;
/// How long a form waits for the provider's list.
const FOR_THE_LIST: Duration = Duration::from_secs(10);
/// What is said beside what could not be checked.
const LIST_UNREAD: &str = "OpenRouter's list cannot be read now, so nothing was saved. What you typed is kept: save again in a minute.";

/// The models of a text, each once, or the name of a tier alone; an error is a sentence for the
/// person who typed it.
pub(crate) fn models_of(text: &str) -> Result<Vec<String>, String> {
    list_of(text, MOST, "models", |word| {
        if !is_slug(word) {
            return Err(format!("{word} is not the name of a model."));
        }
        if !word.contains('/') && !is_only(word, text) {
            return Err(format!(
                "{word} names no provider. Write each model as OpenRouter's list does, such as openai/gpt-4o-mini."
            ));
        }
        Ok(word.to_owned())
    })
}

fn is_slug(word: &str) -> bool {
    word.len() <= 200
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/-_.:~@".contains(c))
}

/// What models there are: the tiers, and what the provider lists.
pub(crate) struct KnownModels {
    tiers: Tiers,
    /// Nothing where the list could not be read.
    listed: Option<Vec<ListedModel>>,
}

pub(crate) struct NotListed {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

impl KnownModels {
    /// Reads what there is. The provider is asked for its list only if there are `news`, models
    /// that were not named before.
    pub(crate) async fn read(
        site: &Site,
        news: &[&str],
        deadline: Deadline,
    ) -> Result<KnownModels, StoreError> {
        let tiers = site.table.tiers().await?;
        if news.is_empty() {
            return Ok(KnownModels {
                tiers,
                listed: None,
            });
        }
        let listed = site.provider.models(deadline.limit_to(FOR_THE_LIST)).await;
        if let Err(error) = &listed {
            tracing::warn!(%error, "the provider's list of models was not read");
            site.tell_of(error, deadline).await;
        }
        Ok(KnownModels {
            tiers,
            listed: listed.ok(),
        })
    }

    /// Checks a list that is to be saved in the place of another one.
    pub(crate) async fn check(
        site: &Site,
        before: &[String],
        after: &[String],
        deadline: Deadline,
    ) -> Result<Option<NotListed>, StoreError> {
        let catalogue = KnownModels::read(site, &new_models(before, after), deadline).await?;
        Ok(catalogue.refusal(before, after))
    }

    /// The reason that a list cannot be saved in the place of another one: a tier or model that
    /// there is not. A model that was named before stays, listed or not.
    pub(crate) fn refusal(&self, before: &[String], after: &[String]) -> Option<NotListed> {
        if before != after
            && let Some(named) = rules::tier_named_in(after)
            && self.tiers.models(named).is_none()
        {
            return Some(NotListed::unknown(format!(
                "{named} is neither a model list nor a model. Write each model with its provider, such as openai/gpt-4o-mini, or one of the lists: {}.",
                self.tiers
                    .iter()
                    .map(|tier| tier.name.as_str())
                    .joined(", ")
            )));
        }
        let news = new_models(before, after);
        if news.is_empty() {
            return None;
        }
        let Some(listed) = &self.listed else {
            return Some(NotListed::unread());
        };
        let unknown = news
            .into_iter()
            .filter(|slug| !listed.iter().any(|model| model.is_named(slug)))
            .joined(", ");
        let why = format!("OpenRouter has no such model: {unknown}. Copy the name from its list.");
        (!unknown.is_empty()).then(|| NotListed::unknown(why))
    }
}

impl NotListed {
    fn unknown(why: String) -> NotListed {
        NotListed {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            why,
        }
    }

    fn unread() -> NotListed {
        NotListed {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: LIST_UNREAD.to_owned(),
        }
    }
}

/// Refuses models and providers of settings that there are not, in their form. Returns the status
/// if there is one.
pub(crate) async fn refuse_impossible(
    site: &Site,
    form: &mut Form<SettingsDraft>,
    after: &Settings,
    deadline: Deadline,
) -> Result<Option<StatusCode>, StoreError> {
    let before = form
        .before()
        .map(|before| before.settings.rules.all.clone())
        .unwrap_or_default();
    let models =
        KnownModels::check(site, &before.models, &after.rules.all.models, deadline).await?;
    let providers = check_providers(
        site,
        &before.providers,
        &after.rules.all.providers,
        deadline,
    )
    .await;
    let refused = [("models", models), ("providers", providers)];
    let refused = refused
        .into_iter()
        .filter_map(|(id, refused)| Some((id, refused?)));
    let statuses: Vec<StatusCode> = refused
        .map(|(id, NotListed { status, why })| {
            form.refuse(id, why);
            status
        })
        .collect();
    // What is wrong for good goes before what may be right in a minute.
    Ok(statuses.into_iter().min())
}

/// Checks providers. One that was named before stays, listed or not.
async fn check_providers(
    site: &Site,
    before: &[String],
    after: &[String],
    deadline: Deadline,
) -> Option<NotListed> {
    let news: Vec<&str> = after
        .iter()
        .filter(|slug| !before.contains(slug))
        .map(String::as_str)
        .collect();
    if news.is_empty() {
        return None;
    }
    let listed = match site
        .provider
        .providers(deadline.limit_to(FOR_THE_LIST))
        .await
    {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the provider's list of providers was not read");
            site.tell_of(&error, deadline).await;
            return Some(NotListed::unread());
        }
    };
    // Behind a slash stands one of a provider's offers, which is not listed by itself.
    let unknown = news.into_iter().filter(|slug| {
        slug.split('/')
            .next()
            .is_none_or(|name| !listed.contains(name))
    });
    let unknown = unknown.joined(", ");
    let why = format!(
        "There is no such provider: {unknown}. Write each as OpenRouter spells it, such as openai."
    );
    (!unknown.is_empty()).then(|| NotListed::unknown(why))
}

/// The models that a list did not name before; a tier's name is none.
pub(crate) fn new_models<'a>(before: &[String], after: &'a [String]) -> Vec<&'a str> {
    if rules::tier_named_in(after).is_some() {
        return Vec::new();
    }
    after
        .iter()
        .filter(|model| !before.contains(model))
        .map(String::as_str)
        .collect()
}

/// Whether a word is all of the text, and can be a tier's name.
fn is_only(word: &str, text: &str) -> bool {
    rules::is_tier_name(word) && words(text).count() == 1
}
