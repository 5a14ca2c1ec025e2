//! The statement of a month, to one finance address: the rows of the programmes that name it, as
//! they were when the statement was recorded. It names no student.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::ledger::statement::{RowKind, Statement, StatementDays, StatementRow};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::is_among;
use bursar_core::domain::values::format::{month_name, sheet_text, utc};
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::StaffPerson;
use jiff::civil::Date;

use crate::App;
use crate::compose::{GONE, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterFile, LetterPart, LetterRow, LetterTable, plain};

/// How many programmes the reason of a mail names.
const NAMED: usize = 3;

impl App {
    /// The statement's mail, if a programme that has rows in it still names the recipient for
    /// finance.
    pub(crate) async fn statement(
        &self,
        month: Date,
        recipient: &PersonId,
    ) -> Result<Letter, NoMail> {
        let mailed = self
            .table
            .get(MailedStatement::key_of(month))
            .await?
            .ok_or(GONE)?;
        let person = self
            .table
            .get(StaffPerson::key_of(recipient))
            .await?
            .ok_or(GONE)?;
        let programmes = self.table.list(Programme::all()).await?;
        let rows = mailed.rows_of(person.address.matched(), &programmes);
        if rows.is_empty() {
            return Err(NoMail::NotDue(
                "no programme names this person for finance any more",
            ));
        }
        let named = programmes.iter().filter(|programme| {
            is_among(person.address.matched(), &programme.settings.people.finance)
        });
        let named: Vec<&Programme> = named.collect();
        let statement = mailed.statement.with_rows(&rows);
        Ok(self.to(&person.address, |words| words.statement(&statement, &named)))
    }
}

impl Words<'_> {
    /// The mail of a statement. `named_by` are the programmes that name the recipient.
    fn statement(self, statement: &Statement, named_by: &[&Programme]) -> Letter {
        let month = month_name(statement.days.first);
        let file = file(statement);
        let mut parts = vec![
            say(format!(
                "What the programmes below spent at OpenRouter in {month}, by cost code. Amounts are US dollars; days are those of UTC."
            )),
            LetterPart::facts(figures(statement)),
        ];
        parts.extend(
            statement
                .to_words()
                .into_iter()
                .map(|note| say(plain(&note))),
        );
        let cents = statement.in_cents();
        parts.push(LetterPart::Table(table(&statement.rows, &cents)));
        if statement.rows.iter().any(|row| !row.kind.counts()) {
            parts.push(say(
                "What people used with keys of their own at a model's provider is on another bill. The figure is an estimate, and is in no sum here.",
            ));
        }
        parts.extend(sums(statement, &cents));
        parts.push(say(format!("The same rows are attached as {}.", file.name)));
        parts.push(LetterPart::File(file));
        Letter {
            heading: format!("Statement of {month}"),
            subject: format!("Statement of {month}: {}", statement.total().to_cents()),
            parts,
            why: format!(
                "You get this mail once a month because {} for finance. The admins of Bursar at {} can change that.",
                naming(named_by),
                self.config.institution
            ),
            ..self.letter()
        }
    }
}

fn figures(statement: &Statement) -> Vec<(&'static str, String)> {
    vec![
        ("Sum", statement.total().to_cents()),
        ("From", utc(statement.from)),
        ("To", utc(statement.to)),
    ]
}

fn table(rows: &[StatementRow], cents: &[Usd]) -> LetterTable {
    let lines = rows.iter().zip(cents).map(|(row, cents)| LetterRow {
        name: plain(row.named()),
        cells: vec![
            cost_code(row.cost_code.as_deref()),
            what(row.kind).to_owned(),
            cents.to_cents(),
        ],
    });
    LetterTable::new(
        ["Programme", "cost code", "used by", "spent"],
        lines.collect(),
    )
}

/// The sums by cost code, where several rows are of one.
fn sums(statement: &Statement, cents: &[Usd]) -> Vec<LetterPart> {
    let mut sums: BTreeMap<(bool, Option<&str>), Usd> = BTreeMap::new();
    let counted = statement
        .rows
        .iter()
        .zip(cents)
        .filter(|(row, _)| row.kind.counts());
    for (row, cents) in counted.clone() {
        let code = row.cost_code.as_deref();
        *sums.entry((code.is_none(), code)).or_default() += *cents;
    }
    if sums.len() == counted.count() {
        return Vec::new();
    }
    let lines = sums.into_iter().map(|((_, code), sum)| LetterRow {
        name: cost_code(code),
        cells: vec![sum.to_cents()],
    });
    let lines = lines.collect();
    vec![
        LetterPart::Heading("By cost code"),
        LetterPart::Table(LetterTable::new(["Cost code", "spent"], lines)),
    ]
}

/// The rows as the console's file has them.
fn file(statement: &Statement) -> LetterFile {
    let mut lines = "cost_code,programme,kind,spent_usd\r\n".to_owned();
    for row in &statement.rows {
        let code = sheet_text(row.cost_code.as_deref().unwrap_or_default());
        let programme = row.programme.as_ref().map_or("", ProgrammeId::as_str);
        lines.push_str(&format!(
            "{code},{programme},{},{}\r\n",
            row.kind.as_str(),
            row.spent
        ));
    }
    let StatementDays { first, last } = statement.days;
    LetterFile {
        name: format!("statement-{first}-{last}.csv"),
        media_type: "text/csv; charset=utf-8",
        bytes: lines.into_bytes(),
    }
}

fn cost_code(code: Option<&str>) -> String {
    code.map_or_else(|| "none".to_owned(), plain)
}

fn what(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Keys => "keys of students",
        RowKind::Byok => "keys of their own",
        RowKind::Assigned => "keys made elsewhere",
        // No other kind of row is a programme's, so no mail has one.
        RowKind::Unowned | RowKind::Unsettled | RowKind::Residual | RowKind::Opening => {
            kind.as_str()
        }
    }
}

/// The programmes that name the recipient, as a sentence says it: the first three.
fn naming(programmes: &[&Programme]) -> String {
    let names: BTreeSet<String> = programmes
        .iter()
        .map(|programme| plain(&programme.settings.name))
        .collect();
    let mut first: Vec<String> = names.iter().take(NAMED).cloned().collect();
    if let unnamed @ 1.. = names.len().saturating_sub(NAMED) {
        first.push(format!("{unnamed} more"));
    }
    let verb = if names.len() == 1 { "names" } else { "name" };
    match first.pop() {
        Some(last) if !first.is_empty() => format!("{} and {last} {verb} you", first.join(", ")),
        last => format!("{} {verb} you", last.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
