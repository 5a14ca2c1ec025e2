//! The programmes on which the visitor has a role, and the copy of one into another term, for which faculty ask the admins.

use bursar_core::domain::audit::AuditDetail;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::request::{BUDGET, COPY, Request, Wish};
use bursar_core::domain::programme::rules::Tiers;
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::format::field_time;
use bursar_core::store::{CopiedProgramme, Erasure, Kept, Overview};
use bursar_core::web::RequestDeadline;
use futures_util::future::try_join_all;
use jiff::ToSpan;

use crate::money::spending::bar::MoneyBar;
use crate::people::help_desk;
use crate::prelude::*;
use crate::programme::settings::{self, Draft, make, read};
use crate::programme::waiting::{self, WaitingItems};

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: PageFrame<'a>,
    waiting: WaitingItems,
    running: Vec<ProgrammeRow>,
    over: Vec<ProgrammeRow>,
}

struct ProgrammeRow {
    programme: Programme,
    role: &'static str,
    /// The first and the last day, and the id where another programme has the same name.
    term: String,
    /// Of a programme that is not over: its money, and its people where it has a roster.
    now: Option<(MoneyBar, Option<Counts>)>,
}

pub(crate) async fn list(
    State(site): State<Site>,
    visitor: Visitor,
    Query(asked): Query<HashMap<String, String>>,
    RequestDeadline(deadline): RequestDeadline,
) -> Answer {
    let now = site.clock.now();
    let programmes = site.table.programmes_of(&visitor.session.address, visitor.is_admin).await?;
    if programmes.is_empty() && !visitor.is_admin {
        return Err(AppError::no_right());
    }
    let frame = PageFrame::of(&site, &visitor);
    if let Some(text) = asked.get("q").map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let programmes: Vec<Programme> = programmes.into_iter().map(|(programme, _)| programme).collect();
        return help_desk::page(&site, frame, &programmes, text, deadline).await;
    }
    let sync = site.table.sync_state().await?;
    let waiting = WaitingItems::of_reader(&site, &visitor, &programmes, &sync).await?;
    let mut names: HashMap<String, usize> = HashMap::new();
    programmes.iter().for_each(|(programme, _)| *names.entry(programme.settings.name.clone()).or_default() += 1);
    let rows = programmes.into_iter().map(|(programme, role)| {
        let has_namesake = names.get(&programme.settings.name).is_some_and(|count| *count > 1);
        ProgrammeRow::of(&site, programme, role, has_namesake, sync.listed_at, now)
    });
    let rows = try_join_all(rows).await?;
    let (running, over) = rows.into_iter().partition(|row| row.now.is_some());
    Ok(site.page(&Home { frame, waiting, running, over }))
}

impl ProgrammeRow {
    /// The row, with one request for what a programme has that is not over.
    async fn of(
        site: &Site,
        programme: Programme,
        role: Role,
        has_namesake: bool,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> Result<ProgrammeRow, AppError> {
        let settings = &programme.settings;
        let mut term = format!("{} to {}", long_date(settings.term.starts_on()), long_date(settings.term.ends_on()));
        if has_namesake {
            term += &format!(" · {}", programme.id);
        }
        let known = if programme.is_over(now) { None } else { site.table.overview(&programme.id).await? };
        let now = known.map(|Overview { budget, counts, used, .. }| {
            let spent = used.used().days(settings.basis.byok);
            let burn = Burn::of(&programme, &budget, &spent, used.owns_keys(), listed_at, now);
            (MoneyBar::of(settings, &budget, &burn, now), settings.roster.then_some(counts))
        });
        Ok(ProgrammeRow { role: role_name(role), term, now, programme })
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Faculty => "faculty",
        Role::Assistant => "assistant",
    }
}

/// A day's equal wishes are one request.
pub(crate) const DECIDED_TODAY: &str = "Nothing was done: an admin decided the same request today, and told you by mail. Talk to them, or ask again tomorrow.";

/// Asks the admins for what only they may do, once a day for the same.
pub(crate) async fn ask(
    post: &Post<Faculty>,
    what: &str,
    label: &str,
    words: String,
    to: String,
) -> Result<(), AppError> {
    let wish = Wish { setting: what.to_owned(), label: label.to_owned(), words, from: String::new(), to };
    let request = Request::of(post.access.programme.id.clone(), post.person.clone(), vec![wish], post.now);
    let what = AuditDetail::new(Act::Asked).noting(what);
    if !post.site.table.ask_admins(&request, what, post.author()).await? {
        let before = post.site.table.get(Request::key_of(&request.programme, request.request)).await?;
        if before.is_some_and(|before| before.decision.is_some()) {
            return Err(AppError::conflict(DECIDED_TODAY));
        }
    }
    Ok(())
}

/// The settings that the copy's form shows; all others are copied.
pub(crate) const CARRIED: &[&str] = &["name", "starts_on", "ends_on", BUDGET];

/// The form of a new programme, filled with what another one has, whose term is as long and begins when that is over.
pub(crate) fn copying(programme: &Programme, budget: Usd) -> Form<Draft> {
    let term = &programme.settings.term;
    let starts_on = term.ends_on().saturating_add(1.day());
    let ends_on = starts_on.saturating_add(term.ends_on() - term.starts_on());
    let mut form = Form::filled_with(&Draft { settings: programme.settings.clone(), budget }).apart("copy-", "");
    form.set("starts_on", starts_on.to_string());
    form.set("ends_on", ends_on.to_string());
    form
}

pub(crate) async fn copy(post: Post<Faculty>) -> Answer {
    let Post { site, access, fields, deadline, .. } = &post;
    let programme = &access.programme;
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let with_roster = fields.get("roster") == Some("on") && programme.settings.roster;
    let mut form = copying(programme, budget.limit).typed_only(|id| CARRIED.contains(&id), fields);
    let Some(draft) = copied(programme, &mut form) else {
        let state = settings::PageState { copying: Some((form, with_roster)), ..Default::default() };
        let page = settings::show(site, access, state).await;
        return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, page));
    };
    if !access.is_admin() {
        let typed = fields.iter().filter(|(name, _)| CARRIED.contains(name) || *name == "roster");
        let to = form_urlencoded::Serializer::new(String::new()).extend_pairs(typed).finish();
        ask(&post, COPY, "Copy the programme", in_words(&draft, with_roster), to).await?;
        return Ok(site.done(&paths::settings(&programme.id), &Notice::CopyAsked));
    }
    if let Some(tier) = gone_tier(&draft.settings, &site.table.tiers().await?) {
        let why = format!(
            "The programme names the model list {tier}, which was removed. Make it again on the page of model lists, or give the programme other models."
        );
        return Err(AppError::conflict(why));
    }
    let mut answers = waiting::approved(&post, COPY).await?;
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
    request: &Request,
) -> Result<(Form<Draft>, bool), AppError> {
    let budget = site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let asked = request.wishes.iter().flat_map(|wish| form_urlencoded::parse(wish.to.as_bytes()).into_owned());
    let asked: Fields = asked.collect();
    let with_roster = asked.get("roster") == Some("on");
    Ok((copying(programme, budget.limit).typed_only(|id| CARRIED.contains(&id), &asked), with_roster))
}

/// The settings and the budget of the copy. The claim window keeps its distance from the first and the last day.
fn copied(programme: &Programme, form: &mut Form<Draft>) -> Option<Draft> {
    let before = &programme.settings;
    for (field, at, was, day) in [
        ("claim_opens_at", before.claims.claim_opens_at, before.term.starts_on(), "starts_on"),
        ("claim_closes_at", before.claims.claim_closes_at, before.term.ends_on(), "ends_on"),
    ] {
        let is = form.text(day).parse().ok();
        let moved = at.zip(is).and_then(|(at, is)| moved(at, was, is, before));
        form.set(field, moved.unwrap_or_default());
    }
    let mut draft = read(form)?;
    draft.keep_groups_of(before);
    draft.settings.roster = before.roster;
    Some(draft)
}

/// A time that is as far from another day, as a form spells it.
fn moved(at: Moment, was: Date, is: Date, settings: &Settings) -> Option<String> {
    let zoned = at.to_zoned(settings.term.zone().clone());
    let moved = zoned.checked_add(is - was).ok()?;
    Some(field_time(moved.timestamp().into(), settings.term.zone()))
}

/// Keeps a roster for the copy, of everybody who is on this one.
async fn keep_roster(
    site: &Site,
    programme: &Programme,
    now: Moment,
    deadline: Deadline,
) -> Result<Option<Import>, AppError> {
    let mut erased = site.table.list(Erasure::all()).await?;
    erased.retain(Erasure::is_running);
    let stays = |grant: &Grant| {
        let named = (grant.programme.clone(), grant.id.clone());
        let is_erased = erased.iter().any(|of| of.grants.contains(&named));
        grant.is_student() && !is_erased && !grant.person.address.is_none()
    };
    let mut grants = site.table.grants(&programme.id).await?;
    grants.retain(stays);
    if grants.is_empty() {
        return Ok(None);
    }
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(["email", "name", "group", "id"])?;
    for Grant { person: Person { address, name, roster_id }, group, .. } in &grants {
        let [name, group, id] = [name, group, roster_id].map(|text| text.as_deref().unwrap_or_default());
        file.write_record([address.as_written(), name, group, id])?;
    }
    let import = Import::new(&programme.id, new_ulid(now), grants.len(), now);
    site.table.keep_part(&import, Kept::Applied, &file.into_inner()?, deadline).await?;
    Ok(Some(import))
}

/// What faculty ask for, in words.
fn in_words(draft: &Draft, with_roster: bool) -> String {
    let (term, name) = (&draft.settings.term, &draft.settings.name);
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
