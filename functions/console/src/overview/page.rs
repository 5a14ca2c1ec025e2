//! The overview of a programme: its money, its grants by state, warnings, and the forms that change it.

use bursar_core::domain::grant::{Reading, Reservation};
use bursar_core::domain::usage::days::Sum;
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::store::ProgrammeUse;

use super::add_person::PersonForm;
use super::edit::EditForm;
use super::outlook::{Chart, Outlook};
use super::warnings::{self, BudgetRoom};
use crate::grants;
use crate::job_line::JobLine;
use crate::prelude::*;
use crate::programmes::CopyForm;
use crate::spending::by_model::{self, ModelCoverage};
use crate::spending::spans::{self, SpanLink};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    may_edit: bool,
    budget: &'a Budget,
    spent: Figure,
    as_of: Option<String>,
    implied: Usd,
    /// The people for whom the budget is enough, whoever of the others comes first, of all who have a key or may claim one.
    enough_for: (usize, usize),
    phrase: &'static str,
    spans: Vec<SpanLink>,
    /// The spending of each group over each span.
    groups: Vec<(String, Vec<(&'static str, Figure)>)>,
    notes: Vec<String>,
    models: Vec<ModelUse>,
    groups_models: Vec<ModelUse>,
    coverage: ModelCoverage,
    claim_window: [String; 2],
    counts: Vec<(&'static str, usize)>,
    people: usize,
    warnings: Vec<String>,
    /// The number of students whom mail does not reach.
    unreachable: usize,
    /// The number of students who want no mail but links.
    unwanted: usize,
    outlook: Option<Outlook>,
    /// Whether outliers are named: assistants see only their number.
    may_name: bool,
    chart: Option<Chart>,
    jobs: Vec<JobLine>,
    edit: EditForm,
    person: PersonForm,
    /// The form that copies the programme; assistants have none.
    copying: Option<CopyForm>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess, Query(asked): Query<SpanQuery>) -> Answer {
    show(&site, &access, PageState { span: asked.span(), ..PageState::default() }).await
}

/// The state of one page view: the requested span, and the forms as they were posted.
#[derive(Default)]
pub(crate) struct PageState {
    pub(super) span: Option<Span>,
    pub(super) edit: Option<EditForm>,
    pub(super) person: PersonForm,
    pub(super) copying: Option<CopyForm>,
}

impl PageState {
    pub(crate) fn copying(form: CopyForm) -> PageState {
        PageState { copying: Some(form), ..PageState::default() }
    }
}

pub(crate) async fn show(site: &Site, access: &ProgrammeAccess, state: PageState) -> Answer {
    let (now, programme) = (site.clock.now(), &access.programme);
    let budget = &site.table.get(Budget::key_of(&programme.id)).await?.ok_or_else(AppError::not_found)?;
    let (grants, of_programme, jobs, sync, unreachable) = tokio::try_join!(
        site.table.grants_with_readings(&programme.id),
        site.table.programme_use(&programme.id),
        site.table.jobs(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
    )?;
    let settings = &programme.settings;
    let implied = |(grant, readings): &(Grant, Vec<Reading>)| {
        Reservation { grant, readings, settings, read_until: budget.counted_at }.implied(now)
    };
    let used = of_programme.used();
    let spent = used.days(settings.basis.byok);
    let had_a_key = of_programme.assigned_keys > 0 || grants.iter().any(|(grant, _)| grant.ever_shown);
    let context = SpanContext::of(settings, sync.listed_at, now);
    let span = state.span.unwrap_or(Span::All);
    let groups = by_group(&of_programme, settings, context);
    let days = span.range(settings.basis.reset, Some(&settings.term), now);
    let coverage = ModelCoverage::of_programme(&sync, days, &used, utc_date(now));
    let uses = site.table.models_of(&programme.id, of_programme.assigned_keys > 0, coverage.days).await?;
    let (models, groups_models) = by_model::of_programme(uses, &used, settings.basis.byok, &coverage);
    let time = |at| column_time(at, settings.term.zone());
    let implied = grants.iter().map(implied).sum::<Usd>();
    let count = |state| grants.iter().filter(|(grant, _)| show::state(grant) == state).count();
    let counts = show::STATES.iter().map(|state| (*state, count(*state))).filter(|(_, count)| *count > 0).collect();
    let not_mailed = || grants.iter().filter_map(|(grant, _)| grants::not_mailed(grant, &unreachable));
    // What assigned keys spent is in what was spent and reserved, and no grant implies it.
    let implied_in_all = implied + budget.assigned;
    let room = BudgetRoom { budget, spent: spent.total(), implied: implied_in_all };
    let mut warnings: Vec<String> = room.warning(access, &grants, now).into_iter().collect();
    warnings.extend(warnings::others(&grants, sync.listed_at, &jobs, now));
    warnings.extend(warnings::refused_rules(site, programme, now).await?);
    warnings.extend(warnings::unreachable_staff(site, &settings.people, now).await?);
    warnings.extend(warnings::unreachable_finance(site, &settings.people, now).await?);
    if access.is_admin() {
        warnings.extend(warnings::balance(site, programme, implied_in_all - spent.total(), now).await?);
    }
    let page = Overview {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        phrase: spans::phrase(span),
        spans: spans::choices(&paths::programme(&programme.id), &[], &Span::EACH, |one| one == span),
        notes: spans::notes(groups.iter().flat_map(|(_, spans)| spans.iter().map(|(_, figure)| figure))),
        groups,
        models,
        groups_models,
        coverage,
        may_edit: access.is_faculty() && programme.closed_at.is_none(),
        claim_window: [time(settings.claim_opens_at()), time(settings.claim_closes_at())],
        counts,
        people: grants.len(),
        warnings,
        unreachable: not_mailed().filter(|why| *why != UnreachableReason::Complained).count(),
        unwanted: not_mailed().filter(|why| *why == UnreachableReason::Complained).count(),
        outlook: Outlook::of(programme, budget, &spent, &grants, sync.listed_at, now),
        may_name: access.is_faculty(),
        chart: Chart::of(&spent, budget.limit),
        jobs: JobLine::of_programme(programme, &jobs, now),
        budget,
        spent: context.figure(&spent, span, had_a_key),
        as_of: sync.listed_at.map(time),
        implied,
        enough_for: enough_for(budget, &grants, settings, now),
        edit: state.edit.unwrap_or_else(|| EditForm::of(access, budget.limit)),
        person: state.person,
        copying: if access.is_faculty() {
            Some(state.copying.unwrap_or_else(|| CopyForm::of(programme, budget.limit, now)))
        } else {
            None
        },
    };
    Ok(site.page(&page))
}

/// For how many people the budget is enough: those who have a reservation, and as many of the others as fit in any order.
fn enough_for(budget: &Budget, grants: &[(Grant, Vec<Reading>)], settings: &Settings, now: Moment) -> (usize, usize) {
    let (mut with_a_reservation, mut costs) = (0, Vec::new());
    for (grant, readings) in grants {
        let reservation = Reservation { grant, readings, settings, read_until: budget.counted_at };
        let cost = reservation.implied(now) - reservation.cost(now);
        if cost > Usd::ZERO { costs.push(cost) } else { with_a_reservation += usize::from(grant.has_reservation) }
    }
    costs.sort_unstable_by(|one, other| other.cmp(one));
    let mut room = budget.limit - budget.reserved;
    let fit = costs.iter().take_while(|cost| {
        room = room - **cost;
        room >= Usd::ZERO
    });
    (with_a_reservation + fit.count(), with_a_reservation + costs.len())
}

/// The spending of each group over each span.
fn by_group(
    of_programme: &ProgrammeUse,
    settings: &Settings,
    context: SpanContext<'_>,
) -> Vec<(String, Vec<(&'static str, Figure)>)> {
    let of = |used: &DailyUse| Span::EACH.map(|span| context.sum(&used.days(settings.basis.byok), span));
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
    if of_programme.assigned_keys > 0 {
        groups.push(("keys made elsewhere".to_owned(), of(&of_programme.assigned)));
    }
    let figures = |sums: [Sum; 6]| Span::EACH.map(spans::name).into_iter().zip(sums.map(Figure::of)).collect();
    groups.into_iter().map(|(group, sums)| (group, figures(sums))).collect()
}
