//! Statements, put together from the cuts and the programmes' cost codes of today.

use crate::domain::ledger::statement::{Statement, StatementDays};
use crate::domain::programme::Programme;
use crate::domain::values::id::ProgrammeId;
use crate::store::table::{StoreError, Table};

impl Table {
    /// The statement of some days, with the programmes by whose cost codes it is made. `None` before the first
    /// complete sync.
    pub async fn statement(&self, days: StatementDays) -> Result<(Option<Statement>, Vec<Programme>), StoreError> {
        let (cuts, programmes, shares) =
            tokio::try_join!(self.cuts_since(days.begin()), self.programmes(), self.key_shares())?;
        let cuts = days.cuts(&cuts);
        let changes = self.key_changes(cuts).await?;
        let cost_code = |id: &ProgrammeId| {
            programmes.iter().find(|one| one.id == *id).and_then(|one| one.settings.cost_code.clone())
        };
        Ok((Statement::of(days, cuts, &changes, &shares, cost_code), programmes))
    }
}
