//! A batch of the stream: the programmes with new totals or another budget.

use bursar_core::domain::programme::Budget;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::event::StreamRecord;
use bursar_core::schema::Stored;
use bursar_core::store::Totals;
use serde::Deserialize;

/// The work of a batch, by the sequence numbers of its records.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Each programme once, with the first record that names it.
    pub(crate) programmes: Vec<(ProgrammeId, String)>,
    /// Totals and budgets without a readable programme.
    pub(crate) unreadable: Vec<String>,
}

/// The parsed part of totals and of a budget.
#[derive(Deserialize)]
struct ProgrammeName {
    programme: ProgrammeId,
}

/// Parses the records, without those of other kinds and those of removals.
pub(crate) fn read(records: &[StreamRecord]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let number = record.sequence_number().to_owned();
        if let Some(Totals::KIND | Budget::KIND) = record.kind() {
            match record.written_item() {
                Some(ProgrammeName { programme }) => batch.name_programme(programme, number),
                None => batch.unreadable.push(number),
            }
        }
    }
    batch
}

impl Batch {
    fn name_programme(&mut self, programme: ProgrammeId, number: String) {
        if !self.programmes.iter().any(|(id, _)| *id == programme) {
            self.programmes.push((programme, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(number: &str, image: &Value) -> StreamRecord {
        let change = json!({"SequenceNumber": number, "NewImage": image});
        let record = json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": change});
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn each_programme_is_named_once_by_its_first_record() {
        let totals = |programme: &str| json!({"kind": {"S": "totals"}, "programme": {"S": programme}});
        let records = [
            record("1", &json!({"kind": {"S": "grant"}, "programme": {"S": "maths"}})),
            record("2", &totals("cs-pilot")),
            record("3", &json!({"kind": {"S": "totals"}})),
            record("4", &json!({"kind": {"S": "budget"}, "programme": {"S": "maths"}})),
            record("5", &totals("cs-pilot")),
            record("6", &json!(null)),
        ];
        let named = |programme: &str, number: &str| (programme.parse().unwrap(), number.to_owned());
        let expected =
            Batch { programmes: vec![named("cs-pilot", "2"), named("maths", "4")], unreadable: vec!["3".to_owned()] };
        assert_eq!(read(&records), expected);
    }
}
