//! The events that wake a function, parsed once by the shape that AWS gives them. The function decides what
//! to do about each.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_dynamo::Item;
use serde_json::Value;

/// An event by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request through the HTTP API, payload 2.0.
    Http(Value),
    /// A task `{"task":"…"}` of a schedule or a person.
    Task(String),
    /// Changes of the table.
    Stream(Vec<Value>),
    /// The messages of notifications.
    Notifications(Vec<String>),
    /// Any other event: a plain schedule's, or `{}`.
    Other(Value),
}

impl Event {
    pub fn of(payload: Value) -> Event {
        if payload.pointer("/requestContext/http").is_some() {
            return Event::Http(payload);
        }
        if let Some(task) = payload.get("task").and_then(Value::as_str) {
            return Event::Task(task.to_owned());
        }
        let Some(records) = payload.get("Records").and_then(Value::as_array) else { return Event::Other(payload) };
        let source = |record: &Value| {
            let named = record.get("eventSource").or_else(|| record.get("EventSource"));
            named.and_then(Value::as_str).map(str::to_owned)
        };
        match records.first().and_then(source).as_deref() {
            Some("aws:dynamodb") => Event::Stream(records.clone()),
            Some("aws:sns") => {
                let message = |record: &Value| record.pointer("/Sns/Message")?.as_str().map(str::to_owned);
                Event::Notifications(records.iter().filter_map(message).collect())
            }
            _ => Event::Other(payload),
        }
    }
}

/// The kind of the item that a record of the stream wrote; `None` for a removal.
pub fn kind_written(record: &Value) -> Option<&str> {
    record.pointer("/dynamodb/NewImage/kind/S")?.as_str()
}

/// The item that a record of the stream wrote, as far as `T` names its attributes.
pub fn item_written<T: DeserializeOwned>(record: &Value) -> Option<T> {
    let image = Item::deserialize(record.pointer("/dynamodb/NewImage")?).ok()?;
    serde_dynamo::from_item(image).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_told_apart_by_the_shape_that_aws_gives_them() {
        let http = json!({"version": "2.0", "requestContext": {"http": {"method": "GET"}}});
        assert_eq!(Event::of(http.clone()), Event::Http(http));
        assert_eq!(Event::of(json!({"task": "drain"})), Event::Task("drain".to_owned()));
        let record = json!({"eventSource": "aws:dynamodb", "dynamodb": {}});
        assert_eq!(Event::of(json!({"Records": [record]})), Event::Stream(vec![record]));
        let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]});
        assert_eq!(Event::of(sns), Event::Notifications(vec!["{}".to_owned()]));
        for other in [json!({}), json!({"Records": []}), json!({"source": "aws.events"}), json!(null)] {
            assert_eq!(Event::of(other.clone()), Event::Other(other));
        }
    }
}
