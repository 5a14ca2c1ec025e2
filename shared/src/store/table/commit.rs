//! Running a conditional transaction, or one conditional write of a single item: conflicts are retried with jitter. A
//! transaction whose answer is lost or doubtful is sent again with its token, so that it takes effect once and says so.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::deadline::Deadline;
use crate::domain::audit::Entry;
use crate::domain::values::id::Nonce;
use crate::sdk_error::{SdkFailure, reduce};
use crate::store::table::keys::ItemKey;
use crate::store::table::transaction::{Counter, Transaction, key_item, number};
use crate::store::table::{StoreError, Table};

/// The rest of the invocation in which no conflict is retried: enough to answer, or to clean up.
const LEFT_FOR_AN_ANSWER: Duration = Duration::from_secs(8);

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Commit {
    Done,
    /// A condition did not hold: what was read has changed, and the act must be decided again.
    Stale,
}

/// One round of an act, which reads and decides.
pub(in crate::store) enum Round<T> {
    /// There is nothing to write.
    Over(T),
    /// The transaction to write, and the act's result if it commits.
    Write(Told, T),
}

/// A transaction with what tells of it later: only such a one can be committed.
pub(in crate::store) struct Told(Transaction);

/// The transactions without an audit entry. What they write is no state, right, limit, setting or roster.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Unaudited {
    /// What `Mark` lists of a grant.
    GrantMark,
    /// When the provider may be asked for a reading again.
    Refresh,
    /// That a mail is to be sent again, is being sent, was sent or delivered, and that an address takes none.
    Delivery,
    /// What a threshold, a week, a month or an alarm came to, with its mails.
    Notification,
    /// What of a guardrail is in doubt, refused, or to be looked at.
    Guardrail,
    /// What a run of the sync read and reckoned.
    Sync,
    /// Who carries on a job, and how far it came.
    Job,
    /// Links, codes and sessions.
    SignIn,
    /// Which id an address with a role has.
    PersonId,
    /// Which bulk mails somebody wants.
    MailChoice,
}

impl Transaction {
    /// Adds the entries of what it changes.
    pub(in crate::store) fn told_by(self, entries: &[Entry]) -> Result<Told, StoreError> {
        entries.iter().try_fold(self, Transaction::create).map(Told)
    }

    pub(in crate::store) fn unaudited(self, _: Unaudited) -> Told {
        Told(self)
    }
}

/// The pauses between retries, until the time is up.
pub(in crate::store) struct Pauses {
    deadline: Deadline,
    backoff: ExponentialBackoff,
}

/// The meaning of an answer to a transaction that is not success.
enum TransactionVerdict {
    /// A condition did not hold.
    Refused,
    /// It did not take effect; a retry may.
    Again,
    /// It is not known whether it took effect.
    Unknown,
    /// A retry would fail too.
    Fault,
}

impl Table {
    pub(in crate::store) fn transaction(&self) -> Transaction {
        Transaction { table: self.name.clone(), writes: Vec::new() }
    }

    /// Carries an act through: round after round, until a write commits, nothing is left to write, or the
    /// time is up.
    pub(in crate::store) async fn carry_through<T, F>(
        &self,
        deadline: Deadline,
        round: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Round<T>, StoreError>>,
    {
        let mut pauses = Pauses::until(deadline);
        loop {
            // The futures of acts are large, and several of them nest on one stack.
            match Box::pin(round()).await? {
                Round::Over(done) => return Ok(done),
                Round::Write(transaction, done) => {
                    if Box::pin(self.commit(transaction, &mut pauses)).await? == Commit::Done {
                        return Ok(done);
                    }
                }
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    pub(in crate::store) async fn commit(
        &self,
        Told(transaction): Told,
        pauses: &mut Pauses,
    ) -> Result<Commit, StoreError> {
        // One token for every try: where one took effect whose answer was lost, the next is answered alike and does nothing.
        let token = Nonce::random().to_string();
        loop {
            let try_once = self.client.transact_write_items().client_request_token(&token);
            let Err(error) = try_once.set_transact_items(Some(transaction.writes.clone())).send().await else {
                return Ok(Commit::Done);
            };
            let failure = reduce(&error);
            match verdict(&error, &failure) {
                TransactionVerdict::Refused => return Ok(Commit::Stale),
                TransactionVerdict::Unknown | TransactionVerdict::Again => {}
                TransactionVerdict::Fault => return Err(StoreError::Service(failure)),
            }
            if !pauses.pause().await {
                return Err(StoreError::Service(failure));
            }
        }
    }

    /// Sends one conditional write of a single item, and again while the table throttles it or another write
    /// conflicts. Returns `None` when its condition did not hold.
    ///
    /// An earlier try whose answer was lost may be the reason, so this is for writes of which "it is there already" and "done"
    /// are one answer; all else is a transaction.
    pub(in crate::store) async fn write<T, E, F>(
        &self,
        deadline: Deadline,
        send: impl Fn() -> F,
    ) -> Result<Option<T>, StoreError>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut pauses = Pauses::until(deadline);
        loop {
            let error = match send().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => error,
            };
            let failure = reduce(&error);
            if failure.code == "ConditionalCheckFailedException" {
                return Ok(None);
            }
            if !matches!(verdict_of(&failure), TransactionVerdict::Again) || !pauses.pause().await {
                return Err(StoreError::Service(failure));
            }
        }
    }

    /// Adds to numbers of an item without a condition on its version. Returns `false` when the first of them
    /// is at `most` already.
    pub(in crate::store) async fn count(
        &self,
        key: &ItemKey,
        counter: &Counter<'_>,
        most: Option<u32>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (expression, names, mut values) = counter.written();
        let first = counter.says.len() + counter.at_first.len();
        let bound = most.map(|most| {
            values.insert(":most".to_owned(), number(most));
            format!("attribute_not_exists(pk) OR #n{first} < :most")
        });
        let update = self.client.update_item().table_name(&self.name).set_key(Some(key_item(key)));
        let update = update
            .update_expression(expression)
            .set_condition_expression(bound)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        Ok(self.write(deadline, || update.clone().send()).await?.is_some())
    }
}

impl Pauses {
    pub(in crate::store) fn until(deadline: Deadline) -> Pauses {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(10))
            .with_max_delay(Duration::from_millis(500))
            .with_jitter()
            .without_max_times();
        Pauses { deadline, backoff: backoff.build() }
    }

    /// Waits, longer each time. Returns `false` when the time is up.
    pub(in crate::store) async fn pause(&mut self) -> bool {
        let Some(pause) = self.backoff.next().filter(|pause| self.deadline.leaves(LEFT_FOR_AN_ANSWER + *pause)) else {
            return false;
        };
        self.deadline.sleep(pause).await;
        true
    }
}

fn verdict(error: &SdkError<TransactWriteItemsError, HttpResponse>, failure: &SdkFailure) -> TransactionVerdict {
    if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
        let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
        return if codes().any(|code| code == "ConditionalCheckFailed") {
            TransactionVerdict::Refused
        } else if codes().all(|code| {
            matches!(code, "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
        }) {
            TransactionVerdict::Again
        } else {
            TransactionVerdict::Fault
        };
    }
    verdict_of(failure)
}

/// The part of the verdict that transactions and single writes share.
fn verdict_of(failure: &SdkFailure) -> TransactionVerdict {
    match failure.code.as_str() {
        "NotSent" => TransactionVerdict::Fault,
        "TimedOut" | "NoAnswer" | "UnreadableAnswer" => TransactionVerdict::Unknown,
        // A server error, or a success that cannot be read.
        _ if failure.status.is_some_and(|status| !(300..500).contains(&status)) => TransactionVerdict::Unknown,
        // A throttled write, or one in conflict, has not taken effect by this try.
        _ if failure.retryable => TransactionVerdict::Again,
        _ => TransactionVerdict::Fault,
    }
}
