//! Notifications that nobody asked for, each sent once: alarms, digests and statements, crossings
//! of budgets and of students' own caps, and what the admins were told of the balance. Their texts
//! belong to the mail function.

use jiff::SignedDuration;
use jiff::civil::Date;
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::credit::{BalanceNotice, CreditFacts};
use crate::domain::grant::{Grant, LONGEST_BACKOFF, StudentNotice, Urgency};
use crate::domain::ledger::cut::AccountCut;
use crate::domain::ledger::mailed::MailedStatement;
use crate::domain::mail::alarm::Alarm;
use crate::domain::mail::digest::Digest;
use crate::domain::programme::Programme;
use crate::domain::usage::crossing::{Crossing, Scope};
use crate::domain::usage::days::Days;
use crate::domain::values::id::{PersonId, ProgrammeId, ulid_for};
use crate::domain::values::money::Usd;
use crate::schema::{ItemKey, Stored};
use crate::store::mail::outbox::BETWEEN_RESENT;
use crate::store::table::write::{Pauses, Round, Transaction, Unaudited, Writes, instant, number};
use crate::store::{
    Account, ActContext, AskedOfAdmins, Author, BalanceReading, BudgetSums, OutboxRow, QueuedMail,
    RateCount, Result, RosterChanges, RosterToken, StoreError, Table, Undeliverable,
};

/// How many mails fit into one transaction beside the item itself and the one that files them.
pub(crate) const MAILS_AT_ONCE: usize = 90;

/// For so long the registrar's tools may put no file: a long weekend.
const SILENT_AT_MOST: SignedDuration = SignedDuration::from_hours(4 * 24);

/// The least time between two reminders of a key that was never used.
pub(crate) const BETWEEN_REMINDERS_OF_KEYS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The least time between two test alerts to one person.
pub const BETWEEN_TESTS: SignedDuration = SignedDuration::from_mins(1);

/// The least time between two mails in which one person asks the admins for something of one
/// programme.
pub const BETWEEN_ASKS: SignedDuration = SignedDuration::from_hours(1);

/// An item recorded once that notifies several people by a mail each. Many recipients take several
/// transactions; the next caller goes on where one died.
pub trait Broadcast: Stored + Clone {
    /// The item with these recipients, of whom the first `queued` have a mail queued.
    fn to(self, recipients: Vec<PersonId>, queued: u32) -> Self;
    fn recipients(&self) -> &[PersonId];
    fn queued(&self) -> u32;
    fn owes(&self, recipient: &PersonId) -> QueuedMail;

    fn is_queued(&self) -> bool {
        self.queued() as usize >= self.recipients().len()
    }
}

/// Says of a type with `recipients` and `queued` which mail it owes to each.
macro_rules! broadcast {
    ($stored:ident |$value:ident, $recipient:ident| $mail:expr) => {
        impl Broadcast for $stored {
            fn to(self, recipients: Vec<PersonId>, queued: u32) -> $stored {
                $stored {
                    recipients,
                    queued,
                    ..self
                }
            }
            fn recipients(&self) -> &[PersonId] {
                &self.recipients
            }
            fn queued(&self) -> u32 {
                self.queued
            }
            fn owes(&self, recipient: &PersonId) -> QueuedMail {
                let $value = self;
                let $recipient = recipient.clone();
                $mail
            }
        }
    };
}
broadcast! { Alarm |alarm, recipient| QueuedMail::Account { day: alarm.day, alarm: alarm.name(), recipient } }
broadcast! { Digest |digest, recipient| QueuedMail::Digest { programme: digest.programme.clone(), week: digest.week, recipient } }
broadcast! { MailedStatement |mailed, recipient| QueuedMail::Statement { month: mailed.statement.days.first, recipient } }

impl Table {
    /// Records an item and queues a mail of it to each recipient. Returns `false` when it is
    /// recorded already. Then only recipients without a mail get one, because the invocation that
    /// recorded it died.
    pub async fn tell<T: Broadcast>(
        &self,
        what: &T,
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut pauses = Pauses::until(deadline);
        let transaction = self
            .begin_telling(what, recipients.to_vec(), now)?
            .skip_audit(Unaudited::Notification);
        let is_new = self.commit(transaction, &mut pauses).await?;
        // The recorded item names the recipients, whoever recorded it.
        while let Some(put) = self
            .get::<T>(what.key())
            .await?
            .filter(|put| !put.is_queued())
        {
            let from = put.queued() as usize;
            let next = (from + MAILS_AT_ONCE).min(put.recipients().len());
            let values = [(":queued", number(put.queued())), (":next", number(next))];
            let transaction = self.mails_to(&put, from..next, now)?;
            let transaction = transaction.update(
                &put.key(),
                "SET queued = :next",
                "queued = :queued",
                &values,
            )?;
            let transaction = transaction.skip_audit(Unaudited::Notification);
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
    ) -> Result<Transaction> {
        recipients.sort_unstable();
        recipients.dedup();
        let first = recipients.len().min(MAILS_AT_ONCE);
        let put = what.clone().to(recipients, first as u32);
        self.mails_to(&put, 0..first, now)?.create(&put)
    }

    fn mails_to<T: Broadcast>(
        &self,
        what: &T,
        whom: std::ops::Range<usize>,
        now: Moment,
    ) -> Result<Transaction> {
        let recipients = what.recipients().get(whom).unwrap_or_default();
        let rows = recipients
            .iter()
            .map(|recipient| OutboxRow::queued(what.owes(recipient), now));
        self.transaction().owe_all(rows)
    }

    /// The grants with a key that is to be off, of which the provider has not confirmed that: of
    /// each queue so many, longest due first.
    pub async fn list_unconfirmed_ends(&self, now: Moment, most: i32) -> Result<Vec<Grant>> {
        let mut grants = Vec::new();
        for urgency in [Urgency::Leak, Urgency::Disable] {
            let due = self
                .due(urgency.queue(), now + LONGEST_BACKOFF, most)
                .await?;
            for (programme, grant) in due.iter().filter_map(Grant::named) {
                grants.extend(self.get(Grant::key_of(&programme, &grant)).await?);
            }
        }
        Ok(grants)
    }

    /// The account's credit as it was read last, each quarter of an hour or by a sync, and as the
    /// last complete sync found it.
    pub async fn balance_readings(&self) -> Result<Option<(BalanceReading, Option<AccountCut>)>> {
        let cut = self.newest(AccountCut::all(), 1).await?.pop();
        let reading = self.get(BalanceReading::key_of()).await?;
        let of_cut = cut.as_ref().map(
            |AccountCut {
                 as_of,
                 bought,
                 spent,
                 ..
             }| BalanceReading {
                as_of: *as_of,
                bought: *bought,
                spent: spent.after,
                failing_since: None,
            },
        );
        let newest = reading
            .into_iter()
            .chain(of_cut)
            .max_by_key(|reading| reading.as_of);
        Ok(newest.map(|newest| (newest, cut)))
    }

    /// What is known of the account's credit, given the sums of all budgets; `None` before the
    /// balance was ever read.
    pub async fn credit_facts(
        &self,
        programmes: &[Programme],
        sums: &BudgetSums,
        now: Moment,
    ) -> Result<Option<CreditFacts>> {
        let (account, sync, readings) = tokio::try_join!(
            self.get(Account::key_of()),
            self.sync_state(),
            self.balance_readings()
        )?;
        let Some((newest, cut)) = readings else {
            return Ok(None);
        };
        let mut ours = Days::default();
        let mut foreign = Days::default();
        if let Some(account) = account {
            ours = account.ours.credits;
            foreign = account.foreign.credits;
        }
        let going_on = programmes
            .iter()
            .filter(|programme| !programme.is_over(now));
        let facts = CreditFacts {
            balance: newest.balance(),
            read_at: newest.as_of,
            promised: sums.to_come,
            unpaced: sums.unpaced,
            claims: sums.claims.clone(),
            ours,
            foreign,
            listed_at: sync.listed_at,
            spent_since: Usd::ZERO,
            a_day: Usd::ZERO,
            ends_at: going_on
                .map(|programme| programme.settings.term.ends_at())
                .max(),
        };
        Ok(Some(match cut {
            Some(cut) if cut.as_of < newest.as_of => {
                let spent_since = (newest.spent - cut.spent.after).or_zero();
                facts.with_spent_since(spent_since, newest.as_of.duration_since(cut.as_of))
            }
            _ => facts,
        }))
    }

    /// Records what the admins are told, on condition of its version. Returns `false` when another
    /// writer was faster; that one reports it.
    pub async fn note_balance(&self, notice: &BalanceNotice, deadline: Deadline) -> Result<bool> {
        self.replace(notice, Unaudited::Notification, deadline)
            .await
    }

    /// Records crossings, and the mail of the one that is reported: to each recipient, or for a cap
    /// to its student. Returns `false`, with nothing written, when one of them is recorded already.
    /// An alert's row is urgent: the stream wakes `mail` by it (`sending/stream.rs`, `row.rs`,
    /// `compose.rs`, `alert/mod.rs`).
    pub async fn record_crossings(
        &self,
        crossings: &[Crossing],
        recipients: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut transaction = self.transaction();
        for crossing in crossings {
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
                    transaction = transaction.owe(&OutboxRow::queued(mail, now))?;
                }
                Scope::Budget | Scope::Reserved => {
                    let alerts = recipients
                        .iter()
                        .map(|recipient| crossing.alert_to(recipient, now));
                    transaction = transaction.owe_all(alerts)?;
                }
            }
            transaction = transaction.create(crossing)?;
        }
        self.commit_once(transaction.skip_audit(Unaudited::Notification), deadline)
            .await
    }

    /// Has these people told of a crossing: each who has no alert of it gets one, and who was
    /// passed over gets theirs again.
    pub async fn tell_also(
        &self,
        crossing: &Crossing,
        hear: &[PersonId],
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let mut transaction = self.transaction();
            let mut new = Vec::new();
            for recipient in hear {
                let row = crossing.alert_to(recipient, now);
                match self.get(row.key()).await? {
                    None => new.push(row),
                    Some(stored) if stored.is_passed_over() => {
                        let replacement = OutboxRow {
                            version: stored.version + 1,
                            ..row
                        };
                        transaction = transaction.replace(&replacement)?;
                    }
                    Some(_) => {}
                }
            }
            let transaction = transaction.owe_all(&new)?;
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

    /// Queues an alert once more, at most once an hour; otherwise returns `false`. `name` tells it
    /// from others. An address to which mail had ended is tried again.
    pub async fn resend_alert(
        &self,
        programme: &ProgrammeId,
        (alert, name): (&QueuedMail, &str),
        ended: Option<&Undeliverable>,
        author: Author<'_>,
    ) -> Result<bool> {
        let now = author.now;
        let audit_entry = author.entry_on(
            programme,
            AuditDetail::new(Act::AlertResent).with_note(name),
        );
        let row = OutboxRow {
            again_at: Some(now),
            ..OutboxRow::queued(alert.clone(), now)
        };
        let transaction = self
            .once(format!("alert#{programme}#{name}"), BETWEEN_RESENT, now)?
            .owe(&row)?;
        let transaction = ended
            .into_iter()
            .try_fold(transaction, Transaction::forget_mark)?;
        self.commit_once(transaction.with_entries(&[audit_entry])?, author.deadline)
            .await
    }

    /// Queues a test alert to the person who asks for it. Returns `false` within a minute of their
    /// last one.
    pub async fn test_alert(
        &self,
        programme: &ProgrammeId,
        recipient: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mail = QueuedMail::TestAlert {
            programme: programme.clone(),
            recipient: recipient.clone(),
        };
        let once = self.once(format!("test-alert#{recipient}"), BETWEEN_TESTS, now)?;
        let queued = once.owe(&OutboxRow::queued(mail, now))?;
        self.commit_once(queued.skip_audit(Unaudited::Delivery), deadline)
            .await
    }

    /// Queues a mail to each admin in which faculty ask for what only admins may do. Returns
    /// `false` within an hour of this person's last one about this programme.
    pub async fn ask_admins(
        &self,
        programme: &ProgrammeId,
        asked_by: &PersonId,
        request: &AskedOfAdmins,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        // A deployment's configuration has no room for more admins.
        let admins = self
            .admin_ids(deadline)
            .await?
            .into_iter()
            .take(MAILS_AT_ONCE);
        let mails = admins.map(|recipient| QueuedMail::Request {
            programme: programme.clone(),
            asked_by: asked_by.clone(),
            request: request.clone(),
            recipient,
        });
        let once = self.once(format!("ask#{programme}#{asked_by}"), BETWEEN_ASKS, now)?;
        let queued = once.owe_all(mails.map(|mail| OutboxRow::queued(mail, now)))?;
        self.commit_once(queued.skip_audit(Unaudited::Delivery), deadline)
            .await
    }

    /// Reminds a student of a key that was never used, once a week. That it was done within one is
    /// no failure.
    pub async fn remind_of_key(
        &self,
        context: ActContext<'_>,
        grant: &Grant,
        actor: &Actor,
    ) -> Result<bool> {
        let now = context.now;
        let row = OutboxRow::queued(QueuedMail::notice(StudentNotice::NeverUsed, grant), now);
        let once = self
            .once(
                format!("never-used#{}", grant.id),
                BETWEEN_REMINDERS_OF_KEYS,
                now,
            )?
            .owe(&row)?;
        let audit_entry = grant.entry(actor.clone(), AuditDetail::new(Act::Reminded), now);
        self.commit_once(once.with_entries(&[audit_entry])?, context.deadline)
            .await
            .map(|_| true)
    }

    /// Queues a mail to those in charge where no registrar's file comes any more while the term
    /// runs: once after each last use.
    pub async fn tell_of_no_file(
        &self,
        programme: &Programme,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let token = self.get(RosterToken::key_of(&programme.id)).await?;
        let last = token
            .and_then(|token| token.last_used_at)
            .filter(|last| *last + SILENT_AT_MOST <= now);
        let runs = programme.settings.term.starts_at() <= now && !programme.is_over(now);
        let Some(last) = last.filter(|_| runs) else {
            return Ok(false);
        };
        let mails = self
            .mails_about_import(programme, None, RosterChanges::default(), now, deadline)
            .await?;
        let until_its_end = programme.settings.term.ends_at().duration_since(now);
        let transaction = self
            .once(
                format!("no-file#{}#{last}", programme.id),
                until_its_end,
                now,
            )?
            .owe_all(mails)?;
        self.commit_once(transaction.skip_audit(Unaudited::Notification), deadline)
            .await
    }

    /// Queues a mail to those in charge that a model ends or is gone: once for the day that is
    /// named, and once more in its last week.
    pub async fn tell_of_model_end(
        &self,
        programme: &Programme,
        model: &str,
        (gone_on, is_first): (Date, bool),
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mails =
            self.mails_to_those_in_charge(programme, now, deadline, |programme, recipient| {
                QueuedMail::ModelEnd {
                    programme,
                    model: model.to_owned(),
                    gone_on,
                    recipient,
                }
            });
        let mails = mails.await?;
        let what = format!("model-end#{}#{model}#{gone_on}#{is_first}", programme.id);
        let until_its_end = programme.settings.term.ends_at().duration_since(now);
        let transaction = self.once(what, until_its_end, now)?.owe_all(mails)?;
        self.commit_once(transaction.skip_audit(Unaudited::Notification), deadline)
            .await
    }

    /// A mail to each of those in charge of a programme, as far as one transaction holds them.
    pub(super) async fn mails_to_those_in_charge(
        &self,
        programme: &Programme,
        now: Moment,
        deadline: Deadline,
        mail: impl Fn(ProgrammeId, PersonId) -> QueuedMail,
    ) -> Result<Vec<OutboxRow>> {
        let in_charge = self
            .people_of(&self.list_in_charge(&programme.settings).await?, deadline)
            .await?;
        let mails = in_charge
            .into_iter()
            .take(MAILS_AT_ONCE)
            .map(|recipient| mail(programme.id.clone(), recipient));
        Ok(mails.map(|mail| OutboxRow::queued(mail, now)).collect())
    }

    /// A transaction on condition that no other of this name was within this time.
    fn once(&self, what: String, within: SignedDuration, now: Moment) -> Result<Transaction> {
        // One item for each name, whose interval begins with the use itself.
        let once = RateCount {
            what,
            begins_at: Moment::UNIX_EPOCH,
            ends_at: now + within,
            count: 1,
            heard_of: None,
        };
        self.transaction()
            .create_or_replace(&once, "ends_at <= :now", &[(":now", instant(now))])
    }
}

impl Crossing {
    /// The alert to a person, of which there is one row, whoever writes it.
    fn alert_to(&self, recipient: &PersonId, now: Moment) -> OutboxRow {
        let mail = QueuedMail::Alert {
            programme: self.programme.clone(),
            scope: self.scope.clone(),
            threshold: self.threshold,
            of_limit: self.limit,
            recipient: recipient.clone(),
        };
        let found_at = Ulid::from_parts(self.found_at.as_millisecond() as u64, 0);
        let ItemKey { pk, sk } = &*self.key();
        let row = ulid_for(found_at, &format!("{pk} {sk} {recipient}"));
        OutboxRow {
            row,
            ..OutboxRow::queued(mail, now)
        }
    }
}
