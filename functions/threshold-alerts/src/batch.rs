//! A batch of the stream: the programmes with new totals or another budget, and the grants whose keys have used
//! more.

use bursar_core::domain::grant::Reading;
use bursar_core::domain::values::id::GrantId;
use bursar_core::event::StreamRecord;
use bursar_core::schema::Stored;
use bursar_core::store::Totals;
use serde::Deserialize;

use crate::prelude::*;

/// The work of a batch, by the sequence numbers of its records.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Each programme once, with the first record that names it.
    pub(crate) programmes: Vec<(ProgrammeId, String)>,
    /// Each grant with a changed reading once, with the first record that names it.
    pub(crate) grants: Vec<(ProgrammeId, GrantId, String)>,
    /// Totals and budgets without a readable programme, and readings without a readable grant.
    pub(crate) unreadable: Vec<String>,
}

/// The parsed part of totals and of a budget.
#[derive(Deserialize)]
struct ProgrammeName {
    programme: ProgrammeId,
}

/// The parsed part of a reading.
#[derive(Deserialize)]
struct GrantName {
    programme: ProgrammeId,
    grant: GrantId,
}

/// Parses the records, without those of other kinds and those of removals.
pub(crate) fn read(records: &[StreamRecord]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let number = record.sequence_number().to_owned();
        match record.kind() {
            Some(Totals::KIND | Budget::KIND) => match record.item() {
                Some(ProgrammeName { programme }) => batch.name_programme(programme, number),
                None => batch.unreadable.push(number),
            },
            Some(Reading::KIND) => match record.item() {
                Some(GrantName { programme, grant }) => batch.name_grant(programme, grant, number),
                None => batch.unreadable.push(number),
            },
            _ => {}
        }
    }
    batch
}

impl Batch {
    fn name_programme(&mut self, programme: ProgrammeId, number: String) {
        if !self.programmes.iter().any(|(known, _)| *known == programme) {
            self.programmes.push((programme, number));
        }
    }

    fn name_grant(&mut self, programme: ProgrammeId, grant: GrantId, number: String) {
        // Ids of grants are random, so they differ between programmes too.
        if !self.grants.iter().any(|(_, known, _)| *known == grant) {
            self.grants.push((programme, grant, number));
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
    fn each_programme_with_new_totals_and_each_grant_with_a_new_reading_is_named_once_by_its_first_record() {
        let totals = |programme: &str| json!({"kind": {"S": "totals"}, "programme": {"S": programme}});
        let reading = |programme: &str, grant: &str, epoch: &str| {
            let (programme, grant, epoch) = (json!({"S": programme}), json!({"S": grant}), json!({"N": epoch}));
            json!({"kind": {"S": "reading"}, "programme": programme, "grant": grant, "epoch": epoch})
        };
        let (ada, ben) = ("0123456789abcdef", "fedcba9876543210");
        let records = [
            record("1", &reading("maths", ada, "1")),
            record("2", &totals("cs-pilot")),
            record("3", &json!({"kind": {"S": "totals"}})),
            record("4", &json!({"kind": {"S": "budget"}, "programme": {"S": "maths"}})),
            record("5", &totals("cs-pilot")),
            record("6", &reading("maths", ada, "2")),
            record("7", &reading("maths", ben, "1")),
            record("8", &json!({"kind": {"S": "reading"}, "programme": {"S": "maths"}, "grant": {"S": "ada"}})),
            record("9", &json!({"kind": {"S": "grant"}, "programme": {"S": "maths"}, "grant": {"S": ada}})),
            record("10", &json!(null)),
        ];
        let named = |programme: &str, number: &str| (programme.parse().unwrap(), number.to_owned());
        let of = |grant: &str, number: &str| ("maths".parse().unwrap(), grant.parse().unwrap(), number.to_owned());
        let expected = Batch {
            programmes: vec![named("cs-pilot", "2"), named("maths", "4")],
            grants: vec![of(ada, "1"), of(ben, "7")],
            unreadable: vec!["3".to_owned(), "8".to_owned()],
        };
        assert_eq!(read(&records), expected);
    }
}
