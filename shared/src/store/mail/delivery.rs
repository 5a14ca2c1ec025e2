//! What came of mails: delivery events, each with the count of its roster and the mark of an
//! address in one transaction; dead letters, which a person queues again; mail that waits; and
//! addresses that mail must not go to.

use std::collections::BTreeMap;
use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt, iter, once};
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::grant::Grant;
use crate::domain::mail::failure::CORRUPT;
use crate::domain::mail::kind::MailClass;
use crate::domain::programme::counts::Stage;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::PersonId;
use crate::domain::values::partition::address_partition;
use crate::domain::values::window::utc_date;
use crate::schema::{ItemKey, Queue, Stored, key, stored};
use crate::store::items::Item;
use crate::store::table::write::{Round, Transaction, Unaudited, Writes, text};
use crate::store::{
    ActContext, Author, MailState, OutboxRow, QueuedMail, RateCount, Result, SentAs, StoreError,
    Table, items,
};

pub use crate::domain::mail::failure::UnreachableReason;

#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub class: MailClass,
    pub mails: u64,
    pub since: Option<Moment>,
}

/// How long urgent mail may wait before somebody should find out why.
const URGENT_WAITS_AT_MOST: SignedDuration = SignedDuration::from_mins(30);
const WAITS_AT_MOST: SignedDuration = SignedDuration::from_hours(6);

impl Waiting {
    pub fn is_too_long(&self, now: Moment) -> bool {
        let at_most = if self.class == MailClass::Urgent {
            URGENT_WAITS_AT_MOST
        } else {
            WAITS_AT_MOST
        };
        self.since.is_some_and(|since| since + at_most <= now)
    }
}

pub type Unreachable = BTreeMap<MatchedAddress, UnreachableReason>;

impl Table {
    /// Records a delivery event for a mail as it was read, counts it, marks these addresses, and
    /// adds the row by which it is sent again. Returns `None` when another writer was faster.
    pub async fn record_delivery(
        &self,
        row: &OutboxRow,
        state: MailState,
        ends: &[Undeliverable],
        next: Option<OutboxRow>,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<OutboxRow>> {
        let day = row.sent_on.unwrap_or(utc_date(now));
        let before = row.sent_on.and_then(|_| row.state.delivery());
        let counted = state.delivery();
        let after = OutboxRow {
            state,
            sent_on: Some(day),
            version: row.version + 1,
            ..row.clone()
        };
        let transaction = self.transaction().replace(&after)?;
        let transaction = transaction.counting(&row.mail, before, counted)?;
        let transaction = next.iter().try_fold(transaction, Transaction::owe)?;
        let mut transaction = self.add_marks(transaction, ends, now).await?;
        if let (MailState::Sent { sent_at, .. }, QueuedMail::Link { .. }) = (&row.state, &row.mail)
        {
            transaction =
                transaction.count_one(&RateCount::new_for_links(*sent_at), "heard_of", u32::MAX)?;
        }
        let transaction = transaction.skip_audit(Unaudited::Delivery);
        Ok((self.commit_once(transaction, deadline).await?).then_some(after))
    }

    /// Records that the mail server accepted a mail as it was read, under which message id, and
    /// counts it.
    pub async fn mail_sent(
        &self,
        row: &OutboxRow,
        message: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let message = message.to_owned();
        let sent_as = SentAs {
            message: message.clone(),
            row: row.row,
            mail: row.mail.facts().kind,
            sent_at: now,
        };
        let state = MailState::Sent {
            message,
            sent_at: now,
        };
        let fared = state.delivery();
        let after = OutboxRow {
            state,
            sent_on: Some(utc_date(now)),
            version: row.version + 1,
            ..row.clone()
        };
        let transaction = self.transaction().replace(&after)?;
        let transaction = transaction
            .counting(&row.mail, None, fared)?
            .set(&sent_as)?
            .skip_audit(Unaudited::Delivery);
        self.commit_once(transaction, deadline).await.map(drop)
    }

    /// Marks these addresses because of a mail whose row is gone.
    pub async fn end_mail_to(
        &self,
        ends: &[Undeliverable],
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let transaction = self.add_marks(self.transaction(), ends, now).await?;
            if transaction.is_empty() {
                return Ok(Round::Over(()));
            }
            Ok(Round::Write(
                transaction.skip_audit(Unaudited::Delivery),
                (),
            ))
        })
        .await
    }

    /// Sets the mark of an address. An earlier mark stays, unless it is over or the new one is
    /// weightier.
    async fn add_marks(
        &self,
        mut transaction: Transaction,
        ends: &[Undeliverable],
        now: Moment,
    ) -> Result<Transaction> {
        for mark in ends {
            let stored = self.get(mark.key()).await?;
            transaction = match stored {
                None => transaction.create(mark)?,
                Some(stored) if stored.why < mark.why || !stored.holds(now) => {
                    let why = text(stored.why.as_str());
                    transaction.create_or_replace(mark, "why = :why", &[(":why", why)])?
                }
                Some(_) => transaction,
            };
        }
        Ok(transaction)
    }

    /// Takes a person's mark off by hand and queues the roster mail, so that mail to them is tried
    /// again. Another bounce marks the address anew. Returns `false` when that was done within the
    /// hour, or the mark has changed.
    pub async fn allow_mail(
        &self,
        context: ActContext<'_>,
        grant: &Grant,
        mark: &Undeliverable,
        actor: &Actor,
    ) -> Result<bool> {
        let what = AuditDetail::new(Act::MailAllowed).with_change(mark.why.as_str(), "tried again");
        let transaction = self
            .add_invitation(context, false)
            .await?
            .forget_mark(mark)?;
        let entry = grant.entry(actor.clone(), what, context.now);
        let is_allowed = self
            .commit_once(transaction.with_entries(&[entry])?, context.deadline)
            .await?;
        if is_allowed {
            self.note_stage(&mark.address, Stage::Invited, context.now, context.deadline)
                .await;
        }
        Ok(is_allowed)
    }

    /// Takes the mark of somebody with a role off. Returns `false` when the mark has changed.
    pub async fn allow_mail_to(
        &self,
        mark: &Undeliverable,
        whom: &PersonId,
        author: Author<'_>,
    ) -> Result<bool> {
        let what = AuditDetail::new(Act::MailAllowed)
            .with_change(mark.why.as_str(), "tried again")
            .with_note(whom);
        let audit_entry = author.entry_on_account(what);
        self.commit_once(
            self.transaction()
                .forget_mark(mark)?
                .with_entries(&[audit_entry])?,
            author.deadline,
        )
        .await
    }

    /// Every address with a mark that holds. The index is a moment behind.
    pub async fn unreachable(&self, now: Moment) -> Result<Unreachable> {
        let mut marks = Unreachable::new();
        for (queue, from, why) in [
            (Queue::UNREACHABLE, None, UnreachableReason::Bounced),
            (Queue::UNWANTED, None, UnreachableReason::Complained),
            // A mark no longer holds at its end.
            (
                Queue::UNREACHABLE_UNTIL,
                Some(now + 1.millisecond()),
                UnreachableReason::Suppressed,
            ),
        ] {
            self.visit_queue(queue, from, |attributes| {
                marks.extend(
                    Undeliverable::named(&items::key_of(attributes)).map(|address| (address, why)),
                );
            })
            .await?;
        }
        Ok(marks)
    }

    /// The unsent mail of each class, but for invitations that are planned for later. The index is
    /// a moment behind.
    pub async fn waiting(&self, now: Moment) -> Result<[Waiting; 6]> {
        let mut waiting = MailClass::ALL.map(|class| Waiting {
            class,
            mails: 0,
            since: None,
        });
        for waiting in &mut waiting {
            let mut oldest: Option<Ulid> = None;
            let mut count = |attributes: &Item| {
                let row = OutboxRow::named(&items::key_of(attributes));
                waiting.mails += 1;
                oldest = oldest.into_iter().chain(row).min();
            };
            self.visit_queue(waiting.class.queue(), None, &mut count)
                .await?;
            if waiting.class == MailClass::Roster {
                self.visit_due(Queue::PLANNED_MAIL, now, &mut count).await?;
            }
            if let Some(oldest) = oldest {
                let since = match self.get(OutboxRow::key_of(oldest)).await {
                    Ok(row) => row.map(|row| row.again_at.unwrap_or(row.written_at)),
                    Err(StoreError::Corrupt { .. }) => None,
                    Err(error) => return Err(error),
                };
                // A row that waits on purpose is as old as it is due.
                waiting.since = since.max(written_at(oldest)).filter(|since| *since <= now);
            }
        }
        Ok(waiting)
    }

    /// How many invitations are planned for later. The index is a moment behind.
    pub async fn count_planned(&self, now: Moment) -> Result<u64> {
        let mut planned = 0;
        self.visit_queue(Queue::PLANNED_MAIL, Some(now + 1.millisecond()), |_| {
            planned += 1;
        })
        .await?;
        Ok(planned)
    }
}

fn written_at(row: Ulid) -> Option<Moment> {
    Moment::from_millisecond(row.timestamp_ms().try_into().ok()?).ok()
}

impl Transaction {
    pub(crate) fn forget_mark(self, mark: &Undeliverable) -> Result<Transaction> {
        self.remove(
            &mark.key(),
            "why = :why",
            &[(":why", text(mark.why.as_str()))],
        )
    }
}

/// How long a dead letter is shown and can be sent again.
pub const GIVEN_UP_SHOWN: SignedDuration = SignedDuration::from_hours(30 * 24);
const SIDE_BY_SIDE: usize = 16;
const ENOUGH_TO_ANSWER: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub struct DeadMails {
    /// Newest first.
    pub newest: Vec<OutboxRow>,
    pub unreadable: usize,
    pub in_all: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SentAgain {
    Owed(usize),
    /// So many are queued again; there was no time for the rest.
    NotAll(usize),
    Nothing,
}

impl OutboxRow {
    /// Why it was given up, and when. A row that could not be read then says nothing of it, even if
    /// it can be read by now.
    pub fn given_up(&self) -> (&str, Moment) {
        if let MailState::Failed { why, ended_at } = &self.state {
            (why, *ended_at)
        } else {
            (CORRUPT, self.written_at)
        }
    }
}

impl Table {
    pub async fn dead_mails(&self, since: Moment, limit: usize) -> Result<DeadMails> {
        let rows = self.dead_rows(since).await?;
        let mut dead = DeadMails {
            in_all: rows.len(),
            ..DeadMails::default()
        };
        let newest: Vec<_> = rows
            .into_iter()
            .rev()
            .take(limit)
            .map(|row| self.get(OutboxRow::key_of(row)))
            .collect();
        let mut newest = iter(newest).buffered(SIDE_BY_SIDE);
        while let Some(read) = newest.next().await {
            match read {
                Ok(row) => dead.newest.extend(row),
                Err(StoreError::Corrupt { .. }) => dead.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(dead)
    }

    /// Queues every dead letter of this cause that is still shown, as if it had not been tried.
    /// When time runs out, the rest stay dead letters, and another request goes on.
    pub async fn send_again(&self, code: &str, author: Author<'_>) -> Result<SentAgain> {
        let Author { now, deadline, .. } = author;
        let rows = self.dead_rows(now - GIVEN_UP_SHOWN).await?;
        let read = iter(rows).map(|row| async move {
            match self.get(OutboxRow::key_of(row)).await {
                Err(StoreError::Corrupt { .. }) => Ok(None),
                read => read,
            }
        });
        let rows = read.buffered(SIDE_BY_SIDE);
        let mut rows =
            pin!(rows.try_filter_map(|row| ready(Ok(row.filter(|row| row.given_up().0 == code)))));
        let Some(first) = rows.try_next().await? else {
            return Ok(SentAgain::Nothing);
        };
        let what = AuditDetail::new(Act::MailSentAgain).with_note(format_args!("given up: {code}"));
        let audit_entry = author.entry_on_account(what);
        if !self
            .commit_once(self.transaction().with_entries(&[audit_entry])?, deadline)
            .await?
        {
            return Err(StoreError::Contended);
        }
        let owed = once(ready(Ok(first))).chain(rows).map_ok(|row| async move {
            let untried = OutboxRow {
                tries: 0,
                again_at: Some(now),
                ..row
            };
            // A faster caller did the same.
            self.set_mail(&untried, MailState::Waiting { since: now }, deadline)
                .await
                .map(drop)
        });
        let mut owed = owed.try_buffer_unordered(SIDE_BY_SIDE);
        let mut count = 0;
        while deadline.leaves(ENOUGH_TO_ANSWER) {
            match owed.try_next().await? {
                Some(()) => count += 1,
                None => return Ok(SentAgain::Owed(count)),
            }
        }
        Ok(SentAgain::NotAll(count))
    }

    /// Lets a mail wait whose row cannot be read, since a newer version may have written it;
    /// meanwhile it is in nobody's way.
    pub async fn put_off_unreadable(
        &self,
        row: Ulid,
        until: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.move_unreadable(row, "SET due = :due", until, deadline)
            .await
    }

    /// Makes a dead letter of a mail whose row cannot be read, so that it waits for a person.
    pub async fn give_up_unreadable(
        &self,
        row: Ulid,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.move_unreadable(row, "SET queue = :dead, due = :due", now, deadline)
            .await
    }

    async fn move_unreadable(
        &self,
        row: Ulid,
        expression: &str,
        due: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let values = [
            (":dead", text(Queue::DEAD_MAIL.0)),
            (":due", text(crate::schema::due(due))),
            (":mail", text("mail-")),
        ];
        let condition = "begins_with(queue, :mail) AND queue <> :dead";
        self.single()
            .update(&OutboxRow::key_of(row), expression, condition, &values)?
            .write(deadline)
            .await
            .map(drop)
    }

    async fn dead_rows(&self, since: Moment) -> Result<Vec<Ulid>> {
        let mut rows = Vec::new();
        self.visit_queue(Queue::DEAD_MAIL, Some(since), |attributes| {
            rows.extend(OutboxRow::named(&items::key_of(attributes)));
        })
        .await?;
        Ok(rows)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Undeliverable {
    pub address: MatchedAddress,
    pub why: UnreachableReason,
    pub marked_at: Moment,
}

stored! {
    Undeliverable (address: &MatchedAddress) => key(address_partition(address), "UNDELIVERABLE");
    expires |mark| mark.until();
    waits |mark| mark.waits()
}

/// How long a mark of a suppressed address holds: as long as the mail server suppresses it.
const SUPPRESSED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Undeliverable {
    /// The address of the mark of this key, if it is one.
    fn named(key: &ItemKey) -> Option<MatchedAddress> {
        let address = key
            .pk
            .strip_prefix("A#")
            .filter(|_| key.sk == "UNDELIVERABLE")?;
        EmailAddress::parse(address)
            .ok()
            .map(|address| address.matched().clone())
    }

    /// Whether no mail of this class goes to the address. Somebody who complained gets no bulk
    /// mail. Links that they ask for, and mail about their key or money, still reach them.
    pub fn keeps_back(&self, class: MailClass) -> bool {
        self.why != UnreachableReason::Complained || class != MailClass::Urgent
    }

    pub(crate) fn waits(&self) -> Option<(Queue, Moment)> {
        Some(match self.why {
            UnreachableReason::Suppressed => {
                (Queue::UNREACHABLE_UNTIL, self.marked_at + SUPPRESSED_FOR)
            }
            UnreachableReason::Bounced => (Queue::UNREACHABLE, self.marked_at),
            UnreachableReason::Complained => (Queue::UNWANTED, self.marked_at),
        })
    }

    /// The end of the mark; `None` if only a person can take it off.
    pub(crate) fn until(&self) -> Option<Moment> {
        (self.why == UnreachableReason::Suppressed).then(|| self.marked_at + SUPPRESSED_FOR)
    }

    pub(crate) fn holds(&self, now: Moment) -> bool {
        self.until().is_none_or(|until| now < until)
    }
}
