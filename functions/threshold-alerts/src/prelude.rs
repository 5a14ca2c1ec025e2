//! What many files of the function use.

pub(crate) use std::time::Duration;

pub(crate) use anyhow::{Result, anyhow, ensure};
pub(crate) use bursar_core::clock::Moment;
pub(crate) use bursar_core::deadline::Deadline;
pub(crate) use bursar_core::domain::mail::alarm::{Alarm, Cause};
pub(crate) use bursar_core::domain::programme::{Budget, Programme};
pub(crate) use bursar_core::domain::values::address::EmailAddress;
pub(crate) use bursar_core::domain::values::id::ProgrammeId;
pub(crate) use bursar_core::domain::values::window::utc_date;
pub(crate) use bursar_core::store::{Broadcast, Table};

pub(crate) use crate::failures::Programmes;
