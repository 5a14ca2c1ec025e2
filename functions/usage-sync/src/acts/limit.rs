//! The limit of a live key, where the listing had another than the wanted one.

use anyhow::bail;
use bursar_core::domain::grant::{ListedLimit, Order, OrderKind};
use bursar_core::orders::NotCarriedOut;

use crate::prelude::*;

/// Orders the limit that is wanted now and sends it, or stops a grant that is used up. Returns a sentence
/// when somebody had set another limit.
pub(super) async fn send_limit(runner: &Runner<'_>, at: ActContext<'_>, listed: ListedLimit) -> Result<Option<String>> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(None) };
    let Some((live, key)) = view.grant.live().and_then(|live| Some((live, live.key.as_ref()?))) else {
        return Ok(None);
    };
    runner.table.act(at, |view, now| view.order_limit(listed, now)).await?;
    let is_of_it = |order: &Order| order.epoch == live.epoch && order.kind == OrderKind::Limit;
    match Box::pin(runner.orders().carry_out(at, is_of_it)).await {
        Ok(_) => {}
        // The next listing shows whether the key exists.
        Err(NotCarriedOut::NotFound) => bail!("the limit was not sent: the provider does not know the key now"),
        Err(error) => return Err(error.into()),
    }
    let Some(after) = runner.table.get(Grant::key_of(at.programme, at.grant)).await? else { return Ok(None) };
    let Some(limit) = after.live().filter(|live| live.limit_ordered.is_none()).and_then(|live| live.limit) else {
        return Ok(None);
    };
    let found = match listed {
        ListedLimit::Unlimited => "no limit".to_owned(),
        ListedLimit::CountedOtherwise => "a limit that was counted otherwise".to_owned(),
        ListedLimit::Limit(listed) if live.limit.is_none_or(|held| !listed.is_about(held)) => {
            format!("the limit {listed}")
        }
        ListedLimit::Limit(_) | ListedLimit::Unasked => return Ok(None),
    };
    Ok(Some(format!("the key {key} had {found} at the provider, and has {limit} again")))
}
