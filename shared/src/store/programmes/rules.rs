//! Guardrails: what the provider confirmed of each, beside its programme; and tiers as admins keep
//! them. No write here makes a form stale.
//!
//! An edit of settings makes the programme's guardrail due, for all of the programme, and that of a
//! tier the tier: one item each, however many guardrails follow it. Who tells them looks at all,
//! and notes on condition of the version that it read before the rules.

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::rules::{Tier, Tiers};
use crate::domain::programme::{KeyRules, Programme};
use crate::domain::values::id::ProgrammeId;
use crate::schema::ItemKey;
use crate::store::table::write::{Round, Transaction, Unaudited, Writes, number};
use crate::store::{Author, Job, Result, Table, Work};

/// Where rules come from.
#[derive(Debug)]
pub enum RulesSource {
    Programme(ProgrammeId),
    Tier(String),
}

impl RulesSource {
    /// What the guardrail or the tier of this key has its rules from.
    pub fn named(key: &ItemKey) -> Option<RulesSource> {
        match key.pk.strip_prefix("P#") {
            Some(programme) => programme.parse().ok().map(RulesSource::Programme),
            None => (key.pk == "TIERS").then(|| RulesSource::Tier(key.sk.clone())),
        }
    }
}

impl Transaction {
    /// Has the guardrails of a programme looked at, where it has rules or had some.
    pub(super) fn watch_guardrails(
        self,
        guardrail: Option<Guardrail>,
        programme: &ProgrammeId,
        rules: &KeyRules,
        now: Moment,
    ) -> Result<Transaction> {
        if guardrail.is_none() && rules.restrict_nobody() {
            return Ok(self);
        }
        let guardrail = guardrail.unwrap_or_else(|| Guardrail::of_all(programme.clone()));
        self.replace(&Guardrail {
            due_at: Some(now),
            version: guardrail.version + 1,
            ..guardrail
        })
    }
}

impl Table {
    /// Notes when a guardrail that was due is looked at again, if it is. Does nothing where
    /// somebody else has written it since.
    pub async fn guardrail_due_at(
        &self,
        was: Guardrail,
        due_at: Option<Moment>,
        deadline: Deadline,
    ) -> Result<()> {
        let after = Guardrail {
            due_at,
            version: was.version + 1,
            ..was
        };
        self.replace(&after, Unaudited::Guardrail, deadline)
            .await
            .map(drop)
    }

    /// Notes when those who name a tier that was due are looked at again, if they are. Does nothing
    /// where it was edited since, and makes no form stale.
    pub async fn tier_due_at(
        &self,
        was: Tier,
        due_at: Option<Moment>,
        deadline: Deadline,
    ) -> Result<()> {
        let as_read = [(":version", number(was.version))];
        let noted =
            self.transaction()
                .put(&Tier { due_at, ..was }, "version = :version", &as_read)?;
        self.commit_once(noted.skip_audit(Unaudited::Guardrail), deadline)
            .await
            .map(drop)
    }

    /// Has a guardrail that the provider does not know made again by whoever tells its rules next,
    /// and so a later press succeeds.
    pub async fn doubt_guardrail(
        &self,
        programme: &ProgrammeId,
        id: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let guardrails = self.list(Guardrail::of_programme(programme)).await?;
        let gone = guardrails.iter().find(|guardrail| {
            guardrail
                .remote
                .as_ref()
                .is_some_and(|made_guardrail| made_guardrail.id == id)
        });
        if let Some(gone) = gone {
            self.write_guardrail(gone, gone.doubted(), now, deadline)
                .await?;
        }
        Ok(())
    }

    /// Writes a guardrail as it is by now, with an entry where the provider made it or confirmed
    /// other rules. Where it had to be made again, a job marks its keys as due, and so is what is
    /// in doubt. Returns it as written; `None` when somebody else has written it since it was read.
    pub async fn write_guardrail(
        &self,
        was: &Guardrail,
        current: Guardrail,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<Guardrail>> {
        let due_at = if current.rules.is_in_doubt() {
            Some(now)
        } else {
            current.due_at
        };
        let current = Guardrail {
            due_at,
            version: was.version + 1,
            ..current
        };
        let mut transaction = self.transaction().replace(&current)?;
        let before = was
            .remote
            .as_ref()
            .map(|made_guardrail| made_guardrail.id.as_str());
        let after = current
            .remote
            .as_ref()
            .map(|made_guardrail| made_guardrail.id.as_str());
        if before.is_some() && before != after {
            let grants = self.count_grants(&current.owner.programme).await?;
            let job = Job::new(
                &current.owner.programme,
                Work::Limits,
                grants,
                &Actor::Rule,
                now,
            );
            transaction = transaction.set(&job)?;
        }
        // One that was made while other rules may still come is another, though nothing is
        // confirmed.
        let transaction = if before == after && was.confirmed() == current.confirmed() {
            transaction.skip_audit(Unaudited::Guardrail)
        } else {
            let what = AuditDetail::new(Act::GuardrailSet)
                .with_change(before.unwrap_or("none"), after.unwrap_or("none"));
            transaction.with_entries(&[AuditEntry::new_on_account(
                &Actor::Rule,
                now,
                what.with_note(&current.owner),
            )])?
        };
        let is_written = self.commit_once(transaction, deadline).await?;
        Ok(is_written.then_some(current))
    }
}

#[derive(Debug)]
pub enum TierOutcome {
    Done,
    /// Somebody else's edit was faster; this is its result.
    Stale(Tier),
    /// It was to be removed, and these programmes name it, for themselves or a group.
    Named(Vec<Programme>),
}

impl Table {
    pub async fn tiers(&self) -> Result<Tiers> {
        Ok(Tiers::new(self.list(Tier::all()).await?))
    }

    /// Replaces the models of a tier that was read in a version, or makes one where there was none;
    /// without models it is removed. The work of each minute tells the guardrails what the request
    /// of this does not.
    pub async fn edit_tier(
        &self,
        name: &str,
        models: &[String],
        version: Option<u64>,
        author: Author<'_>,
    ) -> Result<TierOutcome> {
        self.carry_through(author.deadline, || async {
            let unknown = Tier {
                name: name.to_owned(),
                models: Vec::new(),
                due_at: None,
                version: 0,
            };
            let was = self.tiers().await?.get(name).cloned().unwrap_or(unknown);
            if was.models == models {
                return Ok(Round::Over(TierOutcome::Done));
            }
            if version.is_some_and(|version| version != was.version)
                || (version.is_none() && !was.models.is_empty())
            {
                return Ok(Round::Over(TierOutcome::Stale(was)));
            }
            if models.is_empty() {
                let mut naming = self.list(Programme::all()).await?;
                naming.retain(|programme| {
                    programme.closed_at.is_none()
                        && programme.settings.rules.tiers().any(|tier| tier == name)
                });
                if !naming.is_empty() {
                    return Ok(Round::Over(TierOutcome::Named(naming)));
                }
            }
            let due_at = Some(author.now);
            let after = Tier {
                models: models.to_vec(),
                due_at,
                version: was.version + 1,
                ..was.clone()
            };
            let what = AuditDetail::new(Act::TierEdited)
                .with_change(was.models.join(", "), models.join(", "))
                .with_note(name);
            let audit_entry = author.entry_on_account(what);
            let transaction = self.transaction().replace(&after)?;
            Ok(Round::Write(
                transaction.with_entries(&[audit_entry])?,
                TierOutcome::Done,
            ))
        })
        .await
    }
}
