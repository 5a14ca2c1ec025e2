//! Notifications that nobody asked for, each sent once: alarms, digests and statements, crossings of budgets and of students' own caps,
//! and what the admins were told of the balance. Their texts belong to the mail function.

use crate::domain::credit::{BalanceNeed, BalanceNotice, CreditFacts, Purchase};
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::mail::alarm::Alarm;
use crate::domain::mail::digest::{AccountDigest, Digest};
use crate::domain::usage::crossing::{AlertMail, Crossing, Scope};
use crate::prelude::*;
use crate::store::items::Stored;
use crate::store::mail::outbox::BETWEEN_RESENT;
use crate::store::table::write::{Pauses, Round, Transaction, Unaudited, instant, number};
use crate::store::{Account, Author, OutboxRow, QueuedMail, RateCount};

/// How many mails fit into one transaction beside the item itself.
pub(super) const MAILS_AT_ONCE: usize = 90;

/// The least time between two test alerts to one person.
pub const BETWEEN_TESTS: SignedDuration = SignedDuration::from_mins(1);

/// An item recorded once that notifies several people by a mail each. Many recipients take several transactions; the next caller goes
/// on where one died.
pub trait Broadcast: Stored + Clone {
    /// The item with these recipients, of whom the first `queued` have a mail queued.
    #[must_use]
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> Self;
    fn recipients(&self) -> (&[PersonId], u32);
    fn owes(&self, recipient: &PersonId) -> QueuedMail;

    fn is_queued(&self) -> bool {
        let (recipients, queued) = self.recipients();
        usize::try_from(queued).is_ok_and(|queued| queued >= recipients.len())
    }
}

/// Says of a type with `recipients` and `queued` which mail it owes to each.
macro_rules! broadcast {
    ($item:ident |$it:ident, $recipient:ident| $mail:expr) => {
        impl Broadcast for $item {
            fn to(self, recipients: Vec<PersonId>, queued: u32) -> $item {
                $item { recipients, queued, ..self }
            }
            fn recipients(&self) -> (&[PersonId], u32) {
                (&self.recipients, self.queued)
            }
            fn owes(&self, recipient: &PersonId) -> QueuedMail {
                let ($it, $recipient) = (self, recipient.clone());
                $mail
            }
        }
    };
}
broadcast! { Alarm |it, recipient| QueuedMail::Account { day: it.day, alarm: it.name(), recipient } }
broadcast! { Digest |it, recipient| QueuedMail::Digest { programme: it.programme.clone(), week: it.week, recipient } }
broadcast! { AccountDigest |it, recipient| QueuedMail::AccountDigest { week: it.week, recipient } }
broadcast! { MailedStatement |it, recipient| QueuedMail::Statement { month: it.month, recipient } }

/// The checkpoint of the scan of every student's cap. The stream checks each reading that changed; the scan finds what the stream
/// lost and what a smaller cap crossed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapScan {
    /// The listing of every key after which it scans.
    pub listed_at: Moment,
    pub next: Option<CapScanPosition>,
}

stored! {
    "cap-scan" CapScan |_| () => key(ACCOUNT, "CAP-SCAN")
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapScanPosition {
    pub programme: ProgrammeId,
    pub shard: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertAgain {
    Done,
    TooSoon,
    NotTold,
}

impl Table {
    /// Records an item and queues a mail of it to each recipient. Returns `false` when it is recorded
    /// already. Then only recipients without a mail get one, because the invocation that recorded it died.
    pub async fn tell<T: Broadcast>(
        &self,
        what: &T,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut pauses = Pauses::until(deadline);
        let transaction = self.begin_telling(what, recipients.to_vec(), now)?.unaudited(Unaudited::Notification);
        let is_new = self.commit(transaction, &mut pauses).await?;
        // The recorded item names the recipients, whoever recorded it.
        while let Some(put) = self.get::<T>(what.key()).await?.filter(|put| !put.is_queued()) {
            let (recipients, queued) = put.recipients();
            let from = usize::try_from(queued).unwrap_or(usize::MAX);
            let next = (from + MAILS_AT_ONCE).min(recipients.len());
            let values = [(":queued", number(queued)), (":next", number(next))];
            let transaction = self.mails_to(&put, from..next, now)?;
            let transaction = transaction.update(&put.key(), "SET queued = :next", "queued = :queued", &values)?;
            let transaction = transaction.unaudited(Unaudited::Notification);
            if !self.commit(transaction, &mut pauses).await? && !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
        Ok(is_new)
    }

    /// The item, with the mails of as many recipients as one transaction holds.
    pub(super) fn begin_telling<T: Broadcast>(
        &self,
        what: &T,
        mut recipients: Vec<PersonId>,
        now: Moment,
    ) -> Result<Transaction, StoreError> {
        recipients.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        recipients.dedup();
        let first = recipients.len().min(MAILS_AT_ONCE);
        let put = what.clone().to(recipients, u32::try_from(first).unwrap_or(u32::MAX));
        self.mails_to(&put, 0..first, now)?.create(&put)
    }

    fn mails_to<T: Broadcast>(
        &self,
        what: &T,
        whom: std::ops::Range<usize>,
        now: Moment,
    ) -> Result<Transaction, StoreError> {
        let recipients = what.recipients().0.get(whom).unwrap_or_default();
        recipients.iter().try_fold(self.transaction(), |transaction, recipient| {
            transaction.create(&OutboxRow::queued(new_ulid(now), what.owes(recipient), now))
        })
    }

    /// Records the checkpoint of a scan. To scan twice does no harm, so the last writer wins.
    pub async fn note_cap_scan(&self, look: &CapScan, deadline: Deadline) -> Result<(), StoreError> {
        self.write_alone(self.transaction().set(look)?, deadline).await.map(drop)
    }

    /// The amount that the balance must cover soon, given what is reserved and not spent yet.
    pub async fn need(&self, to_come: Usd) -> Result<BalanceNeed, StoreError> {
        let (ours, foreign, listed_at) = self.spent_by_day().await?;
        Ok(BalanceNeed::of(&ours, &foreign, to_come, listed_at))
    }

    /// The credit that must be bought for all programmes, given what is reserved and not spent yet.
    pub async fn purchase(
        &self,
        programmes: &[Programme],
        to_come: Usd,
        balance: Usd,
        now: Moment,
    ) -> Result<Purchase, StoreError> {
        let (ours, foreign, listed_at) = self.spent_by_day().await?;
        let going_on = programmes.iter().filter(|programme| !programme.is_over(now));
        let ends_at = going_on.map(|programme| programme.settings.term.ends_at()).max();
        let facts = CreditFacts { balance, to_come, ours: &ours, foreign: &foreign, listed_at, ends_at };
        Ok(Purchase::of(&facts))
    }

    /// The credit that our keys and others spent, and when all keys were last listed.
    async fn spent_by_day(&self) -> Result<(Days, Days, Option<Moment>), StoreError> {
        let (account, sync) = tokio::try_join!(self.get(Account::key_of()), self.sync_state())?;
        let spent = account.map(|account| (account.ours.credits, account.foreign.credits));
        let (ours, foreign) = spent.unwrap_or_default();
        Ok((ours, foreign, sync.listed_at))
    }

    /// Records what the admins are told, on condition of its version. Returns `false` when another writer was
    /// faster; that one reports it.
    pub async fn note_balance(&self, notice: &BalanceNotice, deadline: Deadline) -> Result<bool, StoreError> {
        self.replace(notice, notice.version.saturating_sub(1), Unaudited::Notification, deadline).await
    }

    /// Records crossings, and the mail of the one that is reported: to each recipient, or for a cap to its
    /// student. Returns `false`, with nothing written, when one of them is recorded already.
    pub async fn record_crossings(
        &self,
        crossings: &[Crossing],
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.transaction();
        for crossing in crossings {
            let mut recorded = crossing.clone();
            match &crossing.scope {
                _ if !crossing.is_mailed => {}
                Scope::Cap(grant) => {
                    let mail = QueuedMail::CapUsed {
                        programme: crossing.programme.clone(),
                        grant: grant.clone(),
                        window: crossing.window,
                        threshold: crossing.threshold,
                        of_limit: crossing.limit,
                    };
                    transaction = transaction.owing(&OutboxRow::queued(new_ulid(now), mail, now))?;
                }
                Scope::Budget | Scope::Reserved => {
                    for recipient in recipients {
                        let row = OutboxRow::queued(new_ulid(now), crossing.alert_to(recipient), now);
                        transaction = transaction.create(&row)?;
                        recorded.mails.push(AlertMail { row: row.row, recipient: recipient.clone(), by_hand: None });
                    }
                }
            }
            transaction = transaction.create(&recorded)?;
        }
        self.commit_once(transaction.unaudited(Unaudited::Notification), deadline).await
    }

    /// Queues the mail of a crossing once more for a person who had one, at most once an hour. An address to
    /// which mail had ended is tried again.
    pub async fn resend_alert(
        &self,
        of: &Crossing,
        recipient: &PersonId,
        ended: Option<&MatchedAddress>,
        by: Author<'_>,
    ) -> Result<AlertAgain, StoreError> {
        self.carry_through(by.deadline, || async {
            let Some(crossing) = self.get(of.key()).await? else { return Ok(Round::Over(AlertAgain::NotTold)) };
            let to_them = || crossing.mails.iter().filter(|mail| mail.recipient == *recipient);
            if to_them().next().is_none() {
                return Ok(Round::Over(AlertAgain::NotTold));
            }
            if to_them().any(|mail| mail.by_hand.is_some_and(|at| by.now < at + BETWEEN_RESENT)) {
                return Ok(Round::Over(AlertAgain::TooSoon));
            }
            let row = OutboxRow::queued(new_ulid(by.now), crossing.alert_to(recipient), by.now);
            let what = AuditDetail::new(Act::AlertResent).noting(format_args!(
                "{} of {} to {recipient}",
                crossing.threshold_name(),
                crossing.limit
            ));
            let entry = Entry::on_programme(&crossing.programme, by.actor, by.now, what);
            let mut again = crossing.clone();
            again.mails.push(AlertMail { row: row.row, recipient: recipient.clone(), by_hand: Some(by.now) });
            let known = [(":known", number(crossing.mails.len()))];
            let mut transaction = self.transaction().put(&again, "size(mails) = :known", &known)?.create(&row)?;
            let mark = match ended {
                Some(address) => self.undeliverable(address, by.now).await?,
                None => None,
            };
            if let Some(mark) = mark {
                transaction = transaction.forgetting(&mark)?;
            }
            Ok(Round::Write(transaction.told_by(&[entry])?, AlertAgain::Done))
        })
        .await
    }

    /// Queues a test alert to the person who asks for it. Returns `false` within a minute of their last one.
    pub async fn test_alert(
        &self,
        programme: &ProgrammeId,
        recipient: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mail = QueuedMail::TestAlert { programme: programme.clone(), recipient: recipient.clone() };
        // One item for each person, whose interval begins with the use itself.
        let once = RateCount {
            what: format!("test-alert#{recipient}"),
            begins_at: Moment::UNIX_EPOCH,
            ends_at: now + BETWEEN_TESTS,
            count: 1,
        };
        let once = self.transaction().create_or_replace(&once, "ends_at <= :now", &[(":now", instant(now))])?;
        let queued = once.owing(&OutboxRow::queued(new_ulid(now), mail, now))?;
        self.commit_once(queued.unaudited(Unaudited::Delivery), deadline).await
    }
}

impl Crossing {
    fn alert_to(&self, recipient: &PersonId) -> QueuedMail {
        QueuedMail::Alert {
            programme: self.programme.clone(),
            scope: self.scope.clone(),
            threshold: self.threshold,
            of_limit: self.limit,
            recipient: recipient.clone(),
        }
    }
}
