//! How long a complete sync and a programme's job may take before somebody is told.

use anyhow::Result;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{JobState, Table};
use jiff::{SignedDuration, Timestamp};

/// With a look each hour, somebody knows of it before a complete sync is missing for 26.
pub(crate) const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(25);
/// Work goes on each minute: after so long without, something is wrong.
const CARRIED_ON_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Since when nobody carries a programme's job on, if that is too long.
pub(crate) async fn is_stuck(table: &Table, programme: &ProgrammeId, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(job) = table.job(programme).await? else { return Ok(None) };
    let JobState::Running { lease_until } = job.state else { return Ok(None) };
    Ok((lease_until + CARRIED_ON_WITHIN <= now).then_some(lease_until))
}
