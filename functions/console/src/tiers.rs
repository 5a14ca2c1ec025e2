//! The page of the tiers: named lists of models, which admins keep for programmes and groups.

use std::collections::BTreeSet;

use bursar_core::domain::programme::rules::{self, Tier};
use bursar_core::store::TierOutcome;

use crate::prelude::*;
use crate::settings::{KnownModels, NotListed, models_of};
use crate::work::guardrails;

const STALE: &str = "Nothing was saved: somebody else edited this tier meanwhile. Below is what you typed, and what it is now. Save again to replace that.";
const REFUSED: &str = "Nothing was saved: see what is said beside the fields below.";
const NAMED: &str = "Nothing was removed: the tier is in use.";

#[derive(Template)]
#[template(path = "tiers.html")]
struct TiersPage<'a> {
    frame: PageFrame<'a>,
    refusal: Option<&'static str>,
    tiers: Vec<TierForm>,
    new: TierForm,
}

pub(crate) async fn page(State(site): State<Site>, AdminAccess { visitor }: AdminAccess) -> Answer {
    show(&site, &visitor, None).await
}

pub(crate) async fn save(form: Form<Admins>) -> Answer {
    let Form { site, access: AdminAccess { visitor }, fields, .. } = &form;
    let mut shown = TierForm::typed(fields);
    let Some((models, version)) = shown.read() else {
        return Err(refused(site, visitor, shown, REFUSED, StatusCode::UNPROCESSABLE_ENTITY).await);
    };
    let before = site.table.tiers().await?.models(&shown.name).unwrap_or_default().to_vec();
    if let Some(NotListed { status, why }) = KnownModels::check(site, &before, &models, form.deadline).await? {
        shown.models_error = Some(why);
        return Err(refused(site, visitor, shown, REFUSED, status).await);
    }
    let by = form.author();
    match site.table.edit_tier(&shown.name, &models, version, by).await? {
        TierOutcome::Done => {
            guardrails::in_a_request(site, RulesSource::Tier(shown.name), form.deadline).await;
            Ok(Redirect::to(paths::TIERS).into_response())
        }
        TierOutcome::Stale(now) => {
            shown.version = now.version.to_string();
            shown.now = Some(if now.models.is_empty() { "removed".to_owned() } else { now.models.join(" ") });
            Err(refused(site, visitor, shown, STALE, StatusCode::CONFLICT).await)
        }
        TierOutcome::Named(naming) => {
            shown.models_error = Some(format!(
                "{} {} it. Give them other models first.",
                names(&naming),
                if naming.len() == 1 { "names" } else { "name" }
            ));
            Err(refused(site, visitor, shown, NAMED, StatusCode::CONFLICT).await)
        }
    }
}

async fn refused(site: &Site, visitor: &Visitor, form: TierForm, why: &'static str, status: StatusCode) -> AppError {
    AppError::page(status, show(site, visitor, Some((form, why))).await)
}

async fn show(site: &Site, visitor: &Visitor, refused: Option<(TierForm, &'static str)>) -> Answer {
    let mut tiers: Vec<TierForm> = site.table.tiers().await?.iter().map(TierForm::of).collect();
    for programme in
        site.table.list(Programme::all()).await?.into_iter().filter(|programme| programme.closed_at.is_none())
    {
        for named in programme.settings.rules.tiers().collect::<BTreeSet<_>>() {
            let tier = tiers.iter_mut().find(|tier| tier.name == named);
            tier.into_iter().for_each(|tier| tier.named_by.push(programme.settings.name.clone()));
        }
    }
    let (mut refusal, mut new) = (None, TierForm::default());
    if let Some((form, why)) = refused {
        refusal = Some(why);
        match tiers.iter_mut().find(|tier| tier.name == form.name) {
            Some(tier) => *tier = TierForm { named_by: std::mem::take(&mut tier.named_by), ..form },
            None => new = form,
        }
    }
    Ok(site.page(&TiersPage { frame: PageFrame::of(site, visitor), refusal, tiers, new }))
}

fn names(programmes: &[Programme]) -> String {
    programmes.iter().map(|programme| programme.settings.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The fields of one tier, as it is or as they were posted.
#[derive(Default)]
pub(crate) struct TierForm {
    /// Empty for a tier that is to be made.
    pub(crate) name: String,
    pub(crate) models: String,
    /// Empty where there was no such tier.
    pub(crate) version: String,
    pub(crate) name_error: Option<String>,
    pub(crate) models_error: Option<String>,
    /// The present models, where a stale form carries others.
    pub(crate) now: Option<String>,
    /// The programmes that name it, for themselves or a group.
    pub(crate) named_by: Vec<String>,
}

impl TierForm {
    fn of(tier: &Tier) -> TierForm {
        let (models, version) = (tier.models.join("\n"), tier.version.to_string());
        TierForm { name: tier.name.clone(), models, version, ..TierForm::default() }
    }

    fn typed(fields: &Fields) -> TierForm {
        let text = |field| fields.get(field).map(|typed| typed.trim().replace("\r\n", "\n")).unwrap_or_default();
        TierForm { name: text("tier"), models: text("models"), version: text("version"), ..TierForm::default() }
    }

    /// The models, and the version that the form was made from, if there was such a tier; `None` where the form cannot be read.
    fn read(&mut self) -> Option<(Vec<String>, Option<u64>)> {
        if !rules::is_tier_name(&self.name) {
            self.name_error =
                Some("A tier's name has small letters, digits and hyphens, at most 40, such as first-year.".to_owned());
        }
        let models = match models_of(&self.models) {
            Ok(models) if rules::tier_named_in(&models).is_some() => {
                Err("A tier lists models, and no other tier. Write each with its provider, such as openai/gpt-4o-mini."
                    .to_owned())
            }
            Ok(models) if models.is_empty() && self.version.is_empty() => Err("Write at least one model.".to_owned()),
            models => models,
        };
        let version = match self.version.as_str() {
            "" => Ok(None),
            version => version.parse().map(Some),
        };
        if version.is_err() {
            self.models_error = Some("The form did not say which state of the tier it was made from.".to_owned());
        }
        match models {
            Err(why) => self.models_error = Some(why),
            Ok(models) if self.name_error.is_none() => return Some((models, version.ok()?)),
            Ok(_) => {}
        }
        None
    }
}
