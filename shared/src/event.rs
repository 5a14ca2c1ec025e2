//! The events that wake a function, by the shape that AWS gives them. Whatever is none of them is
//! refused; what to do about each is left to the functions.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_dynamo::{AttributeValue, Item};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request through the HTTP API, payload 2.0.
    Http(Value),
    /// A task of a schedule or a person.
    Task(Task),
    /// A schedule without a task.
    Scheduled,
    /// `{}`, as a person sends it.
    Empty,
    Stream(Vec<StreamRecord>),
    Notifications(Vec<String>),
}

/// What `{"task":"…"}` names.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Work,
    Resume,
    Rotate,
    Watch,
    Digest,
    Drain,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord {
    #[serde(rename = "eventSource")]
    _source: TableSource,
    pub event_name: String,
    dynamodb: StreamChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
enum TableSource {
    #[serde(rename = "aws:dynamodb")]
    Table,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamChange {
    sequence_number: String,
    /// The item after the change; none for a removal.
    new_image: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordBatch {
    records: Records,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Records {
    Stream(Vec<StreamRecord>),
    Notifications(Vec<Notification>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    sns: SnsMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsMessage {
    message: String,
}

impl Event {
    pub fn parse(payload: Value) -> Result<Event> {
        if payload.pointer("/requestContext/http").is_some() {
            return Ok(Event::Http(payload));
        }
        if let Some(task) = payload.get("task") {
            return Ok(Event::Task(
                Task::deserialize(task).context("there is no such task")?,
            ));
        }
        let [source, kind] =
            ["source", "detail-type"].map(|name| payload.get(name).and_then(Value::as_str));
        if matches!(source, Some("aws.events" | "aws.scheduler")) && kind == Some("Scheduled Event")
        {
            return Ok(Event::Scheduled);
        }
        if payload == Value::Object(serde_json::Map::new()) {
            return Ok(Event::Empty);
        }
        match serde_json::from_value::<RecordBatch>(payload)
            .context("an event of an unknown shape")?
            .records
        {
            Records::Stream(records) if records.is_empty() => bail!("an event without a record"),
            Records::Stream(records) => Ok(Event::Stream(records)),
            Records::Notifications(notifications) => Ok(Event::Notifications(
                notifications
                    .into_iter()
                    .map(|notification| notification.sns.message)
                    .collect(),
            )),
        }
    }
}

impl StreamRecord {
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    pub fn kind(&self) -> Option<&str> {
        match self.dynamodb.new_image.as_ref()?.get("kind")? {
            AttributeValue::S(kind) => Some(kind),
            _ => None,
        }
    }

    /// The item that was written, as far as `T` names its attributes.
    pub fn written_item<T: DeserializeOwned>(&self) -> Option<T> {
        serde_dynamo::from_item(self.dynamodb.new_image.clone()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_told_apart_by_the_shape_that_aws_gives_them() {
        let http = json!({"version": "2.0", "requestContext": {"http": {"method": "GET"}}});
        assert_eq!(Event::parse(http.clone()).unwrap(), Event::Http(http));
        assert_eq!(
            Event::parse(json!({"task": "drain"})).unwrap(),
            Event::Task(Task::Drain)
        );
        let scheduled = json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
        assert_eq!(
            [json!({}), scheduled].map(|event| Event::parse(event).unwrap()),
            [Event::Empty, Event::Scheduled]
        );
        let image = json!({"kind": {"S": "budget"}});
        let record = json!({"eventSource": "aws:dynamodb", "eventName": "INSERT",
            "dynamodb": {"SequenceNumber": "7", "NewImage": image}});
        let Event::Stream(records) = Event::parse(json!({"Records": [record]})).unwrap() else {
            panic!("no batch")
        };
        assert_eq!(
            (records[0].sequence_number(), records[0].kind()),
            ("7", Some("budget"))
        );
        let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]});
        assert_eq!(
            Event::parse(sns).unwrap(),
            Event::Notifications(vec!["{}".to_owned()])
        );
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for other in [
            json!(null),
            json!({"Records": []}),
            json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}]}),
            json!({"task": "sync"}),
            json!({"source": "aws.events"}),
        ] {
            assert!(Event::parse(other.clone()).is_err(), "{other}");
        }
    }
}
