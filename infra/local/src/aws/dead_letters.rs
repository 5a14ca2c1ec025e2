//! The events that functions gave up on: the newest thousand. As in the queue in AWS, a letter names
//! function, time and reason, and holds nothing of the records, which may name people.

use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::state_file::StateFile;

const COLLECTION: &str = "dead-letters";
const AT_MOST: usize = 1000;

/// The dead letters. Clones share them.
#[derive(Clone)]
pub struct DeadLetters(StateFile);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub at: Timestamp,
    pub function: String,
    pub about: DeadLetterContent,
    /// The number of tries, including the first.
    pub tries: u32,
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterContent {
    /// Stream records, by their sequence numbers.
    Records { first: String, last: String, count: usize },
    /// The input of a schedule.
    Input(Value),
}

impl DeadLetters {
    pub fn over(kept: StateFile) -> DeadLetters {
        DeadLetters(kept)
    }

    /// All letters, oldest first.
    pub fn all(&self) -> Result<Vec<DeadLetter>> {
        Ok(self.numbered()?.into_iter().map(|(_, letter)| letter).collect())
    }

    pub fn add(&self, letter: &DeadLetter) -> Result<()> {
        tracing::error!(
            function = letter.function,
            tries = letter.tries,
            error = letter.error,
            "gave up: a dead letter"
        );
        let letters = self.numbered()?;
        let last = letters.last().and_then(|(id, _)| id.parse::<u64>().ok());
        let next = last.map_or(0, |last| last + 1);
        self.0.put(COLLECTION, &format!("{next:020}"), letter)?;
        let too_many = (letters.len() + 1).saturating_sub(AT_MOST);
        letters.iter().take(too_many).try_for_each(|(id, _)| self.0.remove(COLLECTION, id))
    }

    fn numbered(&self) -> Result<Vec<(String, DeadLetter)>> {
        self.0.all(COLLECTION)
    }
}
