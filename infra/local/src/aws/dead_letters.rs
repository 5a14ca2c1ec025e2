//! The events that functions gave up on. As in the queue in AWS, a letter holds nothing of a
//! record, which may name people.

use anyhow::Result;
use bursar_core::clock::Moment;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::function::FunctionName;
use crate::base::state_file::StateFile;

pub const COLLECTION: &str = "dead-letters";

const KEPT: SignedDuration = SignedDuration::from_hours(4 * 24);

/// The dead letters. Clones share them.
#[derive(Clone)]
pub struct DeadLetters(StateFile);

#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    pub at: Moment,
    pub function: String,
    /// The input of a schedule, or the first and last sequence number of a batch.
    pub about: Value,
    pub tries: u32,
    pub error: String,
}

impl DeadLetters {
    pub fn over(kept: StateFile) -> DeadLetters {
        DeadLetters(kept)
    }

    /// All letters, oldest first.
    pub fn all(&self) -> Result<Vec<DeadLetter>> {
        Ok(self
            .0
            .list(COLLECTION)?
            .into_iter()
            .map(|(_, letter)| letter)
            .collect())
    }

    /// Those of the last days, as long as the queue in AWS keeps one.
    pub fn recent(&self, now: Moment) -> Result<Vec<DeadLetter>> {
        Ok(self
            .all()?
            .into_iter()
            .filter(|letter| now < letter.at + KEPT)
            .collect())
    }

    pub fn add(
        &self,
        now: Moment,
        function: FunctionName,
        about: Value,
        tries: u32,
        error: String,
    ) -> Result<()> {
        tracing::error!(%function, tries, error, "gave up: a dead letter");
        let number = self.all()?.len();
        let letter = DeadLetter {
            at: now,
            function: function.to_string(),
            about,
            tries,
            error,
        };
        self.0.put(COLLECTION, &format!("{number:010}"), &letter)
    }
}
