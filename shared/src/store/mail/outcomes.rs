//! Delivery events: the row, the counts of its day and the mark of an address, in one transaction. Also what
//! needs a person: mail that waits, and addresses that cannot be reached.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp, ToSpan};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, Entry};
use crate::domain::grant::Grant;
use crate::domain::mail::class::MailClass;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::PersonId;
use crate::domain::values::window::utc_date;

use crate::store::mail::outbox_row::{MailState, OutboxRow, SentAs};
use crate::store::mail::undeliverable::{Undeliverable, UnreachableReason};
use crate::store::table::context::ActContext;
use crate::store::table::items::{Item, Queue, Stored};
use crate::store::table::write::{Round, Transaction, Unaudited};
use crate::store::table::{StoreError, Table, items, keys};

/// The unsent mail of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub class: MailClass,
    pub mails: u64,
    /// When the oldest of it was written, or queued again.
    pub since: Option<Timestamp>,
}

/// How long urgent mail may wait before somebody should find out why.
const URGENT_WAITS_AT_MOST: SignedDuration = SignedDuration::from_mins(30);
const WAITS_AT_MOST: SignedDuration = SignedDuration::from_hours(6);

impl Waiting {
    /// Whether the oldest of it waits longer than mail of its class should.
    pub fn is_too_long(&self, now: Timestamp) -> bool {
        let at_most = if self.class == MailClass::Urgent { URGENT_WAITS_AT_MOST } else { WAITS_AT_MOST };
        self.since.is_some_and(|since| since + at_most <= now)
    }
}

/// Addresses that no longer get all mail, and why.
pub type Unreachable = BTreeMap<MatchedAddress, UnreachableReason>;

impl Table {
    /// Records a delivery event for a mail as it was read, counts it in the day on which the server accepted
    /// it, and marks these addresses. Returns `None` when another writer was faster.
    pub async fn record_delivery(
        &self,
        row: &OutboxRow,
        state: MailState,
        ends: &[Undeliverable],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let day = row.counted_on.unwrap_or(utc_date(now));
        let (before, counted) = (row.counted_on.and_then(|_| row.state.delivery()), state.delivery());
        let after = OutboxRow { state, counted_on: Some(day), version: row.version + 1, ..row.clone() };
        let transaction = self.transaction().replace(&after, row.version)?;
        let transaction = transaction.counting((day, row.mail.kind()), before, counted)?;
        let transaction = self.marking(transaction, ends, now).await?.unaudited(Unaudited::Delivery);
        Ok((self.commit_once(transaction, deadline).await?).then_some(after))
    }

    /// Records that the mail server accepted a mail as it was read, under which message id, and counts it in
    /// this day.
    pub async fn mail_sent(
        &self,
        row: &OutboxRow,
        message: &str,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let (message, day) = (message.to_owned(), utc_date(now));
        let sent_as = SentAs { message: message.clone(), row: row.row, at: now };
        let state = MailState::Sent { message, at: now };
        let fared = state.delivery();
        let after = OutboxRow { state, counted_on: Some(day), version: row.version + 1, ..row.clone() };
        let transaction = self.transaction().replace(&after, row.version)?;
        let transaction =
            transaction.counting((day, row.mail.kind()), None, fared)?.set(&sent_as)?.unaudited(Unaudited::Delivery);
        self.commit_once(transaction, deadline).await.map(drop)
    }

    /// The row of the mail with this message id.
    pub async fn row_sent_as(&self, message: &str) -> Result<Option<Ulid>, StoreError> {
        let sent_as: Option<SentAs> = self.get(SentAs::key_of(message)).await?;
        Ok(sent_as.map(|sent_as| sent_as.row))
    }

    /// Marks these addresses because of a mail whose row is gone.
    pub async fn end_mail_to(
        &self,
        ends: &[Undeliverable],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.carry_through(deadline, || async {
            let transaction = self.marking(self.transaction(), ends, now).await?;
            if transaction.is_empty() {
                return Ok(Round::Over(()));
            }
            Ok(Round::Write(transaction.unaudited(Unaudited::Delivery), ()))
        })
        .await
    }

    /// Sets the mark of an address. An earlier mark stays, unless it is over or the new one is weightier.
    async fn marking(
        &self,
        mut transaction: Transaction,
        ends: &[Undeliverable],
        now: Timestamp,
    ) -> Result<Transaction, StoreError> {
        for mark in ends {
            let known: Option<Undeliverable> = self.get(mark.key()).await?;
            transaction = match known {
                None => transaction.create(mark)?,
                Some(known) if known.why < mark.why || !known.holds(now) => {
                    let why = AttributeValue::S(known.why.as_str().to_owned());
                    transaction.create_or_replace(mark, "why = :why", &[(":why", why)])?
                }
                Some(_) => transaction,
            };
        }
        Ok(transaction)
    }

    /// Takes a person's mark off by hand and queues the roster mail, so that mail to them is tried again.
    /// Another bounce marks the address anew. Returns `false` when that was done within the hour, or the mark
    /// has changed.
    pub async fn allow_mail(
        &self,
        at: ActContext<'_>,
        grant: &Grant,
        mark: &Undeliverable,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        let what = AuditDetail::new(Act::MailAllowed).changing(mark.why.as_str(), "tried again");
        let transaction = self.resending(at.programme, at.grant, at.now)?.forgetting(mark)?;
        self.commit_once(transaction.told_by(&[grant.entry(by.clone(), what, at.now)])?, at.deadline).await
    }

    /// Takes the mark of somebody with a role off by hand. Returns `false` when the mark has changed.
    pub async fn allow_mail_to(
        &self,
        mark: &Undeliverable,
        whom: &PersonId,
        by: &PersonId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let what = AuditDetail::new(Act::MailAllowed).changing(mark.why.as_str(), "tried again").noting(whom);
        let entry = Entry::on_account(&Actor::Person(by.clone()), now, what);
        let transaction = self.transaction().forgetting(mark)?.told_by(&[entry])?;
        self.commit_once(transaction, deadline).await
    }

    /// Every address with a mark that holds. The index is a moment behind.
    pub async fn unreachable(&self, now: Timestamp) -> Result<Unreachable, StoreError> {
        let mut found = Unreachable::new();
        for (queue, from, why) in [
            (Queue::Unreachable, None, UnreachableReason::Bounced),
            (Queue::Unwanted, None, UnreachableReason::Complained),
            // A mark no longer holds at its end.
            (Queue::UnreachableUntil, Some(now + 1.millisecond()), UnreachableReason::Suppressed),
        ] {
            let add = |item: &Item| {
                found.extend(keys::undeliverable_address_of(&items::key_of(item)).map(|address| (address, why)));
            };
            self.each_in(queue, from, add).await?;
        }
        Ok(found)
    }

    /// The unsent mail of each class. The index is a moment behind.
    pub async fn waiting(&self) -> Result<[Waiting; 6], StoreError> {
        let mut waiting = MailClass::ALL.map(|class| Waiting { class, mails: 0, since: None });
        for waiting in &mut waiting {
            let mut oldest: Option<Ulid> = None;
            let each = |item: &Item| {
                waiting.mails += 1;
                oldest = oldest.into_iter().chain(keys::outbox_row_of(&items::key_of(item))).min();
            };
            self.each_in(Queue::Mail(waiting.class), None, each).await?;
            if let Some(oldest) = oldest {
                let again_at = match self.get(OutboxRow::key_of(oldest)).await {
                    Ok(row) => row.and_then(|row| row.again_at),
                    Err(StoreError::Corrupt { .. }) => None,
                    Err(error) => return Err(error),
                };
                let written_at = || Timestamp::from_millisecond(oldest.timestamp_ms().try_into().ok()?).ok();
                waiting.since = again_at.or_else(written_at);
            }
        }
        Ok(waiting)
    }
}

impl Transaction {
    /// Takes a mark off, on condition that it is as it was read.
    pub(crate) fn forgetting(self, mark: &Undeliverable) -> Result<Transaction, StoreError> {
        let why = AttributeValue::S(mark.why.as_str().to_owned());
        self.remove(&mark.key(), "why = :why", &[(":why", why)])
    }
}
