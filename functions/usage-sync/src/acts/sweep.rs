//! The disabling of keys that nobody was shown, and the late recording of what they used.

use bursar_core::domain::grant::{Attempt, GRACE, OrderKind};
use bursar_core::orders::NotCarriedOut;

use crate::prelude::*;
use crate::scan::grant::read;
use crate::scan::outcome::LateUse;

/// Disables a second key of one attempt. The attempt is too old to be under way, and its record names another
/// key or none. So nobody was or will be shown this one.
pub(super) async fn disable_second(runner: &Runner<'_>, at: ActContext<'_>, row: &KeyRow) -> Result<FindingOutcome> {
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(FindingOutcome::Done) };
    let attempt = view.grant.attempt(row.epoch()).filter(|attempt| attempt.nonce == row.nonce());
    let is_second = |attempt: &Attempt| !attempt.key.as_ref().is_some_and(|key| row.is(key));
    if attempt.is_some_and(|attempt| is_second(attempt) && at.now >= attempt.begun_at + GRACE) {
        runner.provider.disable_key(&row.key(), at.deadline).await?;
        return Ok(FindingOutcome::Swept { now: true, late: LateUse::default() });
    }
    Ok(FindingOutcome::Done)
}

/// Records the listed use of keys that their attempts have only now recorded.
pub(super) async fn read_late(runner: &Runner<'_>, at: ActContext<'_>, rows: &[&KeyRow]) -> Result<LateUse> {
    let mut late = LateUse::default();
    let Some(view) = runner.table.view(at.programme, at.grant).await? else { return Ok(late) };
    for row in rows {
        let attempt = view.grant.attempt(row.epoch());
        let Some(attempt) = attempt.filter(|attempt| attempt.key == Some(row.key())) else { continue };
        let (news, doubt) = read(&view, runner.baseline.listed_at, attempt, row).map_err(anyhow::Error::new)?;
        late.doubts.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
        let known = view.readings.iter().find(|reading| reading.epoch == attempt.epoch);
        if let Some(news) = &news {
            late.written += usize::from(runner.table.note_reading(news, at.deadline).await?);
        }
        late.used.extend(news.as_ref().or(known).map(|reading| reading.used.clone()));
    }
    Ok(late)
}

/// Carries out the grant's orders to disable. A key that is not found is handled by the listing.
pub(super) async fn disable(runner: &Runner<'_>, at: ActContext<'_>) -> Result<()> {
    match Box::pin(runner.orders().carry_out(at, |order| order.kind == OrderKind::Off)).await {
        Ok(_) | Err(NotCarriedOut::NotFound | NotCarriedOut::NotFirm) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
