//! Deleting the key and its guardrail, and what is told of a key that is gone.

use anyhow::Result;

use crate::assumptions::{GONE_IS_JSON, UNLISTED};
use crate::run::{Run, SOON};

pub(crate) async fn delete(run: &mut Run<'_>) -> Result<()> {
    super::take_away_made(run).await?;
    gone(run).await?;
    unlisted(run).await
}

async fn gone(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let answer = run.get_key().await?;
        let is_gone = answer.status == 404 && answer.is_of_provider();
        if is_gone || !patience.goes_on().await {
            let when = if is_gone { patience.after() } else { patience.in_vain() };
            run.findings.judge(&GONE_IS_JSON, is_gone, format!("gone {when}: {}", answer.words()));
            return Ok(());
        }
    }
}

async fn unlisted(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    while run.listed_key().await?.is_some() {
        if !patience.goes_on().await {
            run.findings.judge(&UNLISTED, false, format!("gone from the listing {}", patience.in_vain()));
            return Ok(());
        }
    }
    run.findings.judge(&UNLISTED, true, format!("gone from the listing {}", patience.after()));
    Ok(())
}
