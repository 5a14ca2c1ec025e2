//! Changing the key: a limit with six decimals, fields that are left out, an expiry that cannot be changed.

use anyhow::Result;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::keys::KeyPatch;

use crate::assumptions::{EXPIRY_FIXED, LIMIT_DIGITS, LIMIT_NEAR, PATCH_LEAVES, PATCH_SEEN};
use crate::run::{LIMIT, Run, SOON};
use crate::wire::Object;

/// A limit with all six decimals. Where limits are kept in cents it may become zero, whose meaning is unknown,
/// so it does not stay for long.
const ODD: Usd = Usd::from_micros(9_999);

pub(crate) async fn patch(run: &mut Run<'_>) -> Result<()> {
    let before = run.read_key().await?;
    let patch = serde_json::to_string(&serde_json::json!({ "limit": ODD.to_json() }))?;
    let answer = run.patch_raw(patch).await?;
    let answered = if answer.is_done() {
        let answered = answer.data();
        judge_limit(run, &answered);
        answered
    } else {
        run.findings.judge(&LIMIT_DIGITS, false, format!("{ODD} was refused with {}", answer.words()));
        run.patch_key(KeyPatch::limit(Some(LIMIT))).await?
    };
    judge_the_rest(run, &before, &answered);
    seen(run, &answered).await?;
    run.patch_key(KeyPatch::limit(Some(LIMIT))).await?;
    expiry(run).await
}

fn judge_limit(run: &mut Run<'_>, answered: &Object) {
    let literal = answered.literal("limit").unwrap_or_else(|| "no limit".to_owned());
    let limit = answered.usd("limit");
    let seen = format!("sent {ODD}, kept {literal}");
    run.findings.judge(&LIMIT_DIGITS, limit == Some(ODD), seen.clone());
    run.findings.judge(&LIMIT_NEAR, limit.is_some_and(|limit| limit > Usd::ZERO && limit.is_about(ODD)), seen);
}

fn judge_the_rest(run: &mut Run<'_>, before: &Object, answered: &Object) {
    let changed: Vec<&str> = ["name", "disabled", "limit_reset", "include_byok_in_limit", "expires_at", "workspace_id"]
        .into_iter()
        .filter(|field| before.literal(field) != answered.literal(field))
        .collect();
    let seen = match changed.is_empty() {
        true => "only the limit changed".to_owned(),
        false => format!("a new limit also changed {}", changed.join(", ")),
    };
    run.findings.judge(&PATCH_LEAVES, changed.is_empty(), seen);
}

async fn seen(run: &mut Run<'_>, answered: &Object) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    while run.read_key().await?.usd("limit") != answered.usd("limit") {
        if !patience.goes_on().await {
            run.findings.judge(&PATCH_SEEN, false, format!("read back {}", patience.in_vain()));
            return Ok(());
        }
    }
    run.findings.judge(&PATCH_SEEN, patience.is_fresh(), format!("read back {}", patience.after()));
    Ok(())
}

/// Tries an earlier expiry, which would do no harm.
async fn expiry(run: &mut Run<'_>) -> Result<()> {
    let expires_at = run.made_key()?.expires_at;
    let earlier = expires_at - jiff::SignedDuration::from_mins(30);
    let body = serde_json::json!({ "name": run.name, "expires_at": earlier.to_string() });
    let answer = run.patch_raw(body.to_string()).await?;
    let now = run.read_key().await?.instant("expires_at");
    let seen = match now == Some(earlier) {
        true => format!("it was changed to {earlier}"),
        false => format!("an earlier one was answered {}, and changed nothing", answer.words()),
    };
    run.findings.judge(&EXPIRY_FIXED, now != Some(earlier), seen);
    Ok(())
}
