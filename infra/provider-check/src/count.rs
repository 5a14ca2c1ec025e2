//! How many keys an account takes, which the provider's documents do not say.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use bursar_core::provider::wire::calls::CREATE_KEY;

use crate::LEFT;
use crate::leftovers;
use crate::run::Run;
use crate::steps::{self, make::body};

/// The result of a count.
#[derive(Debug, Default)]
pub struct Count {
    /// The number of keys that were made.
    pub made: usize,
    /// The provider's words to the key that it refused.
    pub refused: Option<String>,
    /// What an earlier run had left.
    pub taken_away: Vec<String>,
    /// The reason that the count ended early.
    pub failed: Option<String>,
    /// The reason that a key may be left.
    pub left: Option<String>,
}

/// The most keys that a count makes.
pub const MOST_KEYS: usize = 50;

/// Makes keys until the provider refuses one, and deletes them all.
pub(crate) async fn count(run: &mut Run<'_>, interrupt: impl Future<Output = ()>) -> Count {
    let mut count = Count::default();
    let ended = tokio::select! {
        ended = make_all(run, &mut count) => ended,
        () = interrupt => Err(anyhow!("it was interrupted")),
    };
    count.failed = ended.err().map(|error| format!("{error:#}"));
    (run.options.progress)("taking the keys away");
    steps::clean_up(run).await;
    count.left = run.findings.left.take();
    count
}

async fn make_all(run: &mut Run<'_>, count: &mut Count) -> Result<()> {
    count.taken_away = leftovers::take_away(&run.wire).await?;
    (run.options.progress)("making keys");
    for number in 1..=MOST_KEYS {
        let body = body(&format!("{}/{number}", run.name), run.options.clock.now())?;
        let answer = run.make(&CREATE_KEY, &["keys"], body).await?;
        match answer.status {
            200..300 => {
                count.made += 1;
                run.hashes.push(answer.data().text("hash").context("the answer to a new key names no hash")?);
            }
            _ if answer.is_refused() => {
                count.refused = Some(answer.words());
                return Ok(());
            }
            _ => bail!("making key {number} was answered {}", answer.words()),
        }
    }
    Ok(())
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.taken_away {
            writeln!(f, "Taken away: {what}, which an earlier run left.")?;
        }
        match (&self.refused, &self.failed) {
            (Some(words), _) => {
                writeln!(f, "The account took {} more keys, and refused the next with {words}.", self.made)?;
            }
            (None, None) => writeln!(f, "The account took {} more keys; it was asked for no others.", self.made)?,
            (None, Some(_)) => writeln!(f, "The account took {} more keys.", self.made)?,
        }
        if let Some(why) = &self.failed {
            writeln!(f, "The count ended early: {why}.")?;
        }
        match &self.left {
            Some(why) => writeln!(f, "Something of the count may be left: {why}. {LEFT}."),
            None => writeln!(f, "They are deleted again."),
        }
    }
}
