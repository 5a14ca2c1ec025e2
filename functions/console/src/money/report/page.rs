//! A report as a page, with the form that asks for it and what is not known of its days; and as a
//! CSV file of exact amounts, with grants' ids for persons.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::usage::models::NOT_BY_MODEL;
use bursar_core::domain::usage::report::{Grouping, ReportLine, SpendingReport};
use bursar_core::domain::values::id::{GrantBytes, GrantId};
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, AppError, FileRequest, Result, Site};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::tz::TimeZone;

use super::collect::collect;
use super::query::{GROUPINGS, ProgrammeChoice, ReportScope};
use crate::kit::access::PageFrame;
use crate::kit::csv_file::CsvRequest;
use crate::kit::listing::{Cell, Column, Listing, ON_A_PAGE, Part, column};
use crate::kit::show::long_date;
use crate::kit::{csv_file, paths, show};
use crate::money::spending::by_model::words;
use crate::money::spending::spans::estimated;

/// How many grants are read at once for the names of their persons.
const GRANTS_AT_ONCE: usize = 16;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    form: ReportForm<'a>,
    /// The report, unless the form was refused.
    results: Option<ReportResults<'a>>,
}

#[derive(Template)]
#[template(path = "report_of_several.html")]
struct ReportPageOfSeveral<'a> {
    frame: PageFrame<'a>,
    form: ReportForm<'a>,
    /// The report, unless the form was refused.
    results: Option<ReportResults<'a>>,
}

struct ReportForm<'a> {
    path: &'a str,
    first_day: String,
    last_day: String,
    by: &'a str,
    student: Option<&'a GrantId>,
    choices: &'a [ProgrammeChoice],
    refusal: Option<String>,
}

struct ReportResults<'a> {
    days: String,
    total: Usd,
    lines: Listing<ReportRow<'a>>,
    notes: Vec<String>,
}

struct ReportRow<'a> {
    line: ReportLine<'a>,
    /// What was spent as the page shows it, so that all lines add up to the total.
    cents: Usd,
    programme: &'a Programme,
    grant: Option<GrantId>,
    /// The grant, if the reader may read whose it is: an assistant may not.
    student: Option<Grant>,
}

pub(crate) async fn page(site: Site, scope: ReportScope) -> Answer {
    let report = collect(&site, &scope).await?;
    show(&site, &scope, report).await
}

/// The page of a report, or of its form if that is refused.
pub(super) async fn show(
    site: &Site,
    scope: &ReportScope,
    report: Result<SpendingReport, String>,
) -> Answer {
    let query = &scope.query;
    let range = report.as_ref().ok().map(|report| report.range);
    let form = ReportForm {
        path: &scope.path,
        first_day: range.map_or_else(|| query.first_day.clone(), |range| range.0.to_string()),
        last_day: range.map_or_else(|| query.last_day.clone(), |range| range.1.to_string()),
        by: &query.by,
        student: query.student.as_ref(),
        choices: scope.choices.as_deref().unwrap_or_default(),
        refusal: report.as_ref().err().cloned(),
    };
    let results = match &report {
        Ok(report) => Some(ReportResults::compose(site, scope, report).await?),
        Err(_) => None,
    };
    let status = if results.is_some() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let frame = PageFrame::new(site, &scope.visitor);
    let page = match (&scope.choices, scope.programmes.first()) {
        (None, Some((programme, _))) => site.page(&ReportPage {
            frame,
            programme,
            form,
            results,
        }),
        _ => site.page(&ReportPageOfSeveral {
            frame,
            form,
            results,
        }),
    };
    Ok(page.with_status(status))
}

impl<'a> ReportResults<'a> {
    async fn compose(
        site: &Site,
        scope: &'a ReportScope,
        report: &'a SpendingReport,
    ) -> Result<ReportResults<'a>> {
        let mut lines = report.lines();
        let from = scope.query.skip.min(lines.len());
        let until = lines.len().min(from + ON_A_PAGE);
        let on_page = &lines[from..until];
        let cents = round_to_cents(lines.iter().map(|line| line.spent));
        let people = people(site, scope, on_page).await?;
        let rows = on_page
            .iter()
            .zip(&cents[from..])
            .map(|(line, cents)| ReportRow::new(*line, *cents, scope, &people));
        let columns = columns(report, scope.choices.is_some());
        let order = if report.grouping == Grouping::Day {
            "day after day"
        } else if scope.programmes.len() > 1 {
            "programme by programme, the largest first in each"
        } else {
            "the largest first"
        };
        let listing = Listing::new(("Spending", "report-row"), columns, rows, &TimeZone::UTC);
        let mut listing = listing.part_of(lines.len(), from, order, |from| {
            scope.query.address(&scope.path, report.range, from)
        });
        lines.sort_unstable_by_key(|line| line.key);
        let file = scope
            .query
            .address(&format!("{}.csv", scope.path), report.range, 0);
        listing.files = csv_file::offered(&file, &lines, |line| key(scope, line));
        Ok(ReportResults {
            days: words(&[report.range]).unwrap_or_default(),
            total: report.total(),
            lines: listing,
            notes: notes(
                report,
                &lines,
                site.table.sync_state().await?.listed_at,
                site.clock.now(),
            ),
        })
    }
}

impl<'a> ReportRow<'a> {
    fn new(
        line: ReportLine<'a>,
        cents: Usd,
        scope: &'a ReportScope,
        people: &NamedPeople,
    ) -> ReportRow<'a> {
        let programme = scope.programme(line.key.programme);
        let student = line
            .key
            .grant
            .and_then(|grant| people.get(&(line.key.programme, grant)).cloned());
        ReportRow {
            line,
            cents,
            programme,
            grant: line.key.grant.as_ref().map(GrantId::of_bytes),
            student,
        }
    }

    fn person(&self) -> Cell {
        let Some(grant) = &self.grant else {
            return Cell::exact(None::<&str>);
        };
        let person = self.student.as_ref().map(|student| &student.person);
        let name = person.and_then(|person| person.name.clone());
        let text = person.map_or(grant.as_str(), |person| person.address.as_written());
        let link = Part::Link(paths::grant(&self.programme.id, grant), text.to_owned());
        Cell::Shown(
            None,
            [link].into_iter().chain(name.map(Part::Small)).collect(),
        )
    }
}

/// The grants of lines whose persons the reader may read by name.
type NamedPeople = BTreeMap<(u16, GrantBytes), Grant>;

/// The persons of these lines, in programmes on which the reader is faculty or an admin.
async fn people(site: &Site, scope: &ReportScope, lines: &[ReportLine<'_>]) -> Result<NamedPeople> {
    let mut grants: BTreeSet<(u16, GrantBytes)> = lines
        .iter()
        .filter_map(|line| Some((line.key.programme, line.key.grant?)))
        .collect();
    grants.retain(|(number, _)| scope.programmes[usize::from(*number)].1 >= Role::Faculty);
    let queries = grants.into_iter().map(|(number, grant)| async move {
        let stored = site
            .table
            .get(Grant::key_of(
                &scope.programme(number).id,
                &GrantId::of_bytes(&grant),
            ))
            .await?;
        Ok::<_, AppError>(((number, grant), stored))
    });
    let queries: Vec<_> = queries.collect();
    let read: Vec<_> = iter(queries).buffered(GRANTS_AT_ONCE).try_collect().await?;
    Ok(read
        .into_iter()
        .filter_map(|(key, grant)| Some((key, grant?)))
        .collect())
}

/// What the reader has to know of the days and sums.
fn notes(
    report: &SpendingReport,
    lines: &[ReportLine<'_>],
    listed_at: Option<Moment>,
    now: Moment,
) -> Vec<String> {
    let (first_day, last_day) = report.range;
    let mut notes = Vec::new();
    match listed_at.map(utc_date) {
        None => notes.push("What keys used was not checked at OpenRouter yet.".to_owned()),
        Some(looked) => {
            let unread = (first_day.max(looked), last_day.min(utc_date(now)));
            let unread = words(&[unread]).filter(|_| unread.0 <= unread.1);
            notes.extend(
                unread.map(|days| format!("These days were not checked to their end yet: {days}.")),
            );
        }
    }
    notes.extend(estimated(&report.estimated()));
    let missing = words(&report.unknown());
    notes.extend(
        missing.map(|days| format!("Models and numbers of requests are not known of {days}.")),
    );
    if lines.iter().any(|line| Usd::ZERO - line.spent >= Usd::CENT) {
        notes.push(
            "A negative sum without a model makes up for models for which OpenRouter reports more than the keys used on that day. \
             Over more days the two even out."
                .to_owned(),
        );
    }
    if report.byok > Usd::ZERO {
        notes.push(format!(
            "{} more was spent with users' own provider keys. That is on another bill, and in no sum here.",
            report.byok.to_dollars()
        ));
    }
    notes
}

/// The columns: those that were not chosen are empty in the file and not on the page.
fn columns<'a>(report: &SpendingReport, is_of_several: bool) -> [Column<ReportRow<'a>>; 10] {
    let day = column("Day (UTC)")
        .class("date")
        .file("date")
        .hook("date")
        .show_if(report.grouping == Grouping::Day);
    [
        day.cell(|row: &ReportRow<'a>| {
            Cell::shown(
                row.line.key.day,
                row.line.key.day.map_or_else(String::new, long_date),
            )
        }),
        column("Programme").show_if(is_of_several).cell(|row| {
            Cell::link(
                paths::programme(&row.programme.id),
                &row.programme.settings.name,
            )
        }),
        column("")
            .file("programme")
            .hook("programme")
            .cell(|row| Cell::exact(Some(&row.programme.id))),
        column("Cost code")
            .show_if(is_of_several)
            .file("cost_code")
            .cell(|row| Cell::text(row.programme.settings.texts.cost_code.as_deref())),
        column("Group")
            .file("group")
            .hook("group")
            .show_if(report.grouping == Grouping::Group)
            .cell(|row| name_or(row.line.key.group.as_deref(), "without a group")),
        column("Model")
            .file("model")
            .hook("model")
            .show_if(report.grouping == Grouping::Model)
            .cell(|row| name_or(row.line.key.model.as_deref(), NOT_BY_MODEL)),
        column("Person")
            .show_if(report.names_people())
            .cell(ReportRow::person),
        column("")
            .file("person")
            .hook("person")
            .cell(|row| Cell::exact(row.grant.as_ref())),
        column("Requests")
            .class("number")
            .file("requests")
            .cell(|row| Cell::shown(row.line.requests, show::show_count(row.line.requests))),
        column("Spent")
            .class("money")
            .file("spent_usd")
            .hook("usd")
            .cell(|row| Cell::shown(Some(row.line.spent), row.cents.to_cents())),
    ]
}

/// A name, or what stands on the page without one.
fn name_or(name: Option<&str>, none: &str) -> Cell {
    name.map_or_else(
        || Cell::shown(None::<&str>, none),
        |name| Cell::text(Some(name)),
    )
}

/// The place of a line in the file: not by what was spent, which moves while somebody fetches it
/// part by part.
fn key(scope: &ReportScope, line: &ReportLine<'_>) -> String {
    let programme = scope.programme(line.key.programme);
    let day = line.key.day.map(|day| day.to_string()).unwrap_or_default();
    let grant = line
        .key
        .grant
        .as_ref()
        .map(|grant| GrantId::of_bytes(grant).to_string())
        .unwrap_or_default();
    let [group, model] =
        [&line.key.group, &line.key.model].map(|name| name.as_deref().unwrap_or_default());
    [&*day, programme.id.as_str(), group, model, &grant].join("\t")
}

/// The file, or the page with the refusal where there is none.
pub(crate) async fn file(
    site: Site,
    scope: ReportScope,
    request: CsvRequest,
    given: FileRequest,
) -> Answer {
    let report = match collect(&site, &scope).await? {
        Ok(report) => report,
        refused => return show(&site, &scope, refused).await,
    };
    let whose = match (&scope.choices, scope.programmes.first()) {
        (None, Some((programme, _))) => format!("{}-", programme.id),
        _ => String::new(),
    };
    let name = format!("report-{whose}{}-{}", report.range.0, report.range.1);
    let people = NamedPeople::new();
    let mut lines = report.lines();
    lines.sort_unstable_by_key(|line| line.key);
    let rows = lines
        .into_iter()
        .map(|line| ReportRow::new(line, line.spent, &scope, &people));
    let file = request.file(&name, columns(&report, true), rows, |row| {
        key(&scope, &row.line)
    })?;
    if report.names_people() {
        file.record_reader(&site, &given, &scope.visitor, None)
            .await
    } else {
        Ok(file.naming_nobody())
    }
}
