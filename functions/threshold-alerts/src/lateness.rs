//! How long a complete sync and a programme's job may take before an alarm.

use anyhow::Result;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{Job, Table};
use jiff::{SignedDuration, Timestamp};

/// The age of the last complete sync at which it counts as missing. Since the check is hourly, the alarm
/// comes before 26 hours.
pub(crate) const COMPLETE_WITHIN: SignedDuration = SignedDuration::from_hours(25);
/// The pause after which a job is stuck. It is carried on each minute.
const ADVANCES_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Since when the oldest of a programme's jobs has not advanced, if that is too long. A younger one that goes on hides nothing.
pub(crate) async fn is_stuck(table: &Table, programme: &ProgrammeId, now: Timestamp) -> Result<Option<Timestamp>> {
    let oldest = table.jobs(programme).await?.into_iter().find(Job::is_running);
    Ok(oldest.map(|job| job.advanced_at).filter(|advanced_at| *advanced_at + ADVANCES_WITHIN <= now))
}
