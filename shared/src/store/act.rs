//! The one way to change a grant: read it with all that decides, let a rule of the domain decide, write the change on condition
//! that the grant is as it was read, and decide anew when it is not.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use ulid::Ulid;

use super::commit::{Commit, Pauses, Transaction, number};
use super::items::{Enrolment, OutboxRow};
use super::keys;
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::address::MatchedAddress;
use crate::domain::audit::{Act, Actor, Entry, What};
use crate::domain::grant::{Attempt, Change, Grant, PotChange, Reading, View};
use crate::domain::id::{GrantId, ProgrammeId};
use crate::domain::money::Usd;
use crate::domain::programme::Pot;

/// A transaction has a hundred parts at most. Nobody uses the keys of so many attempts in one window.
const MOST_READINGS: usize = 90;

/// Which grant, when, and until when: what every act is told.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub now: Timestamp,
    pub deadline: Deadline,
}

/// What an act came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T, R> {
    Done(T),
    /// The rules forbid it, and nothing was written.
    Refused(R),
    NoSuchGrant,
}

impl Table {
    /// Decides and writes. `decide` may run several times, each time on what was read then.
    pub(super) async fn act<T, R>(
        &self,
        at: At<'_>,
        decide: impl Fn(&View) -> Result<(Change, T), R>,
    ) -> Result<Outcome<T, R>, StoreError> {
        let mut pauses = Pauses::until(at.deadline);
        loop {
            // Each act is one of many that a caller can come to, and all of them lie on one stack.
            let Some(view) = Box::pin(self.view(at.programme, at.grant)).await? else {
                return Ok(Outcome::NoSuchGrant);
            };
            let (change, done) = match decide(&view) {
                Ok(decided) => decided,
                Err(refused) => return Ok(Outcome::Refused(refused)),
            };
            let transaction = self.transaction_of(&view, change.counted(&view, at.now), at.now)?;
            if Box::pin(self.commit(transaction, &mut pauses)).await? == Commit::Done {
                return Ok(Outcome::Done(done));
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    fn transaction_of(&self, view: &View, change: Change, now: Timestamp) -> Result<Transaction, StoreError> {
        let mut transaction = self.transaction().replace(&change.grant, view.grant.version)?;
        if matches!(change.pot, PotChange::GiveBack(_)) {
            transaction = while_unread(transaction, view, change.reading.as_ref())?;
        }
        if let Some(reading) = &change.reading {
            transaction = match view.reading(reading.epoch) {
                Some(known) => transaction.create_or_replace(reading, AS_READ, &as_read(known))?,
                None => transaction.create(reading)?,
            };
        }
        if rests_on_settings(&change) {
            let programme = keys::programme(&view.programme.id);
            let version = number(view.programme.version);
            transaction = transaction.check(&programme, "version = :version", &[(":version", version)])?;
        }
        let (was, becomes) = (view.grant.person.address.matched(), change.grant.person.address.matched());
        if was != becomes {
            transaction = enrolled_elsewhere(transaction, &change.grant, was)?;
        }
        let is_audited = change.audit.is_some();
        if let Some(what) = change.audit {
            transaction = transaction.witnessed_by(&entry_on(&change.grant, change.by, what, now))?;
        }
        if let Some(notice) = change.notice {
            let row = OutboxRow::notice(new_ulid(now), notice, &change.grant, now);
            // An announcement has no entry, and its row tells as well whether it took effect.
            transaction = if is_audited { transaction.owing(&row)? } else { transaction.owing_as_witness(&row)? };
        }
        let is_first = change.grant.ever_shown && !view.pot.shown;
        move_pot(transaction, &view.pot, change.pot, is_first)
    }
}

/// What a place costs, which cap one of one's own replaces, whether the programme is over, and until a key was shown the claim window
/// and the terms were read in the programme: an edit since may have changed them.
fn rests_on_settings(change: &Change) -> bool {
    let is = |act| change.audit.as_ref().is_some_and(|what| what.act == act);
    let is_claim = is(Act::Begun) && !change.grant.ever_shown;
    let rests = is(Act::CapChanged) || is(Act::Ended) || is(Act::Reopened);
    is_claim || rests || matches!(change.pot, PotChange::Take(_) | PotChange::TakeAnyway(_))
}

/// A grant is found by its person's address.
fn enrolled_elsewhere(
    transaction: Transaction,
    grant: &Grant,
    was: &MatchedAddress,
) -> Result<Transaction, StoreError> {
    let (programme, id) = (grant.programme.clone(), grant.id.clone());
    let enrolment = Enrolment { address: grant.person.address.matched().clone(), programme, grant: id };
    let key = keys::enrolment(was, &grant.programme);
    transaction.create(&enrolment)?.remove(&key, "attribute_exists(pk)", &[])
}

/// What is given back was reckoned from the readings: had one come since, it would be too much.
fn while_unread(
    mut transaction: Transaction,
    view: &View,
    written: Option<&Reading>,
) -> Result<Transaction, StoreError> {
    let grant = &view.grant;
    let is_written = |attempt: &&Attempt| written.is_some_and(|reading| reading.epoch == attempt.epoch);
    for attempt in grant.attempts.iter().rev().take(MOST_READINGS).filter(|attempt| !is_written(attempt)) {
        let key = keys::reading(&grant.programme, &grant.id, attempt.epoch);
        transaction = match view.reading(attempt.epoch) {
            Some(reading) => transaction.check(&key, AS_READ, &as_read(reading))?,
            None => transaction.check(&key, "attribute_not_exists(pk)", &[])?,
        };
    }
    Ok(transaction)
}

/// That a reading says what it said when it was read.
const AS_READ: &str = "(lifetime = :lifetime AND byok = :byok AND as_of = :as_of)";

fn as_read(reading: &Reading) -> [(&'static str, AttributeValue); 3] {
    [
        (":lifetime", number(reading.lifetime().micros())),
        (":byok", number(reading.used.byok.total().micros())),
        (":as_of", number(reading.as_of.as_millisecond())),
    ]
}

/// The pot is changed in place, so that claims of one programme do not each have to read what the other wrote. Taking holds
/// the limit that was read and that there is room; giving back, that the pot was not counted anew since: then less may be
/// counted for the place. The first key that is shown of a programme leaves a mark there.
fn move_pot(transaction: Transaction, pot: &Pot, change: PotChange, is_first: bool) -> Result<Transaction, StoreError> {
    let (amount, condition, values) = match change {
        PotChange::None if !is_first => return Ok(transaction),
        PotChange::None => (None, "attribute_exists(pk)", Vec::new()),
        PotChange::Take(amount) => {
            let limit = (":limit", number(pot.limit.micros()));
            let room = (":room", number((pot.limit - amount).micros()));
            (Some(amount), "pot_limit = :limit AND reserved <= :room", vec![limit, room])
        }
        PotChange::TakeAnyway(amount) => (Some(amount), "attribute_exists(pk)", Vec::new()),
        PotChange::GiveBack(amount) => match pot.counted_at {
            Some(at) => {
                let counted_at = (":counted_at", number(at.as_millisecond()));
                (Some(Usd::ZERO - amount), "counted_at = :counted_at", vec![counted_at])
            }
            None => (Some(Usd::ZERO - amount), "attribute_exists(pk) AND attribute_not_exists(counted_at)", Vec::new()),
        },
    };
    let mut values = values;
    let mut expression = String::new();
    if is_first {
        expression += "SET shown = :shown ";
        values.push((":shown", AttributeValue::Bool(true)));
    }
    if let Some(amount) = amount {
        expression += "ADD reserved :amount, version :one";
        values.extend([(":amount", number(amount.micros())), (":one", number(1))]);
    }
    transaction.update(&keys::pot(&pot.programme), &expression, condition, &values)
}

pub(super) fn entry_on(grant: &Grant, by: Actor, what: What, now: Timestamp) -> Entry {
    let entry = in_order(new_ulid(now), grant.version);
    Entry { programme: grant.programme.clone(), grant: Some(grant.id.clone()), entry, at: now, by, what }
}

/// Several acts on a grant may fall into one millisecond: their entries sort as the versions they led to.
fn in_order(ulid: Ulid, version: u64) -> Ulid {
    const BELOW: u32 = 64;
    let within = u128::from(version & 0xffff) << BELOW | ulid.random() & u128::from(u64::MAX);
    Ulid::from_parts(ulid.timestamp_ms(), within)
}

/// An identifier that sorts by the product's clock.
pub fn new_ulid(now: Timestamp) -> Ulid {
    let random = crate::domain::token::random_u128();
    Ulid::from_parts(u64::try_from(now.as_millisecond()).unwrap_or_default(), random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_millisecond_sort_as_the_acts_that_wrote_them() {
        let now = "2026-01-02T08:00:00Z".parse().unwrap();
        let entries: Vec<Ulid> = (1..300).map(|version| in_order(new_ulid(now), version)).collect();
        assert!(entries.is_sorted());
        assert_ne!(in_order(new_ulid(now), 7), in_order(new_ulid(now), 7));
        assert!(entries[298] < new_ulid(now + jiff::SignedDuration::from_millis(1)));
    }
}
