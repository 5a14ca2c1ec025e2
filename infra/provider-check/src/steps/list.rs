//! The new key in the listing, and the order and length of its page.

use anyhow::Result;
use bursar_core::provider::inventory::{EVERY_KEY, KEYS_ON_A_PAGE};
use bursar_core::provider::wire::calls::LIST_KEYS;

use crate::assumptions::{LISTED_AT_ONCE, NEWEST_FIRST, PAGE_OF_100};
use crate::run::{Run, SOON};
use crate::wire::Object;

pub(crate) async fn list(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    while run.listed_key().await?.is_none() {
        if !patience.goes_on().await {
            run.findings.judge(&LISTED_AT_ONCE, false, format!("listed {}", patience.in_vain()));
            return Ok(());
        }
    }
    run.findings.judge(&LISTED_AT_ONCE, patience.is_fresh(), format!("listed {}", patience.after()));
    let page = run.first_page().await?;
    judge_order(run, &page);
    judge_length(run, page.len()).await
}

fn judge_order(run: &mut Run<'_>, page: &[Object]) {
    let made: Vec<_> = page.iter().filter_map(|row| row.instant("created_at")).collect();
    if made.len() < 2 {
        return run.findings.not_seen(&NEWEST_FIRST, "the account has no other key");
    }
    let is_sorted = made.windows(2).all(|pair| pair[0] >= pair[1]);
    run.findings.judge(&NEWEST_FIRST, is_sorted, format!("the first {} keys", made.len()));
}

/// A page is known to be full only if another follows it.
async fn judge_length(run: &mut Run<'_>, length: usize) -> Result<()> {
    let offset = length.to_string();
    let mut query = EVERY_KEY.to_vec();
    query.push(("offset", &offset));
    let workspace = run.made_key()?.workspace.clone();
    query.extend(workspace.as_deref().map(|id| ("workspace_id", id)));
    let behind = run.ask(&LIST_KEYS, &["keys"], &query, None).await?.rows("keys")?.len();
    if behind == 0 && length <= KEYS_ON_A_PAGE {
        let why = format!("keys in the workspace: {length}, and one page holds them");
        run.findings.not_seen(&PAGE_OF_100, why);
    } else {
        run.findings.judge(&PAGE_OF_100, length == KEYS_ON_A_PAGE, format!("the first page holds {length}"));
    }
    Ok(())
}
