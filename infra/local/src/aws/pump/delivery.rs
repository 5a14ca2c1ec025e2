//! One batch on its way to a reader: what an answer means for it, and what remains. By Lambda's rules a
//! partial answer keeps the records before the first failed one. A batch that failed as a whole is halved,
//! which uses up no try. After its last try a batch is given up. The pauses and the stored position are
//! left to the parent.

use std::collections::VecDeque;

use serde_json::Value;

use crate::aws::engine::Position;
use crate::aws::invoke::InvokeError;
use crate::aws::template::StreamReader;

/// A record with its position in the stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) position: Position,
    pub(super) body: Value,
}

/// Records that are delivered together, oldest first; never empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) records: Vec<Record>,
    /// The number of failures without any progress.
    pub(super) failures: u32,
}

/// The parts of a batch that are still to be delivered.
#[derive(Debug)]
pub(super) struct Delivery(VecDeque<Part>);

/// The effect of an answer on the batch.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Every record up to this position is done.
    Past(Position),
    /// Some records are done; the rest must be retried.
    PastAndAgain(Position, String),
    Again(String),
    GaveUp(Part, String),
}

enum Outcome {
    Done,
    /// The record at this index failed, and nothing is known of those after it.
    FailedFrom(usize),
    Failed(String),
}

impl Delivery {
    pub(super) fn of(records: Vec<Record>) -> Delivery {
        Delivery(VecDeque::from([Part { records, failures: 0 }]))
    }

    /// The part to deliver next.
    pub(super) fn next(&self) -> Option<&Part> {
        self.0.front()
    }

    /// Applies the answer to the part that was delivered last.
    pub(super) fn answered(&mut self, reader: &StreamReader, answer: Result<Value, InvokeError>) -> Option<Step> {
        let mut part = self.0.pop_front()?;
        let last = part.records.last()?.position;
        let (why, whole) = match outcome(reader, &part.records, answer) {
            Outcome::Done => return Some(Step::Past(last)),
            Outcome::FailedFrom(0) => ("the function reported the first record as failed".to_owned(), false),
            Outcome::FailedFrom(index) => {
                let records = part.records.split_off(index);
                let done = part.records.last()?.position;
                self.0.push_front(Part { records, failures: 0 });
                return Some(Step::PastAndAgain(done, "the function reported a record as failed".to_owned()));
            }
            Outcome::Failed(why) => (why, true),
        };
        if whole && reader.bisect && part.records.len() > 1 {
            let second = part.records.split_off(part.records.len().div_ceil(2));
            self.0.push_front(Part { records: second, failures: part.failures });
            self.0.push_front(part);
            return Some(Step::Again(why));
        }
        part.failures += 1;
        if part.failures > reader.retries {
            return Some(Step::GaveUp(part, why));
        }
        self.0.push_front(part);
        Some(Step::Again(why))
    }
}

fn outcome(reader: &StreamReader, records: &[Record], answer: Result<Value, InvokeError>) -> Outcome {
    let answer = match answer {
        Ok(answer) if reader.partial => answer,
        Ok(_) => return Outcome::Done,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Outcome::Done,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Outcome::Failed("batchItemFailures is no list".to_owned()),
    };
    let index_of = |failure: &Value| {
        let position = Position::of(failure.get("itemIdentifier")?.as_str()?)?;
        records.iter().position(|record| record.position == position)
    };
    match failures.iter().map(index_of).collect::<Option<Vec<_>>>() {
        None => Outcome::Failed("batchItemFailures names no record of the batch".to_owned()),
        Some(indexes) => indexes.into_iter().min().map_or(Outcome::Done, Outcome::FailedFrom),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::function::FunctionName;

    fn reader() -> StreamReader {
        StreamReader {
            function: FunctionName::Mail,
            filters: Vec::new(),
            batch_size: 10,
            retries: 2,
            bisect: true,
            partial: true,
        }
    }

    fn position(number: u64) -> Position {
        Position::of(&sequence_number(number)).unwrap()
    }

    fn sequence_number(number: u64) -> String {
        format!("{}", 100_000_000_000_000_000_000_u128 + u128::from(number))
    }

    fn delivery(numbers: std::ops::RangeInclusive<u64>) -> Delivery {
        let record = |number| Record { position: position(number), body: json!({}) };
        Delivery::of(numbers.map(record).collect())
    }

    fn numbers(delivery: &Delivery) -> Vec<Position> {
        delivery.next().map(|part| part.records.iter().map(|r| r.position).collect()).unwrap_or_default()
    }

    fn failed(sequence_numbers: &[u64]) -> Result<Value, InvokeError> {
        let failure = |number: &u64| json!({"itemIdentifier": sequence_number(*number)});
        Ok(json!({"batchItemFailures": sequence_numbers.iter().map(failure).collect::<Value>()}))
    }

    fn crash() -> Result<Value, InvokeError> {
        Err(InvokeError::Killed)
    }

    #[test]
    fn a_partial_report_goes_on_with_the_first_failed_record() {
        let mut delivery = delivery(1..=5);
        let step = delivery.answered(&reader(), failed(&[4, 3]));
        assert!(matches!(step, Some(Step::PastAndAgain(done, _)) if done == position(2)), "{step:?}");
        assert_eq!(numbers(&delivery), [3, 4, 5].map(position));
    }

    #[test]
    fn a_batch_that_fails_as_a_whole_is_halved_until_the_bad_record_is_alone_and_given_up() {
        let mut delivery = delivery(1..=5);
        let (mut handed_on, mut given_up) = (Vec::new(), Vec::new());
        while delivery.next().is_some() {
            let part = numbers(&delivery);
            let answer = if part.contains(&position(4)) { crash() } else { Ok(json!({})) };
            match delivery.answered(&reader(), answer) {
                Some(Step::Past(_)) => handed_on.extend(part),
                Some(Step::GaveUp(part, _)) => given_up.push(part),
                _ => {}
            }
        }
        assert_eq!(handed_on, [1, 2, 3, 5].map(position));
        assert_eq!(given_up.len(), 1);
        assert_eq!(given_up[0].records[0].position, position(4));
        assert_eq!(given_up[0].failures, 3, "once and two tries again");
    }
}
