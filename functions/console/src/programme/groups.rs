//! The page of a programme's groups: the settings in which a group differs from its programme. A
//! blank field means the programme's.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::http::StatusCode;
use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{EditOutcome, ProgrammeEdit, RulesSource};
use bursar_core::web::{Answer, AppError, Fields, Flash, Reply, Result, Site};

use crate::kit::access::{Faculty, PageFrame, Post, ProgrammeAccess, is_open};
use crate::kit::form::{Difference, Field, FieldKind, Form, FormValue};
use crate::kit::paths;
use crate::programme::settings::edit::{NO_VERSION, OVERTAKEN};
use crate::programme::settings::{
    AS_THE_PROGRAMME, KnownModels, models_of, new_models, own_cap, plain,
};
use crate::work::{guardrails, jobs};

const REFUSED: &str = "Nothing was saved: please correct the fields below.";
const STALE: &str = "Nothing was saved: the programme was edited meanwhile. The fields below show its present values with your changes. Save again to save your changes only.";
const FORBIDDEN: &str = "Nothing was saved: the budget has no room for it.";
const TOO_MANY: &str =
    "Nothing was saved: the groups of a programme have at most about 2,000 models in all.";

/// How many bytes of models the groups may have, which all lie in the programme's item.
const MOST_BYTES: usize = 80_000;

/// In what a group differs from its programme.
#[derive(Default)]
struct Group {
    cap: Option<Usd>,
    models: Vec<String>,
}

impl FormValue for Group {
    const FIELDS: &'static [Field<Group>] = &[
        Field {
            id: "cap_usd",
            label: "Cap in dollars",
            kind: FieldKind::Money,
            when_empty: AS_THE_PROGRAMME,
            write: |group| group.cap.map(plain).unwrap_or_default(),
            read: |form, group| own_cap(form.text()).map(|cap| group.cap = cap),
            ..Field::OPTIONAL
        },
        Field {
            id: "models",
            label: "Models",
            kind: FieldKind::Lines,
            when_empty: AS_THE_PROGRAMME,
            write: |group| group.models.join("\n"),
            read: |form, group| models_of(form.text()).map(|models| group.models = models),
            ..Field::OPTIONAL
        },
    ];
}

struct GroupForm {
    name: String,
    people: usize,
    form: Form<Group>,
}

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    may_edit: bool,
    made_from: String,
    refusal: Option<&'static str>,
    groups: Vec<GroupForm>,
}

pub(crate) async fn page(site: Site, access: ProgrammeAccess) -> Answer {
    let forms = GroupForm::all(&site, &access.programme, &Fields::default()).await?;
    Ok(show(&site, &access, forms, None))
}

pub(crate) async fn save(post: Post<Faculty>) -> Answer {
    let Post {
        site,
        access,
        fields,
        deadline,
        ..
    } = &post;
    let programme = &access.programme;
    let version = fields
        .filled("version")
        .and_then(|version| version.parse::<u64>().ok());
    let version = version.ok_or_else(|| AppError::unprocessable(NO_VERSION))?;
    let refused =
        |status, forms, why| AppError::page(status, Ok(show(site, access, forms, Some(why))));
    let mut forms = GroupForm::all(site, programme, fields).await?;
    let groups = forms
        .iter_mut()
        .filter_map(|group| Some((group.name.clone(), group.form.read()?)));
    let groups: BTreeMap<String, Group> = groups.collect();
    let news = forms.iter().filter_map(|group| {
        Some(new_models(
            group.models_before(),
            &groups.get(&group.name)?.models,
        ))
    });
    let news: Vec<&str> = news.flatten().collect();
    let catalogue = KnownModels::read(site, &news, *deadline).await?;
    // What is wrong for good goes before what may be right in a minute.
    let checked = forms
        .iter_mut()
        .filter_map(|group| group.check(groups.get(&group.name), &catalogue));
    if let Some(status) = checked.min() {
        return Err(refused(status, forms, REFUSED));
    }
    let changes = forms
        .iter()
        .filter_map(|group| Some(group.form.changes(groups.get(&group.name)?)));
    let changes: Vec<Difference> = changes.collect();
    let what = changes
        .iter()
        .cloned()
        .fold(Difference::default(), Difference::and);
    if what.is_empty() {
        return Ok(site.done(&paths::groups(&programme.id), &Flash::Already));
    }
    let settings = with(&programme.settings, groups);
    let bytes: usize = settings
        .rules
        .group_models
        .values()
        .flatten()
        .map(String::len)
        .sum();
    if what.has("models") && bytes > MOST_BYTES {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, forms, TOO_MANY));
    }
    is_open(programme)?;
    if version != programme.version {
        return Err(refused(StatusCode::CONFLICT, beside(forms), STALE));
    }
    let edit = ProgrammeEdit::new_for_settings(settings, version, what.entry(Act::Edited));
    match site.table.edit(&programme.id, &edit, post.author()).await? {
        EditOutcome::Done => {
            guardrails::run_in_request(
                site,
                RulesSource::Programme(programme.id.clone()),
                *deadline,
            )
            .await;
            jobs::run_in_request(site, &programme.id, *deadline).await;
            Ok(site.done(&paths::groups(&programme.id), &Flash::GroupsSaved))
        }
        EditOutcome::BudgetTooSmall { budget, reserved } => {
            let why = format!(
                "This would promise {} to students who have keys, but the budget is {}.",
                reserved.up_to_the_cent().to_dollars(),
                budget.to_dollars()
            );
            let changed = forms
                .iter_mut()
                .zip(&changes)
                .filter(|(_, change)| change.has("cap_usd"));
            changed.for_each(|(group, _)| group.form.refuse("cap_usd", why.clone()));
            Err(refused(StatusCode::UNPROCESSABLE_ENTITY, forms, FORBIDDEN))
        }
        EditOutcome::Stale(now) => {
            let programme = now.0;
            let forms = beside(GroupForm::all(site, &programme, fields).await?);
            let access = ProgrammeAccess {
                programme,
                ..access.clone()
            };
            Err(AppError::page(
                StatusCode::CONFLICT,
                Ok(show(site, &access, forms, Some(STALE))),
            ))
        }
        EditOutcome::Overtaken => Err(refused(StatusCode::SERVICE_UNAVAILABLE, forms, OVERTAKEN)),
        // A group changes neither.
        EditOutcome::FixedByKeys | EditOutcome::KeysEndBefore(_) => {
            Err(AppError::conflict("The programme's keys do not allow it."))
        }
    }
}

impl GroupForm {
    /// The groups of the roster and of the settings, with their people, and with what was typed.
    async fn all(site: &Site, programme: &Programme, posted: &Fields) -> Result<Vec<GroupForm>> {
        let mut people: BTreeMap<String, usize> = BTreeMap::new();
        for grant in site.table.grants(&programme.id).await? {
            if let Some(group) = grant.group {
                *people.entry(group).or_default() += 1;
            }
        }
        let Settings {
            allowance, rules, ..
        } = &programme.settings;
        let named = allowance.group_caps.keys().chain(rules.group_models.keys());
        let names: BTreeSet<String> = people.keys().chain(named).cloned().collect();
        let forms = names.into_iter().enumerate().map(|(number, name)| {
            let models = rules.group_models.get(&name).cloned().unwrap_or_default();
            let cap = allowance.group_caps.get(&name).copied();
            let people = people.get(&name).copied().unwrap_or_default();
            let form = Form::edit(Group { cap, models })
                .apart(&format!("{number}-"), &format!(".{name}"))
                .typed(posted);
            GroupForm { people, form, name }
        });
        Ok(forms.collect())
    }

    /// Refuses a tier or models that there are not. Returns the status if anything of this group is
    /// refused by then.
    fn check(&mut self, group: Option<&Group>, catalogue: &KnownModels) -> Option<StatusCode> {
        let Some(group) = group else {
            return Some(StatusCode::UNPROCESSABLE_ENTITY);
        };
        let refused = catalogue.refusal(self.models_before(), &group.models)?;
        self.form.refuse("models", refused.why);
        Some(refused.status)
    }

    fn models_before(&self) -> &[String] {
        self.form
            .before()
            .map(|before| &before.models[..])
            .unwrap_or_default()
    }
}

/// The forms, each with what is saved by now beside what was typed.
fn beside(forms: Vec<GroupForm>) -> Vec<GroupForm> {
    forms
        .into_iter()
        .map(|group| GroupForm {
            form: group.form.beside(),
            ..group
        })
        .collect()
}

fn with(settings: &Settings, groups: BTreeMap<String, Group>) -> Settings {
    let mut settings = settings.clone();
    let caps = &mut settings.allowance.group_caps;
    let models = &mut settings.rules.group_models;
    for (name, group) in groups {
        match group.cap {
            Some(cap) => caps.insert(name.clone(), cap),
            None => caps.remove(&name),
        };
        models.insert(name, group.models);
    }
    models.retain(|_, models| !models.is_empty());
    settings
}

fn show(
    site: &Site,
    access: &ProgrammeAccess,
    groups: Vec<GroupForm>,
    refusal: Option<&'static str>,
) -> Reply {
    site.page(&GroupsPage {
        frame: PageFrame::new(site, &access.visitor),
        programme: &access.programme,
        may_edit: access.is_faculty() && access.programme.closed_at.is_none(),
        made_from: groups
            .iter()
            .map(|group| group.form.made_from())
            .joined(" "),
        refusal,
        groups,
    })
}
