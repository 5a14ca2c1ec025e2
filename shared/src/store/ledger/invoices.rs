//! The invoices that admins typed in, one for each range of days, each change with an entry of the account.

use jiff::civil::Date;

use crate::deadline::Deadline;
use crate::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use crate::domain::ledger::invoice::Invoice;
use crate::domain::values::id::new_ulid;
use crate::store::table::commit::Round;
use crate::store::table::{StoreError, Table, keys};

impl Table {
    /// The invoice of these days.
    pub async fn invoice(&self, from: Date, to: Date) -> Result<Option<Invoice>, StoreError> {
        self.get(&keys::invoice(from, to)).await
    }

    /// Records an invoice over the one that was recorded for its days before, whose version does not matter.
    pub async fn note_invoice(&self, invoice: &Invoice, deadline: Deadline) -> Result<(), StoreError> {
        self.carry_through(deadline, || async {
            let known = self.invoice(invoice.from, invoice.to).await?;
            let is_same = |known: &Invoice| (&known.number, known.amount) == (&invoice.number, invoice.amount);
            if known.as_ref().is_some_and(is_same) {
                return Ok(Round::Over(()));
            }
            let version = known.as_ref().map_or(0, |known| known.version);
            let next = Invoice { version: version + 1, ..invoice.clone() };
            let before = known.map_or("none".to_owned(), |known| in_words(&known));
            let what = AuditDetail::new(Act::InvoiceNoted)
                .changing(before, in_words(&next))
                .noting(format!("{} to {}", next.from, next.to));
            let (at, by) = (next.noted_at, Actor::Person(next.noted_by.clone()));
            let entry = AccountEntry { entry: new_ulid(at), at, by, what };
            let transaction = match version {
                0 => self.transaction().create(&next)?,
                version => self.transaction().replace(&next, version)?,
            };
            Ok(Round::Write(transaction.witnessed_by(&entry)?, ()))
        })
        .await
    }
}

fn in_words(invoice: &Invoice) -> String {
    format!("{} over ${}", invoice.number, invoice.amount)
}
