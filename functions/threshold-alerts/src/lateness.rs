//! How long a complete sync and a programme's job may take before an alarm.

use anyhow::Result;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{JobState, Table};
use jiff::{SignedDuration, Timestamp};

/// The age of the last complete sync at which it counts as missing. Since the check is hourly, the alarm
/// comes before 26 hours.
pub(crate) const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(25);
/// The pause after which a job is stuck. It is resumed each minute.
const CARRIED_ON_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Since when a programme's job has not been resumed, if that is too long.
pub(crate) async fn is_stuck(table: &Table, programme: &ProgrammeId, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(job) = table.job(programme).await? else { return Ok(None) };
    let JobState::Running { lease_until } = job.state else { return Ok(None) };
    Ok((lease_until + CARRIED_ON_WITHIN <= now).then_some(lease_until))
}
