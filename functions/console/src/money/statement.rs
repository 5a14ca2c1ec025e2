//! The statement of the account, as a page made to be printed and as CSV: its rows and sums, and
//! what is wrong with its edges; and what was mailed of a month, with what is otherwise on the
//! statement since.

use std::iter::successors;

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::ledger::mailed::{ChangedCell, MailedStatement, RowDifference};
use bursar_core::domain::ledger::statement::{RowKind, Statement, StatementDays, StatementRow};
use bursar_core::domain::values::format::{date_range, month_name};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, AppError, Site};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::kit::access::{AdminAccess, PageFrame};
use crate::kit::csv_file::CsvRequest;
use crate::kit::listing::{Cell, Column, Listing, column};
use crate::kit::{csv_file, paths};

/// The days as a query asks for them; without any, the last month.
#[derive(Deserialize)]
pub(crate) struct DaysQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// What is wrong with days that were asked for, in a sentence.
const NOT_DAYS: &str =
    "Type two dates such as 2026-10-01 and 2026-10-31, the first no later than the last.";

impl DaysQuery {
    fn days(&self, now: Moment) -> Result<StatementDays, &'static str> {
        if self.from.is_empty() && self.to.is_empty() {
            return Ok(StatementDays::month_before(utc_date(now)));
        }
        match (self.from.trim().parse(), self.to.trim().parse()) {
            (Ok(first_day), Ok(last_day)) => {
                StatementDays::new(first_day, last_day).ok_or(NOT_DAYS)
            }
            _ => Err(NOT_DAYS),
        }
    }
}

/// How many of the last months the page links to.
const MONTHS: usize = 12;

#[derive(Template)]
#[template(path = "statement.html")]
struct StatementPage<'a> {
    frame: PageFrame<'a>,
    first_day: String,
    last_day: String,
    refused: Option<&'static str>,
    /// The days in words, where there is a statement of them.
    days: Option<String>,
    months: Vec<StatementDays>,
    statement: Option<Statement>,
    /// The statement as it was mailed, where these days are one month, and what differs since.
    mailed: Option<(MailedStatement, Vec<RowDifference>)>,
}

pub(crate) async fn page(
    site: Site,
    AdminAccess { visitor }: AdminAccess,
    Query(query): Query<DaysQuery>,
) -> Answer {
    let blank = StatementPage {
        frame: PageFrame::new(&site, &visitor),
        first_day: query.from.clone(),
        last_day: query.to.clone(),
        refused: None,
        days: None,
        months: successors(
            Some(StatementDays::month_before(utc_date(site.clock.now()))),
            |later| Some(StatementDays::month_before(later.first)),
        )
        .take(MONTHS)
        .collect(),
        statement: None,
        mailed: None,
    };
    let today = utc_date(site.clock.now());
    let mut days = match query.days(site.clock.now()) {
        Ok(days) => days,
        Err(why) => {
            let page = site.page(&StatementPage {
                refused: Some(why),
                ..blank
            });
            return Err(AppError::page(StatusCode::UNPROCESSABLE_ENTITY, Ok(page)));
        }
    };
    // Of a month in which nothing was spent yet nobody wants a statement: then it is that of this
    // month so far.
    if query.from.is_empty() && query.to.is_empty() {
        let last = site.table.statement(days).await?.0;
        let so_far = StatementDays::new(today.first_of_month(), today);
        days = so_far
            .filter(|_| last.is_none_or(|last| last.change.is_zero()))
            .unwrap_or(days);
    }
    let ((statement, _), mailed) = tokio::try_join!(
        site.table.statement(days),
        site.table.get(MailedStatement::key_of(days.first))
    )?;
    let mailed = statement
        .as_ref()
        .zip(mailed.filter(|mailed| mailed.statement.days == days));
    let page = StatementPage {
        first_day: days.first.to_string(),
        last_day: days.last.to_string(),
        mailed: mailed.map(|(now, mailed)| {
            let differences = mailed.differences(now);
            (mailed, differences)
        }),
        days: statement.as_ref().map(|_| {
            let is_month = days.first.first_of_month() == days.first
                && days.last == days.first.last_of_month();
            if is_month {
                month_name(days.first)
            } else {
                date_range((days.first, days.last))
            }
        }),
        statement,
        ..blank
    };
    Ok(site.page(&page))
}

impl StatementPage<'_> {
    fn rows(&self, statement: &Statement) -> Listing<StatementLine> {
        let rows = statement.rows.iter().zip(statement.in_cents());
        let rows = rows.map(|(row, cents)| StatementLine {
            row: row.clone(),
            cents,
        });
        let path = format!(
            "{}.csv?from={}&to={}",
            paths::STATEMENT,
            statement.days.first,
            statement.days.last
        );
        let mut listing = Listing::new(
            ("Statement", "statement-row"),
            COLUMNS,
            rows,
            &TimeZone::UTC,
        );
        listing.caption = "By cost code and programme".to_owned();
        listing.files = csv_file::offered(&path, &statement.rows, key);
        listing
    }
}

/// One cell that differs from the one that was mailed: its name, and the text of before and now.
fn cell(what: &ChangedCell) -> (&'static str, String, String) {
    match what {
        ChangedCell::Name(was, now) => ("programme's name", text_or_none(was), text_or_none(now)),
        ChangedCell::CostCode(was, now) => ("cost code", text_or_none(was), text_or_none(now)),
        ChangedCell::Spent(was, now) => ("spent", format!("${was}"), format!("${now}")),
    }
}

fn text_or_none(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "none".to_owned())
}

/// A text by which the rows are in the order in which they are.
fn key(row: &StatementRow) -> String {
    let code = row.cost_code.as_deref().unwrap_or_default();
    let programme = row.programme.as_ref().map_or("", ProgrammeId::as_str);
    let is_last = (row.programme.is_none(), row.cost_code.is_none());
    format!("{is_last:?}\t{code}\t{programme}\t{}", row.kind as u8)
}

/// A row with what was spent as the page shows it.
struct StatementLine {
    row: StatementRow,
    cents: Usd,
}

const COLUMNS: [Column<StatementLine>; 5] = [
    column("Programme").cell(|line| Cell::text(Some(line.row.named()))),
    column("Cost code")
        .file("cost_code")
        .hook("cost-code")
        .cell(|line| Cell::text(line.row.cost_code.as_deref().or(Some("")))),
    column("").file("programme").hook("programme").cell(|line| {
        Cell::exact(
            line.row
                .programme
                .as_ref()
                .map(ProgrammeId::as_str)
                .or(Some("")),
        )
    }),
    column("What")
        .file("kind")
        .hook("kind")
        .cell(|line| Cell::shown(Some(line.row.kind.as_str()), line.row.kind.to_words())),
    column("Spent")
        .class("money")
        .file("spent_usd")
        .hook("usd")
        .cell(|line| Cell::shown(Some(line.row.spent), line.cents.to_cents())),
];

pub(crate) async fn csv(
    site: Site,
    AdminAccess { visitor: _ }: AdminAccess,
    Query(query): Query<DaysQuery>,
    request: CsvRequest,
) -> Answer {
    let days = query
        .days(site.clock.now())
        .map_err(AppError::unprocessable)?;
    let sentence = "OpenRouter has not been checked completely yet, so there is no statement.";
    let statement = site
        .table
        .statement(days)
        .await?
        .0
        .ok_or_else(|| AppError::conflict(sentence))?;
    let name = format!("statement-{}-{}", days.first, days.last);
    let lines = statement.rows.into_iter().map(|row| StatementLine {
        cents: row.spent,
        row,
    });
    Ok(request
        .file(&name, COLUMNS, lines, |line| key(&line.row))?
        .naming_nobody())
}
