//! The programmes on which the visitor has a role, and what admins do with one as a whole: close it, copy it into another term. Faculty
//! ask the admins for both.

use bursar_core::domain::audit::AuditDetail;
use bursar_core::domain::grant::GrantState;
use bursar_core::domain::programme::request::{BUDGET, CLOSE, COPY, Request, Wish};
use bursar_core::domain::programme::rules::Tiers;
use bursar_core::domain::values::format::field_time;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{CopiedProgramme, Import, NewProgramme, Step};
use jiff::ToSpan;

use crate::access;
use crate::overview::{self, PageState};
use crate::prelude::*;
use crate::settings::{Draft, Refusals, SettingTexts};
use crate::work::jobs;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: PageFrame<'a>,
    /// The programmes, each with the role of the visitor.
    running: Vec<(Programme, &'static str)>,
    over: Vec<(Programme, &'static str)>,
}

pub(crate) async fn list(State(site): State<Site>, visitor: Visitor) -> Answer {
    let now = site.clock.now();
    let is_admin = access::is_admin(&site, &visitor);
    let programmes = site.table.programmes_of(&visitor.session.address, &site.admins).await?;
    if programmes.is_empty() && !is_admin {
        return Err(AppError::no_right());
    }
    let rows = programmes.into_iter().map(|(programme, role)| (programme, role_name(role)));
    let (over, running) = rows.partition(|(programme, _)| programme.is_over(now));
    Ok(site.page(&Home { frame: PageFrame::of(&site, &visitor), running, over }))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Faculty => "faculty",
        Role::Assistant => "assistant",
    }
}

pub(crate) async fn close(form: Form<Faculty>) -> Answer {
    let Form { site, access, deadline, .. } = &form;
    let id = &access.programme.id;
    if access.is_admin() {
        site.table.close(id, form.author()).await?;
        jobs::in_a_request(site, id, *deadline).await;
    } else if access.programme.closed_at.is_none() {
        ask(&form, CLOSE, "Close the programme", "now, which ends every key".to_owned()).await?;
    }
    Ok(Redirect::to(&paths::programme(id)).into_response())
}

/// Asks the admins for what only they may do, once a day for the same.
async fn ask(form: &Form<Faculty>, what: &str, label: &str, words: String) -> Result<(), AppError> {
    let table = &form.site.table;
    let wish = Wish { setting: what.to_owned(), label: label.to_owned(), words };
    let request = Request::of(form.access.programme.id.clone(), form.person.clone(), vec![wish], form.now);
    let admins = table.people_of(&form.site.admins, form.deadline).await?;
    table.ask_admins(&request, &admins, AuditDetail::new(Act::Asked).noting(what), form.author()).await?;
    Ok(())
}

/// The settings that the form carries; all others are copied.
const CARRIED: [&str; 4] = ["name", "starts_on", "ends_on", BUDGET];

/// The form that copies a programme, as it is shown or was posted.
pub(crate) struct CopyForm {
    texts: SettingTexts,
    errors: Refusals,
    pub(crate) with_roster: bool,
    /// The id of this form, which makes one copy.
    pub(crate) form: String,
    pub(crate) is_open: bool,
}

impl CopyForm {
    /// The form with a term of the same length that begins when this one is over.
    pub(crate) fn of(programme: &Programme, budget: Usd, now: Moment) -> CopyForm {
        let term = &programme.settings.term;
        let length = term.ends_on() - term.starts_on();
        let starts_on = term.ends_on().saturating_add(1.day());
        let ends_on = starts_on.saturating_add(length);
        let mut texts = SettingTexts::of(&Draft { settings: programme.settings.clone(), budget });
        texts.set("starts_on", starts_on.to_string());
        texts.set("ends_on", ends_on.to_string());
        let form = new_ulid(now).to_string();
        CopyForm { texts, errors: Refusals::new(), with_roster: false, form, is_open: false }
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.texts.text(field)
    }

    /// What is wrong with settings that the form does not carry.
    pub(crate) fn other_errors(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().filter(|(field, _)| !CARRIED.contains(*field)).map(|(_, why)| why.as_str())
    }

    pub(crate) fn error(&self, field: &str) -> Option<&str> {
        self.errors.get(field).map(String::as_str)
    }
}

pub(crate) async fn copy(form: Form<Faculty>) -> Answer {
    let Form { site, access, fields, deadline, .. } = &form;
    let programme = &access.programme;
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let mut typed = CopyForm::of(programme, budget.limit, form.now);
    typed.is_open = true;
    typed.with_roster = fields.get("roster") == Some("on");
    for field in CARRIED {
        if let Some(text) = fields.get(field) {
            typed.texts.set(field, text.trim().to_owned());
        }
    }
    let draft = match draft(programme, &typed.texts) {
        Ok(draft) => draft,
        Err(errors) => {
            typed.errors = errors;
            let state = PageState::copying(typed);
            let page = overview::show(site, access, state).await;
            return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
        }
    };
    if !access.is_admin() {
        ask(&form, COPY, "Copy the programme", in_words(&draft, typed.with_roster)).await?;
        return Ok(Redirect::to(&paths::programme(&programme.id)).into_response());
    }
    if let Some(tier) = gone_tier(&draft.settings, &site.table.tiers().await?) {
        let why = format!(
            "The programme names the tier {tier}, which was removed. Make it again on the tiers' page, or give the programme other models."
        );
        return Err(AppError::conflict(why));
    }
    let roster = if typed.with_roster && programme.settings.roster {
        keep_roster(site, programme, form.now, *deadline).await?
    } else {
        None
    };
    let copied = Some(CopiedProgramme { from: programme.id.clone(), roster });
    let new = NewProgramme { settings: draft.settings, budget: draft.budget, form: form_of(fields), copied };
    let id = site.table.create(new, form.author()).await?;
    jobs::in_a_request(site, &id, *deadline).await;
    Ok(Redirect::to(&paths::programme(&id)).into_response())
}

fn form_of(fields: &Fields) -> Option<ulid::Ulid> {
    fields.filled("form").and_then(|form| form.parse().ok())
}

/// The settings and the budget of the copy. The claim window keeps its distance from the first and the last day.
fn draft(programme: &Programme, texts: &SettingTexts) -> Result<Draft, Refusals> {
    let mut texts = texts.clone();
    let (before, date) = (&programme.settings, |text: &str| text.parse::<Date>().ok());
    let (starts_on, ends_on) = (date(texts.text("starts_on")), date(texts.text("ends_on")));
    let term = &before.term;
    for (field, at, was, is) in [
        ("claim_opens_at", before.claims.claim_opens_at, term.starts_on(), starts_on),
        ("claim_closes_at", before.claims.claim_closes_at, term.ends_on(), ends_on),
    ] {
        let moved = at.zip(is).and_then(|(at, is)| moved(at, was, is, before));
        texts.set(field, moved.unwrap_or_default());
    }
    let mut draft = texts.read(None)?;
    draft.keep_groups_of(before);
    draft.settings.roster = before.roster;
    Ok(draft)
}

/// A time that is as far from another day, as a form spells it.
fn moved(at: Moment, was: Date, is: Date, settings: &Settings) -> Option<String> {
    let zoned = at.to_zoned(settings.term.zone().clone());
    let moved = zoned.checked_add(is - was).ok()?;
    Some(field_time(moved.timestamp().into(), settings.term.zone()))
}

/// Keeps the steps that put everybody on the roster of the copy who is on this one.
async fn keep_roster(
    site: &Site,
    programme: &Programme,
    now: Moment,
    deadline: Deadline,
) -> Result<Option<Import>, AppError> {
    let stays = |grant: &Grant| grant.state != GrantState::Revoked && grant.holds.dropped.is_none();
    let grants = site.table.grants(&programme.id).await?.into_iter().filter(stays);
    let steps: Vec<Step> = grants.map(|grant| Step::Add { person: grant.person, group: grant.group }).collect();
    if steps.is_empty() {
        return Ok(None);
    }
    let import = Import::of(&programme.id, steps.len(), now);
    Ok(Some(site.table.keep_steps(import, steps, deadline).await?))
}

/// What faculty ask for, in words.
fn in_words(draft: &Draft, with_roster: bool) -> String {
    let (term, name) = (&draft.settings.term, &draft.settings.name);
    format!(
        "as \"{name}\", from {} to {}, with a budget of {}, {} the people of the roster",
        term.starts_on(),
        term.ends_on(),
        draft.budget.to_dollars_down(),
        if with_roster { "with" } else { "without" }
    )
}

/// A tier that the settings name, for everybody or a group, and that there is not.
fn gone_tier(settings: &Settings, tiers: &Tiers) -> Option<String> {
    settings.rules.tiers().find(|tier| tiers.models(tier).is_none()).map(str::to_owned)
}
