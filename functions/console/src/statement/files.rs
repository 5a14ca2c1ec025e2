//! The statement as a CSV file.

use axum::extract::{Query, State};
use bursar_core::domain::ledger::statement::StatementRow;
use bursar_core::web::{Answer, AppError, Site};

use super::DaysQuery;
use crate::access::AdminAccess;
use crate::csv_file::{Cell, CsvRequest};

const COLUMNS: [&str; 4] = ["cost_code", "programme", "kind", "spent_usd"];

pub(crate) async fn csv(
    State(site): State<Site>,
    AdminAccess { visitor: _ }: AdminAccess,
    Query(asked): Query<DaysQuery>,
    file: CsvRequest,
) -> Answer {
    let days = asked.days(site.clock.now()).map_err(AppError::unprocessable)?;
    let none = || AppError::conflict("No sync has been complete yet, so there is nothing to make a statement of.");
    let statement = site.table.statement(days).await?.0.ok_or_else(none)?;
    let name = format!("statement-{}-{}", days.from, days.to);
    file.answer(&name, &COLUMNS, statement.rows.iter().map(cells))
}

fn cells(row: &StatementRow) -> Vec<Cell> {
    let kind = Cell::exact(Some(row.kind.as_str()));
    vec![Cell::text(row.cost_code.as_deref()), Cell::exact(row.programme.as_ref()), kind, Cell::exact(Some(row.spent))]
}
