//! Disabling the key: how soon it can spend no more, how listings show it, and enabling it again.

use anyhow::Result;
use bursar_core::provider::keys::KeyPatch;
use bursar_core::provider::wire::calls::LIST_KEYS;

use super::lower::{passes_again, refused};
use super::make::told;
use crate::assumptions::{DISABLE_BINDS, DISABLED_HIDDEN, DISABLED_IS_401, DISABLED_LISTED, ENABLED_AGAIN};
use crate::run::{Run, SOON};

pub(crate) async fn disable(run: &mut Run<'_>) -> Result<()> {
    if run.can_spend {
        // The guardrail would refuse what the disabled key must refuse. One that stays goes after the key.
        let _ = super::take_away_guardrail(run).await;
        passes_again(run).await?;
    }
    run.patch_key(KeyPatch::disabled(true)).await?;
    if run.can_spend {
        let refusal = refused(run, &DISABLE_BINDS, |answer| answer.is_refusal(&[401, 403])).await?;
        match refusal {
            Some(answer) => run.findings.judge(&DISABLED_IS_401, answer.status == 401, answer.words()),
            None => run.findings.not_seen(&DISABLED_IS_401, "it was not refused as a disabled key"),
        }
    }
    listed(run).await?;
    let enabled = run.patch_key(KeyPatch::disabled(false)).await?.flag("disabled");
    run.findings.judge(&ENABLED_AGAIN, enabled == Some(false), format!("disabled: {}", told(enabled)));
    Ok(())
}

async fn listed(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let row = run.listed_key().await?;
        let is_shown = row.and_then(|row| row.flag("disabled")) == Some(true);
        if is_shown || !patience.goes_on().await {
            let when = if is_shown { patience.after() } else { patience.in_vain() };
            run.findings.judge(&DISABLED_LISTED, is_shown, format!("shown {when}"));
            break;
        }
    }
    let hash = run.made_key()?.hash.clone();
    let page = run.ask(&LIST_KEYS, &["keys"], &[], None).await?.rows("keys")?;
    let is_hidden = page.iter().all(|row| row.text("hash").as_ref() != Some(&hash));
    run.findings.judge(&DISABLED_HIDDEN, is_hidden, if is_hidden { "hidden" } else { "shown" });
    Ok(())
}
