//! A report as a CSV file: exact amounts, and grants' ids for persons.

use axum::extract::State;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::report::ReportLine;
use bursar_core::domain::values::id::GrantId;
use bursar_core::web::{Answer, Site, Visitor};

use super::collect::CollectedReport;
use super::page;
use super::query::ReportQuery;
use super::scope::ReportScope;
use crate::access::ProgrammeAccess;
use crate::csv_file::{Cell, CsvRequest};

const COLUMNS: [&str; 8] = ["date", "programme", "cost_code", "group", "model", "person", "requests", "spent_usd"];

pub(crate) async fn file(State(site): State<Site>, access: ProgrammeAccess, request: CsvRequest) -> Answer {
    let scope = ReportScope::of_one(&access, site.clock.now());
    let query = ReportQuery::of(&request.query);
    let Ok(asked) = query.read(scope.usual) else { return page::of_one(&site, &access, &query).await };
    let name = format!("report-{}-{}-{}", access.programme.id, asked.range.0, asked.range.1);
    let Some(collected) = CollectedReport::of(&site, &[&access.programme], asked).await? else {
        return page::of_one(&site, &access, &query).await;
    };
    answer(&collected, &request, &name, &[&access.programme])
}

pub(crate) async fn file_of_several(State(site): State<Site>, visitor: Visitor, request: CsvRequest) -> Answer {
    let query = ReportQuery::of(&request.query);
    let scope = ReportScope::of_several(&site, &visitor, &query.programmes, site.clock.now()).await?;
    let Ok(asked) = query.read(scope.usual) else {
        return page::of_several(&site, &visitor, &scope, &query).await;
    };
    let programmes: Vec<&Programme> = scope.programmes.iter().map(|(programme, _)| programme).collect();
    let Some(collected) = CollectedReport::of(&site, &programmes, asked).await? else {
        return page::of_several(&site, &visitor, &scope, &query).await;
    };
    answer(&collected, &request, &format!("report-{}-{}", asked.range.0, asked.range.1), &programmes)
}

fn answer(collected: &CollectedReport, request: &CsvRequest, name: &str, programmes: &[&Programme]) -> Answer {
    let lines = collected.report.lines(|day| collected.knows_models(day));
    let row = |line: &ReportLine<'_>| {
        let programme = programmes.get(usize::from(line.programme));
        vec![
            Cell::exact(line.day),
            Cell::exact(programme.map(|programme| &programme.id)),
            Cell::text(programme.and_then(|programme| programme.settings.cost_code.as_deref())),
            Cell::text(line.group),
            Cell::text(line.model),
            Cell::exact(line.grant.map(GrantId::of_bytes)),
            Cell::exact(line.requests),
            Cell::exact(Some(line.spent)),
        ]
    };
    request.answer(name, &COLUMNS, lines.iter().map(row))
}
