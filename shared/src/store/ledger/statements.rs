//! Statements, put together from the cuts and the programmes' cost codes of today.

use crate::domain::ledger::statement::{Statement, StatementDays};
use crate::domain::programme::Programme;
use crate::store::table::{StoreError, Table};

impl Table {
    /// The statement of some days, with the programmes by whose cost codes it is made. `None` before the first
    /// complete sync.
    pub async fn statement(&self, days: StatementDays) -> Result<(Option<Statement>, Vec<Programme>), StoreError> {
        let (first, cuts, programmes, shares) = tokio::try_join!(
            self.first_cut(),
            self.cuts_since(days.begin()),
            Box::pin(self.programmes()),
            Box::pin(self.key_shares())
        )?;
        let Some(first) = first else { return Ok((None, programmes)) };
        let cuts = days.cuts(&cuts);
        let changes = self.key_changes(cuts).await?;
        Ok((Statement::of(days, cuts, &changes, &shares, first.as_of, &programmes), programmes))
    }
}
