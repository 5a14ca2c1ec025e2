//! A programme at a glance: its money, its grants by state, what needs a person, and the forms that change it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bursar_core::domain::days::{Days, Sum};
use bursar_core::domain::grant::{Grant, Place, Reading};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Pot, Programme, Settings};
use bursar_core::domain::reading::Used;
use bursar_core::domain::role::Role;
use bursar_core::domain::span::Span;
use bursar_core::domain::window::utc_date;
use bursar_core::store::items::{Totals, Why};
use bursar_core::store::{Job, JobState};
use bursar_core::web::{Answer, Fault, Frame, Site, Visitor};
use jiff::{SignedDuration, Timestamp};

use crate::access::{self, Sight};
use crate::by_model::{self, Lines, Told};
use crate::chart::Chart;
use crate::grants;
use crate::outlook::Outlook;
use crate::people::Person;
use crate::requests::{self, Asking};
use crate::settings_form::{self, Asked, Field, For};
use crate::show;
use crate::spans::{self, Asked as AskedSpan, Choice, Clockwork, Figure};

mod warnings;

use warnings::Room;

const STATES: [&str; 7] = ["invited", "minting", "live", "paused", "stopped", "revoked", "ended"];

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    programme: &'a Programme,
    is_admin: bool,
    may_edit: bool,
    money: Money,
    /// What the spending is of, and the ways to other spans.
    phrase: &'static str,
    spans: Vec<Choice>,
    /// What each group spent over each span.
    groups: Vec<(String, Vec<(&'static str, Figure)>)>,
    notes: Vec<String>,
    models: Lines,
    groups_models: Lines,
    told: Told,
    term: String,
    claim_window: [String; 2],
    counts: Vec<(&'static str, usize)>,
    people: usize,
    warnings: Vec<String>,
    /// How many students mail does not reach, and how many want none but links.
    unreachable: usize,
    unwanted: usize,
    outlook: Option<Outlook>,
    /// Assistants are told how many stand out, and look themselves.
    may_name: bool,
    chart: Option<Chart>,
    job: Option<JobShown>,
    edit: EditForm,
    /// What the admins have been asked for and have not done.
    requests: Vec<Asking>,
    person: &'a Person,
}

/// The four figures, with when the first of them was read.
struct Money {
    spent: Figure,
    as_of: Option<String>,
    reserved: Usd,
    implied: Usd,
    pot: Usd,
}

struct JobShown {
    state: &'static str,
    next: u32,
    steps: u32,
    refused: u32,
    why: Option<String>,
}

/// The form that edits the programme.
pub(crate) struct EditForm {
    pub(crate) version: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) more: Vec<Field>,
    /// What faculty see, and ask an admin for.
    pub(crate) asked: Vec<Field>,
    pub(crate) open: bool,
    /// Why what was sent was not saved.
    pub(crate) refusal: Option<&'static str>,
}

pub(crate) async fn page(
    State(site): State<Site>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(asked): Query<AskedSpan>,
) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Assistant).await? else {
        return Ok(site.not_found());
    };
    let Some(pot) = site.table.pot(&sight.programme.id).await? else { return Ok(site.not_found()) };
    let edit = EditForm::of(&sight, pot.limit);
    let seen = Seen { asked: asked.span(), edit, person: &Person::default() };
    show(&site, &visitor, &sight, &pot, seen, StatusCode::OK).await
}

/// What differs from one look at the page to another: the span that is asked for, and the forms as somebody left them.
pub(crate) struct Seen<'a> {
    pub(crate) asked: Option<Span>,
    pub(crate) edit: EditForm,
    pub(crate) person: &'a Person,
}

/// The page with a form as somebody left it.
pub(crate) async fn show(
    site: &Site,
    visitor: &Visitor,
    sight: &Sight,
    pot: &Pot,
    seen: Seen<'_>,
    status: StatusCode,
) -> Result<Response, Fault> {
    let (now, programme) = (site.clock.now(), &sight.programme);
    let (grants, totals, job, sync, unreachable) = tokio::try_join!(
        site.table.grants_with_readings(&programme.id),
        site.table.totals(&programme.id),
        site.table.job(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
    )?;
    let settings = &programme.settings;
    let implied = |(grant, readings): &(Grant, Vec<Reading>)| {
        Place { grant, readings, settings, read_until: pot.counted_at }.implied(now)
    };
    let Seen { asked, edit, person } = seen;
    let spent = totals.as_ref().map_or_else(Days::default, |totals| totals.used.days(settings.byok));
    let had_a_key = grants.iter().any(|(grant, _)| grant.ever_shown);
    let clockwork = Clockwork::of(settings, sync.looked_at, now);
    let span = asked.unwrap_or(Span::All);
    let groups: Vec<_> = totals.iter().flat_map(|totals| by_group(totals, settings, clockwork)).collect();
    let used = totals.as_ref().map(|totals| &totals.used);
    let days = span.range(settings.reset, Some(&settings.term), now);
    let told = Told::of_programme(&sync, days, used, utc_date(now));
    let model_days: Vec<_> = site.table.model_days(&programme.id, told.days).await?;
    let model_days: Vec<_> = model_days.into_iter().map(|day| day.by).collect();
    let (models, groups_models) = by_model::of_programme(&model_days, used, &told);
    let time = |at| show::time(at, settings.term.timezone());
    let money = Money {
        spent: clockwork.figure(&spent, span, had_a_key),
        as_of: sync.looked_at.map(time),
        reserved: pot.reserved,
        implied: grants.iter().map(implied).sum(),
        pot: pot.limit,
    };
    let count = |state| grants.iter().filter(|(grant, _)| show::state(grant) == state).count();
    let counts = STATES.iter().map(|state| (*state, count(*state))).filter(|(_, count)| *count > 0).collect();
    let not_mailed = || grants.iter().filter_map(|(grant, _)| grants::not_mailed(grant, &unreachable));
    let requests = match sight.role >= Role::Faculty {
        true => requests::open(site, sight, pot.limit, now).await?,
        false => Vec::new(),
    };
    let room = Room { pot, spent: spent.total(), implied: money.implied };
    let mut warnings: Vec<String> = room.warning(sight, &grants, now).into_iter().collect();
    warnings.extend(warnings::others(&grants, sync.looked_at, job.as_ref(), now));
    warnings.extend(warnings::refused_rules(programme, now));
    warnings.extend(warnings::unreachable_staff(site, settings, now).await?);
    let page = Overview {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        programme,
        is_admin: sight.role == Role::Admin,
        phrase: spans::phrase(span),
        spans: spans::choices(&format!("/console/programmes/{}", programme.id), &[], &Span::EACH, |one| one == span),
        notes: spans::notes(groups.iter().flat_map(|(_, spans)| spans.iter().map(|(_, figure)| figure))),
        groups,
        models,
        groups_models,
        told,
        may_edit: sight.role >= Role::Faculty && programme.closed_at.is_none(),
        term: format!("{} to {}, {}", settings.term.starts_on(), settings.term.ends_on(), settings.term.timezone()),
        claim_window: [time(settings.claim_opens_at()), time(settings.claim_closes_at())],
        counts,
        people: grants.len(),
        warnings,
        unreachable: not_mailed().filter(|why| *why != Why::Complained).count(),
        unwanted: not_mailed().filter(|why| *why == Why::Complained).count(),
        outlook: Outlook::of(programme, pot, &spent, &grants, sync.looked_at, now),
        may_name: sight.role >= Role::Faculty,
        chart: Chart::of(&spent, pot.limit),
        job: job.filter(|job| is_news(job, now)).map(JobShown::of),
        money,
        edit,
        requests,
        person,
    };
    Ok(Frame::page(status, &page))
}

/// What an edit must have been made from. The pot is an item of its own, so it counts beside the edits of the programme.
pub(crate) fn version(programme: &Programme, pot: Usd) -> String {
    format!("{}-{}", programme.edits, pot.micros())
}

/// What each group spent over each span.
fn by_group(
    totals: &Totals,
    settings: &Settings,
    clockwork: Clockwork<'_>,
) -> Vec<(String, Vec<(&'static str, Figure)>)> {
    let of = |used: &Used| Span::EACH.map(|span| clockwork.sum(&used.days(settings.byok), span));
    let mut groups: Vec<(String, [Sum; 6])> =
        totals.by_group.iter().map(|(group, used)| (group.clone(), of(used))).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    // Whoever is in no group makes up the difference.
    let mut rest = of(&totals.used);
    for (_, sums) in &groups {
        rest.iter_mut().zip(sums).for_each(|(rest, sum)| rest.spent = rest.spent - sum.spent);
    }
    if rest.iter().any(|rest| rest.spent > Usd::ZERO) {
        groups.push(("without a group".to_owned(), rest));
    }
    let figures = |sums: [Sum; 6]| Span::EACH.map(spans::name).into_iter().zip(sums.map(Figure::of)).collect();
    groups.into_iter().map(|(group, sums)| (group, figures(sums))).collect()
}

/// Whether an import is still worth a line: one that is over, only on its day.
fn is_news(job: &Job, now: Timestamp) -> bool {
    !matches!(job.state, JobState::Done { at } if at + SignedDuration::from_hours(24) <= now)
}

impl JobShown {
    fn of(job: Job) -> JobShown {
        let state = job.state.as_str();
        let why = match job.state {
            JobState::Failed { why, .. } => Some(why),
            JobState::Running { .. } | JobState::Done { .. } => None,
        };
        JobShown { state, next: job.next, steps: job.steps, refused: job.refused, why }
    }
}

impl EditForm {
    /// The form of a programme as it stands.
    pub(crate) fn of(sight: &Sight, pot: Usd) -> EditForm {
        let asked = Asked::of(&sight.programme.settings, pot);
        EditForm::refilled(sight, pot, &asked, None)
    }

    /// The form as somebody filled it.
    pub(crate) fn refilled(sight: &Sight, pot: Usd, asked: &Asked, refusal: Option<&'static str>) -> EditForm {
        let whose = if sight.role == Role::Admin { For::Admin } else { For::Faculty };
        let version = version(&sight.programme, pot);
        let (fields, more) = settings_form::fields(asked, whose, refusal.is_some());
        let (asked, fields) = fields.into_iter().partition(|field| field.is_asked);
        let (asked_more, more): (Vec<Field>, Vec<Field>) = more.into_iter().partition(|field| field.is_asked);
        let asked = [asked, asked_more].into_iter().flatten().collect();
        EditForm { version, fields, more, asked, open: refusal.is_some(), refusal }
    }

    /// Says beside each carried field what it is now, where that is something else.
    pub(crate) fn beside(mut self, asked: &Asked, current: &Asked) -> EditForm {
        for field in self.fields.iter_mut().chain(&mut self.more).chain(&mut self.asked) {
            field.now = asked.clash(current, field.name);
        }
        self
    }
}
