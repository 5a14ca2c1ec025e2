//! Obstacles that may pass with time: no answer, too many requests, throttling by the table. One ends the
//! invocation, and the schedule resumes the run; only after six hours the run ends with what it has.

use bursar_core::orders::NotCarriedOut;
use bursar_core::secrets::SecretError;
use bursar_core::store::{Checkpoint, Delay};

use crate::prelude::*;

/// The age until which a run with an obstacle is resumed.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_hours(6);
/// The wait before the second try, doubled for each further one. The schedule comes each quarter of an hour
/// and may be early.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(10);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(55);

/// The most characters of an obstacle's text.
const MOST_TOLD: usize = 500;

/// An obstacle to a run that may pass with time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunObstacle {
    what: String,
    /// The wait that the provider asked for.
    retry_after: Option<Duration>,
}

pub(crate) fn of_provider(error: &ProviderError) -> Option<RunObstacle> {
    error.may_pass().then(|| RunObstacle { what: error.to_string(), retry_after: error.retry_after() })
}

pub(crate) fn of_any(error: &anyhow::Error) -> Option<RunObstacle> {
    if let Some(error) = provider_error(error) {
        return of_provider(error);
    }
    let may_pass = error.chain().any(|cause| {
        let table = cause.downcast_ref::<StoreError>().is_some_and(StoreError::may_pass);
        let secret = cause.downcast_ref::<SecretError>().is_some_and(SecretError::may_pass);
        let order = match cause.downcast_ref::<NotCarriedOut>() {
            Some(NotCarriedOut::Table(error)) => error.may_pass(),
            Some(NotCarriedOut::NoTime) => true,
            _ => false,
        };
        table || secret || order
    });
    may_pass.then(|| RunObstacle { what: format!("{error:#}"), retry_after: None })
}

/// The provider's answer behind an error.
pub(crate) fn provider_error(error: &anyhow::Error) -> Option<&ProviderError> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(NotCarriedOut::Provider(error)) => Some(error),
        _ => cause.downcast_ref::<ProviderError>(),
    })
}

/// Whether an error keeps exactly one programme from being scanned or summed up, at any try.
pub(crate) fn is_of_one_programme(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &StoreError| !error.may_pass())
}

/// The delay of a run after an obstacle, given whether it made progress since the last one.
pub(crate) fn delay(last: &Checkpoint, got_further: bool, obstacle: &RunObstacle, now: Moment) -> Result<Delay> {
    let (tries, in_a_row) = last.delay.as_ref().map_or((0, 0), |last| (last.tries, last.in_a_row));
    let in_a_row = if got_further { 1 } else { in_a_row + 1 };
    let wait = (FIRST_WAIT * 2_i32.pow(in_a_row.min(10) - 1)).min(LONGEST_WAIT);
    let asked = SignedDuration::try_from(obstacle.retry_after.unwrap_or_default())?;
    let due = (now + wait.max(asked)).min(now.max(last.began_at + PATIENCE));
    let why = obstacle.what.chars().take(MOST_TOLD).collect();
    Ok(Delay { why, due, tries: tries + 1, in_a_row })
}
