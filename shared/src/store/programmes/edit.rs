//! Editing a programme, whatever is under way: settings, budget, what the budget has reserved, the audit entries and the job that tells
//! the provider move in one transaction.

use futures_util::stream::TryStreamExt;
use jiff::Timestamp;

use crate::domain::audit::{Act, AuditDetail, Entry};
use crate::domain::grant::EditEffect;
use crate::domain::people::role::RoleChanges;
use crate::domain::programme::{Budget, Programme, Settings};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::programmes::guardrails::{RulesDue, RulesSource};
use crate::store::programmes::jobs::{Job, Work, with_job};
use crate::store::programmes::programme::with_roles;
use crate::store::table::context::Author;
use crate::store::table::write::{Round, Told, Transaction, number};
use crate::store::table::{StoreError, Table};

/// An edit of a programme, with what its form was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub settings: Settings,
    /// The version of the programme that was read before.
    pub version: u64,
    /// The budget before and after; `None` leaves it as it is.
    pub budget: Option<(Usd, Usd)>,
    /// The audit entry of the settings.
    pub what: AuditDetail,
}

/// The outcome of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditOutcome {
    Done,
    /// A key was shown, or is being made, and the edit would change how limits count.
    FixedByKeys,
    /// Keys that people have end before the new end of the term.
    KeysEndBefore(Timestamp),
    /// The budget would be smaller than what is promised under the new settings.
    BudgetTooSmall {
        budget: Usd,
        reserved: Usd,
    },
    /// Another edit was faster; this is its result.
    Stale(Box<(Programme, Usd)>),
    NoSuchProgramme,
}

/// A programme and its budget before an edit.
struct Before {
    programme: Programme,
    budget: Budget,
}

impl Table {
    /// Edits a programme that was read before. What its places cost more is reserved at once; what they cost less is given back
    /// after the provider has confirmed the lower limits.
    pub async fn edit(&self, id: &ProgrammeId, edit: &Edit, by: Author<'_>) -> Result<EditOutcome, StoreError> {
        self.carry_through(by.deadline, || async {
            // The budget comes first: its version shows that no place was taken since.
            let (Some(budget), Some(programme)) =
                (self.get(Budget::key_of(id)).await?, self.get(Programme::key_of(id)).await?)
            else {
                return Ok(Round::Over(EditOutcome::NoSuchProgramme));
            };
            let before = Before { programme, budget };
            if before.is_newer_than(edit) {
                return Ok(Round::Over(EditOutcome::Stale(Box::new((before.programme, before.budget.limit)))));
            }
            if before.counts_otherwise(&edit.settings) {
                return Ok(Round::Over(EditOutcome::FixedByKeys));
            }
            let effect = match before.moves_costs(&edit.settings) {
                true => Some(self.effect_of(&before, &edit.settings, by.now).await?),
                false => None,
            };
            if let Some(refused) = before.refuses(edit, effect) {
                return Ok(Round::Over(refused));
            }
            // Keys may be made at this moment, so the job begins even if nobody has one yet.
            let keys = match before.moves_keys(&edit.settings, by.now) {
                true => Some(self.count_grants(id).await?),
                false => effect.map(|effect| effect.grants).filter(|grants| *grants > 0),
            };
            match self.transaction_of_edit(before, edit, (effect, keys), by)? {
                Some(transaction) => Ok(Round::Write(transaction, EditOutcome::Done)),
                None => Ok(Round::Over(EditOutcome::Done)),
            }
        })
        .await
    }

    /// The effect on every grant of the programme. Of very many only some are held at once.
    async fn effect_of(&self, before: &Before, after: &Settings, now: Timestamp) -> Result<EditEffect, StoreError> {
        let Before { programme, budget } = before;
        let ids = [programme.id.clone()];
        let shards = self.shards_of_programmes(&ids);
        let add = |sum: EditEffect, (_, grants): (u16, Vec<_>)| async move {
            Ok(sum.and(EditEffect::of(&grants, budget, &programme.settings, after, now)))
        };
        shards.try_fold(EditEffect::default(), add).await
    }

    fn transaction_of_edit(
        &self,
        before: Before,
        edit: &Edit,
        (effect, keys): (Option<EditEffect>, Option<u32>),
        by: Author<'_>,
    ) -> Result<Option<Told>, StoreError> {
        let Before { programme, budget } = before;
        let (id, limit) = (programme.id.clone(), edit.limit(&budget));
        let (mut transaction, mut entries) = (self.transaction(), Vec::new());
        let entry = |what: AuditDetail| Entry::on_programme(&id, by.actor, by.now, what);
        let has_new_settings = programme.settings != edit.settings;
        if limit != budget.limit {
            entries.push(entry(AuditDetail::new(Act::BudgetChanged).changing(budget.limit, limit)));
        }
        if limit != budget.limit || effect.is_some() {
            transaction = with_budget(transaction, &budget, limit, effect)?;
        }
        if !has_new_settings && limit != budget.limit {
            // Nobody's edit may come in between, whatever it changes.
            let version = [(":version", number(edit.version))];
            transaction = transaction.check(&Programme::key_of(&id), "version = :version", &version)?;
        }
        if has_new_settings {
            let roles = RoleChanges::between(&id, Some(&programme.settings), &edit.settings);
            let (version, was_over) = (programme.version, programme.is_over(by.now));
            let edited = programme.edited(edit.settings.clone());
            let ends = edited.is_over(by.now) && !was_over;
            transaction = transaction.replace(&edited, version)?;
            entries.push(entry(edit.what.clone()));
            transaction = with_roles(transaction, &id, &roles)?;
            // Whatever was edited, the guardrails are looked at.
            transaction = transaction.set(&RulesDue::now(RulesSource::Programme(id.clone()), by.now))?;
            let work = if ends { Work::Close } else { Work::Limits };
            if let Some(grants) = keys {
                transaction = with_job(transaction, &Job::new(&id, work, grants, by.actor, by.now))?;
            }
        }
        if transaction.is_empty() {
            return Ok(None);
        }
        transaction.told_by(&entries).map(Some)
    }
}

impl Edit {
    /// An edit of the settings alone.
    pub fn of_settings(settings: Settings, version: u64, what: AuditDetail) -> Edit {
        Edit { settings, version, budget: None, what }
    }

    fn limit(&self, budget: &Budget) -> Usd {
        self.budget.map_or(budget.limit, |(_, limit)| limit)
    }
}

impl Before {
    fn is_newer_than(&self, edit: &Edit) -> bool {
        self.programme.version != edit.version || edit.budget.is_some_and(|(was, _)| was != self.budget.limit)
    }

    /// Whether keys that exist or are being made count in another way than the new settings say.
    fn counts_otherwise(&self, after: &Settings) -> bool {
        let basis = |settings: &Settings| (settings.reset, settings.byok, settings.term.timezone().to_owned());
        let has_places = self.budget.shown || self.budget.reserved != self.budget.assigned;
        has_places && basis(&self.programme.settings) != basis(after)
    }

    /// Whether places may cost another sum under the new settings.
    fn moves_costs(&self, after: &Settings) -> bool {
        let costs = |settings: &Settings| {
            let caps: Vec<_> =
                settings.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.cap?))).collect();
            let term = (settings.keys_expire_at(), settings.term.timezone().to_owned());
            (settings.cap, caps, settings.reset, settings.byok, term)
        };
        costs(&self.programme.settings) != costs(after)
    }

    /// Whether keys may have to be put under another guardrail: somebody has the first rules, or a term that was over goes on, in which
    /// nobody saw to that.
    fn moves_keys(&self, after: &Settings, now: Timestamp) -> bool {
        let Before { programme, .. } = self;
        let goes_on = programme.is_over(now);
        let is_over = programme.clone().edited(after.clone()).is_over(now);
        !is_over && (goes_on || after.has_first_rules_since(&programme.settings))
    }

    fn refuses(&self, edit: &Edit, effect: Option<EditEffect>) -> Option<EditOutcome> {
        let (was, ends) = (self.programme.settings.term.ends_at(), edit.settings.term.ends_at());
        if let Some(until) = effect.and_then(|effect| effect.keys_until).filter(|until| was < ends && *until < ends) {
            return Some(EditOutcome::KeysEndBefore(until));
        }
        let (budget, more) = (edit.limit(&self.budget), effect.map_or(Usd::ZERO, |effect| effect.more));
        let reserved = self.budget.reserved + more;
        let is_asked = budget < self.budget.limit || more > Usd::ZERO;
        (is_asked && budget < reserved).then_some(EditOutcome::BudgetTooSmall { budget, reserved })
    }
}

/// Moves the budget. Where costs move, no place may have been taken or given back since it was read; otherwise it only needs the room
/// for what is reserved.
fn with_budget(
    transaction: Transaction,
    budget: &Budget,
    limit: Usd,
    effect: Option<EditEffect>,
) -> Result<Transaction, StoreError> {
    let (key, old, new) = (Budget::key_of(&budget.programme), number(budget.limit.micros()), number(limit.micros()));
    let Some(effect) = effect else {
        let condition =
            if limit < budget.limit { "budget_limit = :old AND reserved <= :new" } else { "budget_limit = :old" };
        return transaction.update(&key, "SET budget_limit = :new", condition, &[(":new", new), (":old", old)]);
    };
    let values = [
        (":new", new),
        (":old", old),
        (":more", number(effect.more.micros())),
        (":version", number(budget.version)),
        (":one", number(1)),
    ];
    let expression = "SET budget_limit = :new ADD reserved :more, version :one";
    transaction.update(&key, expression, "budget_limit = :old AND version = :version", &values)
}
