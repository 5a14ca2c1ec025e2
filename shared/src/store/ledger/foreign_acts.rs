//! Admins' acts on keys that nobody here made. An act is written down with its audit entry before the provider is
//! asked, so that no crash leaves a changed key without a trace; what the provider answered has a second entry.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::ledger::foreign_act::{AnsweredKey, ForeignAct, ForeignActState, ForeignChange};
use crate::domain::values::id::PersonId;
use crate::domain::values::key::KeyHash;
use crate::store::table::write::Round;
use crate::store::table::{StoreError, Table};

/// A press of an admin on a key that nobody here made, with the key as the provider has it.
pub struct ForeignPress<'a> {
    pub key: &'a KeyHash,
    pub name: &'a str,
    pub change: ForeignChange,
    pub before: AnsweredKey,
    pub by: &'a PersonId,
    pub now: Timestamp,
}

impl Table {
    /// Writes a press down. A press of a change that is under way already goes on with that; `None` while another
    /// change of the key may still take effect.
    pub async fn begin_foreign_act(
        &self,
        press: &ForeignPress<'_>,
        deadline: Deadline,
    ) -> Result<Option<ForeignAct>, StoreError> {
        self.carry_through(deadline, || async {
            let known = self.get(ForeignAct::key_of(press.key)).await?;
            match known {
                Some(known) if known.is_joined_by(press.change, press.by, press.now) => {
                    return Ok(Round::Over(Some(known)));
                }
                Some(known) if known.holds_up(press.change, press.now) => {
                    return Ok(Round::Over(None));
                }
                _ => {}
            }
            let version = known.as_ref().map_or(0, |known| known.version);
            let act = ForeignAct {
                key: press.key.clone(),
                name: press.name.to_owned(),
                change: press.change,
                pressed_at: press.now,
                pressed_by: press.by.clone(),
                state: ForeignActState::Open,
                answered: known.and_then(|known| known.answered),
                version: version + 1,
            };
            let what = AuditDetail::new(Act::ForeignActBegun).changing(press.before, press.change).noting(of(&act));
            let entry = entry(press.by, press.now, what);
            let transaction = self.transaction().replace(&act, version)?;
            Ok(Round::Write(transaction.told_by(&[entry])?, Some(act)))
        })
        .await
    }

    /// Records what came of an act: the key as the provider answered it, or that it changed nothing.
    pub async fn conclude_foreign_act(
        &self,
        pressed: &ForeignAct,
        answered: Option<AnsweredKey>,
        now: Timestamp,
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
            let entry = entry(&pressed.pressed_by, now, what);
            Ok(Round::Write(self.transaction().replace(&after, known.version)?.told_by(&[entry])?, ()))
        })
        .await
    }
}

fn entry(by: &PersonId, at: Timestamp, what: AuditDetail) -> Entry {
    Entry::on_account(&Actor::Person(by.clone()), at, what)
}

/// The key of an act in an audit entry: its hash, which has no blanks, and its name.
fn of(act: &ForeignAct) -> String {
    format!("{} {}", act.key, act.name)
}
