//! Admins' acts on keys that nobody here made. An act is written down with its audit entry before the provider is
//! asked, so that no crash leaves a changed key without a trace; what the provider answered has a second entry.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::ledger::foreign_act::{AnsweredKey, ForeignAct, ForeignActState, ForeignChange};
use crate::domain::values::id::PersonId;
use crate::domain::values::key::KeyHash;
use crate::store::table::commit::Round;
use crate::store::table::{StoreError, Table, keys};

/// A request of an admin on a key that nobody here made, with the key as the provider has it.
pub struct ForeignRequest<'a> {
    pub key: &'a KeyHash,
    pub name: &'a str,
    pub change: ForeignChange,
    pub before: AnsweredKey,
    pub by: &'a PersonId,
    pub now: Moment,
}

impl Table {
    /// The last act on each key that admins acted on.
    pub async fn foreign_acts(&self) -> Result<Vec<ForeignAct>, StoreError> {
        self.query(keys::ACCOUNT, keys::FOREIGN_ACTS).await
    }

    /// Writes a request down. A request of a change that is under way already goes on with that; `None` while another
    /// change of the key may still take effect.
    pub async fn begin_foreign_act(
        &self,
        request: &ForeignRequest<'_>,
        deadline: Deadline,
    ) -> Result<Option<ForeignAct>, StoreError> {
        self.carry_through(deadline, || async {
            let known = self.get(ForeignAct::key_of(request.key)).await?;
            match known {
                Some(known) if known.is_joined_by(request.change, request.by, request.now) => {
                    return Ok(Round::Over(Some(known)));
                }
                Some(known) if known.holds_up(request.change, request.now) => {
                    return Ok(Round::Over(None));
                }
                _ => {}
            }
            let version = known.as_ref().map_or(0, |known| known.version);
            let act = ForeignAct {
                key: request.key.clone(),
                name: request.name.to_owned(),
                change: request.change,
                requested_at: request.now,
                requested_by: request.by.clone(),
                state: ForeignActState::Open,
                answered: known.and_then(|known| known.answered),
                version: version + 1,
            };
            let what = AuditDetail::new(Act::ForeignActBegun).changing(request.before, request.change).noting(of(&act));
            let entry = entry(request.by, request.now, what);
            let transaction = match version {
                0 => self.transaction().create(&act)?,
                version => self.transaction().replace(&act, version)?,
            };
            Ok(Round::Write(transaction.told_by(&[entry])?, Some(act)))
        })
        .await
    }

    /// Records what came of an act: the key as the provider answered it, or that it changed nothing.
    pub async fn conclude_foreign_act(
        &self,
        pressed: &ForeignAct,
        answered: Option<AnsweredKey>,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.carry_through(deadline, || async {
            let Some(known) = self.get(ForeignAct::key_of(&pressed.key)).await? else { return Ok(Round::Over(())) };
            let Some(after) = known.concluded(pressed, answered) else { return Ok(Round::Over(())) };
            let what = AuditDetail::new(Act::ForeignActConcluded).noting(of(&after));
            let what = match answered {
                Some(answered) => what.changing(after.change, answered),
                None => what.changing(after.change, "refused by the provider"),
            };
            let entry = entry(&pressed.requested_by, now, what);
            Ok(Round::Write(self.transaction().replace(&after, known.version)?.told_by(&[entry])?, ()))
        })
        .await
    }
}

fn entry(by: &PersonId, at: Moment, what: AuditDetail) -> Entry {
    Entry::on_account(&Actor::Person(by.clone()), at, what)
}

/// The key of an act in an audit entry: its hash, which has no blanks, and its name.
fn of(act: &ForeignAct) -> String {
    format!("{} {}", act.key, act.name)
}
