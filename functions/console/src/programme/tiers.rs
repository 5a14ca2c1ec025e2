//! The page of the tiers: named lists of models, which admins keep for programmes and groups.

use std::collections::BTreeSet;

use askama::Template;
use axum::http::StatusCode;
use bursar_core::domain::programme::rules::Tier;
use bursar_core::domain::programme::{Programme, rules};
use bursar_core::domain::values::format::Joined;
use bursar_core::store::{ListedModels, RulesSource, TierOutcome};
use bursar_core::web::{Answer, AppError, Flash, Site, Visitor};

use crate::kit::access::{AdminAccess, Admins, PageFrame, Post};
use crate::kit::form::{Field, FieldKind, Form, FormValue};
use crate::kit::paths;
use crate::programme::settings::{KnownModels, NotListed, models_of};
use crate::work::guardrails;

const STALE: &str = "Nothing was saved: this list was edited meanwhile. Below are your text and the present list. Save again to replace the list with your text.";
const REFUSED: &str = "Nothing was saved: please correct the field below.";
const NAMED: &str = "Nothing was removed: the list is in use.";
const NO_VERSION: &str =
    "The form does not say which version of the list it shows. Open the page again.";

#[derive(Default)]
pub(crate) struct TypedTier {
    name: String,
    models: Vec<String>,
}

impl FormValue for TypedTier {
    const FIELDS: &'static [Field<TypedTier>] = &[
        Field {
            id: "tier",
            label: "Name",
            write: |typed| typed.name.clone(),
            read: |form, typed| {
                typed.name = form.text().to_owned();
                if rules::is_tier_name(&typed.name) {
                    return Ok(());
                }
                Err("The name of a list has small letters, digits and hyphens, at most 40, such as first-year."
                    .to_owned())
            },
            ..Field::REQUIRED
        },
        Field {
            id: "models",
            label: "Models",
            kind: FieldKind::Lines,
            write: |typed| typed.models.join("\n"),
            read: |form, typed| {
                typed.models = models_of(form.text())?;
                if rules::tier_named_in(&typed.models).is_some() {
                    let why = "A list names models, and no other list. Write each with its provider, such as openai/gpt-4o-mini.";
                    return Err(why.to_owned());
                }
                Ok(())
            },
            ..Field::OPTIONAL
        },
    ];
}

#[derive(Template)]
#[template(path = "tiers.html")]
struct TiersPage<'a> {
    frame: PageFrame<'a>,
    refusal: Option<&'static str>,
    tiers: Vec<TierForm>,
    new: Form<TypedTier>,
    new_version: Option<u64>,
    prices: Option<ListedModels>,
}

/// The form of a tier that there is.
pub(crate) struct TierForm {
    name: String,
    version: u64,
    form: Form<TypedTier>,
    /// The programmes that name it, for themselves or a group.
    named_by: Vec<String>,
}

pub(crate) async fn page(site: Site, AdminAccess { visitor }: AdminAccess) -> Answer {
    show(&site, &visitor, None).await
}

pub(crate) async fn save(post: Post<Admins>) -> Answer {
    let Post {
        site,
        access: AdminAccess { visitor },
        fields,
        ..
    } = &post;
    let version = fields.filled("version").map(str::parse::<u64>);
    let has_no_version = version.as_ref().is_some_and(Result::is_err);
    let version = version.and_then(Result::ok);
    let refused = async |form: Form<TypedTier>, status, why| {
        AppError::page(
            status,
            show(site, visitor, Some((form.refused(why), version))).await,
        )
    };
    let mut form = Form::blank().typed(fields);
    let Some(TypedTier { name, models }) = form.read() else {
        return Err(refused(form, StatusCode::UNPROCESSABLE_ENTITY, REFUSED).await);
    };
    let wrong = if has_no_version {
        Some(NO_VERSION)
    } else if models.is_empty() && version.is_none() {
        Some("Write at least one model.")
    } else {
        None
    };
    if let Some(why) = wrong {
        form.refuse("models", why.to_owned());
        return Err(refused(form, StatusCode::UNPROCESSABLE_ENTITY, REFUSED).await);
    }
    let before = site
        .table
        .tiers()
        .await?
        .models(&name)
        .unwrap_or_default()
        .to_vec();
    if let Some(NotListed { status, why }) =
        KnownModels::check(site, &before, &models, post.deadline).await?
    {
        form.refuse("models", why);
        return Err(refused(form, status, REFUSED).await);
    }
    match site
        .table
        .edit_tier(&name, &models, version, post.author())
        .await?
    {
        TierOutcome::Done => {
            guardrails::run_in_request(site, RulesSource::Tier(name), post.deadline).await;
            Ok(site.done(
                paths::TIERS,
                &Flash::TierSaved {
                    is_removed: models.is_empty(),
                },
            ))
        }
        TierOutcome::Stale(now) => {
            let form = Form::edit(TypedTier {
                name,
                models: now.models,
            })
            .typed(fields)
            .beside()
            .refused(STALE);
            Err(AppError::page(
                StatusCode::CONFLICT,
                show(site, visitor, Some((form, Some(now.version)))).await,
            ))
        }
        TierOutcome::Named(naming) => {
            let names = naming
                .iter()
                .map(|programme| programme.settings.name.as_str())
                .joined(", ");
            let verb = if naming.len() == 1 { "names" } else { "name" };
            form.refuse(
                "models",
                format!("{names} {verb} it. Give them other models first."),
            );
            Err(refused(form, StatusCode::CONFLICT, NAMED).await)
        }
    }
}

/// The page; `refused` is a form that was refused, with the version that it is of.
async fn show(
    site: &Site,
    visitor: &Visitor,
    refused: Option<(Form<TypedTier>, Option<u64>)>,
) -> Answer {
    let mut forms: Vec<TierForm> = site
        .table
        .tiers()
        .await?
        .iter()
        .map(TierForm::new)
        .collect();
    let programmes = site.table.list(Programme::all()).await?;
    let prices = site.table.get(ListedModels::key_of()).await?;
    for programme in programmes
        .into_iter()
        .filter(|programme| programme.closed_at.is_none())
    {
        for named in programme.settings.rules.tiers().collect::<BTreeSet<_>>() {
            let tier = forms.iter_mut().find(|tier| tier.name == named);
            tier.into_iter()
                .for_each(|tier| tier.named_by.push(programme.settings.name.clone()));
        }
    }
    let mut page = TiersPage {
        frame: PageFrame::new(site, visitor),
        refusal: None,
        tiers: forms,
        new: Form::blank(),
        new_version: None,
        prices,
    };
    if let Some((form, version)) = refused {
        page.refusal = form.refusal;
        match page
            .tiers
            .iter_mut()
            .find(|tier| tier.name == form.text("tier"))
        {
            Some(tier) => tier.form = form.apart(&format!("{}-", tier.name), ""),
            None => (page.new, page.new_version) = (form, version),
        }
    }
    Ok(site.page(&page))
}

impl TierForm {
    fn new(tier: &Tier) -> TierForm {
        let saved = TypedTier {
            name: tier.name.clone(),
            models: tier.models.clone(),
        };
        let form = Form::edit(saved).apart(&format!("{}-", tier.name), "");
        TierForm {
            name: tier.name.clone(),
            version: tier.version,
            form,
            named_by: Vec::new(),
        }
    }

    /// The models that are saved.
    fn models(&self) -> &[String] {
        self.form
            .before()
            .map(|saved| &saved.models[..])
            .unwrap_or_default()
    }

    fn has_free_models(&self) -> bool {
        self.models().iter().any(|model| model.ends_with(":free"))
    }
}
