//! The copy of a programme into another term, for which faculty ask the admins.

use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::programme::request::{COPY, ProgrammeRequest};
use bursar_core::domain::programme::rules::Tiers;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::format::field_time;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{CopiedProgramme, Erasure, Import, ImportPart, Kept};
use bursar_core::web::{Answer, AppError, Fields, Flash, Result, Site};
use jiff::civil::Date;

use crate::kit::access::{Faculty, Post};
use crate::kit::form::Form;
use crate::kit::paths;
use crate::kit::show::long_date;
use crate::people::roster::compare::AbsentRows;
use crate::people::roster::parse::FileError;
use crate::people::roster::{compare, parse};
use crate::programme::requests::{approved, ask};
use crate::programme::settings;
use crate::programme::settings::{CARRIED, SettingsDraft, copying, make, read};

pub(crate) async fn copy(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, deadline, .. } = &post;
    let programme = &access.programme;
    let budget = site.table.budget(&programme.id).await?;
    let with_roster = fields.get("roster") == Some("on") && programme.settings.roster;
    let mut form = copying(programme, budget.limit).typed_only(|id| CARRIED.contains(&id), fields);
    let Some(draft) = copied(programme, &mut form) else {
        let state = settings::PageState { copying: Some((form, with_roster)), ..Default::default() };
        let page = settings::show(site, access, state).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    };
    if !access.is_admin() {
        let typed = fields.iter().filter(|(name, _)| CARRIED.contains(name) || *name == "roster");
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(typed).finish();
        ask(&post, COPY, "Copy the programme", in_words(&draft, with_roster), query).await?;
        return Ok(site.done(&paths::settings(&programme.id), &Flash::CopyAsked));
    }
    if let Some(tier) = gone_tier(&draft.settings, &site.table.tiers().await?) {
        let why = format!(
            "The programme names the model list {tier}, which was removed. Make it again on the page of model lists, or give the programme other models."
        );
        return Err(AppError::conflict(why));
    }
    let mut answers = approved(&post, COPY).await?;
    // The answer tells of the copy as it is made.
    for wish in answers.iter_mut().flat_map(|request| &mut request.wishes) {
        wish.words = in_words(&draft, with_roster);
    }
    let roster = if with_roster { keep_roster(site, programme, post.now, *deadline).await? } else { None };
    make(&post, draft, Some(CopiedProgramme { from: programme.id.clone(), roster, answers })).await
}

/// The form of the copy that faculty asked for, with whether its roster is copied too.
pub(crate) async fn copying_as_asked(
    site: &Site,
    programme: &Programme,
    request: &ProgrammeRequest,
) -> Result<(Form<SettingsDraft>, bool)> {
    let budget = site.table.budget(&programme.id).await?;
    let pairs = request.wishes.iter().flat_map(|wish| form_urlencoded::parse(wish.new_value.as_bytes()).into_owned());
    let fields: Fields = pairs.collect();
    let with_roster = fields.get("roster") == Some("on");
    Ok((copying(programme, budget.limit).typed_only(|id| CARRIED.contains(&id), &fields), with_roster))
}

/// The settings and the budget of the copy. The claim window keeps its distance from the first and the last day.
fn copied(programme: &Programme, form: &mut Form<SettingsDraft>) -> Option<SettingsDraft> {
    let before = &programme.settings;
    for (field, time, was, day) in [
        ("claim_opens_at", before.claims.claim_opens_at, before.term.starts_on(), "starts_on"),
        ("claim_closes_at", before.claims.claim_closes_at, before.term.ends_on(), "ends_on"),
    ] {
        let new_day = form.text(day).parse().ok();
        let moved = time.zip(new_day).and_then(|(time, new_day)| moved(time, was, new_day, before));
        form.set(field, moved.unwrap_or_default());
    }
    for field in ["pause_from", "pause_until"] {
        form.set(field, String::new());
    }
    let mut draft = read(form)?;
    draft.settings.pauses.groups.clear();
    Some(draft)
}

/// A time that is as far from another day, as a form spells it.
fn moved(time: Moment, was: Date, new_day: Date, settings: &Settings) -> Option<String> {
    let zoned = time.to_zoned(settings.term.zone().clone());
    let moved = zoned.checked_add(new_day - was).ok()?;
    Some(field_time(moved.timestamp().into(), settings.term.zone()))
}

/// Keeps a roster for the copy, of everybody who is on this one.
async fn keep_roster(site: &Site, programme: &Programme, now: Moment, deadline: Deadline) -> Result<Option<Import>> {
    let mut erased = site.table.list(Erasure::all()).await?;
    erased.retain(Erasure::is_running);
    let mut grants = site.table.grants(&programme.id).await?;
    grants.retain(|grant| {
        let named = (grant.programme.clone(), grant.id.clone());
        let is_erased = erased.iter().any(|erasure| erasure.grants.contains(&named));
        grant.is_student() && !is_erased && !grant.person.address.is_none()
    });
    if grants.is_empty() {
        return Ok(None);
    }
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(["email", "name", "group", "id"])?;
    for Grant { person: Person { address, name, roster_id }, group, .. } in &grants {
        let [name, group, id] = [name, group, roster_id].map(|text| text.as_deref().unwrap_or_default());
        file.write_record([address.as_written(), name, group, id])?;
    }
    let file = file.into_inner()?;
    let rows = parse::file(&file, None).map_err(FileError::answer)?;
    let confirmed = compare::plan(&rows, &[], AbsentRows::Add).confirmed(&[]);
    let import = Import::new(&programme.id, new_ulid(now), confirmed.places.len(), now);
    site.table.keep_part(&import, Kept::Applied, &file, deadline).await?;
    site.table.keep_part(&import, Kept::People, &ImportPart::bytes_of(&confirmed), deadline).await?;
    Ok(Some(import))
}

/// What faculty ask for, in words.
fn in_words(draft: &SettingsDraft, with_roster: bool) -> String {
    let term = &draft.settings.term;
    let name = &draft.settings.name;
    format!(
        "as \"{name}\", from {} to {}, with a budget of {}, {} the people of the roster",
        long_date(term.starts_on()),
        long_date(term.ends_on()),
        draft.budget.to_dollars(),
        if with_roster { "with" } else { "without" }
    )
}

/// A tier that the settings name, for everybody or a group, and that there is not.
fn gone_tier(settings: &Settings, tiers: &Tiers) -> Option<String> {
    settings.rules.tiers().find(|tier| tiers.models(tier).is_none()).map(str::to_owned)
}
