//! The overview of a programme: its money, its grants by state, warnings, and the forms that change it.

use bursar_core::domain::usage::forecast::StandingOut;
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::domain::values::format::end_time;
use bursar_core::store::{Overview, PeopleCounts, ProgrammeUse, RosterMails, RosterPreview};

use super::add_person::TypedPerson;
use super::edit;
use super::outlook::{Chart, Outlook};
use super::warnings;
use crate::form::ShownField;
use crate::job_line::JobLine;
use crate::prelude::*;
use crate::programmes::{CARRIED, copying};
use crate::roster::registrar;
use crate::settings::{Draft, SettingFields};
use crate::spending::by_model::{self, ModelCoverage};
use crate::spending::spans::{self, SpanLink};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    may_edit: bool,
    budget: &'a Budget,
    spent: Figure,
    as_of: Option<String>,
    implied: Usd,
    /// The people who have no reservation and may take one, and for how many of them the budget is enough, whoever comes first.
    unreserved: u64,
    enough_for: u64,
    phrase: &'static str,
    spans: Vec<SpanLink>,
    /// The spending of each group over each span.
    groups: Vec<(String, Vec<(&'static str, Figure)>)>,
    notes: Vec<String>,
    models: Vec<ModelUse>,
    groups_models: Vec<ModelUse>,
    coverage: ModelCoverage,
    claim_window: [String; 2],
    /// The people as the last sync counted them.
    people: PeopleCounts,
    /// Those who had claimed by then.
    claimed: Option<u32>,
    roster_mails: RosterMails,
    may_remind: bool,
    warnings: Vec<String>,
    outlook: Option<Outlook>,
    standing_out: StandingOut,
    chart: Option<Chart>,
    jobs: Vec<JobLine>,
    /// The registrar's file that waits for a person, and until when.
    waiting: Option<(String, RosterPreview)>,
    /// What is said of the registrar's token.
    token: Option<String>,
    applied: Vec<AppliedRoster>,
    edit: EditFields<'a>,
    person: Vec<ShownField<'a>>,
    is_person_open: bool,
    /// The form that copies the programme; assistants have none.
    copying: Option<CopyFields<'a>>,
}

/// A roster that was applied within some days.
struct AppliedRoster {
    import: Ulid,
    at: String,
    dropped: u32,
    /// Until when its drops may be undone, if it made any and they were not.
    undone_until: Option<String>,
}

struct EditFields<'a> {
    fields: SettingFields<'a>,
    version: String,
    made_from: String,
    is_open: bool,
    refusal: Option<&'static str>,
}

struct CopyFields<'a> {
    fields: Vec<ShownField<'a>>,
    /// What is wrong with settings that the form does not show.
    other_errors: Vec<&'a str>,
    with_roster: bool,
    /// The id of this form, which makes one copy.
    form: String,
    is_open: bool,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess, Query(asked): Query<SpanQuery>) -> Answer {
    show(&site, &access, PageState { span: asked.span(), ..PageState::default() }).await
}

/// The state of one page view: the requested span, and the forms as they were posted.
#[derive(Default)]
pub(crate) struct PageState {
    pub(crate) span: Option<Span>,
    pub(crate) edit: Option<Form<Draft>>,
    pub(crate) person: Option<Form<TypedPerson>>,
    /// With whether the roster is copied too.
    pub(crate) copying: Option<(Form<Draft>, bool)>,
}

pub(crate) async fn show(site: &Site, access: &ProgrammeAccess, state: PageState) -> Answer {
    let (now, programme) = (site.clock.now(), &access.programme);
    let settings = &programme.settings;
    let (known, sync, unreachable, roster_mails) = tokio::try_join!(
        site.table.overview(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
        site.table.roster_mails(&programme.id)
    )?;
    let Overview { budget, used: of_programme, jobs, guardrails, token, previews, imports } =
        known.ok_or_else(AppError::not_found)?;
    let spent = of_programme.used().days(settings.basis.byok);
    let had_a_key = of_programme.has_keys(&budget);
    let context = SpanContext::of(settings, sync.listed_at, now);
    let span = state.span.unwrap_or(Span::All);
    let groups = by_group(&of_programme, settings, context);
    let own = of_programme.own.as_ref();
    let days = span.range(settings.basis.reset, Some(&settings.term), now);
    let of_own_keys = own.map(|own| own.used.clone()).unwrap_or_default();
    let coverage = ModelCoverage::of_programme(&sync, days, &of_own_keys, utc_date(now));
    let uses = site.table.models_of(&programme.id, false, coverage.days).await?;
    let (models, groups_models) = by_model::of_programme(uses, &of_own_keys, settings.basis.byok, &coverage);
    let time = |at| column_time(at, settings.term.zone());
    let implied = budget.implied(settings, now);
    let mut warnings: Vec<String> = warnings::room(access, &budget, spent.total(), now).into_iter().collect();
    warnings.extend(warnings::others(&budget, sync.listed_at, &jobs, now));
    warnings.extend(warnings::refused_rules(site, programme, guardrails, now).await?);
    warnings.extend(warnings::unreachable_people(&settings.people, &unreachable));
    if access.is_admin() {
        warnings.extend(warnings::balance(site, programme, implied - spent.total(), now).await?);
    }
    let token = match token {
        Some(token) => Some(registrar::in_words(site, programme, &token, now).await?),
        None => None,
    };
    let is_edited = state.edit.is_some();
    let draft = || Draft { settings: settings.clone(), budget: budget.limit };
    let edited = state.edit.unwrap_or_else(|| Form::of(draft()));
    let person = state.person.unwrap_or_else(|| Form::blank().apart("person-", ""));
    let is_copied = state.copying.is_some();
    let (copied, with_roster) = state.copying.unwrap_or_else(|| (copying(programme, budget.limit), false));
    let page = OverviewPage {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        budget: &budget,
        phrase: spans::phrase(span),
        spans: spans::choices(&paths::programme(&programme.id), &[], &Span::ALL, |one| one == span),
        notes: spans::notes(groups.iter().flat_map(|(_, spans)| spans.iter().map(|(_, figure)| figure))),
        groups,
        models,
        groups_models,
        coverage,
        may_remind: access.is_faculty() && programme.closed_at.is_none() && now < settings.claim_closes_at(),
        may_edit: access.is_faculty() && programme.closed_at.is_none(),
        claim_window: [time(settings.claim_opens_at()), end_time(settings.claim_closes_at(), settings.term.zone())],
        people: own.map(|own| own.people.clone()).unwrap_or_default(),
        claimed: own.map(|own| own.people.claimed),
        roster_mails,
        unreserved: budget.unreserved.people(),
        enough_for: budget.unreserved.enough_for(budget.limit - budget.reserved, settings, now),
        warnings,
        outlook: Outlook::of(programme, &budget, of_programme.owns_keys(), &spent, sync.listed_at, now),
        standing_out: own.filter(|_| !programme.is_over(now)).map(|own| own.standing_out.clone()).unwrap_or_default(),
        chart: Chart::of(&spent, budget.limit),
        waiting: waiting(previews, now).map(|file| (time(file.until), file)),
        token,
        applied: applied(&imports, now, time),
        jobs: JobLine::of_programme(programme, &jobs, now),
        spent: context.figure(&spent, span, had_a_key),
        as_of: sync.listed_at.map(time),
        implied,
        edit: EditFields {
            fields: SettingFields::of_edit(&edited, access.is_admin()),
            version: edit::version(programme, budget.limit),
            made_from: edited.made_from(),
            is_open: is_edited,
            refusal: edited.refusal,
        },
        person: person.all(),
        is_person_open: person.is_refused(),
        copying: if access.is_faculty() {
            Some(CopyFields {
                fields: copied.shown(|field| CARRIED.contains(&field.id)),
                other_errors: copied.other_errors(&CARRIED).collect(),
                with_roster,
                form: new_ulid(now).to_string(),
                is_open: is_copied,
            })
        } else {
            None
        },
    };
    Ok(site.page(&page))
}

/// The rosters that files brought, the newest first.
fn applied(imports: &[Import], now: Moment, time: impl Fn(Moment) -> String) -> Vec<AppliedRoster> {
    let of_files =
        imports.iter().rev().filter(|import| import.applied && import.header.is_some() && now < import.until());
    let is_undone = |import: &Import| imports.iter().any(|of| of.import == Import::undo(import.import) && of.applied);
    let applied = |of: &Import| {
        let undone_until = of.undone_until(now).filter(|_| !is_undone(of)).map(&time);
        AppliedRoster { import: of.import, at: time(of.made_at), dropped: of.dropped, undone_until }
    };
    of_files.map(applied).collect()
}

/// The newest of the registrar's files that wait.
fn waiting(previews: Vec<RosterPreview>, now: Moment) -> Option<RosterPreview> {
    previews.into_iter().rev().find(|preview| preview.waits() && now < preview.until)
}

/// The spending of each group over each span.
fn by_group(
    of_programme: &ProgrammeUse,
    settings: &Settings,
    context: SpanContext<'_>,
) -> Vec<(String, Vec<(&'static str, Figure)>)> {
    let of = |used: &DailyUse| Span::ALL.map(|span| context.sum(&used.days(settings.basis.byok), span));
    let Some(own) = of_programme.own.as_ref().filter(|own| !own.by_group.is_empty()) else { return Vec::new() };
    let mut groups: Vec<(String, [Sum; 6])> =
        own.by_group.iter().map(|(group, used)| (group.clone(), of(used))).collect();
    // The rest is the spending of people without a group.
    let mut rest = of(&own.used);
    for (_, sums) in &groups {
        rest.iter_mut().zip(sums).for_each(|(rest, sum)| rest.spent = rest.spent - sum.spent);
    }
    if rest.iter().any(|rest| rest.spent > Usd::ZERO) {
        groups.push(("without a group".to_owned(), rest));
    }
    if of_programme.owns_keys() {
        groups.push(("keys made elsewhere".to_owned(), of(&of_programme.assigned)));
    }
    let figures = |sums: [Sum; 6]| Span::ALL.map(Span::name).into_iter().zip(sums.map(Figure::of)).collect();
    groups.into_iter().map(|(group, sums)| (group, figures(sums))).collect()
}
