//! The crossings of a programme's budget, judged by what is on record: by what was spent of it, and
//! by what is reserved.

use std::time::Duration;

use anyhow::{Result, ensure};
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::crossing::{ALL, Crossing, SOME, Scope, newly_passed};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::window::Window;
use bursar_core::store::{StoreError, Table};

/// The most that one check takes; with less time left it is not begun.
pub(crate) const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// Records the thresholds that were newly passed, with a mail for the highest to each recipient.
/// Returns their number.
pub(crate) async fn find(
    table: &Table,
    id: &ProgrammeId,
    now: Moment,
    deadline: Deadline,
) -> Result<usize> {
    let mut count = 0;
    loop {
        ensure!(deadline.leaves(ENOUGH_FOR_ONE), "the time is up");
        let Some(programme) = table.get(Programme::key_of(id)).await? else {
            return Ok(count);
        };
        let Some(budget) = table.get(Budget::key_of(id)).await? else {
            return Ok(count);
        };
        let mut was_overtaken = false;
        for crossings in new_crossings(table, &programme, &budget, now).await? {
            let is_mailed = crossings.iter().any(|crossing| crossing.is_mailed);
            let hear = if is_mailed {
                table.hear_of_alerts(&programme.settings).await?
            } else {
                Vec::new()
            };
            let recipients = table.people_of(&hear, deadline).await?;
            if table
                .record_crossings(&crossings, &recipients, now, deadline)
                .await?
            {
                count += crossings.len();
            } else {
                // Another invocation was faster, and may have found less.
                was_overtaken = true;
            }
        }
        if !was_overtaken {
            return Ok(count);
        }
    }
}

/// The thresholds that were passed and are not recorded, of what was spent and of what is reserved.
async fn new_crossings(
    table: &Table,
    programme: &Programme,
    budget: &Budget,
    now: Moment,
) -> Result<Vec<Vec<Crossing>>, StoreError> {
    let settings = &programme.settings;
    let spent = table
        .programme_use(&programme.id)
        .await?
        .counted(settings.basis.byok);
    let refused = programme
        .find_room_refusal(budget, now)
        .filter(|_| spent < budget.limit);
    let mut new = Vec::new();
    for scope in [Scope::Budget, Scope::Reserved] {
        let stored = table
            .list(Crossing::of_limit(
                &programme.id,
                &scope,
                Window::WHOLE_TERM,
                budget.limit,
            ))
            .await?;
        let thresholds: Vec<u8> = stored
            .into_iter()
            .map(|crossing| crossing.threshold)
            .collect();
        let passed = match (&scope, refused) {
            (Scope::Reserved, Some(refused)) => {
                let threshold = if refused.is_everybody() { ALL } else { SOME };
                let is_news = thresholds.iter().all(|stored| *stored < threshold);
                if is_news {
                    vec![(threshold, true)]
                } else {
                    Vec::new()
                }
            }
            (Scope::Reserved, None) => Vec::new(),
            (Scope::Budget | Scope::Cap(_), _) => {
                newly_passed(&settings.mails.thresholds, budget.limit, spent, &thresholds)
            }
        };
        let crossing = Crossing {
            programme: programme.id.clone(),
            scope,
            window: Window::WHOLE_TERM,
            limit: budget.limit,
            threshold: 0,
            spent,
            found_at: now,
            is_mailed: false,
        };
        new.push(crossing.cross_each(passed));
    }
    new.retain(|crossings| !crossings.is_empty());
    Ok(new)
}
