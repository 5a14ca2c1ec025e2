//! What was mailed of a month: when, to how many, and what is otherwise on the statement since.

use bursar_core::domain::ledger::mailed::{ChangedCell, MailedStatement, RowDifference};
use bursar_core::domain::ledger::statement::{Statement, StatementDays};
use bursar_core::domain::programme::Programme;
use bursar_core::store::{StoreError, Table};

use crate::show::utc;

/// The note about a statement that was mailed.
pub(super) struct MailedNote {
    /// The instant, for people and for programs.
    pub(super) at: String,
    pub(super) exact: String,
    pub(super) readers: usize,
    pub(super) differences: Vec<DifferenceLine>,
}

/// One cell that differs from the one that was mailed.
pub(super) struct DifferenceLine {
    pub(super) programme: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) words: &'static str,
    pub(super) cell: &'static str,
    pub(super) was: String,
    pub(super) is: String,
}

/// The statement as it was mailed, where these days are one month.
pub(super) async fn of_days(table: &Table, days: StatementDays) -> Result<Option<MailedStatement>, StoreError> {
    let mailed = table.get(MailedStatement::key_of(days.from)).await?;
    Ok(mailed.filter(|mailed| mailed.days() == days))
}

impl MailedNote {
    pub(super) fn of(mailed: &MailedStatement, now: &Statement, programmes: &[Programme]) -> MailedNote {
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
