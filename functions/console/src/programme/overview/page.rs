//! The overview of a programme: its money, how many have claimed, and warnings.

use askama::Template;
use bursar_core::domain::grant::GrantAction;
use bursar_core::domain::programme::counts::{Counts, Stage};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::usage::days::Sum;
use bursar_core::domain::usage::forecast::{Forecast, StandingOut};
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::domain::usage::pilot::WorkDay;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::format::{Joined, column_time, end_time};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ListedModels, Overview, ProgrammeUse, Unmailed};
use bursar_core::web::{Answer, AppError, Site};

use super::outlook::Chart;
use super::warnings;
use super::warnings::Warning;
use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::job_line::JobLine;
use crate::kit::paths;
use crate::kit::show::long_date;
use crate::money::spending::bar::MoneyBar;
use crate::money::spending::by_model::ModelCoverage;
use crate::money::spending::spans::{Figure, SpanContext};
use crate::money::spending::{by_model, spans};
use crate::people::roster;
use crate::programme::waiting::WaitingItems;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    is_over: bool,
    spent: Figure,
    as_of: Option<String>,
    bar: MoneyBar,
    /// The people who have no reservation and may take one, and for how many of them the budget is
    /// enough, whoever comes first.
    unreserved: u64,
    enough_for: u64,
    spans: Vec<&'static str>,
    groups: Vec<(String, Vec<Figure>)>,
    notes: Vec<String>,
    models: Vec<ModelUse>,
    groups_models: Vec<ModelUse>,
    coverage: ModelCoverage,
    prices: Option<ListedModels>,
    work_day: Option<WorkDay>,
    /// From when to when keys can be claimed.
    claims: [String; 2],
    counts: Counts,
    /// Whether the visitor may have students mailed, and that helps.
    may_mail: bool,
    /// As the last sync counted them.
    unmailed: Unmailed,
    warnings: Vec<Warning>,
    /// The forecast, unless the programme is over or it is a warning.
    forecast: Option<String>,
    is_short: bool,
    standing_out: StandingOut,
    chart: Option<Chart>,
    jobs: Vec<JobLine>,
    waiting: WaitingItems,
}

/// What helps everybody at a stage: the action on them, and its words.
pub(crate) fn mail_for(stage: Stage) -> Option<(&'static str, &'static str)> {
    match stage {
        Stage::Invited => Some((GrantAction::Resend.as_str(), "Send again")),
        Stage::Asked | Stage::SignedIn | Stage::Claimed => {
            Some((GrantAction::Remind.as_str(), "Remind"))
        }
        Stage::Bounced | Stage::Used => None,
    }
}

pub(crate) async fn page(site: Site, access: ProgrammeAccess) -> Answer {
    let now = site.clock.now();
    let programme = &access.programme;
    let settings = &programme.settings;
    let (overview, sync, unreachable, prices) = tokio::try_join!(
        site.table.overview(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
        site.table.get(ListedModels::key_of())
    )?;
    let Overview {
        budget,
        counts,
        used: of_programme,
        jobs,
        guardrails,
        previews,
        mores,
        ..
    } = overview.ok_or_else(AppError::not_found)?;
    let spent = of_programme.used().days(settings.basis.byok);
    let context = SpanContext::new(settings, sync.listed_at, now);
    let offered = spans::offered(settings.basis.reset);
    let groups = by_group(&of_programme, settings, offered, context);
    let totals = of_programme.own.as_ref();
    let of_own_keys = totals.map(|totals| totals.used.clone()).unwrap_or_default();
    let coverage = ModelCoverage::of_programme(&sync, &of_own_keys, utc_date(now));
    let uses = site
        .table
        .models_of(&programme.id, false, coverage.days)
        .await?;
    let models = by_model::of_programme(uses, &of_own_keys, settings.basis.byok, &coverage);
    let file = roster::waiting(previews, now);
    let spends_elsewhere = of_programme.spends_elsewhere(settings.basis.byok, now);
    let burn = Burn::new(
        programme,
        &budget,
        &spent,
        spends_elsewhere,
        sync.listed_at,
        now,
    );
    let bar = MoneyBar::new(settings, &budget, &burn, now);
    let room = warnings::room(&access, &budget, &burn, now);
    let mut warnings = Vec::new();
    let short = burn.forecast.filter(Forecast::is_short);
    if let Some(forecast) = short {
        // Of two things to do, room for those who have no key comes first.
        let to_do = forecast
            .to_do(access.role, settings.roster && !spends_elsewhere)
            .filter(|_| room.is_none());
        let link = to_do.as_ref().map(|_| {
            if forecast.stops_at_caps() && !forecast.limits.is_needed {
                (paths::grants(&programme.id), "See who spent most")
            } else {
                (paths::settings(&programme.id), "Open the settings")
            }
        });
        let sentences = std::iter::once(forecast.to_words(&settings.term)).chain(to_do);
        warnings.push((sentences.joined(" "), link));
    }
    warnings.extend(room);
    let mut sentences = warnings::others(&budget, sync.listed_at, &jobs, now);
    sentences.extend(warnings::warn_of_refused_rules(&site, programme, guardrails, now).await?);
    sentences.extend(warnings::unreachable_people(&settings.people, &unreachable));
    if access.is_admin() {
        let to_come = bar.implied.min(bar.budget).max(bar.reserved) - spent.total();
        sentences.extend(warnings::balance(&site, programme, to_come, now).await?);
    }
    warnings.extend(sentences.into_iter().map(|sentence| (sentence, None)));
    let has_keys = of_programme.has_keys(&budget);
    let page = OverviewPage {
        frame: PageFrame::new(&site, &access.visitor),
        programme,
        is_over: programme.is_over(now),
        notes: spans::notes(groups.iter().flat_map(|(_, figures)| figures)),
        spans: offered
            .iter()
            .map(|span| spans::name(*span, settings.basis.reset))
            .collect(),
        groups,
        models: models.by_model,
        groups_models: models.by_group,
        coverage,
        prices,
        work_day: totals.and_then(|totals| totals.work_day),
        claims: [
            roster::opens_in_words(settings),
            settings.claims.claim_closes_at.map_or_else(
                || long_date(settings.term.ends_on()),
                |closes_at| end_time(closes_at, settings.term.zone()),
            ),
        ],
        counts,
        may_mail: access.is_faculty()
            && !programme.is_over(now)
            && settings.claim_opens_at() <= now,
        unmailed: totals.map(|totals| totals.unmailed).unwrap_or_default(),
        unreserved: budget.unreserved.people(settings, now),
        enough_for: budget
            .unreserved
            .enough_for(budget.limit - budget.reserved, settings, now),
        warnings,
        standing_out: totals
            .filter(|_| !programme.is_over(now))
            .map(|totals| totals.standing_out.clone())
            .unwrap_or_default(),
        chart: Chart::from_burn(&burn),
        forecast: burn
            .forecast
            .filter(|_| short.is_none())
            .map(|forecast| forecast.to_words(&settings.term)),
        is_short: short.is_some(),
        waiting: WaitingItems::of_programme(&site, &access, &mores, file.as_ref()).await?,
        jobs: JobLine::of_programme(&site, programme, &jobs).await,
        spent: if has_keys {
            Figure::in_cents(context.sum(&spent, Span::All), bar.in_cents()[0])
        } else {
            Figure::exactly(Usd::ZERO)
        },
        // A check before its first key says nothing of a programme.
        as_of: sync
            .listed_at
            .filter(|_| has_keys)
            .map(|listed_at| column_time(listed_at, settings.term.zone())),
        bar,
    };
    Ok(site.page(&page))
}

/// What each group spent over each of the offered spans, in columns that add up.
fn by_group(
    of_programme: &ProgrammeUse,
    settings: &Settings,
    offered: &[Span],
    context: SpanContext<'_>,
) -> Vec<(String, Vec<Figure>)> {
    let sums = |used: &DailyUse| -> Vec<Sum> {
        let days = used.days(settings.basis.byok);
        offered
            .iter()
            .map(|span| context.sum(&days, *span))
            .collect()
    };
    let Some(totals) = of_programme
        .own
        .as_ref()
        .filter(|totals| !totals.by_group.is_empty())
    else {
        return Vec::new();
    };
    let mut groups: Vec<(String, Vec<Sum>)> = totals
        .by_group
        .iter()
        .map(|(group, used)| (group.clone(), sums(used)))
        .collect();
    // The rest is the spending of people without a group.
    let mut rest = sums(&totals.used);
    for (_, sums) in &groups {
        rest.iter_mut()
            .zip(sums)
            .for_each(|(rest, sum)| rest.spent = rest.spent - sum.spent);
    }
    if rest.iter().any(|rest| rest.spent > Usd::ZERO) {
        groups.push(("without a group".to_owned(), rest));
    }
    if of_programme.has_owned_keys() {
        groups.push((
            "keys made elsewhere".to_owned(),
            sums(&of_programme.assigned),
        ));
    }
    let mut rows: Vec<(String, Vec<Figure>)> = groups
        .iter()
        .map(|(group, _)| (group.clone(), Vec::new()))
        .collect();
    for place in 0..offered.len() {
        let column: Vec<Sum> = groups.iter().map(|(_, sums)| sums[place]).collect();
        rows.iter_mut()
            .zip(Figure::column(&column))
            .for_each(|((_, row), figure)| row.push(figure));
    }
    rows
}
