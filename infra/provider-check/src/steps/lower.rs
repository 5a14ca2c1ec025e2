//! A limit below what the key has used: when it binds, what remains of it, and that the counters stay.

use anyhow::Result;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::keys::KeyPatch;

use super::spend::unseen;
use crate::assumptions::{Assumption, LIMIT_BINDS, REMAINING_NEGATIVE, USAGE_KEPT};
use crate::run::{LIMIT, Run, SOON};
use crate::wire::{Answer, Object};

/// The least limit that is not zero. The client sends none below a cent, so it is written by hand.
const LEAST: Usd = Usd::from_micros(1);

pub(crate) async fn lower(run: &mut Run<'_>) -> Result<()> {
    if !run.can_spend {
        return Ok(());
    }
    let used = run.read_key().await?.usd("usage").unwrap_or_default();
    let body = serde_json::to_string(&serde_json::json!({ "limit": LEAST.to_json() }))?;
    let answer = run.patch_raw(body).await?;
    let lowered = answer.data();
    match lowered.usd("limit") {
        Some(limit) if limit > Usd::ZERO && limit < used => {
            refused(run, &LIMIT_BINDS, Answer::is_of_key_limit).await?;
            judge_remaining(run).await?;
        }
        _ => {
            let became = lowered.literal("limit").unwrap_or_else(|| answer.words());
            let why = format!("a limit of ${LEAST} became {became}, which is not below the ${used} that were used");
            run.findings.not_seen(&LIMIT_BINDS, why.clone());
            run.findings.not_seen(&REMAINING_NEGATIVE, why);
        }
    }
    let raised = run.patch_key(KeyPatch::limit(Some(LIMIT))).await?;
    judge_usage(run, used, &raised);
    passes_again(run).await
}

/// Spends until a request is refused in this way, and judges how soon that was. Returns the refusal. A refusal of
/// another kind says nothing of the assumption.
pub(super) async fn refused(
    run: &mut Run<'_>,
    assumption: &Assumption,
    is_refusal: impl Fn(&Answer) -> bool,
) -> Result<Option<Answer>> {
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let answer = run.complete().await?;
        if is_refusal(&answer) {
            let seen = format!("refused {} with {}", patience.after(), answer.words());
            run.findings.judge(assumption, true, seen);
            return Ok(Some(answer));
        }
        if !patience.goes_on().await {
            let seen = format!("refused {}: {}", patience.in_vain(), answer.words());
            match answer.is_done() {
                true => run.findings.judge(assumption, false, seen),
                false => run.findings.not_seen(assumption, seen),
            }
            return Ok(None);
        }
    }
}

async fn judge_remaining(run: &mut Run<'_>) -> Result<()> {
    let key = run.read_key().await?;
    match key.usd("limit_remaining") {
        Some(remaining) => {
            run.findings.judge(&REMAINING_NEGATIVE, remaining < Usd::ZERO, format!("{remaining} remain"));
        }
        None => run.findings.not_seen(&REMAINING_NEGATIVE, "what remains is not told"),
    }
    Ok(())
}

fn judge_usage(run: &mut Run<'_>, used: Usd, raised: &Object) {
    match raised.usd("usage") {
        Some(now) if used > Usd::ZERO => {
            run.findings.judge(&USAGE_KEPT, now >= used, format!("${used} before, ${now} after two changes"));
        }
        _ => run.findings.not_seen(&USAGE_KEPT, "its counter shows nothing that could be kept"),
    }
}

/// Waits until requests pass again, so that later refusals have other reasons. If none does, nothing more can be
/// judged by spending.
pub(super) async fn passes_again(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let answer = run.complete().await?;
        if answer.is_done() {
            return Ok(());
        }
        if !patience.goes_on().await {
            let why = format!("nothing passed before it, although nothing restricts the key: {}", answer.words());
            unseen(run, &why);
            return Ok(());
        }
    }
}
