//! The statement of the account, as a page made to be printed and as CSV: its rows and sums, and what is wrong with its edges;
//! and what was mailed of a month, with what is otherwise on the statement since.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::ledger::mailed::{ChangedCell, MailedStatement, RowDifference};
use bursar_core::domain::ledger::statement::{RowKind, Statement, StatementDays, StatementRow};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{StoreError, Table};
use bursar_core::web::{Answer, AppError, Frame, Site};
use serde::Deserialize;

use crate::access::AdminAccess;
use crate::csv_file::{Cell, CsvRequest};
use crate::show::utc;

/// The days as a query asks for them; without any, the last month.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DaysQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// What is wrong with days that were asked for, in a sentence.
const NOT_DAYS: &str = "Type two dates such as 2026-10-01 and 2026-10-31, the first no later than the last.";

impl DaysQuery {
    fn days(&self, now: Moment) -> Result<StatementDays, &'static str> {
        if self.from.is_empty() && self.to.is_empty() {
            return Ok(StatementDays::month_before(utc_date(now)));
        }
        match (self.from.trim().parse(), self.to.trim().parse()) {
            (Ok(from), Ok(to)) => StatementDays::new(from, to).ok_or(NOT_DAYS),
            _ => Err(NOT_DAYS),
        }
    }
}

/// How many of the last months the page links to.
const MONTHS: usize = 12;

#[derive(Template)]
#[template(path = "statement.html")]
struct StatementPage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    from: String,
    to: String,
    refused: Option<&'static str>,
    months: Vec<MonthLink>,
    made: Option<StatementTable>,
    mailed: Option<MailedNote>,
}

struct MonthLink {
    name: String,
    address: String,
}

struct StatementTable {
    statement: Statement,
    /// The instants of the cuts, for people.
    from: String,
    to: String,
    rows: Vec<NamedRow>,
    total: Usd,
    /// What the rows are short of the account's change.
    short: Usd,
    residual: Usd,
    notes: Vec<String>,
    query: String,
}

struct NamedRow {
    cost_code: String,
    programme: String,
    name: String,
    kind: RowKind,
    words: &'static str,
    spent: Usd,
}

pub(crate) async fn page(
    State(site): State<Site>,
    AdminAccess { visitor }: AdminAccess,
    Query(asked): Query<DaysQuery>,
) -> Answer {
    let blank = StatementPage {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        is_admin: true,
        from: asked.from.clone(),
        to: asked.to.clone(),
        refused: None,
        months: months(&site),
        made: None,
        mailed: None,
    };
    let days = match asked.days(site.clock.now()) {
        Ok(days) => days,
        Err(why) => {
            let page = site.page(&StatementPage { refused: Some(why), ..blank });
            return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, Ok(page)));
        }
    };
    let table = &site.table;
    let ((statement, programmes), mailed) = tokio::try_join!(table.statement(days), mailed_of(table, days))?;
    let page = StatementPage {
        from: days.from.to_string(),
        to: days.to.to_string(),
        mailed: statement.as_ref().zip(mailed).map(|(now, mailed)| MailedNote::of(&mailed, now, &programmes)),
        made: statement.map(|statement| StatementTable::of(statement, &programmes)),
        ..blank
    };
    Ok(site.page(&page))
}

fn months(site: &Site) -> Vec<MonthLink> {
    let mut months = Vec::new();
    let mut of = StatementDays::month_before(utc_date(site.clock.now()));
    for _ in 0..MONTHS {
        months.push(MonthLink { name: of.from.strftime("%B %Y").to_string(), address: format!("?{}", query(of)) });
        of = StatementDays::month_before(of.from);
    }
    months
}

fn query(days: StatementDays) -> String {
    format!("from={}&to={}", days.from, days.to)
}

impl StatementTable {
    fn of(statement: Statement, programmes: &[Programme]) -> StatementTable {
        let name = |id: &str| programmes.iter().find(|one| one.id.as_str() == id).map(|one| one.settings.name.clone());
        let rows = statement.rows.iter().map(|row| {
            let programme = row.programme.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default();
            NamedRow {
                cost_code: row.cost_code.clone().unwrap_or_default(),
                name: name(&programme).unwrap_or_default(),
                programme,
                kind: row.kind,
                words: row.kind.in_words(),
                spent: row.spent,
            }
        });
        StatementTable {
            from: utc(statement.from),
            to: utc(statement.to),
            rows: rows.collect(),
            total: statement.total(),
            short: statement.change - statement.total(),
            residual: statement.of_kind(RowKind::Residual),
            notes: statement.notes().into_iter().map(|note| note.in_words(statement.days)).collect(),
            query: query(statement.days),
            statement,
        }
    }
}

struct MailedNote {
    /// The instant, for people and for programs.
    at: String,
    exact: String,
    readers: usize,
    differences: Vec<DifferenceLine>,
}

/// One cell that differs from the one that was mailed.
struct DifferenceLine {
    programme: String,
    name: String,
    kind: &'static str,
    words: &'static str,
    cell: &'static str,
    was: String,
    is: String,
}

/// The statement as it was mailed, where these days are one month.
async fn mailed_of(table: &Table, days: StatementDays) -> Result<Option<MailedStatement>, StoreError> {
    let mailed = table.get(MailedStatement::key_of(days.from)).await?;
    Ok(mailed.filter(|mailed| mailed.days() == days))
}

impl MailedNote {
    fn of(mailed: &MailedStatement, now: &Statement, programmes: &[Programme]) -> MailedNote {
        let differences = mailed.differences(now, programmes);
        MailedNote {
            at: utc(mailed.mailed_at),
            exact: mailed.mailed_at.to_string(),
            readers: mailed.recipients.len(),
            differences: differences.into_iter().map(|one| DifferenceLine::of(one, programmes)).collect(),
        }
    }
}

impl DifferenceLine {
    fn of(difference: RowDifference, programmes: &[Programme]) -> DifferenceLine {
        let RowDifference { programme, kind, what } = difference;
        let text = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let (cell, was, is) = match what {
            ChangedCell::Name(was, is) => ("programme's name", text(was), text(is)),
            ChangedCell::CostCode(was, is) => ("cost code", text(was), text(is)),
            ChangedCell::Spent(was, is) => ("spent", was.to_string(), is.to_string()),
        };
        let named = programmes.iter().find(|one| Some(&one.id) == programme.as_ref());
        DifferenceLine {
            name: named.map(|one| one.settings.name.clone()).unwrap_or_default(),
            programme: programme.map(|id| id.to_string()).unwrap_or_default(),
            kind: kind.as_str(),
            words: kind.in_words(),
            cell,
            was,
            is,
        }
    }
}

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
