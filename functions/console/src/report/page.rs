//! A report as a page: the form that asks for it, its lines, and what is not known of its days.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::people::role::Role;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::models::NOT_BY_MODEL;
use bursar_core::domain::usage::report::{GrantBytes, Grouping, ReportLine};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, AppError, Frame, Site, Visitor};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::Timestamp;
use jiff::civil::Date;

use super::collect::CollectedReport;
use super::query::{AskedReport, ReportQuery};
use super::scope::{ProgrammeChoice, ReportScope};
use crate::access::{self, ProgrammeAccess};
use crate::spending::by_model::words;
use crate::{paths, show};

const ON_A_PAGE: usize = 200;
/// The refusal of a report that does not fit into the function's memory.
const TOO_MANY_LINES: &str =
    "This report has more than a million lines. Choose fewer days or programmes, or fewer columns.";
/// How many grants are read at once for the names of their persons.
const GRANTS_AT_ONCE: usize = 16;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    programme: &'a Programme,
    form: ReportForm<'a>,
    /// The report, unless the form was refused.
    results: Option<ReportResults>,
}

#[derive(Template)]
#[template(path = "report_of_several.html")]
struct ReportPageOfSeveral<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    form: ReportForm<'a>,
    /// The report, unless the form was refused.
    results: Option<ReportResults>,
}

struct ReportForm<'a> {
    path: &'a str,
    from: String,
    to: String,
    by: Grouping,
    choices: &'a [ProgrammeChoice],
    refusal: Option<String>,
}

struct ReportResults {
    by: Grouping,
    /// Whether there is a column for the programme.
    is_of_several: bool,
    days: String,
    total: Usd,
    rows: Vec<ReportRow>,
    from: usize,
    until: usize,
    found: usize,
    next: Option<String>,
    file: String,
    notes: Vec<String>,
}

/// A line of the report on the page.
struct ReportRow {
    day: Option<Date>,
    programme: String,
    programme_name: String,
    cost_code: String,
    group: String,
    model: String,
    person: Option<PersonCell>,
    requests: String,
    spent: Usd,
}

/// The person of a line: faculty and admins read the address, an assistant the grant's id.
struct PersonCell {
    grant: GrantId,
    label: String,
    name: Option<String>,
    address: String,
}

/// The parameters of a request; some come more than once.
type Parameters = Query<Vec<(String, String)>>;

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess, Query(query): Parameters) -> Answer {
    of_one(&site, &access, &ReportQuery::of(&query)).await
}

pub(crate) async fn page_of_several(State(site): State<Site>, visitor: Visitor, Query(query): Parameters) -> Answer {
    let query = ReportQuery::of(&query);
    let scope = ReportScope::of_several(&site, &visitor, &query.programmes, site.clock.now()).await?;
    of_several(&site, &visitor, &scope, &query).await
}

/// The page of one programme's report, or of its form if that is refused.
pub(super) async fn of_one(site: &Site, access: &ProgrammeAccess, query: &ReportQuery) -> Answer {
    let scope = ReportScope::of_one(access, site.clock.now());
    let (status, form, results) = made(site, &scope, query).await?;
    let page = ReportPage {
        frame: &site.frame,
        csrf: access.visitor.csrf.reveal(),
        is_admin: access.is_admin(),
        programme: &access.programme,
        form,
        results,
    };
    Ok((status, site.page(&page)).into_response())
}

/// The page of a report over several programmes, or of its form if that is refused.
pub(super) async fn of_several(site: &Site, visitor: &Visitor, scope: &ReportScope, query: &ReportQuery) -> Answer {
    let (status, form, results) = made(site, scope, query).await?;
    let page = ReportPageOfSeveral {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        is_admin: access::is_admin(site, visitor),
        form,
        results,
    };
    Ok((status, site.page(&page)).into_response())
}

async fn made<'a>(
    site: &Site,
    scope: &'a ReportScope,
    query: &ReportQuery,
) -> Result<(StatusCode, ReportForm<'a>, Option<ReportResults>), AppError> {
    match query.read(scope.usual) {
        Ok(asked) => match ReportResults::of(site, scope, asked, query.skip).await? {
            Some(results) => Ok((StatusCode::OK, ReportForm::of(scope, asked), Some(results))),
            None => {
                let form = ReportForm::refused(scope, query, TOO_MANY_LINES.to_owned());
                Ok((StatusCode::UNPROCESSABLE_ENTITY, form, None))
            }
        },
        Err(why) => Ok((StatusCode::UNPROCESSABLE_ENTITY, ReportForm::refused(scope, query, why), None)),
    }
}

impl ReportForm<'_> {
    fn of(scope: &ReportScope, asked: AskedReport) -> ReportForm<'_> {
        ReportForm {
            path: &scope.path,
            from: asked.range.0.to_string(),
            to: asked.range.1.to_string(),
            by: asked.by,
            choices: &scope.choices,
            refusal: None,
        }
    }

    /// The form with what was typed.
    fn refused<'a>(scope: &'a ReportScope, query: &ReportQuery, why: String) -> ReportForm<'a> {
        let (from, to) = query.typed();
        ReportForm {
            path: &scope.path,
            from: from.to_owned(),
            to: to.to_owned(),
            by: query.chosen(),
            choices: &scope.choices,
            refusal: Some(why),
        }
    }
}

impl ReportResults {
    async fn of(
        site: &Site,
        scope: &ReportScope,
        asked: AskedReport,
        skip: usize,
    ) -> Result<Option<ReportResults>, AppError> {
        let programmes: Vec<&Programme> = scope.programmes.iter().map(|(programme, _)| programme).collect();
        let Some(collected) = CollectedReport::of(site, &programmes, asked).await? else { return Ok(None) };
        let lines = collected.report.lines(|day| collected.knows_models(day));
        let from = skip.min(lines.len());
        let until = (from + ON_A_PAGE).min(lines.len());
        let people = people(site, scope, &lines[from..until]).await?;
        let row = |line: &ReportLine<'_>| ReportRow::of(line, scope, asked.by, &people);
        let chosen = scope.chosen();
        Ok(Some(ReportResults {
            by: asked.by,
            is_of_several: !scope.choices.is_empty(),
            days: words(&[asked.range]).unwrap_or_default(),
            total: collected.report.total(),
            rows: lines[from..until].iter().map(row).collect(),
            from,
            until,
            found: lines.len(),
            next: (until < lines.len()).then(|| asked.address(&scope.path, &chosen, until)),
            file: asked.address(&format!("{}.csv", scope.path), &chosen, 0),
            notes: notes(&collected, &lines, asked, site.clock.now()),
        }))
    }
}

impl ReportRow {
    fn of(line: &ReportLine<'_>, scope: &ReportScope, by: Grouping, people: &People) -> ReportRow {
        let programme = scope.programmes.get(usize::from(line.programme)).map(|(programme, _)| programme);
        let of_programme = |text: fn(&Programme) -> String| programme.map(text).unwrap_or_default();
        let named = |is_chosen: bool, name: Option<&str>, nothing: &str| match is_chosen {
            true => name.unwrap_or(nothing).to_owned(),
            false => String::new(),
        };
        let person = line.grant.zip(programme).map(|(grant, programme)| {
            let (id, known) = (GrantId::of_bytes(grant), people.get(&(line.programme, grant)));
            PersonCell {
                label: known.map_or_else(|| id.to_string(), |grant| grant.person.address.as_written().to_owned()),
                name: known.and_then(|grant| grant.person.name.clone()),
                address: paths::grant(&programme.id, &id),
                grant: id,
            }
        });
        ReportRow {
            day: line.day,
            programme: of_programme(|programme| programme.id.to_string()),
            programme_name: of_programme(|programme| programme.settings.name.clone()),
            cost_code: of_programme(|programme| programme.settings.cost_code.clone().unwrap_or_default()),
            group: named(by.group, line.group, "without a group"),
            model: named(by.model, line.model, NOT_BY_MODEL),
            person,
            requests: line.requests.map_or_else(|| "not known".to_owned(), show::count),
            spent: line.spent,
        }
    }
}

/// The grants of lines whose persons the reader may read by name.
type People = BTreeMap<(u16, GrantBytes), Grant>;

/// The persons of these lines, in programmes on which the reader is faculty or an admin.
async fn people(site: &Site, scope: &ReportScope, lines: &[ReportLine<'_>]) -> Result<People, AppError> {
    let mut wanted: Vec<(u16, GrantBytes)> =
        lines.iter().filter_map(|line| Some((line.programme, line.grant?))).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let each = wanted.into_iter().filter_map(|(number, grant)| {
        let (programme, role) = scope.programmes.get(usize::from(number))?;
        let found = async move { site.table.grant(&programme.id, &GrantId::of_bytes(grant)).await };
        (*role >= Role::Faculty).then_some(async move { Ok::<_, AppError>(((number, grant), found.await?)) })
    });
    let read: Vec<_> = each.collect();
    let read: Vec<_> = iter(read).buffered(GRANTS_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().filter_map(|(of, grant)| Some((of, grant?))).collect())
}

/// What the reader has to know of the days and sums.
fn notes(collected: &CollectedReport, lines: &[ReportLine<'_>], asked: AskedReport, now: Timestamp) -> Vec<String> {
    let (report, (from, to)) = (&collected.report, asked.range);
    let mut notes = Vec::new();
    match collected.sync.listed_at.map(utc_date) {
        None => notes.push("No sync has read yet what keys used.".to_owned()),
        Some(looked) => {
            let unread = (from.max(looked), to.min(utc_date(now)));
            let unread = words(&[unread]).filter(|_| unread.0 <= unread.1);
            notes.extend(unread.map(|days| format!("No sync has read these days to their end yet: {days}.")));
        }
    }
    notes.extend(words(&report.estimated()).map(|days| {
        format!("Nights without a sync: only the sum is known of {days}, so some of it may belong to a day beside.")
    }));
    let missing = words(&report.days_without(|day| collected.knows_models(day)));
    notes.extend(missing.map(|days| format!("Models and numbers of requests are not known of {days}.")));
    if lines.iter().any(|line| Usd::ZERO - line.spent >= Usd::CENT) {
        notes.push(
            "A sum below zero without a model sets off models of which more is known than the keys used on that day or in \
             that group. Over more days and all groups it evens out."
                .to_owned(),
        );
    }
    if report.byok() > Usd::ZERO {
        notes.push(format!(
            "{} more was spent with provider keys of the users' own. That is another bill, and in no sum here.",
            report.byok().to_dollars_up()
        ));
    }
    if report.undated() > Usd::ZERO {
        notes.push(format!(
            "{} was used before the days on record began, on days that nobody knows. It is in no sum here.",
            report.undated().to_dollars_up()
        ));
    }
    notes
}
