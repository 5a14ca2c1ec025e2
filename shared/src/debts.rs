//! What a grant owes the provider, carried out: each key disabled or enabled, and the debt marked as paid. It is owed before it is asked
//! for, so whatever fails here is repeated by the work of the next minutes.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::domain::grant::{Debt, Switch};
use crate::provider::{Provider, ProviderError};
use crate::store::{At, Outcome, StoreError, Table};

/// What one debt may take, the provider's and the table's answers included.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);

/// Why something is owed still.
#[derive(Debug, thiserror::Error)]
pub enum Unpaid {
    #[error("the time is up for this round")]
    NoTime,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Table(#[from] StoreError),
}

/// Pays what a grant owes as part of what caused it. A failure is told in the log only, since the work repeats it.
pub async fn now_or_later(table: &Table, provider: &Provider, at: At<'_>) {
    if let Err(error) = pay(table, provider, at, |_| true).await {
        tracing::warn!(grant = %at.grant, %error, "a debt is left to the work");
    }
}

/// Pays the debts of one grant that are among those meant, as it stands now, and says how many they were.
pub async fn pay(
    table: &Table,
    provider: &Provider,
    at: At<'_>,
    is_meant: impl Fn(&Debt) -> bool,
) -> Result<u32, Unpaid> {
    let mut paid = 0;
    // Read before each: it may have been held or released since the index named it, or while the last one was paid.
    while let Some(grant) = table.grant(at.programme, at.grant).await?
        && let Some(debt) = grant.debts().find(&is_meant)
    {
        if !at.deadline.leaves(ENOUGH_FOR_ONE) {
            return Err(Unpaid::NoTime);
        }
        let patience = Deadline::after(at.deadline.left().saturating_sub(LEFT_FOR_THE_TABLE).min(ENOUGH_FOR_ONE));
        tell(provider, &debt, patience).await?;
        paid += u32::from(matches!(table.settled(at, &debt).await?, Outcome::Done(_)));
    }
    Ok(paid)
}

/// Tells the provider what it is owed.
pub async fn tell(provider: &Provider, debt: &Debt, patience: Deadline) -> Result<(), ProviderError> {
    match debt.switch {
        Switch::Off => provider.disable_key(&debt.key, patience).await.map(drop),
        Switch::On => provider.enable_key(&debt.key, patience).await.map(drop),
    }
}
