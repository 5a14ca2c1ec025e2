//! Records of the table's stream: urgent rows are sent at once, login requests become such rows if
//! the address is known. A failed mail is left to the drain, so only a failure of the table, or a
//! login request without time left, fails a record.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::kind::MailClass;
use bursar_core::domain::sign_in::LOGIN_REQUEST_LASTS;
use bursar_core::domain::values::address::MatchedAddress;
use bursar_core::event::StreamRecord;
use bursar_core::schema::Stored;
use bursar_core::store::{LoginRequest, MailState, OutboxRow, StoreError};
use futures_util::stream::{StreamExt, iter};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ulid::Ulid;

use super::row::TIME_FOR_ONE;
use crate::App;

/// An upper bound on the difference between two clocks. A row that is due later than this is meant
/// to wait.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// The number of login requests that are looked up concurrently.
const SIDE_BY_SIDE: usize = 16;

/// The fields of a new login request that are read from its record.
#[derive(Deserialize)]
struct NewLoginRequest {
    address: MatchedAddress,
    id: Ulid,
}

/// The fields of a new row that are read from its record. A row whose mail is unreadable is left to
/// the sender, which gives it up.
#[derive(Deserialize)]
struct NewRow {
    row: Ulid,
    class: MailClass,
    #[serde(flatten)]
    state: MailState,
}

impl App {
    /// Handles a batch: first the urgent rows in their order, so that no alert waits behind a flood
    /// of login requests.
    pub(crate) async fn batch(&self, records: &[StreamRecord], deadline: Deadline) -> Value {
        let rows = records
            .iter()
            .enumerate()
            .filter_map(|(index, record)| Some((index, urgent_of(record)?)));
        let mut failed = Vec::new();
        for (index, urgent) in rows {
            if !deadline.leaves(TIME_FOR_ONE) {
                break;
            }
            if let Err(error) = self.send_now(urgent, deadline).await {
                tracing::error!(%error, "the table failed while a mail was sent");
                failed.push(index);
                break;
            }
        }
        let requests = records.iter().enumerate().filter_map(|(index, record)| {
            Some((index, read_inserted(record, LoginRequest::KIND)?))
        });
        let requests: Vec<(usize, NewLoginRequest)> = requests.collect();
        let answered = iter(requests).map(|(index, new)| async move {
            (index, self.answer_login_request(&new, deadline).await)
        });
        let mut answered = answered.buffer_unordered(SIDE_BY_SIDE);
        while let Some((index, answer)) = answered.next().await {
            match answer {
                Ok(true) => {}
                Ok(false) => failed.push(index),
                // A retry would fail again, and block every record behind it.
                Err(StoreError::Corrupt { .. }) => {
                    tracing::error!("a login request is about an item that cannot be read");
                }
                Err(error) => {
                    tracing::error!(%error, "the table failed while a login request was looked at");
                    failed.push(index);
                }
            }
        }
        // Every record from the first failed one on comes again; records that are done are skipped
        // then.
        match failed.into_iter().min() {
            Some(index) => {
                json!({"batchItemFailures": [{"itemIdentifier": records[index].sequence_number()}]})
            }
            None => json!({"batchItemFailures": []}),
        }
    }

    async fn send_now(
        &self,
        (row, since): (Ulid, Moment),
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_skewed = since.duration_since(now) <= SKEW;
        let due = if is_skewed { now.max(since) } else { now };
        self.send_row(row, due, deadline).await.map(drop)
    }

    /// Queues the mail for a login request and sends it, if the address is known; for any other
    /// nothing is written. `false` when there was no time.
    async fn answer_login_request(
        &self,
        new: &NewLoginRequest,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        if !deadline.leaves(TIME_FOR_ONE) {
            return Ok(false);
        }
        let now = self.clock.now();
        let request = self
            .table
            .get(LoginRequest::key_of(&new.address, new.id))
            .await?;
        let Some(request) = request.filter(|request| now < request.asked_at + LOGIN_REQUEST_LASTS)
        else {
            return Ok(true);
        };
        if self.table.known(&request.address).await?.is_none() {
            return Ok(true);
        }
        // Most login requests of a flood end here.
        if self
            .table
            .sign_in_of(&request.address)
            .await?
            .link_refused(request.id, request.asker.sign_on.as_ref(), now)
            .is_none()
        {
            self.table.owe_link(&request, now, deadline).await?;
            self.send_row(request.id, now, deadline).await?;
        }
        Ok(true)
    }
}

/// The urgent row in a record, and since when it is due. The event source's filter only saves
/// invocations, so the record is checked here.
fn urgent_of(record: &StreamRecord) -> Option<(Ulid, Moment)> {
    let NewRow { row, class, state } = read_inserted(record, OutboxRow::KIND)?;
    let MailState::Waiting { since } = state else {
        return None;
    };
    (class == MailClass::Urgent).then_some((row, since))
}

/// The new item of this kind in a record.
fn read_inserted<T: DeserializeOwned>(record: &StreamRecord, kind: &str) -> Option<T> {
    let is_it = record.event_name == "INSERT" && record.kind() == Some(kind);
    if is_it { record.written_item() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(change: &[(&str, &str)]) -> StreamRecord {
        let mut record = json!({"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb": {
            "SequenceNumber": "1", "NewImage": {
            "kind": {"S": "outbox"}, "class": {"S": "urgent"}, "state": {"S": "waiting"}, "since": {"N": "1767225600000"},
            "row": {"S": "01KDVDKFG00000000000000000"},
        }}});
        for (pointer, value) in change {
            *record.pointer_mut(pointer).unwrap() = json!(value);
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn only_urgent_rows_that_are_new_and_wait_are_for_this_function() {
        assert!(urgent_of(&record(&[])).is_some());
        for change in [
            ("/eventName", "MODIFY"),
            ("/eventName", "REMOVE"),
            ("/dynamodb/NewImage/kind/S", "grant"),
            ("/dynamodb/NewImage/class/S", "roster"),
            ("/dynamodb/NewImage/state/S", "sent"),
            ("/dynamodb/NewImage/row/S", "no row"),
            ("/dynamodb/NewImage/since/N", "now"),
        ] {
            assert!(urgent_of(&record(&[change])).is_none(), "{change:?}");
        }
    }
}
