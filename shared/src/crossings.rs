//! The crossings of one limit, judged by what is on record: of a programme's budget, by what was spent and by what is reserved, or of
//! one student's cap.

use std::sync::Arc;

use crate::domain::grant::CapUse;
use crate::domain::programme::RefusedForRoom;
use crate::domain::usage::crossing::{ALL, Crossing, SOME, Scope, newly_passed, newly_passed_of_cap};
use crate::prelude::*;

/// The most that one check takes; with less time left it is not begun.
pub const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// The limit whose crossings are looked for.
#[derive(Clone, Copy)]
pub enum Limit<'a> {
    Budget(&'a ProgrammeId),
    Cap(&'a ProgrammeId, &'a GrantId),
}

/// The use of a limit when it was read.
struct Usage {
    scope: Scope,
    window: Window,
    limit: Usd,
    spent: Usd,
    /// Who is refused a key, of a budget that is reserved.
    refused: Option<RefusedForRoom>,
}

/// Records the thresholds that were newly passed, with a mail for the highest to each recipient. Returns
/// their number.
pub async fn find(table: &Table, limit: Limit<'_>, now: Moment, deadline: Deadline) -> Result<usize, StoreError> {
    let mut found = 0;
    loop {
        let Some((programme, usages)) = usages(table, limit, now).await? else { return Ok(found) };
        let mut was_overtaken = false;
        for usage in usages {
            let crossings = new_crossings(table, &programme, &usage, now).await?;
            if crossings.is_empty() {
                continue;
            }
            let tells_staff =
                !matches!(usage.scope, Scope::Cap(_)) && crossings.iter().any(|crossing| crossing.is_mailed);
            let hear = if tells_staff { table.hear_of_alerts(&programme.settings).await? } else { Vec::new() };
            let recipients = table.people_of(&hear, deadline).await?;
            match table.record_crossings(&crossings, &recipients, now, deadline).await? {
                true => found += crossings.len(),
                // Another invocation was faster, and may have found less.
                false => was_overtaken = true,
            }
        }
        if !was_overtaken {
            return Ok(found);
        }
        if !deadline.leaves(ENOUGH_FOR_ONE) {
            return Err(StoreError::Contended);
        }
    }
}

/// The use of a limit in each scope that matters. `None` where the programme or grant does not exist.
async fn usages(table: &Table, limit: Limit<'_>, now: Moment) -> Result<Option<(Programme, Vec<Usage>)>, StoreError> {
    match limit {
        Limit::Budget(id) => {
            let (Some(programme), Some(budget)) =
                (table.get(Programme::key_of(id)).await?, table.get(Budget::key_of(id)).await?)
            else {
                return Ok(None);
            };
            let spent = table.programme_use(id).await?.counted(programme.settings.basis.byok);
            let refused = programme.refused_for_room(&budget, now).filter(|_| spent < budget.limit);
            let usage =
                |scope, refused| Usage { scope, window: Window::WHOLE_TERM, limit: budget.limit, spent, refused };
            let mut usages = Vec::new();
            if spent > Usd::ZERO {
                usages.push(usage(Scope::Budget, None));
            }
            if refused.is_some() {
                usages.push(usage(Scope::Reserved, refused));
            }
            Ok(Some((programme, usages)))
        }
        Limit::Cap(programme, grant) => {
            let Some(view) = table.view(programme, grant).await? else { return Ok(None) };
            let used = CapUse::of(&view.programme, &view.grant, &view.readings, now);
            let usage = |used: CapUse| {
                let scope = Scope::Cap(view.grant.id.clone());
                Usage { scope, window: used.window, limit: used.cap, spent: used.spent, refused: None }
            };
            let usages = used.into_iter().map(usage).collect();
            Ok(Some((Arc::unwrap_or_clone(view.programme), usages)))
        }
    }
}

/// The thresholds that were passed and are not recorded.
async fn new_crossings(
    table: &Table,
    programme: &Programme,
    usage: &Usage,
    now: Moment,
) -> Result<Vec<Crossing>, StoreError> {
    let Usage { scope, window, limit, spent, refused } = usage;
    let known = table.list(Crossing::of_limit(&programme.id, scope, *window, *limit)).await?;
    let known: Vec<u8> = known.into_iter().map(|crossing| crossing.threshold).collect();
    let crossed = match scope {
        Scope::Budget => newly_passed(&programme.settings.mails.thresholds, *limit, *spent, &known),
        Scope::Cap(_) => newly_passed_of_cap(*limit, *spent, &known),
        Scope::Reserved => {
            let threshold = refused.map(|refused| if refused.is_everybody() { ALL } else { SOME });
            let is_news = |threshold: &u8| known.iter().all(|known| known < threshold);
            threshold.filter(is_news).map(|threshold| (threshold, true)).into_iter().collect()
        }
    };
    let crossing = |(threshold, told)| Crossing {
        programme: programme.id.clone(),
        scope: scope.clone(),
        window: *window,
        limit: *limit,
        threshold,
        spent: *spent,
        found_at: now,
        is_mailed: told,
    };
    Ok(crossed.into_iter().map(crossing).collect())
}
