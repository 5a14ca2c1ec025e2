//! The close-out as a CSV file: a row for each person and one for foreign keys, with exact amounts.

use axum::extract::State;
use bursar_core::web::{Answer, Site};

use super::person::ClosingPerson;
use crate::access::ProgrammeAccess;
use crate::csv_file::{Cell, CsvRequest};

const COLUMNS: [&str; 11] = [
    "programme",
    "cost_code",
    "group",
    "grant",
    "email",
    "name",
    "state",
    "cap_usd",
    "claimed_at",
    "spent_usd",
    "byok_usd",
];

pub(crate) async fn file(State(site): State<Site>, access: ProgrammeAccess, request: CsvRequest) -> Answer {
    let programme = &access.programme;
    let persons = ClosingPerson::all(&site, &access).await?;
    let assigned = site.table.assigned_use(&programme.id).await?;
    let row = |person: &ClosingPerson| {
        vec![
            Cell::exact(Some(&programme.id)),
            Cell::text(programme.settings.cost_code.as_deref()),
            Cell::text(person.group.as_deref()),
            Cell::exact(Some(&person.grant)),
            Cell::text(person.address.as_deref()),
            Cell::text(person.name.as_deref()),
            Cell::exact(Some(person.state)),
            Cell::exact(Some(person.cap)),
            Cell::exact(person.claimed_at),
            Cell::exact(Some(person.spent())),
            Cell::exact(Some(person.used.byok.total())),
        ]
    };
    let of_foreign_keys = || {
        let mut cells = vec![Cell::exact(Some(&programme.id)), Cell::text(programme.settings.cost_code.as_deref())];
        cells.extend([Cell::EMPTY, Cell::EMPTY, Cell::EMPTY, Cell::exact(Some("keys made elsewhere"))]);
        cells.extend([Cell::EMPTY, Cell::EMPTY, Cell::EMPTY]);
        cells.push(Cell::exact(Some(assigned.used.credits.total())));
        cells.push(Cell::exact(Some(assigned.used.byok.total())));
        cells
    };
    let last = (assigned.keys > 0).then(of_foreign_keys);
    request.answer(&format!("closeout-{}", programme.id), &COLUMNS, persons.iter().map(row).chain(last))
}
