//! A batch of the stream, read for what it says: which programmes have new totals.

use bursar_core::domain::id::ProgrammeId;
use bursar_core::store::items::{Stored, Totals};
use serde_json::Value;

/// What is to be done about a batch, by the sequence numbers of its records.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Each programme once, with the first record that names it.
    pub(crate) programmes: Vec<(ProgrammeId, String)>,
    /// Totals that name no programme.
    pub(crate) unreadable: Vec<String>,
}

/// Leaves records of other kinds out: what a single key has used is told by the totals that follow.
pub(crate) fn read(records: &[Value]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let image = |name: &str| record.pointer(&format!("/dynamodb/NewImage/{name}/S")).and_then(Value::as_str);
        if image("kind") != Some(Totals::KIND) {
            continue;
        }
        let number = record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str).unwrap_or_default().to_owned();
        match image("programme").and_then(|programme| programme.parse::<ProgrammeId>().ok()) {
            Some(programme) if batch.programmes.iter().any(|(known, _)| *known == programme) => {}
            Some(programme) => batch.programmes.push((programme, number)),
            None => batch.unreadable.push(number),
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(number: &str, image: &Value) -> Value {
        json!({"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": number, "NewImage": image}})
    }

    #[test]
    fn each_programme_with_new_totals_is_named_once_by_its_first_record() {
        let totals = |programme: &str| json!({"kind": {"S": "totals"}, "programme": {"S": programme}});
        let records = [
            record("1", &json!({"kind": {"S": "reading"}, "programme": {"S": "maths"}})),
            record("2", &totals("cs-pilot")),
            record("3", &json!({"kind": {"S": "totals"}})),
            record("4", &totals("maths")),
            record("5", &totals("cs-pilot")),
            json!({"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "6"}}),
        ];
        let named = |programme: &str, number: &str| (programme.parse().unwrap(), number.to_owned());
        let expected =
            Batch { programmes: vec![named("cs-pilot", "2"), named("maths", "4")], unreadable: vec!["3".to_owned()] };
        assert_eq!(read(&records), expected);
    }
}
