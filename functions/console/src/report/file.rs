//! A report as a CSV file: exact amounts, and grants' ids for persons.

use bursar_core::domain::usage::report::ReportLine;

use super::collect::collected;
use super::page;
use super::scope::ReportScope;
use crate::csv_file::{Cell, CsvRequest};
use crate::prelude::*;

const COLUMNS: [&str; 8] = ["date", "programme", "cost_code", "group", "model", "person", "requests", "spent_usd"];

/// The file, or the page with the refusal where there is none.
pub(crate) async fn file(State(site): State<Site>, scope: ReportScope, request: CsvRequest) -> Answer {
    let report = match collected(&site, &scope).await? {
        Ok(report) => report,
        refused => return page::show(&site, &scope, refused).await,
    };
    let row = |line: &ReportLine<'_>| {
        let (programme, _) = &scope.programmes[usize::from(line.programme)];
        vec![
            Cell::exact(line.day),
            Cell::exact(Some(&programme.id)),
            Cell::text(programme.settings.texts.cost_code.as_deref()),
            Cell::text(line.group),
            Cell::text(line.model),
            Cell::exact(line.grant.map(GrantId::of_bytes)),
            Cell::exact(line.requests),
            Cell::exact(Some(line.spent)),
        ]
    };
    let (from, to) = report.range;
    let name = match (&scope.choices, scope.programmes.first()) {
        (None, Some((programme, _))) => format!("report-{}-{from}-{to}", programme.id),
        _ => format!("report-{from}-{to}"),
    };
    request.answer(&name, &COLUMNS, report.lines().iter().map(row))
}
