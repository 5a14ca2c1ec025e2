//! The pace at which the management API puts calls off: rising slowly, reading only, and no further than the
//! first 429 or 503.

use std::time::Duration;

use anyhow::{Result, bail};
use bursar_core::provider::wire::calls::GET_KEY;
use tokio::task::JoinSet;

use crate::assumptions::{PACE, RETRY_AFTER};
use crate::run::Run;
use crate::wire::{Answer, Request, Wire};

/// The longest wait that is honoured before the next step.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

pub(crate) async fn pace(run: &mut Run<'_>) -> Result<()> {
    let hash = run.made_key()?.hash.clone();
    for pace in run.options.paces.clone() {
        let Some(put_off) = a_second_at(run, pace, &hash).await? else { continue };
        run.findings.judge(&PACE, false, format!("{} came at {pace} calls a second", put_off.status));
        let seen = put_off.wait.map_or_else(|| "it did not".to_owned(), |wait| format!("after {} s", wait.as_secs()));
        run.findings.judge(&RETRY_AFTER, put_off.wait.is_some(), seen);
        let wait = put_off.wait.unwrap_or(Duration::from_secs(1)).min(LONGEST_WAIT);
        run.options.waiting.pass(wait).await;
        return Ok(());
    }
    let fastest = run.options.paces.iter().max().copied().unwrap_or_default();
    run.findings.judge(&PACE, true, format!("{fastest} calls a second for a second"));
    run.findings.not_seen(&RETRY_AFTER, "no 429 came");
    Ok(())
}

/// Asks for the key at this pace for a second, and returns the first answer that puts it off.
async fn a_second_at(run: &Run<'_>, pace: u32, hash: &str) -> Result<Option<Answer>> {
    let mut under_way = JoinSet::new();
    for _ in 0..pace {
        under_way.spawn(once(run.wire.clone(), hash.to_owned()));
        run.options.waiting.pass(Duration::from_secs(1) / pace).await;
        while let Some(answered) = under_way.try_join_next() {
            if let Some(put_off) = judged(answered?)? {
                return Ok(Some(put_off));
            }
        }
    }
    while let Some(answered) = under_way.join_next().await {
        if let Some(put_off) = judged(answered?)? {
            return Ok(Some(put_off));
        }
    }
    Ok(None)
}

async fn once(wire: Wire, hash: String) -> Result<Answer> {
    wire.ask_once(&Request { call: &GET_KEY, path: &["keys", &hash], query: &[], body: None, key: None }).await
}

fn judged(answer: Result<Answer>) -> Result<Option<Answer>> {
    let answer = answer?;
    match answer.status {
        429 | 503 => Ok(Some(answer)),
        200..300 => Ok(None),
        _ => bail!("reading the key at a pace was answered {}", answer.words()),
    }
}
