//! Conditional writes: those of one act, all or none, or one alone. Conflicts are retried with
//! jitter. A transaction whose answer is lost or doubtful is sent again with its token, so that it
//! takes effect once and says so.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::builders::TransactWriteItemBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::aws::{SdkFailure, reduce};
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::AuditEntry;
use crate::domain::credit::BalanceNotice;
use crate::domain::grant::Grant;
use crate::domain::ledger::foreign::ForeignAct;
use crate::domain::programme::Programme;
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::rules::Tier;
use crate::domain::values::id::Nonce;
use crate::schema::{ItemKey, Stored};
use crate::store::items::Item;
use crate::store::{
    AddedAdmins, AssignedUse, Erasure, HourlyUses, KnownAddress, MailRefusal, OutboxRow,
    OwnJudgement, Result, StoreError, SyncState, Table, items,
};

/// The rest of the invocation in which no conflict is retried: enough to answer, or to clean up.
const LEFT_FOR_AN_ANSWER: Duration = Duration::from_secs(8);

/// The writes of one act.
pub(crate) struct Transaction {
    table: String,
    writes: Vec<TransactWriteItem>,
}

/// A single write. It is sent by itself, so no other can be added.
pub(crate) struct Single<'a> {
    table: &'a Table,
    write: TransactWriteItem,
}

/// A single write that is still to be built.
pub(crate) struct Unbuilt<'a>(&'a Table);

type Values<'a> = &'a [(&'a str, AttributeValue)];
type Write = Result<TransactWriteItemBuilder, BuildError>;
type Built<W> = Result<<W as Writes>::Built>;

/// A transaction with what tells of it later: only such a one can be committed.
pub(crate) struct Audited(Transaction);

/// The transactions without an audit entry. What they write is no state, right, limit, setting or
/// roster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unaudited {
    GrantMark,
    Refresh,
    /// That a mail is to be sent again, is being sent, was sent or delivered, and that an address
    /// takes none.
    Delivery,
    /// What a threshold, a week, a month or an alarm came to, with its mails.
    Notification,
    /// What of a guardrail is in doubt, refused, or to be looked at.
    Guardrail,
    /// What a run of the sync read and reckoned, and who runs it.
    Sync,
    Job,
    SignIn,
    PersonId,
    MailChoice,
    /// That something was done which may be done only so often.
    Rate,
    /// How far an erasure has come, and what goes with it. Its beginning and each grant have their
    /// entries.
    Erasure,
}

/// One round of an act, which reads and decides.
pub(crate) enum Round<T> {
    Over(T),
    /// The transaction to write, and the act's result if it commits.
    Write(Audited, T),
}

pub(crate) struct Pauses {
    deadline: Deadline,
    backoff: ExponentialBackoff,
}

/// What writes are built with.
///
/// Conditions may be empty, which is none. A name with a `#` stands for itself without it, since it
/// is a reserved word.
pub(crate) trait Writes: Sized {
    type Built;

    fn with(self, key: &ItemKey, write: impl FnOnce(&str) -> Write) -> Built<Self>;

    fn create<T: Stored>(self, value: &T) -> Built<Self> {
        self.put(value, "attribute_not_exists(pk)", &[])
    }

    /// Writes an item on condition that there is none yet, or that the one that is there meets the
    /// condition.
    fn create_or_replace<T: Stored>(
        self,
        value: &T,
        condition: &str,
        values: Values<'_>,
    ) -> Built<Self> {
        self.put(
            value,
            &format!("attribute_not_exists(pk) OR {condition}"),
            values,
        )
    }

    fn set<T: Stored>(self, value: &T) -> Built<Self> {
        self.put(value, "", &[])
    }

    fn put<T: Stored>(self, value: &T, condition: &str, values: Values<'_>) -> Built<Self> {
        let put = Put::builder()
            .set_item(Some(items::to_item(value)?))
            .set_condition_expression(given(condition))
            .set_expression_attribute_names(reserved(condition))
            .set_expression_attribute_values(named(values));
        self.with(&value.key(), |table| {
            Ok(TransactWriteItem::builder().put(put.table_name(table).build()?))
        })
    }

    fn remove(self, key: &ItemKey, condition: &str, values: Values<'_>) -> Built<Self> {
        let delete = Delete::builder()
            .set_key(Some(key_item(key)))
            .set_condition_expression(given(condition))
            .set_expression_attribute_names(reserved(condition))
            .set_expression_attribute_values(named(values));
        self.with(key, |table| {
            Ok(TransactWriteItem::builder().delete(delete.table_name(table).build()?))
        })
    }

    fn update(
        self,
        key: &ItemKey,
        expression: &str,
        condition: &str,
        values: Values<'_>,
    ) -> Built<Self> {
        let update = Update::builder()
            .set_key(Some(key_item(key)))
            .update_expression(expression)
            .set_condition_expression(given(condition))
            .set_expression_attribute_names(reserved(&format!("{expression} {condition}")))
            .set_expression_attribute_values(named(values));
        self.with(key, |table| {
            Ok(TransactWriteItem::builder().update(update.table_name(table).build()?))
        })
    }
}

/// What counts its writes: whoever changes it raises the version.
pub(crate) trait Versioned: Stored {
    fn version(&self) -> u64;
}

macro_rules! versioned {
    ($($item:ident)*) => {
        $(impl Versioned for $item {
            fn version(&self) -> u64 {
                self.version
            }
        })*
    };
}

versioned! {
    AddedAdmins AssignedUse BalanceNotice Erasure ForeignAct Grant Guardrail HourlyUses KnownAddress MailRefusal OutboxRow
    OwnJudgement Programme SyncState Tier
}

impl<'a> Writes for Unbuilt<'a> {
    type Built = Single<'a>;

    fn with(self, key: &ItemKey, write: impl FnOnce(&str) -> Write) -> Built<Self> {
        Ok(Single {
            table: self.0,
            write: built(&self.0.name, key, write)?,
        })
    }
}

impl Writes for Transaction {
    type Built = Transaction;

    fn with(mut self, key: &ItemKey, write: impl FnOnce(&str) -> Write) -> Built<Self> {
        self.writes.push(built(&self.table, key, write)?);
        Ok(self)
    }
}

fn built(
    table: &str,
    key: &ItemKey,
    write: impl FnOnce(&str) -> Write,
) -> Result<TransactWriteItem> {
    let write = write(table).map_err(|error| StoreError::corrupt(key, "write", &error))?;
    Ok(write.build())
}

impl Transaction {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes an item over the version before its own; over none, if it is the first.
    pub(crate) fn replace<T: Versioned>(self, value: &T) -> Result<Self> {
        match value.version() {
            1 => self.create(value),
            version => self.put(
                value,
                "version = :before",
                &[(":before", number(version - 1))],
            ),
        }
    }

    /// Requires a condition of an item and leaves it as it is.
    pub(crate) fn check(self, key: &ItemKey, condition: &str, values: Values<'_>) -> Result<Self> {
        let check = ConditionCheck::builder()
            .set_key(Some(key_item(key)))
            .condition_expression(condition)
            .set_expression_attribute_values(named(values));
        self.with(key, |table| {
            Ok(TransactWriteItem::builder().condition_check(check.table_name(table).build()?))
        })
    }

    pub(crate) fn with_entries(self, entries: &[AuditEntry]) -> Result<Audited> {
        entries
            .iter()
            .try_fold(self, Transaction::create)
            .map(Audited)
    }

    pub(crate) fn skip_audit(self, _: Unaudited) -> Audited {
        Audited(self)
    }
}

impl Table {
    pub(crate) fn transaction(&self) -> Transaction {
        Transaction {
            table: self.name.clone(),
            writes: Vec::new(),
        }
    }

    pub(crate) fn single(&self) -> Unbuilt<'_> {
        Unbuilt(self)
    }

    /// Carries an act through: round after round, until a write commits, nothing is left to write,
    /// or the time is up.
    pub(crate) async fn carry_through<T, F>(
        &self,
        deadline: Deadline,
        round: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<Round<T>>>,
    {
        let mut pauses = Pauses::until(deadline);
        loop {
            match round().await? {
                Round::Over(done) => return Ok(done),
                Round::Write(transaction, done) => {
                    if self.commit(transaction, &mut pauses).await? {
                        return Ok(done);
                    }
                }
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Writes all of a transaction. Returns `false` when a condition did not hold: what was read
    /// has changed, and the act must be decided again.
    pub(crate) async fn commit(
        &self,
        Audited(transaction): Audited,
        pauses: &mut Pauses,
    ) -> Result<bool> {
        // One token for every try: where one took effect whose answer was lost, the next is
        // answered alike and does nothing.
        let token = Nonce::random().to_string();
        loop {
            let try_once = self
                .client
                .transact_write_items()
                .client_request_token(&token);
            let try_once = try_once.set_transact_items(Some(transaction.writes.clone()));
            let Err(error) = Box::pin(try_once.send()).await else {
                return Ok(true);
            };
            let failure = reduce(&error);
            let verdict = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons().iter();
                    Verdict::from_reasons(
                        &reasons
                            .filter_map(|reason| reason.code())
                            .collect::<Vec<_>>(),
                    )
                }
                _ => Verdict::from_failure(&failure),
            };
            match verdict {
                Verdict::Refused => return Ok(false),
                Verdict::Unknown | Verdict::Again if pauses.pause().await => {}
                _ => return Err(StoreError::Service(failure)),
            }
        }
    }

    /// Commits a transaction that nobody decides again. Returns `false` when a condition did not
    /// hold.
    pub(crate) async fn commit_once(
        &self,
        transaction: Audited,
        deadline: Deadline,
    ) -> Result<bool> {
        self.commit(transaction, &mut Pauses::until(deadline)).await
    }

    /// Writes an item that must not be there yet. Returns `false` when there is one, perhaps from a
    /// try of its own whose answer was lost.
    pub async fn put_new<T: Stored>(&self, value: &T, deadline: Deadline) -> Result<bool> {
        self.single().create(value)?.write(deadline).await
    }

    /// Writes an item, whatever is there.
    pub async fn set<T: Stored>(&self, value: &T, deadline: Deadline) -> Result<()> {
        self.single().set(value)?.write(deadline).await.map(drop)
    }

    /// Writes an item, unless there is one of a later instant.
    pub async fn put_later<T: Stored>(
        &self,
        value: &T,
        as_of: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.single()
            .create_or_replace(value, "as_of <= :as_of", &[(":as_of", instant(as_of))])?
            .write(deadline)
            .await
            .map(drop)
    }

    /// Writes an item over the version before its own. Returns `false` when another writer was
    /// faster.
    pub(crate) async fn replace<T: Versioned>(
        &self,
        value: &T,
        why: Unaudited,
        deadline: Deadline,
    ) -> Result<bool> {
        self.commit_once(self.transaction().replace(value)?.skip_audit(why), deadline)
            .await
    }

    pub(crate) async fn delete(&self, key: &ItemKey, deadline: Deadline) -> Result<()> {
        self.single()
            .remove(key, "", &[])?
            .write(deadline)
            .await
            .map(drop)
    }
}

/// Sends a request with the table and the condition of a write, which the SDK's types have alike
/// and no trait in common.
macro_rules! send {
    ($request:expr, $write:ident) => {
        let request = $request
            .table_name($write.table_name)
            .set_condition_expression($write.condition_expression)
            .set_expression_attribute_names($write.expression_attribute_names)
            .set_expression_attribute_values($write.expression_attribute_values);
        Box::pin(request.send())
            .await
            .map_err(|error| reduce(&error))?;
    };
}

impl Single<'_> {
    /// Sends the write by itself, which costs half as much, and again while the table throttles it
    /// or another write conflicts. Returns `false` when its condition did not hold.
    ///
    /// An earlier try whose answer was lost may be the reason, so this is for writes of which "it
    /// is there already" and "done" are one answer; all else is a transaction.
    pub(crate) async fn write(self, deadline: Deadline) -> Result<bool> {
        let mut pauses = Pauses::until(deadline);
        while let Err(failure) = self.send().await {
            match Verdict::from_failure(&failure) {
                Verdict::Refused => return Ok(false),
                Verdict::Again if pauses.pause().await => {}
                _ => return Err(StoreError::Service(failure)),
            }
        }
        Ok(true)
    }

    async fn send(&self) -> Result<(), SdkFailure> {
        let Single {
            table: Table { client, .. },
            write,
        } = self;
        if let Some(put) = write.put.clone() {
            send!(client.put_item().set_item(Some(put.item)), put);
        }
        if let Some(update) = write.update.clone() {
            let request = client
                .update_item()
                .set_key(Some(update.key))
                .update_expression(update.update_expression);
            send!(request, update);
        }
        if let Some(delete) = write.delete.clone() {
            send!(client.delete_item().set_key(Some(delete.key)), delete);
        }
        Ok(())
    }
}

impl Pauses {
    pub(crate) fn until(deadline: Deadline) -> Pauses {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(10))
            .with_max_delay(Duration::from_millis(500))
            .with_jitter()
            .without_max_times();
        Pauses {
            deadline,
            backoff: backoff.build(),
        }
    }

    /// Waits, longer each time. Returns `false` when the time is up.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(pause) = self
            .backoff
            .next()
            .filter(|pause| self.deadline.leaves(LEFT_FOR_AN_ANSWER + *pause))
        else {
            return false;
        };
        self.deadline.sleep(pause).await;
        true
    }
}

/// The meaning of an answer that is not success.
enum Verdict {
    /// A condition did not hold.
    Refused,
    /// It did not take effect; a retry may.
    Again,
    /// It is not known whether it took effect.
    Unknown,
    /// A retry would fail too.
    Fault,
}

impl Verdict {
    fn from_failure(failure: &SdkFailure) -> Verdict {
        match failure.code.as_str() {
            "ConditionalCheckFailedException" => Verdict::Refused,
            "NotSent" => Verdict::Fault,
            "TimedOut" | "NoAnswer" | "UnreadableAnswer" => Verdict::Unknown,
            // A server error, or a success that cannot be read.
            _ if failure
                .status
                .is_some_and(|status| !(300..500).contains(&status)) =>
            {
                Verdict::Unknown
            }
            // A throttled write, or one in conflict, has not taken effect by this try.
            _ if failure.retryable => Verdict::Again,
            _ => Verdict::Fault,
        }
    }

    fn from_reasons(codes: &[&str]) -> Verdict {
        const PASSING: [&str; 4] = [
            "None",
            "TransactionConflict",
            "ThrottlingError",
            "ProvisionedThroughputExceeded",
        ];
        if codes.contains(&"ConditionalCheckFailed") {
            Verdict::Refused
        } else if codes.iter().all(|code| PASSING.contains(code)) {
            Verdict::Again
        } else {
            Verdict::Fault
        }
    }
}

pub(crate) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn instant(moment: Moment) -> AttributeValue {
    number(moment.as_millisecond())
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn key_item(key: &ItemKey) -> Item {
    Item::from([
        ("pk".to_owned(), text(&key.pk)),
        ("sk".to_owned(), text(&key.sk)),
    ])
}

// The table refuses what is empty.

fn given(condition: &str) -> Option<String> {
    Some(condition.to_owned()).filter(|condition| !condition.is_empty())
}

fn named(values: Values<'_>) -> Option<Item> {
    let values: Item = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    Some(values).filter(|values| !values.is_empty())
}

fn reserved(expression: &str) -> Option<HashMap<String, String>> {
    let words =
        expression.split(|letter: char| !letter.is_alphanumeric() && !['_', '#'].contains(&letter));
    let names =
        words.filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())));
    Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn conflicts_leave_time_for_an_answer() {
        let pauses = async |left| {
            Pauses::until(Deadline::after(Duration::from_secs(left)))
                .pause()
                .await
        };
        assert_eq!((pauses(7).await, pauses(9).await), (false, true));
    }
}
