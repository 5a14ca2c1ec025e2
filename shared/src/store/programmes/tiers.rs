//! Tiers as admins keep them. A tier that a programme or group names cannot be removed.

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::programme::Programme;
use crate::domain::programme::tiers::{Tier, Tiers};
use crate::store::programmes::guardrails::{RulesDue, RulesSource};
use crate::store::table::context::Author;
use crate::store::table::write::Round;
use crate::store::table::{StoreError, Table};

/// The outcome of an edit of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierOutcome {
    Done,
    /// Somebody else's edit was faster; this is its result.
    Stale(Tier),
    /// It was to be removed, and these programmes name it, for themselves or a group.
    Named(Vec<Programme>),
}

impl Table {
    pub async fn tiers(&self) -> Result<Tiers, StoreError> {
        Ok(Tiers::of(self.list(Tier::all()).await?))
    }

    /// Replaces the models of a tier that was read in a version, or makes one where there was none; without models it is removed. The
    /// work of each minute tells the guardrails what the request of this does not.
    pub async fn edit_tier(
        &self,
        name: &str,
        models: &[String],
        version: Option<u64>,
        by: Author<'_>,
    ) -> Result<TierOutcome, StoreError> {
        self.carry_through(by.deadline, || async {
            let unknown = Tier { name: name.to_owned(), models: Vec::new(), version: 0 };
            let was = self.tiers().await?.get(name).cloned().unwrap_or(unknown);
            if was.models == models {
                return Ok(Round::Over(TierOutcome::Done));
            }
            if version.is_some_and(|version| version != was.version) || (version.is_none() && !was.models.is_empty()) {
                return Ok(Round::Over(TierOutcome::Stale(was)));
            }
            if models.is_empty() {
                let mut naming = self.list(Programme::all()).await?;
                naming.retain(|programme| {
                    programme.closed_at.is_none() && programme.settings.tiers().any(|tier| tier == name)
                });
                if !naming.is_empty() {
                    return Ok(Round::Over(TierOutcome::Named(naming)));
                }
            }
            let is = Tier { models: models.to_vec(), version: was.version + 1, ..was.clone() };
            let what = AuditDetail::new(Act::TierEdited).changing(was.models.join(" "), models.join(" ")).noting(name);
            let entry = Entry::on_account(by.actor, by.now, what);
            let transaction = self.transaction().replace(&is, was.version)?;
            let due = RulesDue::now(RulesSource::Tier(name.to_owned()), by.now);
            Ok(Round::Write(transaction.set(&due)?.told_by(&[entry])?, TierOutcome::Done))
        })
        .await
    }
}
