//! Guardrails: what the provider confirmed of each, beside its programme; and tiers as admins keep them. No write here makes a form
//! stale.

use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::rules::{Tier, Tiers};
use crate::store::prelude::*;

/// The most edits that are looked at in one round.
const AT_ONCE: i32 = 100;

/// That rules may have to be told to guardrails. It is written with each edit, and removed once all that they concern are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesDue {
    #[serde(flatten)]
    pub of: RulesSource,
    pub at: Moment,
    /// Tells it from one that was written since.
    pub mark: Ulid,
}

stored! {
    RulesDue |it| (of: &RulesSource = &it.of) => match of {
        RulesSource::Programme(id) => key("RULES", format!("P#{id}")),
        RulesSource::Tier(name) => key("RULES", format!("T#{name}")),
    };
    waits Some((Queue::Rules, it.at))
}

/// Where rules come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesSource {
    Programme(ProgrammeId),
    Tier(String),
}

impl RulesDue {
    pub fn now(of: RulesSource, now: Moment) -> RulesDue {
        RulesDue { of, at: now, mark: new_ulid(now) }
    }
}

impl Table {
    pub async fn rules_due(&self, now: Moment) -> Result<Vec<RulesDue>, StoreError> {
        let keys = self.due(Queue::Rules, now, AT_ONCE).await?;
        let due = try_join_all(keys.into_iter().map(|key| self.get::<RulesDue>(key.into()))).await?;
        Ok(due.into_iter().flatten().filter(|due| due.at <= now).collect())
    }

    /// Notes that all are told, or when the rest is due. Does nothing where they were edited since.
    pub async fn note_told(
        &self,
        due: &RulesDue,
        again_at: Option<Moment>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let (condition, as_read) = ("mark = :mark", [(":mark", text(due.mark.to_string()))]);
        let transaction = match again_at {
            Some(at) => self.transaction().put(&RulesDue { at, ..due.clone() }, condition, &as_read)?,
            None => self.transaction().remove(&RulesDue::key_of(&due.of), condition, &as_read)?,
        };
        self.commit_once(transaction.unaudited(Unaudited::Guardrail), deadline).await.map(drop)
    }

    /// Writes a guardrail as it is by now, with an entry where the provider confirmed other rules. Where it had to be made again, a job
    /// puts the keys under it, and what is in doubt is due to be told again. Returns it as written; `None` when somebody else has
    /// written it since it was read.
    pub async fn write_guardrail(
        &self,
        was: &Guardrail,
        is: Guardrail,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<Guardrail>, StoreError> {
        let is = Guardrail { version: was.version + 1, ..is };
        let mut transaction = self.transaction().replace(&is, was.version)?;
        let id = |guardrail: &Guardrail| guardrail.made.as_ref().map(|made| made.id.clone());
        let (before, after) = (id(was), id(&is));
        if before.is_some() && before != after {
            let grants = self.count_grants(&is.of.programme).await?;
            let job = Job::new(&is.of.programme, Work::Limits, grants, &Actor::Rule, now);
            transaction = transaction.set(&job)?;
        }
        if is.rules.is_in_doubt() {
            transaction = transaction.set(&RulesDue::now(RulesSource::Programme(is.of.programme.clone()), now))?;
        }
        let transaction = if was.confirmed() == is.confirmed() {
            transaction.unaudited(Unaudited::Guardrail)
        } else {
            let named = |id: Option<String>| id.unwrap_or("none".to_owned());
            let what = AuditDetail::new(Act::GuardrailSet).changing(named(before), named(after));
            let what = what.noting(format!("guardrail of {}", is.of));
            transaction.told_by(&[Entry::on_account(&Actor::Rule, now, what)])?
        };
        let is_written = self.commit_once(transaction, deadline).await?;
        Ok(is_written.then_some(is))
    }
}

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
                    programme.closed_at.is_none() && programme.settings.rules.tiers().any(|tier| tier == name)
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
