//! The page of a statement, made to be printed: its rows and sums, and what is wrong with its edges.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use bursar_core::domain::ledger::statement::{RowKind, Statement, StatementDays};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, AppError, Frame, Site};

use super::DaysQuery;
use super::mailed::{self, MailedNote};
use crate::access::AdminAccess;
use crate::show::utc;

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

/// A statement as the page shows it.
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
    /// The programme's name; empty for what is no programme's.
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
    let ((statement, programmes), mailed) = tokio::try_join!(table.statement(days), mailed::of_days(table, days))?;
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
