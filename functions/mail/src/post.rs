//! Urgent rows out of the stream: sent as soon as they are written. Whatever is not sent now, the drain finds by its due time, so
//! only a failure of the table is one of the batch.

use bursar_core::deadline::Deadline;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::App;
use crate::send::TIME_FOR_ONE;

/// Clocks of two machines differ by less. A row that is due later than that is meant to wait.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// An urgent row that was just written.
struct Urgent {
    row: Ulid,
    since: Timestamp,
}

impl App {
    /// Sends what a batch of the stream tells of, in its order.
    pub(crate) async fn batch(&self, records: &[Value], deadline: Deadline) -> Value {
        for record in records {
            let Some(urgent) = urgent_of(record) else { continue };
            if !deadline.leaves(TIME_FOR_ONE) {
                break;
            }
            let now = self.clock.now();
            let is_skewed = urgent.since.duration_since(now) <= SKEW;
            let due = if is_skewed { now.max(urgent.since) } else { now };
            if let Err(error) = self.send_row(urgent.row, due, deadline).await {
                tracing::error!(row = %urgent.row, %error, "the table failed while a mail was sent");
                let number = record.pointer("/dynamodb/SequenceNumber");
                return json!({"batchItemFailures": [{"itemIdentifier": number}]});
            }
        }
        json!({"batchItemFailures": []})
    }
}

/// The row that a record tells of, if it is one that is for this function. The filter lets no other through, but it only saves.
fn urgent_of(record: &Value) -> Option<Urgent> {
    let image = record.pointer("/dynamodb/NewImage")?;
    let text = |name: &str| image.get(name)?.get("S")?.as_str();
    let is_ours = record.get("eventName")? == "INSERT"
        && text("kind")? == "outbox"
        && text("class")? == "urgent"
        && text("state")? == "waiting";
    if !is_ours {
        return None;
    }
    let since = image.get("since")?.get("N")?.as_str()?.parse().ok()?;
    Some(Urgent { row: text("row")?.parse().ok()?, since: Timestamp::from_millisecond(since).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(change: &[(&str, &str)]) -> Value {
        let mut record = json!({"eventName": "INSERT", "dynamodb": {"NewImage": {
            "kind": {"S": "outbox"}, "class": {"S": "urgent"}, "state": {"S": "waiting"}, "since": {"N": "1767225600000"},
            "row": {"S": "01KDVDKFG00000000000000000"},
        }}});
        for (pointer, value) in change {
            *record.pointer_mut(pointer).unwrap() = json!(value);
        }
        record
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
            ("/dynamodb/NewImage/since", "now"),
        ] {
            assert!(urgent_of(&record(&[change])).is_none(), "{change:?}");
        }
        for other in [json!({}), json!({"eventName": "REMOVE", "dynamodb": {"Keys": {}}}), json!(null)] {
            assert!(urgent_of(&other).is_none(), "{other}");
        }
    }
}
